"""`bert evaluate_squad` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertworks.commands.evaluate_squad import Flags, main
from bertworks.errors import InputError
from bertworks.flags import parse
from tests.commands.runs import FIXTURES

V1, V2 = FIXTURES / "squad-v1.json", FIXTURES / "squad-v2.json"
PREDICTIONS_1, PREDICTIONS_2 = FIXTURES / "squad-v1.predictions.json", FIXTURES / "squad-v2.predictions.json"
NULL_ODDS = FIXTURES / "squad-v2.null_odds.json"

# What evaluate-v2.0.py prints for the golden files.
OFFICIAL_2 = """{
  "exact": 11.0,
  "f1": 13.690209790209792,
  "total": 100,
  "HasAns_exact": 0.0,
  "HasAns_f1": 3.736402486402486,
  "HasAns_total": 72,
  "NoAns_exact": 39.285714285714285,
  "NoAns_f1": 39.285714285714285,
  "NoAns_total": 28"""


def evaluate(*words: Path | str) -> None:
    main(parse(Flags, [str(word) for word in words], "bert evaluate_squad"))


def changed(path: Path, to: Path, **values: Any) -> Path:
    """A JSON object with other values; None removes one."""
    content = {**json.loads(path.read_text()), **values}
    to.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return to


def test_version_1(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(V1, PREDICTIONS_1)
    assert capsys.readouterr() == ('{"exact_match": 0.0, "f1": 4.723633951188131}\n', "")


def test_version_2(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(V2, PREDICTIONS_2)
    assert capsys.readouterr() == (OFFICIAL_2 + "\n}\n", "")


def test_the_best_thresholds_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = ',\n  "best_exact": 28.0,\n  "best_exact_thresh": 0.0,\n  "best_f1": 28.0,\n  "best_f1_thresh": 0.0'
    at_most = "--na_prob_thresh=99"
    evaluate(V2, PREDICTIONS_2, f"--na_prob_file={NULL_ODDS}", at_most)
    assert capsys.readouterr() == (f"{OFFICIAL_2}{best}\n}}\n", "")
    evaluate(V2, PREDICTIONS_2, "--na-prob-file", NULL_ODDS, at_most, f"--output_dir={tmp_path / 'p'}")
    precisions = ',\n  "pr_exact_ap": 0.0,\n  "pr_f1_ap": 0.2795703890689266,\n  "pr_oracle_ap": 68.94596434702198\n}\n'
    assert capsys.readouterr() == (OFFICIAL_2 + best + precisions, "")
    assert len(list((tmp_path / "p").glob("*.png"))) == 5


def test_missing_and_extra_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = changed(PREDICTIONS_1, tmp_path / "p.json", q0002=None, other="x")
    evaluate(V1, predictions)
    out, err = capsys.readouterr()
    assert json.loads(out)["f1"] <= 4.723633951188131
    assert err == (
        f"Unanswered question q0002 will receive score 0.\n1 predictions are of no question of {V1} and do not count\n"
    )
    predictions = changed(PREDICTIONS_2, tmp_path / "p.json", q0002=None)
    evaluate(V2, predictions)
    out, err = capsys.readouterr()
    assert json.loads(out)["total"] == 99
    assert err == "Missing prediction for q0002\n"


def test_another_version_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(changed(V1, tmp_path / "d.json", version="1.3"), PREDICTIONS_1, "--output_dir=pictures")
    out, err = capsys.readouterr()
    assert out == '{"exact_match": 0.0, "f1": 4.723633951188131}\n'
    assert err.startswith("Evaluation expects v-1.1, but got dataset with v-1.3\nNo picture was drawn: ")


def test_version_1_by_the_rules_of_2(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(V1, PREDICTIONS_1, "--version_2_with_negative")
    assert json.loads(capsys.readouterr().out)["HasAns_total"] == 95


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            (V2, PREDICTIONS_2, "--version_2_with_negative=False"),
            "has no answer, as SQuAD 2.0 allows; give --",
        ),
        ((V1, PREDICTIONS_1, f"--na_prob_file={NULL_ODDS}"), "--na_prob_file: every question of"),
        ((V1, V1), "squad-v1.json: the prediction of question 'data' is not a text"),
        ((V2, PREDICTIONS_2, f"--na_prob_file={PREDICTIONS_2}"), "the no-answer score of question 'q0001' is not"),
        ((PREDICTIONS_1, V1), 'squad-v1.predictions.json: has no articles: a file in SQuAD form is {"data"'),
        ((V1,), "--predictions_file"),
    ],
)
def test_mistakes(words: tuple[Path | str, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(*words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_in_the_place_of_predictions_is_told_as_such(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("id,answer\n")
    with pytest.raises(InputError, match=r"a.csv: is a table of text; give the JSON that run_squad writes"):
        evaluate(V1, table)
    with pytest.raises(InputError, match=r"a.csv: is a table of text; questions come as JSON"):
        evaluate(table, PREDICTIONS_1)


def test_files_of_other_questions(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"other": "x"}')
    with pytest.raises(InputError, match=r"other.json: has no prediction for any question of .*squad-v1.json"):
        evaluate(V1, other)
    other.write_text('{"other": 1.5}')
    with pytest.raises(InputError, match=r"other.json: question q0001 has a prediction, but no number here"):
        evaluate(V2, PREDICTIONS_2, f"--na_prob_file={other}")
