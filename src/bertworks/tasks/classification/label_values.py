"""What the values of a label column mean, decided by the whole column: the kind of problem, and a row's classes.

Kind. Several classes at once ("multi") are lists; texts with a separator between names that recur in other labels; or
0 and 1 for each class, if not every row has exactly one 1. If all labels are numbers, and one of them is not whole or
more than 150 are different, they are scores ("regression"), unless they number classes: all of 0, 1, ..., K - 1 occur,
twice on average. All else is one class a row ("single"): the stars 1 to 5 are five classes.

No label. An empty one; and, if at most a tenth of the rows have it, "-" or -1 among words, or -1 among 0, 1, ..., K - 1
for three classes or more, as SNLI has where its annotators did not agree.

Names. A whole number has one name in every spelling: 1.0 is 1. Classes stand in alphabetical order, numbers by size.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.labels import are_hot, class_name, flag_of, has_comma, list_of

LabelKind = Literal["single", "multi", "regression"]

# With more different numbers than this, labels are scores.
MOST_CLASSES = 150

# Values that may mean that there is no label.
NO_LABEL = ("-", "-1")
_MOST_WITHOUT = 0.1

# The last is doccano's.
_SEPARATORS = (";", "|", ",", "#")

# Of the names between separators, so many must stand in another label too.
_RECUR = 0.8


@dataclass(frozen=True, kw_only=True)
class LabelValues:
    """What labels mean.

    Attributes:
        kind: of what is predicted.
        labels: the classes in the order of the model's outputs; none for regression.
        separator: the text between several names.
        lists: whether texts are lists, as Python writes them.
        hot: the classes of lists with 0 or 1 for each class; empty if lists hold names.
        none: values that mean that there is no label.
        spellings: other spelling -> the class.
        notes: what was decided, a line each.
    """

    kind: LabelKind
    labels: tuple[str, ...] = ()
    separator: str | None = None
    lists: bool = False
    hot: tuple[str, ...] = ()
    none: frozenset[str] = frozenset()
    spellings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def classes(self, label: object) -> tuple[str, ...] | None:
        """Return the names of a row's classes; None if it has no label.

        Raises:
            InputError: a list with a number for each class has another length, or another number than 0 and 1.
        """
        if isinstance(label, str) and self.lists:
            if self.hot and not label.strip():
                return None
            found = list_of(label)
            label = [part for part in [label] if part.strip()] if found is None else found
        if isinstance(label, list):
            if self.hot:
                return self._hot(label)
            names: Iterable[object] = label
        elif isinstance(label, str) and self.kind == "multi":
            names = [part for part in (label.split(self.separator) if self.separator else [label]) if part.strip()]
        else:
            names = [] if label is None or class_name(label) == "" else [label]
            if not names and self.kind == "multi" and self.separator:
                return ()
            if not names:
                return None
        classes = tuple(dict.fromkeys(self.spellings.get(name, name) for name in map(class_name, names)))
        return None if len(classes) == 1 and classes[0] in self.none else classes

    def _hot(self, label: Sequence[object]) -> tuple[str, ...]:
        flags = [flag_of(part) for part in label]
        if len(label) != len(self.hot):
            raise InputError(f"has a list of {len(label)} numbers, and there are {len(self.hot)} classes")
        if None in flags:
            raise InputError(f"{label[flags.index(None)]!r:.40} is neither 0 nor 1")
        return tuple(name for name, flag in zip(self.hot, flags, strict=True) if flag)


def decide(
    values: Sequence[Any],
    *,
    kind: LabelKind | None = None,
    labels: Sequence[str] | None = None,
    separator: str | None = None,
    hot: Sequence[str] = (),
    merge: bool = False,
) -> LabelValues:
    """Decide what labels mean.

    Args:
        values: of the column, as the file has them.
        kind: what is predicted, if a person says it or a trained model tells it.
        labels: the classes in order, likewise.
        separator: the text between several names, likewise.
        hot: the columns of the classes, if labels are several columns: their values are then lists.
        merge: whether names that differ in capitals and blanks are one class.

    Raises:
        InputError: --labels are not as many as the lists have numbers; or labels such as 2,5 may be numbers or several
            classes.
    """
    given = [value for value in values if value is not None and str(value).strip()]
    notes: list[str] = []
    as_texts = bool(given) and all(isinstance(value, str) and list_of(value) is not None for value in given)
    lists = [list_of(value) or [] for value in given] if as_texts else [v for v in given if isinstance(v, list)]
    if as_texts:
        notes.append(f"labels such as {given[0]!r:.60} are lists")
    in_lists = bool(lists) and len(lists) == len(given)
    names = tuple(map(class_name, labels or ()))
    if in_lists and (hot or are_hot(lists)):
        hot = tuple(hot) or names or tuple(map(str, range(len(lists[0]))))
        if len(hot) != len(lists[0]) or (names and set(hot) != set(names)):
            raise InputError(
                f"--labels: {listed(names)}: labels have 0 or 1 for {len(lists[0])} classes, {listed(hot)}"
            )
        one_each = all(sum(flag_of(part) or 0 for part in row) == 1 for row in lists)
        kind = kind or ("single" if one_each else "multi")
        notes.append(_note_of_hot(hot, kind))
        return LabelValues(kind=kind, labels=names or tuple(hot), lists=as_texts, hot=tuple(hot), notes=tuple(notes))
    if separator is None and not in_lists and kind in (None, "multi") and not (labels and kind is None):
        separator = _separator_of([v for v in given if isinstance(v, str)], sure=kind is None)
        if separator is not None:
            example = next(value for value in given if separator in str(value))
            otherwise = "; if each is one class: --kind=single" if kind is None else ""
            notes.append(f"labels such as {example!r:.60} are several classes with {separator!r} between{otherwise}")
        elif kind is None and all(map(has_comma, given)) and any("," in value for value in given):
            example = next(value for value in given if "," in value)
            raise InputError(
                f"labels such as {example!r:.40} may be numbers or several classes; give --kind=regression, "
                "--kind=single or --label_separator=,"
            )
    if kind is None:
        kind = "multi" if in_lists or lists or separator else _kind_of_plain(given, chosen=bool(labels))
    found = LabelValues(kind=kind, labels=names, separator=separator if kind == "multi" else None, lists=as_texts)
    if kind == "regression":
        return replace(found, notes=tuple(notes))
    counts = Counter(name for value in given for name in found.classes(value) or ())
    none, note = _no_label(counts, names) if kind == "single" else (frozenset[str](), "")
    notes += [note] if note else []
    counts = Counter({name: count for name, count in counts.items() if name not in none})
    spellings = _merged(counts, names) if merge else {}
    if spellings:
        pairs = [f"{other!r} is {name!r}" for other, name in list(spellings.items())[:3]]
        notes.append(f"{len(spellings)} spellings are merged (--merge_labels): {', '.join(pairs)}")
    if not names:
        names = _in_order({spellings.get(name, name) for name in counts})
    return replace(found, labels=names, none=none, spellings=spellings, notes=tuple(notes))


def _kind_of_plain(given: Sequence[Any], *, chosen: bool) -> LabelKind:
    """Return the kind of labels that are neither lists nor have separators; `chosen` if a person names the classes."""
    numbers = [_number(label) for label in given]
    finite = [number for number in numbers if number is not None and math.isfinite(number)]
    if chosen or None in numbers or not finite:
        return "single"
    different = set(finite)
    if any(number % 1 for number in different):
        return "regression"
    numbered = different == set(map(float, range(len(different)))) and len(finite) >= 2 * len(different)
    return "regression" if len(different) > MOST_CLASSES and not numbered else "single"


def _number(label: object) -> float | None:
    """Return a label as a number, also an infinite one; None if it is not a number."""
    if isinstance(label, bool) or not isinstance(label, int | float | str) or "_" in str(label):
        return None
    try:
        return float(label)
    except (ValueError, OverflowError):
        return None


def is_number(label: str) -> bool:
    """Tell whether the name of a class is a number."""
    return _number(label) is not None


def _note_of_hot(hot: Sequence[str], kind: LabelKind) -> str:
    note = f"labels have 0 or 1 for each class ({listed(hot)})"
    if kind == "single":
        return f"{note}, and each row has one 1; if a row may have several: --kind=multi"
    return note


def _separator_of(values: Sequence[str], *, sure: bool) -> str | None:
    """Return what stands between several names in a label; None if nothing does.

    Args:
        values: the labels.
        sure: whether nearly all names must recur in other labels; otherwise the first separator that occurs is taken.
    """
    different = set(values)
    for separator in _SEPARATORS:
        combined = [value for value in different if separator in value.strip(f"{separator} ")]
        if not combined:
            continue
        if not sure:
            return separator
        found = Counter(part for value in different for part in {part.strip() for part in value.split(separator)})
        parts = {part.strip() for value in combined for part in value.split(separator)} - {""}
        recurring = sum(found[part] > 1 for part in parts)
        decimals = separator == "," and all(map(has_comma, combined))
        if recurring >= _RECUR * len(parts) and len(parts) < len(different) + 1 and not decimals:
            return separator
    return None


def _no_label(counts: Counter[str], names: Sequence[str]) -> tuple[frozenset[str], str]:
    """Return the values that mean that there is no label, and a line about them."""
    for value in NO_LABEL:
        others = [name for name in counts if name != value]
        rows, share = counts[value], counts[value] / max(1, counts.total())
        if not rows or value in names:
            continue
        if value == "-":
            plain = len(others) > 1 and all(any(map(str.isalnum, name)) for name in others)
        else:
            numbered = len(others) > 2 and set(others) == set(map(str, range(len(others))))
            plain = numbered or (len(others) > 1 and all(_number(name) is None for name in others))
        if names or (plain and share <= _MOST_WITHOUT):
            return frozenset([value]), (
                f"{value} is taken for no label, in {rows:,} of {counts.total():,} rows, which are left out; if it is "
                "a class, name it in --labels"
            )
        if value == "-1" and set(others) == {"0", "1"}:
            return frozenset(), "-1 is taken for a class; if it means that there is no label, leave it out of --labels"
    return frozenset(), ""


def _merged(counts: Counter[str], names: Sequence[str]) -> dict[str, str]:
    """Other spelling -> the most frequent one, or that of --labels."""
    chosen = {plain_label(name): name for name, _ in reversed(counts.most_common())}
    chosen |= {plain_label(name): name for name in names}
    return {name: chosen[plain_label(name)] for name in counts if chosen[plain_label(name)] != name}


def plain_label(name: str) -> str:
    """Return a name without capitals and blanks."""
    return "".join(name.casefold().split())


def _in_order(names: set[str]) -> tuple[str, ...]:
    if any(_number(name) is None for name in names):
        return tuple(sorted(names))
    # NaN and infinity among numbers are mistakes, not classes.
    return tuple(sorted((name for name in names if math.isfinite(float(name))), key=lambda name: (float(name), name)))
