"""`bert evaluate_squad`: print exact match and F1 as the official scripts of SQuAD 1.1 and 2.0 do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bertworks.errors import InputError
from bertworks.flags import REQUIRED, CommandFlags, flag
from bertworks.progress import say

if TYPE_CHECKING:
    from bertworks.tasks.squad.reader import GoldAnswers


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Score predictions by exact match and F1, to the same digits as the official scripts of SQuAD 1.1 and 2.0.

    Standard output has only the scores, as JSON; warnings go to standard error.
    """

    data_file: str = flag(
        REQUIRED, "The data set with its answers, such as dev-v1.1.json.", group="Input", path=True, positional=True
    )
    predictions_file: str = flag(
        REQUIRED, "predictions.json: the answer to each question, by its id.", group="Input", path=True, positional=True
    )
    na_prob_file: str | None = flag(
        None,
        "null_odds.json: a number for each question id; the larger it is, the more likely it has no answer "
        "(2.0). Adds the best thresholds to the output.",
        group="Input",
        path=True,
    )
    na_prob_thresh: float = flag(1.0, 'A question with a number above this counts as answered with "" (2.0).')
    version_2_with_negative: bool | None = flag(
        None, "Score by the rules of 2.0; by default if the data set is 2.0 or has a question without an answer."
    )
    output_dir: str | None = flag(
        None,
        "The folder for pictures of --na_prob_file: precision and recall, and histograms. Adds average "
        "precisions to the output.",
        group="Output",
        path="written folder",
    )


def main(flags: Flags) -> None:
    """Run the command."""
    import json

    from bertworks.tasks.squad.answer_files import read_predictions
    from bertworks.tasks.squad.reader import read_gold_answers

    data = read_gold_answers(Path(flags.data_file))
    predictions = read_predictions(Path(flags.predictions_file))
    if not any(question in predictions for question in data.gold):
        raise InputError(f"{flags.predictions_file}: has no prediction for any question of {flags.data_file}")
    version_2 = data.is_version_2 if flags.version_2_with_negative is None else flags.version_2_with_negative
    scores = (_version_2 if version_2 else _version_1)(flags, data, predictions)
    if extra := sum(question not in data.gold for question in predictions):
        say(f"{extra:,} predictions are of no question of {flags.data_file} and do not count")
    if flags.output_dir and not flags.na_prob_file:
        say("No picture was drawn: pictures show the no-answer scores of SQuAD 2.0; give --na_prob_file")
    print(json.dumps(scores, indent=2 if version_2 else None))


def _version_1(flags: Flags, data: GoldAnswers, predictions: Mapping[str, str]) -> dict[str, float]:
    """Score as evaluate-v1.1.py."""
    from bertworks.tasks.squad.score import evaluate_v1

    if flags.na_prob_file:
        raise InputError(
            f"--na_prob_file: every question of {flags.data_file} has an answer, as in SQuAD 1.1; leave it out, or "
            "give --version_2_with_negative"
        )
    for question, answers in data.gold.items():
        if not answers:
            raise InputError(
                f"{flags.data_file}: question {question} has no answer, as SQuAD 2.0 allows; give "
                "--version_2_with_negative"
            )
    if data.version not in ("", "1.1"):
        say(f"Evaluation expects v-1.1, but got dataset with v-{data.version}")
    for question in data.gold:
        if question not in predictions:
            say(f"Unanswered question {question} will receive score 0.")
    return evaluate_v1(data.gold, predictions)


def _version_2(flags: Flags, data: GoldAnswers, predictions: Mapping[str, str]) -> dict[str, float]:
    """Score as evaluate-v2.0.py, and draw its pictures."""
    from bertworks.tasks.squad.answer_files import read_na_probs
    from bertworks.tasks.squad.pictures import draw
    from bertworks.tasks.squad.score import evaluate_v2

    na_probs = read_na_probs(Path(flags.na_prob_file)) if flags.na_prob_file else None
    for question in data.gold:
        if question not in predictions:
            say(f"Missing prediction for {question}")
        elif na_probs is not None and question not in na_probs:
            raise InputError(f"{flags.na_prob_file}: question {question} has a prediction, but no number here")
    if na_probs is not None and flags.output_dir:
        draw(Path(flags.output_dir), data.gold, predictions, na_probs)
    with_pictures = bool(flags.output_dir)
    return evaluate_v2(data.gold, predictions, na_probs, flags.na_prob_thresh, average_precisions=with_pictures)
