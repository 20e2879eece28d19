"""The columns of a file: the text, the second text of a pair, the label and the id.

Columns that a person does not name are guessed from usual names, if only one guess is possible. The label is the one
column called label, class, score and so on. The text is the one called text, sentence, review and so on, or the only
column that is neither label nor id. A pair of texts is sentence1 and sentence2, premise and hypothesis, and so on.

Where no name tells, values do: the text is the one column of long values that are mostly different, the label the one
column of short values that recur; several columns of 0 and 1 are the labels, a class each.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bertworks.config import BertConfig
from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import UNNAMED
from bertworks.data.tables import Table, column
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.classification.annotation_exports import answer_column, refuse_tasks, without_choices

_PAIRS = (
    *(("sentence1", "sentence2"), ("text_a", "text_b"), ("text1", "text2"), ("premise", "hypothesis")),
    *(("premise", "hypo"), ("question1", "question2"), ("question", "sentence"), ("text", "text_pair")),
)
_TEXTS = ("text", "sentence", "text_a", "sentence1", "review", "comment", "content", "message", "title", "question")
_LABELS = ("label", "labels", "class", "category", "score", "target", "gold_label", "rating", "sentiment", "stars")
_IDS = ("id", "idx", "index", "guid", "uid", "qid")

# Names that tell a header.
USUAL_NAMES = frozenset([*_TEXTS, *_LABELS, *_IDS, *(name for pair in _PAIRS for name in pair)])

# A column of texts has values of at least so many letters on average, of which an ideograph is worth three, and so many
# of them are different.
_SHORTEST_TEXTS, _DIFFERENT = 12, 0.5

_LONGEST_LABELS = 40

_FLAGS = (0, 1, "0", "1", "0.0", "1.0")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of columns; None or empty for one that is not given, or not used.

    Attributes:
        text: several are joined.
        pair: the second text of a pair.
        label: several have 0 or 1 for a class each.
        id: of the rows, for predictions.
    """

    text: tuple[str, ...] = ()
    pair: str | None = None
    label: tuple[str, ...] = ()
    id: str | None = None

    def __str__(self) -> str:
        parts = {"text": " + ".join(self.text), "pair": self.pair, "label": ", ".join(self.label), "id": self.id}
        return ", ".join(f"{what} {name}" for what, name in parts.items() if name)

    @property
    def used(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.text, *filter(None, (self.pair,)), *self.label, *filter(None, (self.id,)))


@dataclass(frozen=True, kw_only=True)
class ColumnFlags:
    """The columns as flags name them: by name or number, several with commas between.

    Attributes:
        remembered: the flags whose value a trained model remembers, which a file need not have.
    """

    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    remembered: frozenset[str] = frozenset()

    @property
    def words(self) -> frozenset[str]:
        """What may be names of columns, in lower case."""
        given = filter(None, (self.text_column, self.pair_column, self.label_column, self.id_column))
        names = {part.strip().lower() for value in given for part in (value, *value.split(","))}
        return frozenset(name for name in names if not name.removeprefix("-").isdecimal())

    def or_remembered(self, config: BertConfig) -> ColumnFlags:
        """Return these flags, and for those of texts that are not given what a trained model remembers."""
        found = {
            name: value
            for name in ("text_column", "pair_column")
            if getattr(self, name) is None and (value := config.fine_tuned(name, str)) is not None
        }
        return replace(self, **found, remembered=self.remembered | frozenset(found))

    def of(self, table: Table, *, needs_label: bool) -> Columns:
        """Return the columns of a file that these flags name.

        Raises:
            InputError: a column that a person names is not in the file.
        """
        found: dict[str, tuple[str, ...]] = {}
        for flag in ("text_column", "pair_column", "label_column", "id_column"):
            given = getattr(self, flag)
            optional = flag in self.remembered or (flag == "label_column" and not needs_label)
            try:
                found[flag] = _names(table, given, f"--{flag}") if given else ()
            except InputError:
                if not optional:
                    raise
                found[flag] = ()
        pair, identity = (next(iter(found[flag]), None) for flag in ("pair_column", "id_column"))
        return Columns(text=found["text_column"], pair=pair, label=found["label_column"], id=identity)


def joined(names: Sequence[str]) -> str:
    """Return names of columns as a flag has them."""
    if len(names) < 2:
        return "".join(names)
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def _names(table: Table, given: str, flag: str) -> tuple[str, ...]:
    """Return the columns that a flag names."""
    if given in table.columns:
        return (given,)
    parts = next(csv.reader([given], skipinitialspace=True), [])
    if len(parts) > 1 and flag in ("--pair_column", "--id_column"):
        return (column(table.columns, given, table.path, flag),)
    return tuple(dict.fromkeys(column(table.columns, part.strip(), table.path, flag) for part in parts))


