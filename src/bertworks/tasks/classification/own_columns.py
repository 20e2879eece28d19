"""Which column of a file is the text, which the second text of a pair, the label, the id.

What a person does not say is guessed from usual names where there is one plain guess: the label is the one column
called label, class, score and so on; the text is the one called text, sentence, review and so on, or the only one that
is neither label nor id; a pair of texts is two columns called sentence1 and sentence2, premise and hypothesis, and so
on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bertworks.data.tables import column, columns_of
from bertworks.errors import InputError
from bertworks.names import listed

_PAIRS = (
    *(("sentence1", "sentence2"), ("text_a", "text_b"), ("text1", "text2"), ("premise", "hypothesis")),
    *(("premise", "hypo"), ("question1", "question2"), ("question", "sentence"), ("text", "text_pair")),
)
_TEXTS = ("text", "sentence", "text_a", "sentence1", "review", "comment", "content", "message", "title", "question")
_LABELS = ("label", "labels", "class", "category", "score", "target", "gold_label", "rating", "sentiment", "stars")
_IDS = ("id", "idx", "index", "guid", "uid", "qid")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of columns; None for those that are not said, or not used."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        return ", ".join(f"{what} {name}" for what, name in vars(self).items() if name is not None)


def guess_columns(path: Path, wished: Columns, *, needs_label: bool, quoted: bool | None = None) -> Columns:
    """The columns that are wished for, and guesses for the others; the text is always there.

    Args:
        path: a file; see `data.tables.records`.
        wished: what a person says.
        needs_label: whether there must be a label.
        quoted: see `data.tables.records`.

    Raises:
        InputError: one that is wished for is not there, or there is no plain guess; says which flag says it.
    """
    there = columns_of(path, quoted)
    if wished.label not in there and not needs_label:
        wished = replace(wished, label=None)
    for what, name in vars(wished).items():
        if name is not None:
            column(there, name, path, f"--{what}_column")
    taken = set(filter(None, vars(wished).values()))
    label = wished.label or _only_label(path, [name for name in there if name not in taken], needs_label)
    free = [name for name in there if name not in taken and name != label]
    identity = wished.id or next((name for name in free if name.lower() in _IDS), None)
    if wished.text is not None:
        return Columns(text=wished.text, pair=wished.pair, label=label, id=identity)
    text, pair = _guess_text(path, [name for name in free if name != identity], there)
    return Columns(text=text, pair=wished.pair or pair, label=label, id=identity)


def id_of(there: Sequence[str], used: Columns) -> str | None:
    """The column of the id in a file with these columns; each file may have one or not."""
    if used.id is not None and used.id in there:
        return used.id
    apart = (used.text, used.pair, used.label)
    return next((name for name in there if name.lower() in _IDS and name not in apart), None)


def _only_label(path: Path, there: Sequence[str], needed: bool) -> str | None:
    """The one column with a usual name of labels; None where there is none and none is needed."""
    found = [name for name in there if name.lower() in _LABELS]
    if len(found) > 1 or (needed and not found):
        which = f"both {found[0]!r} and {found[1]!r} could be" if found else f"none of {_quoted(there)} is plainly"
        raise InputError(f"{path}: {which} the label; give --label_column")
    return found[0] if found else None


def _quoted(names: Sequence[str]) -> str:
    return listed([f"'{name}'" for name in names])


def _guess_text(path: Path, rest: Sequence[str], there: Sequence[str]) -> tuple[str, str | None]:
    """The column of the text and that of its pair, from those that are neither label nor id."""
    by_lower = {name.lower(): name for name in rest}
    pairs = [(by_lower[a], by_lower[b]) for a, b in _PAIRS if a in by_lower and b in by_lower]
    in_pairs = {name for pair in pairs for name in pair}
    singles = [(by_lower[name], None) for name in _TEXTS if name in by_lower and by_lower[name] not in in_pairs]
    found: list[tuple[str, str | None]] = [*pairs, *singles]
    if not found and len(rest) == 1:
        return rest[0], None
    if len(found) == 1:
        return found[0]
    which = f"{found[0][0]!r} and {found[1][0]!r} could both be" if found else f"none of {_quoted(there)} is plainly"
    raise InputError(f"{path}: {which} the text; give --text_column (and --pair_column where texts come in pairs)")
