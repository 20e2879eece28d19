"""The columns of a file: the text, the second text of a pair, the label and the id.

Columns that a person does not name are guessed from usual names, if only one guess is possible. The label is the one
column called label, class, score and so on. The text is the one called text, sentence, review and so on, or the only
column that is neither label nor id. A pair of texts is sentence1 and sentence2, premise and hypothesis, and so on.
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
    """The names of columns; None for one that is not given, or not used."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        return ", ".join(f"{what} {name}" for what, name in vars(self).items() if name is not None)


def guess_columns(path: Path, given: Columns, *, needs_label: bool, quoted: bool | None = None) -> Columns:
    """Return the given columns, and guesses for the others. The text is never None.

    Args:
        path: a file; see `data.tables.records`.
        given: the columns that a person names.
        needs_label: whether the file must have a label.
        quoted: see `data.tables.records`.

    Raises:
        InputError: a given column is not in the file, or cannot be guessed; names the flag to give.
    """
    names = columns_of(path, quoted)
    if given.label not in names and not needs_label:
        given = replace(given, label=None)
    for role, name in vars(given).items():
        if name is not None:
            column(names, name, path, f"--{role}_column")
    free = [name for name in names if name not in vars(given).values()]
    label = given.label or _only_label(path, free, needs_label)
    free = [name for name in free if name != label]
    identity = given.id or next((name for name in free if name.lower() in _IDS), None)
    text, pair = given.text, None
    if text is None:
        text, pair = _guess_text(path, [name for name in free if name != identity], names)
    return Columns(text=text, pair=given.pair or pair, label=label, id=identity)


def id_of(names: Sequence[str], used: Columns) -> str | None:
    """Return the id column of a file with these columns; each file may have one or not."""
    if used.id is not None and used.id in names:
        return used.id
    return next((name for name in names if name.lower() in _IDS and name not in vars(used).values()), None)


def _only_label(path: Path, names: Sequence[str], needed: bool) -> str | None:
    """The one column with a usual name of labels; None if there is none and none is needed."""
    found = [name for name in names if name.lower() in _LABELS]
    if len(found) > 1 or (needed and not found):
        which = f"both {found[0]!r} and {found[1]!r} could be" if found else f"none of {_quoted(names)} is plainly"
        raise InputError(f"{path}: {which} the label; give --label_column")
    return found[0] if found else None


def _quoted(names: Sequence[str]) -> str:
    return listed([f"'{name}'" for name in names])


def _guess_text(path: Path, rest: Sequence[str], names: Sequence[str]) -> tuple[str, str | None]:
    """The columns of the text and of its pair, from the `rest` that are neither label nor id."""
    by_lower = {name.lower(): name for name in rest}
    pairs = [(by_lower[a], by_lower[b]) for a, b in _PAIRS if a in by_lower and b in by_lower]
    in_pairs = {name for pair in pairs for name in pair}
    singles = [(by_lower[name], None) for name in _TEXTS if name in by_lower and by_lower[name] not in in_pairs]
    found: list[tuple[str, str | None]] = [*pairs, *singles]
    if not found and len(rest) == 1:
        return rest[0], None
    if len(found) == 1:
        return found[0]
    which = f"{found[0][0]!r} and {found[1][0]!r} could both be" if found else f"none of {_quoted(names)} is plainly"
    raise InputError(f"{path}: {which} the text; give --text_column (and --pair_column if texts come in pairs)")
