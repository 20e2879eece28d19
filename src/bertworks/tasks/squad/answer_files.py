"""The files of answers: predictions.json, nbest_predictions.json and null_odds.json, as the original writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from bertworks import files
from bertworks.tasks.squad.answers import Answer, Question

PREDICTIONS, NBEST, NULL_ODDS = "predictions.json", "nbest_predictions.json", "null_odds.json"


def write_answers(folder: Path, questions: Iterable[Question], found: Iterable[Answer], with_null: bool) -> list[Path]:
    """Write predictions.json, nbest_predictions.json and, of version 2, null_odds.json, as the original writes them.

    Returns:
        the paths written.
    """
    # By hand: the standard library indents in plain Python, which takes longer than finding the answers.
    quoted = json.encoder.encode_basestring_ascii
    predictions, nbest, odds = [], [], []
    for question, answer in zip(questions, found, strict=True):
        name = quoted(question.id)
        predictions.append(f"    {name}: {quoted(answer.prediction)}")
        odds.append(f"    {name}: {answer.null_odds!r}")
        entries = ",\n".join(
            f'        {{\n            "text": {quoted(one.text)},\n            "probability": {one.probability!r},\n'
            f'            "start_logit": {one.start_logit!r},\n            "end_logit": {one.end_logit!r}\n        }}'
            for one in answer.nbest
        )
        nbest.append(f"    {name}: [\n{entries}\n    ]")
    written = {PREDICTIONS: predictions, NBEST: nbest} | ({NULL_ODDS: odds} if with_null else {})
    for file, members in written.items():
        inside = ",\n".join(members)
        files.write_text(folder / file, f"{{\n{inside}\n}}\n" if members else "{}\n")
    return [folder / file for file in written]
