"""What the TOML files of this folder hold: tasks, data sets and models known by name, and the files of each.

A field of a class here is a key of its table in `tasks.toml`, `downloads.toml` or `models.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["single", "multi", "regression", "choice", "tags"]
Family = Literal["google", "gluonnlp", "mindspore"]

# The number of a column, from 0, negative from the last; or its name in the header or in a JSON object.
Column = int | str

# Of every BERT known by name: positions, segments and the size of an attention head.
_POSITIONS, _SEGMENTS, _HEAD_SIZE = 512, 2, 64


@dataclass(frozen=True)
class TaskFile:
    """A file of a task, and its columns. The end of its name gives its format; `.tsv` has no quotes.

    Attributes:
        split: train, dev or test; with a suffix (dev_matched) where a task has several.
        name: its path below the task's folder.
        text, pair, label: columns; no label where the release has none. A file of tags needs none of the three.
        choices: the columns of the endings to choose from; `pair` is then what all of them begin with.
        begins: how the first line begins, where releases with the same name differ; "" fits every file.
        id: the column of a row's id; None takes the row's number, which counts the header as 0, as the original does.
        only: a column and a value; rows with another value in this column are left out.
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
class PublishedSettings:
    """Hyperparameters that somebody published for a task.

    Attributes:
        source: who published them, and where.
        applied: whether a training uses them for the flags that are not given. Not for GLUE and the tasks of the
            original's `run_classifier.py`: there users expect the defaults of the flags.
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
        """The values by the name of their flag."""
        names = ("train_batch_size", "learning_rate", "num_train_epochs", "max_seq_length")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class KnownTask:
    """A task known by name.

    Attributes:
        name: as its authors write it.
        folder: its folder in a release. Files are looked for in the data folder, then in this folder below it.
        kind: what is predicted: one class, several classes, a number, one of several endings, or a tag for each word.
        files: the files of every split. Where releases differ, a split has several; the first that exists counts.
        labels: the classes, in the order of the model's outputs; none for regression, choice and tags.
        spellings: label in a file -> the label it means.
        left_out: rows with these labels are not used.
        incomplete_rows: whether the release has rows that lack columns; they are left out.
        metrics: the first one decides which model is best.
        submissions: split -> the file that GLUE (or CLUENER) accepts. GLUE wants "index<TAB>prediction", counted from
            0, with labels as spelled here and scores with three decimals.
        counts: split -> the number of rows that the authors count.
        verified: whether the real files were read with these settings and had exactly these counts.
    """

    name: str
    aliases: tuple[str, ...] = ()
    folder: str
    kind: Kind = "single"
    files: tuple[TaskFile, ...]
    labels: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    incomplete_rows: bool = False
    metrics: tuple[str, ...] = ("accuracy",)
    settings: PublishedSettings
    submissions: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int]
    languages: str = "English"
    home: str
    verified: bool = False

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits, in order."""
        return tuple(dict.fromkeys(file.split for file in self.files))


@dataclass(frozen=True)
class RemoteFile:
    """A file on the web, and what is kept of it.

    Attributes:
        address: its URL.
        name: the name it gets; "" takes the last part of the address.
        size: in bytes; None if unknown.
        checksum: such as `sha256:0123...`; None if unknown.
        unpack: the ends of the paths of the members that are unpacked from an archive, which is then removed. Each gets
            the last part of its path as its name. An archive with none stays as it is.
        folder: the folder for the unpacked members, below the folder of the data set; "" for that folder itself.
        member_checksums: the end of a member's path -> its checksum, where known.
    """

    address: str
    _: KW_ONLY
    name: str = ""
    size: int | None = None
    checksum: str | None = None
    unpack: tuple[str, ...] = ()
    folder: str = ""
    member_checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """The name of the downloaded file."""
        return self.name or PurePosixPath(urlsplit(self.address).path).name

    @property
    def unpacked(self) -> dict[str, str]:
        """The end of a member's path in the archive -> the path it gets."""
        return {member: str(PurePosixPath(self.folder, PurePosixPath(member).name)) for member in self.unpack}

    @property
    def kept(self) -> tuple[str, ...]:
        """The paths of what stays: of the unpacked members, or of the file itself."""
        return tuple(self.unpacked.values()) or (self.file_name,)

    def is_in(self, folder: Path) -> bool:
        """Tell whether all that stays of it is in a folder."""
        return all((folder / name).is_file() for name in self.kept)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set that `bert download_data` fetches.

    Attributes:
        folder: where its files go, below the data folder.
        files: what is downloaded; none if we know no address from which it may be downloaded.
        licence: what its authors allow, as far as they state it.
        remark: what else a person should know; if there are no files here, how to get them.
    """

    name: str
    aliases: tuple[str, ...] = ()
    folder: str
    files: tuple[RemoteFile, ...] = ()
    licence: str = "not stated; see the home page"
    home: str
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A model known by name, or an archive of several.

    Attributes:
        name: what people call it, once in the file.
        family: whose format it is in.
        layers, hidden, vocab_size: its sizes; None for an archive of several models.
        do_lower_case: whether its vocabulary needs text in lower case.
        remark: what else a person should know.
    """

    name: str
    aliases: tuple[str, ...] = ()
    family: Family
    layers: int | None = None
    hidden: int | None = None
    vocab_size: int | None = None
    do_lower_case: bool
    languages: str = "English"
    licence: str = "Apache 2.0"
    date: str | None = None
    files: tuple[RemoteFile, ...]
    remark: str = ""

    @property
    def heads(self) -> int | None:
        """The attention heads of a layer."""
        return None if self.hidden is None else self.hidden // _HEAD_SIZE

    @property
    def parameters(self) -> int | None:
        """The parameters of the encoder and the pooler; None for an archive of several models."""
        if self.layers is None or self.hidden is None or self.vocab_size is None:
            return None
        h = self.hidden
        embeddings = (self.vocab_size + _POSITIONS + _SEGMENTS) * h + 2 * h
        attention, feed_forward = 4 * (h * h + h) + 2 * h, 2 * 4 * h * h + 4 * h + h + 2 * h
        return embeddings + self.layers * (attention + feed_forward) + h * h + h


# What people call by its name or by an alias.
Row = KnownTask | DataSet | KnownModel
