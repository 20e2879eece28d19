"""The files of answers: predictions.json, nbest_predictions.json and null_odds.json, in the original's format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from bertworks import files
from bertworks.errors import InputError
from bertworks.tasks.squad import json_stream
from bertworks.tasks.squad.nbest import NbestAnswers, Question

PREDICTIONS, NBEST, NULL_ODDS = "predictions.json", "nbest_predictions.json", "null_odds.json"

# The largest score that is accepted; this refuses infinity and NaN.
_LARGEST = 1e18


def write_answers(
    folder: Path, questions: Iterable[Question], found: Iterable[NbestAnswers], with_null: bool
) -> list[Path]:
    """Write predictions.json, nbest_predictions.json and, for SQuAD 2.0, null_odds.json; return their paths."""
    # json.dumps indents in plain Python, which takes longer than finding the answers.
    quoted = json.encoder.encode_basestring_ascii
    predictions, nbest, odds = [], [], []
    for question, answer in zip(questions, found, strict=True):
        name = quoted(question.id)
        predictions.append(f"    {name}: {quoted(answer.prediction)}")
        odds.append(f"    {name}: {answer.null_odds!r}")
        entries = ",\n".join(
            f'        {{\n            "text": {quoted(text)},\n            "probability": {probability!r},\n'
            f'            "start_logit": {start_logit!r},\n            "end_logit": {end_logit!r}\n        }}'
            for text, probability, start_logit, end_logit, _, _ in answer.nbest
        )
        nbest.append(f"    {name}: [\n{entries}\n    ]")
    contents = {PREDICTIONS: predictions, NBEST: nbest} | ({NULL_ODDS: odds} if with_null else {})
    for file, members in contents.items():
        inside = ",\n".join(members)
        files.write_text(folder / file, f"{{\n{inside}\n}}\n" if members else "{}\n")
    return [folder / file for file in contents]


def read_predictions(path: Path) -> dict[str, str]:
    """Read predictions.json, question id -> answer; raise InputError if the file has another form."""
    content = json_stream.whole(path)
    for question, answer in content.items():
        if not isinstance(answer, str):
            name = json_stream.short(question)
            raise InputError(f"{path}: the prediction of question {name} is not a text; give predictions.json")
    return content


def read_na_probs(path: Path) -> dict[str, float]:
    """Read null_odds.json or no-answer probabilities, question id -> number; raise InputError for another form."""
    content = json_stream.whole(path)
    for question, odds in content.items():
        if isinstance(odds, bool) or not isinstance(odds, int | float) or not -_LARGEST <= odds <= _LARGEST:
            name = json_stream.short(question)
            raise InputError(f"{path}: the no-answer score of question {name} is not a number; give null_odds.json")
    return content
