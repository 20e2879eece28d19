"""Fine-tuning from Python: rows of every kind, the driver's files, and what `load` returns."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import bertworks
from bertworks.errors import InputError
from bertworks.in_python import rows_of

FIXTURES = Path(__file__).parent / "fixtures"
MODEL: dict[str, Any] = {
    "init_checkpoint": FIXTURES / "google_tiny" / "trained.ckpt",
    "vocab_file": FIXTURES / "vocab.txt",
    "bert_config_file": FIXTURES / "google_tiny" / "bert_config.json",
    "num_train_epochs": 1,
    "train_batch_size": 4,
    "precision": "fp32",
    "max_seq_length": 32,
}
ROWS = [("the old market", "good"), ("a house", "bad")] * 6


def test_a_loaded_model_is_no_path(tmp_path: Path) -> None:
    loaded = bertworks.load(
        MODEL["init_checkpoint"], vocab_file=MODEL["vocab_file"], bert_config_file=MODEL["bert_config_file"]
    )
    with pytest.raises(InputError, match=r"finetune: model=.*: give its path or name, not what load\(\) returned"):
        bertworks.finetune(ROWS, output_dir=tmp_path / "out", model=loaded)


class Frame:
    """What we use of a data frame of pandas."""

    columns = ("text", "label")

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [{"text": "a", "label": np.int64(1)}, {"text": "b", "label": float("nan")}]


class NaTType:
    """The type of a time that is missing, as pandas names it."""


class LazyFrame:
    """What is refused of polars."""


class Polars:
    """What we use of a data frame of polars."""

    def to_dicts(self) -> list[dict[str, Any]]:
        return [{"text": "a", "label": 1}]


class Rows(list[dict[str, Any]]):
    """What we use of a data set of `datasets`."""

    features: ClassVar[dict[str, Any]] = {
        "label": SimpleNamespace(names=["no", "yes"]),
        "tags": SimpleNamespace(feature=SimpleNamespace(names=["O", "B-x"])),
        "text": SimpleNamespace(dtype="string"),
    }


@pytest.mark.parametrize(
    ("data", "task", "expected"),
    [
        ([("a", "x")], "classify", [{"text": "a", "label": "x"}]),
        ([["a", "b", 0.5]], "classify", [{"text_a": "a", "text_b": "b", "label": 0.5}]),
        (iter([{"body": "a", "label": ("x", "y")}]), "classify", [{"body": "a", "label": ["x", "y"]}]),
        ([(["a", "b"], np.array(["O", "B-x"]))], "tag", [{"tokens": ["a", "b"], "tags": ["O", "B-x"]}]),
        ([("a b", {"entities": [(0, 1, "x")]})], "tag", [["a b", {"entities": [[0, 1, "x"]]}]]),
        (Frame(), "classify", [{"text": "a", "label": 1}, {"text": "b", "label": None}]),
        (Polars(), "classify", [{"text": "a", "label": 1}]),
        ([{"text": "a", "sent": NaTType()}], "classify", [{"text": "a", "sent": None}]),
        (
            Rows([{"text": "a", "label": 1}, {"text": "b", "label": -1}]),
            "classify",
            [{"text": "a", "label": "yes"}, {"text": "b", "label": None}],
        ),
        (Rows([{"tokens": ["a"], "tags": [1]}]), "tag", [{"tokens": ["a"], "tags": ["B-x"]}]),
    ],
)
def test_rows_of_every_kind(data: Any, task: str, expected: list[Any]) -> None:
    found = list(rows_of(data, task))
    assert json.loads(json.dumps(found)) == expected


def test_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    model = bertworks.finetune(ROWS, ROWS, ROWS, output_dir=output, **MODEL)
    assert model.classify("the old market").label in ("good", "bad")
    assert {"dev_predictions.tsv", "test_scores.txt", "flags.toml"} <= {path.name for path in output.iterdir()}
    assert f'train_file = "{output}/data/train.jsonl"' in (output / "flags.toml").read_text()
    with pytest.raises(InputError, match=r"holds a training on other rows; give another folder"):
        bertworks.finetune(ROWS[1:], output_dir=output, **MODEL)
    assert len((output / "data" / "train.jsonl").read_text().splitlines()) == len(ROWS)
    capsys.readouterr()
    again = bertworks.finetune(
        str(output / "data" / "train.jsonl"), dev_fraction=0.5, output_dir=tmp_path / "b", **MODEL
    )
    assert again.classify("the old market").probabilities.keys() == {"good", "bad"}
    assert "of 12 training rows are the dev set" in capsys.readouterr().err


def test_a_tagger_and_one_that_answers(tmp_path: Path) -> None:
    tagged = [(["the", "old", "market"], ["O", "B-place", "I-place"])] * 6
    model = bertworks.finetune(tagged, task="tag", output_dir=tmp_path / "tags", **MODEL)
    assert isinstance(model.tag("the old market"), list)
    context = "the old market is near"
    asked = [
        {"id": str(i), "question": "what ?", "context": context, "answers": {"text": ["old"], "answer_start": [4]}}
        for i in range(6)
    ]
    limits = {**MODEL, "doc_stride": 16, "max_query_length": 8}
    model = bertworks.finetune(asked, asked, task="answer", output_dir=tmp_path / "answers", **limits)
    assert model.answer("what ?", context).answers
    assert "eval_f1" in (tmp_path / "answers" / "eval_results.txt").read_text()


def test_a_known_task(tmp_path: Path) -> None:
    folder = FIXTURES / "tasks" / "SWAG"
    flags = {**MODEL, "data_dir": folder, "max_seq_length": 64, "train_batch_size": 2}
    bertworks.finetune(task="choose", output_dir=tmp_path, **flags)
    assert "eval_accuracy" in (tmp_path / "eval_results.txt").read_text()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (ROWS, {"task": "translate"}, "task='translate' is none of classify, tag, answer, choose"),
        ([], {}, "train has no rows"),
        ({"text": ["a"]}, {}, "give a path, a list of rows, a table or a data set, not dict"),
        (LazyFrame(), {}, r"not LazyFrame; give data.collect\(\)"),
        (ROWS, {"seeds": [1, "x"], "dev_fraction": 0.5}, "--seeds=1,x"),
        (["a text"], {}, "row 0 is neither a dict nor a tuple but 'a text'"),
        ([("a",)], {}, r"row 0 is \['a'\]; give \(text, label\)"),
        ([("a", "b")], {"task": "tag"}, r"row 0 is \['a', 'b'\]; give \(words, tags\)"),
        ([("a", "b")], {"task": "answer"}, "give a dict with question, context and answers"),
        (ROWS, {"task": "choose"}, "takes no rows"),
        (ROWS, {"learning_rat": 1}, "--learning_rat: no such flag; did you mean --learning_rate"),
        ("gone.csv", {}, "--train_file=gone.csv: no such file"),
    ],
)
def test_mistakes(data: Any, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        bertworks.finetune(data, output_dir=tmp_path, **{**MODEL, **options})
