"""The official scores of SQuAD 1.1 and 2.0: exact match and F1, equal to the last digit.

The scripts are evaluate-v1.1.py and evaluate-v2.0.py (https://rajpurkar.github.io/SQuAD-explorer). They differ in
details. 1.1 counts a question without a prediction as wrong and has no empty answers. 2.0 leaves such a question out,
and an answer of only punctuation and articles is empty. Sums go from left to right, as `sum` did when the published
numbers were made; `sum` of newer Pythons rounds better, which changes a last digit.

2.0 has a no-answer score for each question (the script calls it a probability; BERT's null_odds.json has differences of
logits). A question whose score is above a threshold counts as answered with "".
"""

from __future__ import annotations

import operator
import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from bertworks.errors import InputError

# Question id -> the texts of its answers, in the order of the data set; none if the question has no answer.
Gold = Mapping[str, Sequence[str]]
# Question id -> exact match or F1 of the question, from 0 to 1.
Scores = Mapping[str, float]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Threshold(NamedTuple):
    """The best score, in per cent, at any threshold on the no-answer scores, and the lowest threshold that gives it."""

    score: float
    threshold: float


class Curve(NamedTuple):
    """Precision and recall as more and more questions are answered, the surest first; they begin with no answer."""

    precisions: list[float]
    recalls: list[float]

    @property
    def average_precision(self) -> float:
        """The area under the steps, in per cent."""
        area = 0.0
        for i in range(1, len(self.recalls)):
            area += self.precisions[i] * (self.recalls[i] - self.recalls[i - 1])
        return 100.0 * area