def guess_columns(table: Table, given: Columns, *, needs_label: bool) -> Columns:
    """Return the given columns, and guesses for the others. There is always a text.

    Args:
        table: a file.
        given: the columns that a person names.
        needs_label: whether the file must have a label.

    Raises:
        InputError: a column cannot be guessed; names the flag to give.
    """
    if not table.columns:
        next(table.records(BadRows()), None)
    refuse_tasks(table)
    taken = {*given.used, answer_column(table, given.used)}
    free = [name for name in table.columns if name not in taken and not name.startswith(UNNAMED)]
    identity = given.id or next((name for name in free if name.lower() in _IDS), None)
    rest = [name for name in free if name != identity]
    values: dict[str, list[Any]] = {}  # of the columns, where names do not tell

    def contents() -> Mapping[str, list[Any]]:
        if not values:
            sample = [record.values for record in table.sample()]
            values.update({name: [without_choices(row.get(name)) for row in sample] for name in rest})
        return values

    label = given.label or _label_by_name(table, rest, needs_label)
    rest = [name for name in rest if name not in label]
    text, pair = given.text, None
    if not text:
        text, pair = _text_by_name(table, rest, needs_pair=given.pair is None)
    if not text:
        texts = [name for name in rest if _holds_texts(contents().get(name, []))]
        text = tuple(texts) if len(texts) == 1 else (rest[0],) if len(rest) == 1 and (label or not needs_label) else ()
        if not text:
            _ask(table, "text", texts or rest, several=len(texts) > 1)
    if not label and needs_label:
        rest = [name for name in rest if name not in text and name != pair]
        labels = [name for name in rest if _holds_labels(contents()[name])]
        hot = [name for name in rest if contents()[name] and all(value in _FLAGS for value in contents()[name])]
        if len(labels) > 1 and set(labels) <= set(hot):
            label = tuple(hot)  # also those that are always 0
        elif len(labels) == 1:
            label = (labels[0],)
        if not label:
            _ask(table, "label", labels or table.columns, several=len(labels) > 1)
    return replace(given, text=text, pair=given.pair or pair, label=label, id=identity)


def id_of(names: Sequence[str], used: Columns) -> str | None:
    """Return the id column of a file with these columns; each file may have one or not."""
    if used.id is not None and used.id in names:
        return used.id
    return next((name for name in names if name.lower() in _IDS and name not in used.used), None)


def _label_by_name(table: Table, names: Sequence[str], needed: bool) -> tuple[str, ...]:
    """Return the one column with a usual name of labels; empty if there is none."""
    found = [name for name in names if name.lower() in _LABELS]
    if len(found) > 1 and needed:
        _ask(table, "label", found, several=True)
    return tuple(found) if len(found) == 1 else ()


def _text_by_name(table: Table, rest: Sequence[str], *, needs_pair: bool) -> tuple[tuple[str, ...], str | None]:
    """Return the columns of the text and of its pair, from the `rest` that are neither label nor id."""
    by_lower = {name.lower(): name for name in rest}
    pairs = [(by_lower[a], by_lower[b]) for a, b in _PAIRS if a in by_lower and b in by_lower and needs_pair]
    in_pairs = {name for pair in pairs for name in pair}
    singles = [(by_lower[name], None) for name in _TEXTS if name in by_lower and by_lower[name] not in in_pairs]
    found: list[tuple[str, str | None]] = [*pairs, *singles]
    if len(found) > 1:
        _ask(table, "text", [found[0][0], found[1][0]], several=True)
    return ((found[0][0],), found[0][1]) if found else ((), None)


def _holds_texts(values: Sequence[Any]) -> bool:
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts or len(texts) * 2 < len(values):
        return False
    different = len(set(texts)) > _DIFFERENT * len(texts) or len(texts) < 3
    letters = sum(len(text) + 2 * sum("\u2e80" <= character <= "\ud7ff" for character in text) for text in texts)
    return different and letters >= _SHORTEST_TEXTS * len(texts)


def _holds_labels(values: Sequence[Any]) -> bool:
    """Tell whether these are short and recur; lists count as labels."""
    found = [value for value in values if value is not None and value != ""]
    plain = [part for value in found for part in (value if isinstance(value, list) else [value])]
    if not all(isinstance(part, str | int | float) for part in plain):
        return False
    if found and all(isinstance(value, list) for value in found):
        return True
    names = [str(value) for value in found]
    if not names:
        return False
    recur = 1 < len(set(names)) <= len(names) / 2
    return recur and sum(map(len, names)) <= _LONGEST_LABELS * len(names)


def _ask(table: Table, what: str, names: Sequence[str], *, several: bool) -> None:
    """Raise the error about a column that must be named, or that there are no rows to tell it from."""
    next(table.records(BadRows("skip")), None)
    shown = listed([f"'{name}'" for name in names])
    if several:
        which = (
            f"{names[0]!r} and {names[1]!r} could both be" if what == "text" else f"both {names[0]!r} and {names[1]!r}"
        )
        which += "" if what == "text" else " could be"
    else:
        which = f"none of {shown} is plainly"
    join = "; several with commas are joined; --pair_column where texts come in pairs" if what == "text" else ""
    note = "".join(f"; {note.removeprefix(f'{table.path}: ')}" for note in table.notes if " is a row" in note)
    unusual = table.reading.header and not any(name.lower() in USUAL_NAMES for name in table.columns)
    note += "; line 1 is taken for the names of columns, if it is a row: --noheader" if unusual else ""
    raise InputError(f"{table.path}: {which} the {what}; give --{what}_column (a name, or a number from 0{join}){note}")
