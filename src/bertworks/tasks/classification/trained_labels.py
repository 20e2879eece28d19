"""Whether a trained classifier answers the question that is asked, and in which order its outputs stand.

A model folder names its outputs (`id2label`), and libraries number classes in different orders: of MNLI, the original
has `contradiction` first and Hugging Face's `run_glue.py` has `entailment`. So without training it is the names that
decide, not the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.classification.own_data import class_name
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.task import Kind

# `problem_type` of a model folder.
KINDS: dict[object, Kind] = {
    "single_label_classification": "single",
    "multi_label_classification": "multi",
    "regression": "regression",
}

# What outputs are called that nobody named.
_UNNAMED = re.compile(r"LABEL_[0-9]+")

# What Hugging Face's `datasets` calls the classes that GLUE's own files have as 0 and 1: the table of GLUE there
# (`glue.py`, label_classes), and so the models of its `run_glue.py`.
_CALLED_ELSEWHERE = {
    "CoLA": ("unacceptable", "acceptable"),
    "SST-2": ("negative", "positive"),
    "MRPC": ("not_equivalent", "equivalent"),
    "QQP": ("not_duplicate", "duplicate"),
    "WNLI": ("not_entailment", "entailment"),
}

_PREDICTS: dict[Kind, str] = {
    "single": "one class a row",
    "multi": "several classes at once",
    "regression": "a number",
    "choice": "one of several ways to go on",
}


def kind_of(config: BertConfig) -> Kind | None:
    """What a model predicts, as its folder says; None where nothing tells."""
    return KINDS.get(config.extra.get("problem_type"))


def output_order(problem: Problem, config: BertConfig) -> list[int] | None:
    """Which output of a trained model each of a problem's labels is; None where the folder does not tell.

    Raises:
        InputError: the model predicts something else, or its classes are others.
    """
    kind = kind_of(config)
    if kind is not None and kind != problem.kind:
        raise InputError(f"was trained to predict {_PREDICTS[kind]}; {problem.name} is {_PREDICTS[problem.kind]}")
    names = config.labels
    if not names or not problem.labels or all(map(_UNNAMED.fullmatch, names)):
        return None
    spellings = problem.known.spellings if problem.known else {}
    elsewhere = _CALLED_ELSEWHERE.get(problem.name, ()) if problem.known else ()
    plain = [_plain(spellings.get(name, name)) for name in names]
    for trained, wanted in ((names, problem.labels), (plain, [*map(_plain, problem.labels)]), (plain, elsewhere)):
        if len(set(trained)) == len(wanted) and sorted(trained) == sorted(wanted):
            return [trained.index(label) for label in wanted]
    raise InputError(
        f"was trained on {listed(names)}; {problem.name} has {listed(problem.labels)}; if they mean the same, rename "
        "them in its config.json (id2label)"
    )


def _plain(name: str) -> str:
    """A label without what may differ where the same is meant."""
    return class_name(name).casefold()


def reorder(classifier: nn.Module, order: Sequence[int]) -> None:
    """Bring the outputs of a dense layer into this order."""
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(parameter[torch.tensor(order, device=parameter.device)])
