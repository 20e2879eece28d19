"""What is known of a task that is called by name: the types of the table in `task_table.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

Kind = Literal["single", "multi", "regression", "choice", "tags"]

# By number, from 0 or from the end, as the originals do; or by its name in the first line or in an object.
Column = int | str


@dataclass(frozen=True)
class File:
    """A file of a task, and where in it things stand. Its format is what its name ends with; `.tsv` is unquoted.

    Attributes:
        split: train, dev or test; or such as dev_matched where there are several.
        name: below the data folder.
        text, pair, label: columns; no label where the release has none. A file of tags needs none of them.
        choices: the columns of the ways to go on; there `pair` is what all of them begin with.
        header: whether the first line names the columns.
        begins: how the first line begins, where releases differ under one name; "" takes any.
        id: the column that makes a row's id; None: its number, as the original counts (a header is number 0).
        only: only the rows with this value in this column are meant.
    """

    split: str
    name: str
    text: Column = 0
    pair: Column | None = None
    label: Column | None = None
    _: KW_ONLY
    choices: tuple[Column, ...] = ()
    header: bool = True
    begins: str = ""
    id: Column | None = None
    only: tuple[Column, str] | None = None


@dataclass(frozen=True)
class Settings:
    """Hyperparameters that somebody published for a task, and who did.

    Attributes:
        applied: whether a training takes them where its flags are not given. Not for the tasks that the original's
            `run_classifier` or GLUE made its own: there its flags' defaults count, as its users expect.
    """

    train_batch_size: int
    learning_rate: float
    num_train_epochs: float
    max_seq_length: int
    source: str
    _: KW_ONLY
    applied: bool = True

    @property
    def flags(self) -> dict[str, float]:
        """Each as the flag of its name."""
        names = ("train_batch_size", "learning_rate", "num_train_epochs", "max_seq_length")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class KnownTask:
    """A task.

    Attributes:
        name: as its authors write it.
        aliases: what else it is called; case, dashes and underscores never matter.
        folder: its folder in a release; files are looked for in the data folder, then in this one in it.
        kind: what is predicted.
        files: of every split; several of one split where releases differ, the first that is there counts.
        labels: classes in the order of the model's outputs; none for regression, choice and tags.
        spellings: label in a file -> label meant.
        left_out: rows with these labels are not used.
        incomplete_rows: whether the release has rows that lack columns, which are left out.
        metrics: the one that decides first.
        settings: what somebody trained it with.
        submissions: split -> the file that GLUE (or CLUENER) takes. GLUE wants "index<TAB>prediction", counted from 0
            and with labels as spelled here, scores with three decimals.
        counts: split -> rows.
        verified: whether the real files have been read with this, and all counts were right.
    """

    name: str
    aliases: tuple[str, ...] = ()
    folder: str
    kind: Kind = "single"
    files: tuple[File, ...]
    labels: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    incomplete_rows: bool = False
    metrics: tuple[str, ...] = ("accuracy",)
    settings: Settings
    submissions: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int]
    languages: str = "English"
    home: str
    verified: bool = False

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits, in order."""
        return tuple(dict.fromkeys(file.split for file in self.files))
