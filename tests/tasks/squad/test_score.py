"""Scores: by hand, and equal to the last digit to what the official scripts printed for the same files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.squad.answer_files import read_na_probs, read_predictions
from bertworks.tasks.squad.reader import read_gold_answers
from bertworks.tasks.squad.score import (
    Gold,
    Threshold,
    best_thresholds,
    curves,
    evaluate_v1,
    evaluate_v2,
    normalize_answer,
    token_f1,
)
from tests.tasks.squad.made_predictions import made_predictions

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Mill,\tof a\u00a0town.", "mill of town"),
        ("an-other", "another"),
        ("A.N. and THE; anthem", "and anthem"),
        ("“quoted” naïve", "“quoted” naïve"),  # only ASCII punctuation goes
        ("the a an", ""),
        ("U.S.A", "usa"),
        ("", ""),
    ],
)
def test_normalize_answer(text: str, normalized: str) -> None:
    assert normalize_answer(text) == normalized


def test_token_f1_counts_repeats() -> None:
    assert token_f1(["to", "be", "or", "to"], ["to", "be", "to", "to"]) == 0.75
    assert token_f1(["a"], ["b"]) == 0
    assert token_f1([], []) == 0


def test_version_1_takes_the_best_answer() -> None:
    gold = {"q1": ["nothing", "the Old Mill"], "q2": ["x y"], "q3": ["z"], "q4": ["of the"]}
    predictions = {"q1": "old mill!", "q2": "y", "q4": "the", "another": "z"}
    # q3 has no prediction and scores 0, and so does an empty text beside one that is not.
    assert evaluate_v1(gold, predictions) == {"exact_match": 25.0, "f1": 100 * (1 + 2 / 3) / 4}


def test_an_empty_answer_of_version_1_is_an_exact_match_without_f1() -> None:
    assert evaluate_v1({"q": ["the"]}, {"q": "a"}) == {"exact_match": 100.0, "f1": 0.0}
    scores = evaluate_v2({"q": ["the"]}, {"q": "a"})
    assert (scores["exact"], scores["f1"]) == (100.0, 100.0)


def test_version_2_by_hand() -> None:
    gold: Gold = {"has1": ["old mill", ""], "has2": ["town"], "no1": [], "no2": [], "no3": []}
    predictions = {"has1": "mill", "has2": "the town", "no1": "", "no2": "mill", "other": "x"}
    scores = evaluate_v2(gold, predictions)
    assert scores == {
        "exact": 50.0,
        "f1": 100 * (2 / 3 + 1 + 1) / 4,
        "total": 4,  # no3 has no prediction and is left out
        "HasAns_exact": 50.0,
        "HasAns_f1": 100 * (2 / 3 + 1) / 2,
        "HasAns_total": 2,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
    }
    odds = {"has1": 5.0, "has2": 1, "no1": -3.0, "no2": 2.0, "other": 0.0}
    above = evaluate_v2(gold, predictions, odds, 1.5)
    # has1 becomes "", which is wrong; no2 becomes "", which is right.
    assert (above["exact"], above["HasAns_exact"], above["NoAns_exact"]) == (75.0, 50.0, 100.0)
    # Answering no1 and has2 only is best; has1 gains less F1 than no2 loses.
    assert best_thresholds(gold, predictions, odds) == {"exact": Threshold(75.0, 1), "f1": Threshold(75.0, 1)}
    assert list(above) == [*scores, "best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"]


def test_curves_step_only_between_different_numbers() -> None:
    gold: Gold = {"a": ["x"], "b": ["y"], "c": []}
    predictions = {"a": "x", "b": "z", "c": "z"}
    found = curves(gold, predictions, {"a": 0.5, "b": 0.5, "c": 0.1})
    assert found["exact"] == ([1.0, 0.0, 1 / 3], [0.0, 0.0, 0.5])
    assert found["oracle"] == ([1.0, 0.0, 2 / 3], [0.0, 0.0, 1.0])
    assert found["exact"].average_precision == pytest.approx(100 / 6)
    assert curves({"c": []}, predictions, {"c": 0.1}) == {}


def test_what_the_official_script_prints_for_version_1() -> None:
    """evaluate-v1.1.py on the golden predictions, and on predictions that are better."""
    gold = read_gold_answers(FIXTURES / "squad-v1.json").gold
    golden = read_predictions(FIXTURES / "squad-v1.predictions.json")
    assert json.dumps(evaluate_v1(gold, golden)) == '{"exact_match": 0.0, "f1": 4.723633951188131}'
    made, _ = made_predictions(FIXTURES / "squad-v1.json")
    assert json.dumps(evaluate_v1(gold, made)) == '{"exact_match": 46.31578947368421, "f1": 64.3642439431913}'


def test_what_the_official_script_prints_for_version_2() -> None:
    """evaluate-v2.0.py with --na-prob-file and --out-image-dir."""
    gold = read_gold_answers(FIXTURES / "squad-v2.json").gold
    golden = read_predictions(FIXTURES / "squad-v2.predictions.json")
    odds = read_na_probs(FIXTURES / "squad-v2.null_odds.json")
    found = evaluate_v2(gold, golden, odds, -8.2, average_precisions=True)
    assert json.dumps(found) == (
        '{"exact": 11.0, "f1": 13.690209790209792, "total": 100, "HasAns_exact": 0.0, '
        '"HasAns_f1": 3.736402486402486, "HasAns_total": 72, "NoAns_exact": 39.285714285714285, '
        '"NoAns_f1": 39.285714285714285, "NoAns_total": 28, "best_exact": 28.0, '
        '"best_exact_thresh": 0.0, "best_f1": 28.0, "best_f1_thresh": 0.0, "pr_exact_ap": 0.0, '
        '"pr_f1_ap": 0.2795703890689266, "pr_oracle_ap": 68.94596434702198}'
    )
    made, odds = made_predictions(FIXTURES / "squad-v2.json")
    found = evaluate_v2(gold, made, odds, 1.0, average_precisions=True)
    assert json.dumps(found) == (
        '{"exact": 46.0, "f1": 58.096031746031734, "total": 100, "HasAns_exact": 37.5, '
        '"HasAns_f1": 54.30004409171076, "HasAns_total": 72, "NoAns_exact": 67.85714285714286, '
        '"NoAns_f1": 67.85714285714286, "NoAns_total": 28, "best_exact": 48.0, '
        '"best_exact_thresh": 1.75, "best_f1": 63.51269841269837, "best_f1_thresh": 3.0, '
        '"pr_exact_ap": 21.708522231139867, "pr_f1_ap": 47.13371277305285, '
        '"pr_oracle_ap": 86.358147200753}'
    )


texts = st.sampled_from(["", "old mill", "mill", "The old, old mill"])


@given(st.lists(st.tuples(st.lists(texts.filter(normalize_answer), max_size=2), texts, st.integers(-3, 3)), min_size=1))
def test_the_best_threshold_is_found(questions: list[tuple[list[str], str, int]]) -> None:
    """Of all thresholds, by scoring with each; no two numbers are equal, which the script's search would part."""
    gold = {str(i): answers for i, (answers, _, _) in enumerate(questions)}
    predictions = {str(i): prediction for i, (_, prediction, _) in enumerate(questions)}
    odds = {str(i): number + i / 1000 for i, (_, _, number) in enumerate(questions)}
    best = best_thresholds(gold, predictions, odds)
    for name in ("exact", "f1"):
        reached = [evaluate_v2(gold, predictions, odds, one)[name] for one in (-9.0, *odds.values())]
        assert best[name].score == pytest.approx(max(reached))
        if best[name].score > reached[0] + 1e-9:
            assert evaluate_v2(gold, predictions, odds, best[name].threshold)[name] == pytest.approx(max(reached))


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"question q: has no answer.*--version_2_with_negative"):
        evaluate_v1({"q": []}, {"q": ""})
    with pytest.raises(InputError, match="another data set"):
        evaluate_v1({"q": ["x"]}, {"p": "x"})
    with pytest.raises(InputError, match="question q: has a prediction, but no no-answer score"):
        evaluate_v2({"q": ["x"]}, {"q": "x"}, {})
