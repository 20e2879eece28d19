"""Match the outputs of a trained classifier with the labels of a problem, by name.

Libraries number classes in different orders: MNLI's first class is `contradiction` in the original and `entailment` in
Hugging Face's `run_glue.py`. A model folder names its outputs (`id2label`), so their names are compared, not their
numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.task import ProblemKind
from bertworks.tasks.labels import class_name

# `problem_type` of a model folder.
KINDS: dict[object, ProblemKind] = {
    "single_label_classification": "single",
    "multi_label_classification": "multi",
    "regression": "regression",
}

# The names of outputs that nobody named.
_UNNAMED = re.compile(r"LABEL_[0-9]+")

# The names in Hugging Face's `datasets` (`glue.py`, label_classes), and so in models of its `run_glue.py`, of the
# classes that GLUE's own files call 0 and 1.
_HUGGING_FACE_NAMES = {
    "CoLA": ("unacceptable", "acceptable"),
    "SST-2": ("negative", "positive"),
    "MRPC": ("not_equivalent", "equivalent"),
    "QQP": ("not_duplicate", "duplicate"),
    "WNLI": ("not_entailment", "entailment"),
}

_PREDICTS: dict[ProblemKind, str] = {
    "single": "one class a row",
    "multi": "several classes at once",
    "regression": "a number",
    "choice": "one of several ways to go on",
}


def kind_of(config: BertConfig, outputs: int | None = None) -> ProblemKind | None:
    """Return what a classifier predicts; None if nothing tells.

    It is the model's `problem_type`. Where there is none, a classifier with one output predicts a number, and one with
    several predicts one class, as in Hugging Face's library.

    Args:
        config: of the model.
        outputs: of its classifier; None if it has none yet.
    """
    if (kind := KINDS.get(config.extra.get("problem_type"))) is not None or outputs is None:
        return kind
    return "regression" if outputs == 1 else "single"


def output_order(problem: Problem, config: BertConfig, outputs: int | None = None) -> list[int] | None:
    """Return the output of a trained model for each of a problem's labels; None if the folder does not tell.

    `outputs` is their number.

    Raises:
        InputError: the model predicts something else, or has other classes.
    """
    # A choice has one output, too; and several may be of several classes at once.
    kind = kind_of(config, 1 if outputs == 1 and problem.kind != "choice" else None)
    if kind is not None and kind != problem.kind:
        raise InputError(f"was trained to predict {_PREDICTS[kind]}; {problem.name} is {_PREDICTS[problem.kind]}")
    names = config.labels
    if not names or not problem.labels or all(map(_UNNAMED.fullmatch, names)):
        return None
    spellings = problem.known.spellings if problem.known else {}
    other_names = _HUGGING_FACE_NAMES.get(problem.name, ()) if problem.known else ()
    plain = [_without_case(spellings.get(name, name)) for name in names]
    wanted_plain = [_without_case(label) for label in problem.labels]
    for trained, wanted in ((names, problem.labels), (plain, wanted_plain), (plain, other_names)):
        if len(set(trained)) == len(wanted) and sorted(trained) == sorted(wanted):
            return [trained.index(label) for label in wanted]
    raise InputError(
        f"was trained on {listed(names)}; {problem.name} has {listed(problem.labels)}; if they mean the same, rename "
        "them in its config.json (id2label)"
    )


def _without_case(name: str) -> str:
    """Return a label in lower case, a whole number as `class_name` has it."""
    return class_name(name).casefold()


def reorder(classifier: nn.Module, order: Sequence[int]) -> None:
    """Reorder the outputs of a dense layer in place: its new output i is the old output order[i]."""
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(parameter[torch.tensor(order, device=parameter.device)])
