"""The outputs of a trained classifier are known by their names, in whatever order they stand."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import nn

from bertworks.config import BertConfig
from bertworks.datasets.registry import find_task
from bertworks.errors import InputError
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.trained_labels import kind_of, output_order, reorder


def model(*names: str, **more: object) -> BertConfig:
    return BertConfig(vocab_size=9).with_labels(names, **more)


def own(*labels: str, kind: str = "single") -> Problem:
    return Problem(name="reviews", kind=kind, labels=labels, metrics=())  # type: ignore[arg-type]


def known(name: str) -> Problem:
    task = find_task(name)
    return Problem(name=task.name, kind=task.kind, labels=task.labels, metrics=(), known=task)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", list(permutations(("a", "B", "c"))))
def test_the_names_decide_not_the_numbers(names: tuple[str, ...]) -> None:
    for labels in (("a", "B", "c"), ("A", "b", "C")):
        order = output_order(own(*labels), model(*names))
        assert order is not None
        assert [names[place].lower() for place in order] == ["a", "b", "c"]
        head = nn.Linear(4, 3)
        before = head.weight.detach().clone(), head.bias.detach().clone()
        reorder(head, order)
        assert torch.equal(head.weight, before[0][order])
        assert torch.equal(head.bias, before[1][order])


def test_capitals_decide_where_classes_differ_in_them() -> None:
    assert output_order(own("Pos", "pos"), model("pos", "Pos")) == [1, 0]


@pytest.mark.parametrize(
    ("task", "names", "order"),
    [
        ("RTE", ("entailment", "not_entailment"), [0, 1]),
        ("RTE", ("not_entailment", "entailment"), [1, 0]),
        ("MNLI", ("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), [2, 0, 1]),
        ("MRPC", ("not_equivalent", "equivalent"), [0, 1]),
        ("SST-2", ("POSITIVE", "NEGATIVE"), [1, 0]),
    ],
)
def test_models_of_other_libraries(task: str, names: tuple[str, ...], order: list[int]) -> None:
    labels = known(task).labels
    found = output_order(known(task), model(*names))
    assert sorted(found or ()) == list(range(len(names)))
    if set(labels) & {name.lower() for name in names}:
        assert [names[place].lower() for place in found or ()] == list(labels)
    else:
        assert found == order


def test_whole_numbers_are_the_same_however_they_are_written() -> None:
    assert output_order(own("0", "1"), model("1.0", "0.0")) == [1, 0]


@pytest.mark.parametrize(
    ("problem_type", "outputs", "kind"),
    [
        (None, 1, "regression"),
        (None, 2, "single"),
        (None, None, None),
        ("multi_label_classification", 1, "multi"),
        ("single_label_classification", 1, "single"),
        ("regression", 2, "regression"),
    ],
)
def test_one_output_is_a_number_where_nothing_tells(
    problem_type: str | None, outputs: int | None, kind: str | None
) -> None:
    config = model("a", "b", **({"problem_type": problem_type} if problem_type else {}))
    assert kind_of(config, outputs) == kind


def test_a_classifier_with_one_output_is_none_of_classes() -> None:
    with pytest.raises(InputError, match="was trained to predict a number; reviews is one class a row"):
        output_order(own("a", "b"), model("LABEL_0"), 1)
    choice = Problem(name="swag", kind="choice", labels=(), metrics=())
    assert output_order(choice, model("LABEL_0", "LABEL_1"), 1) is None


def test_where_nothing_tells_the_numbers_stay() -> None:
    assert output_order(own("a", "b"), model("LABEL_0", "LABEL_1")) is None
    assert output_order(own("a", "b"), BertConfig(vocab_size=9)) is None
    assert output_order(own(kind="regression"), model("score", problem_type="regression")) is None


@pytest.mark.parametrize(
    ("problem", "trained", "message"),
    [
        (known("MRPC"), model("neg", "pos"), "was trained on neg, pos; MRPC has 0, 1; if they mean the same, rename"),
        (own("a", "b"), model("a", "b", "c"), "was trained on a, b, c; reviews has a, b"),
        (
            own("a", "b", kind="multi"),
            model("a", "b", problem_type="single_label_classification"),
            "was trained to predict one class a row; reviews is several classes at once",
        ),
        (known("STS-B"), model("a", "b", problem_type="single_label_classification"), "was trained to predict one"),
    ],
)
def test_another_question_is_told(problem: Problem, trained: BertConfig, message: str) -> None:
    with pytest.raises(InputError) as error:
        output_order(problem, trained)
    assert str(error.value).startswith(message)