def normalize_answer(text: str) -> str:
    """Lower-case a text; remove ASCII punctuation, articles and extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def token_f1(prediction: Sequence[str], answer: Sequence[str]) -> float:
    """Return the F1 of two bags of words; 0 if they share none."""
    same = sum((Counter(prediction) & Counter(answer)).values())
    if not same:
        return 0
    # This order of operations decides the last digit.
    precision, recall = 1.0 * same / len(prediction), 1.0 * same / len(answer)
    return (2 * precision * recall) / (precision + recall)


def evaluate_v1(gold: Gold, predictions: Mapping[str, str]) -> dict[str, float]:
    """Score as evaluate-v1.1.py: {"exact_match", "f1"} in per cent. A question without a prediction scores 0.

    Raises:
        InputError: no question has a prediction, or a question has no answer, as only 2.0 allows.
    """
    _check_overlap(gold, predictions)
    exact_match, f1 = 0, 0.0
    for question, answers in gold.items():
        if not answers:
            raise InputError(f"question {question}: has no answer, as SQuAD 2.0 allows; give --version_2_with_negative")
        if question not in predictions:
            continue
        prediction = normalize_answer(predictions[question])
        normalized = [normalize_answer(answer) for answer in answers]
        exact_match += prediction in normalized
        f1 += max(token_f1(prediction.split(), answer.split()) for answer in normalized)
    return {"exact_match": 100.0 * exact_match / len(gold), "f1": 100.0 * f1 / len(gold)}


def raw_scores(gold: Gold, predictions: Mapping[str, str]) -> dict[str, Scores]:
    """Return "exact" and "f1" of each question with a prediction, by the rules of 2.0."""
    exact: dict[str, float] = {}
    f1: dict[str, float] = {}
    for question, answers in gold.items():
        if question not in predictions:
            continue
        prediction = normalize_answer(predictions[question])
        normalized = list(filter(None, map(normalize_answer, answers))) or [""]
        exact[question] = int(prediction in normalized)
        f1[question] = max(
            # If either is empty, both must be.
            token_f1(prediction.split(), answer.split()) if prediction and answer else int(prediction == answer)
            for answer in normalized
        )
    return {"exact": exact, "f1": f1}


def evaluate_v2(
    gold: Gold,
    predictions: Mapping[str, str],
    na_probs: Mapping[str, float] | None = None,
    na_prob_thresh: float = 1.0,
    *,
    average_precisions: bool = False,
) -> dict[str, float]:
    """Score as evaluate-v2.0.py, with its names in its order.

    If a prediction is missing, the script fails; we leave the question out of every count.

    Args:
        predictions: question id -> answer; "" says that there is none. Other questions are ignored.
        na_probs: question id -> no-answer score; adds the best thresholds.
        na_prob_thresh: a question whose no-answer score is above it counts as answered with "".
        average_precisions: add those of the curves, as the script does when it draws them.

    Raises:
        InputError: no question has a prediction, or a no-answer score is missing.
    """
    _check_overlap(gold, predictions)
    raw = raw_scores(gold, predictions)
    has_answer = {question: bool(gold[question]) for question in raw["exact"]}
    odds = _ascending(na_probs, has_answer) if na_probs is not None else dict.fromkeys(has_answer, 0.0)
    unanswered = {question: float(not has) for question, has in has_answer.items() if odds[question] > na_prob_thresh}
    final = {name: {**scores, **unanswered} for name, scores in raw.items()}
    found = _means(final, has_answer)
    for prefix, wanted in (("HasAns", True), ("NoAns", False)):
        questions = [question for question, has in has_answer.items() if has == wanted]
        if questions:
            found |= {f"{prefix}_{name}": value for name, value in _means(final, questions).items()}
    if na_probs is None:
        return found
    for name, best in best_thresholds(gold, predictions, odds).items():
        found |= {f"best_{name}": best.score, f"best_{name}_thresh": best.threshold}
    if average_precisions:
        found |= {f"pr_{name}_ap": curve.average_precision for name, curve in curves(gold, predictions, odds).items()}
    return found


def best_thresholds(gold: Gold, predictions: Mapping[str, str], na_probs: Mapping[str, float]) -> dict[str, Threshold]:
    """Find the threshold on the no-answer scores at which the whole set has the best "exact" and the best "f1".

    As in the script, the search begins at 0.0 with every question unanswered, and then answers one question after the
    other in ascending order of their no-answer scores. The threshold is 0.0 if that never helps.

    Args:
        predictions: answers, not emptied by another threshold before.
        na_probs: no-answer scores of all questions with a prediction; equal ones count in the order given.
    """
    found = {}
    for name, scores in raw_scores(gold, predictions).items():
        order = _ascending(na_probs, scores)
        current: float = sum(not gold[question] for question in scores)
        best, threshold = current, 0.0
        for question, odds in order.items():
            # A wrong answer to a question without answer loses the point for leaving it unanswered.
            current += scores[question] if gold[question] else -bool(predictions[question])
            if current > best:
                best, threshold = current, odds
        found[name] = Threshold(100.0 * best / len(scores), threshold)
    return found


def curves(gold: Gold, predictions: Mapping[str, str], na_probs: Mapping[str, float]) -> dict[str, Curve]:
    """Return precision and recall by "exact", "f1" and "oracle", which counts every answer as right if there is one.

    If no question has an answer, there are no curves.
    """
    raw = raw_scores(gold, predictions)
    oracle = {question: float(bool(gold[question])) for question in raw["exact"]}
    order = list(_ascending(na_probs, oracle).items())
    answerable = sum(oracle.values())
    if not answerable:
        return {}
    found = {}
    for name, scores in {**raw, "oracle": oracle}.items():
        curve, right = Curve([1.0], [0.0]), 0.0
        for done, (question, odds) in enumerate(order, 1):
            right += scores[question] if gold[question] else 0
            # No threshold separates questions with equal scores.
            if done == len(order) or odds != order[done][1]:
                curve.precisions.append(right / done)
                curve.recalls.append(right / answerable)
        found[name] = curve
    return found


def _check_overlap(gold: Gold, predictions: Mapping[str, str]) -> None:
    if not any(question in predictions for question in gold):
        raise InputError("no question of the data set has a prediction; the predictions are of another data set")


def _ascending(na_probs: Mapping[str, float], questions: Collection[str]) -> dict[str, float]:
    """Sort the no-answer scores of some questions, of which each must have one; equal ones stay in the order given."""
    for question in questions:
        if question not in na_probs:
            raise InputError(f"question {question}: has a prediction, but no no-answer score (--na_prob_file)")
    chosen = ((question, odds) for question, odds in na_probs.items() if question in questions)
    return dict(sorted(chosen, key=operator.itemgetter(1)))


def _means(scores: Mapping[str, Scores], questions: Iterable[str]) -> dict[str, float]:
    """Return the mean of each score over some questions, in per cent, and their number."""
    chosen = list(questions)
    means = {
        name: 100.0 * reduce(operator.add, (of_each[question] for question in chosen), 0) / len(chosen)
        for name, of_each in scores.items()
    }
    return {**means, "total": len(chosen)}
