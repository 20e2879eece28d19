"""The tagged sentences of your own files, or of the original's record files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from operator import not_
from pathlib import Path

from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import record_files
from bertworks.errors import InputError
from bertworks.files import unchanged
from bertworks.foreign import refuse_foreign, refuse_pipe
from bertworks.job import Setup
from bertworks.tasks.classification.balance import draw_dev_set
from bertworks.tasks.ner.annotated_texts import AnnotatedText, read_annotated, tagged
from bertworks.tasks.ner.annotation_shapes import shape_of
from bertworks.tasks.ner.brat import read_brat
from bertworks.tasks.ner.column_layout import TagColumnFlags, layout_of
from bertworks.tasks.ner.entities import OUTSIDE, split_tag
from bertworks.tasks.ner.json_values import is_json, json_values
from bertworks.tasks.ner.piped_words import PipedWords
from bertworks.tasks.ner.plain_texts import is_running_text, read_plain
from bertworks.tasks.ner.tag_files import ColumnLayout, TaggedRow, read_columns, with_tags
from bertworks.tasks.ner.tag_records import rows_of_records
from bertworks.tasks.ner.token_lists import TokenLists
from bertworks.tasks.ner.words import TagUnit, unit_of

# Files that are not of words with marks behind them, whatever their content.
_NAMED = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")

Rows = dict[str, list[TaggedRow]]


def records_of(files: Mapping[str, str], splits: Sequence[str]) -> dict[str, list[Path]]:
    """Return the record files among somebody's own files, by split; empty where the data are others.

    Raises:
        InputError: a split that is asked for has no file.
    """
    if missing := next((split for split in splits if split not in files), None):
        drawn = "; or --dev_fraction=0.1, which takes a part of --train_file" if missing == "dev" else ""
        raise InputError(f"--{missing}_file: must be given (or --task_name and --data_dir{drawn})")
    return record_files({split: files[split] for split in splits})


def read_records(records: Mapping[str, Sequence[Path]], labels: Sequence[str], setup: Setup) -> Rows:
    """Read record files; `labels` are the tags by number, if a person names them."""
    names = list(labels or setup.config.labels or ())
    if not names:
        raise InputError("--labels: must be given, the tags of the record files by number, such as O,B-PER,I-PER")
    size = setup.max_seq_length
    return {
        split: rows_of_records(paths, names, setup.tokenizer, size, with_tags=split != "test")
        for split, paths in records.items()
    }


def with_drawn_dev_set(rows: Rows, fraction: float, setup: Setup) -> Rows:
    """Return the splits where a share of the training sentences is the dev set; they have about the same types.

    Raises:
        InputError: nothing is trained, or that would be no sentence, or all.
    """
    if "train" not in rows:
        raise InputError("--dev_fraction: takes sentences out of --train_file; give --do_train too, or --dev_file")
    types = [tuple(sorted({split_tag(tag)[1] for tag in row.tags or () if tag != OUTSIDE})) for row in rows["train"]]
    drawn = draw_dev_set(types, fraction, setup.random_seed).tolist()
    train, dev = list(compress(rows["train"], map(not_, drawn))), list(compress(rows["train"], drawn))
    setup.say(f"{len(dev):,} of {len(drawn):,} training sentences are the dev set (--dev_fraction)")
    return {**rows, "train": train, "dev": dev}


@dataclass
class OwnFiles:
    """Reads your own files, whose formats are recognised by their content.

    Attributes:
        columns: what flags say about columns.
        labels: the names of tags that are numbers.
        unit: what to tag in texts; None until a file of texts decides.
        bad: gets the sentences that cannot be used.
        say: prints a line for a person.
        layout: of the training file, if it is a file of columns.
        has_numbers: whether a file has tags that are numbers.
    """

    columns: TagColumnFlags
    labels: Sequence[str]
    unit: TagUnit | None
    bad: BadRows
    say: Callable[[str], None]
    layout: ColumnLayout | None = None
    has_numbers: bool = False

    def read(self, files: Mapping[str, str], splits: Sequence[str]) -> Rows:
        """Read the splits that are asked for. A file to be predicted may have tags.

        Raises:
            InputError: see the readers of the formats; or a file to train on or to evaluate has no tags.
        """
        said: set[str] = set()

        def say(line: str) -> None:
            if line not in said:
                said.add(line)
                self.say(line)

        found = {}
        for split in splits:
            path = Path(files[split])
            with unchanged(path):
                rows = self._test_rows(path, say) if split == "test" else with_tags(split, self._rows(path, True, say))
                found[split] = rows
        return found

    def _test_rows(self, path: Path, say: Callable[[str], None]) -> list[TaggedRow]:
        """Read a file to be predicted: with tags if every word has one, else without."""
        said: list[str] = []
        trial = replace(self, bad=BadRows(), say=said.append)
        try:
            found = list(trial._rows(path, True, said.append))
        except InputError:
            found = []
        if not found or any(row.tags is None for row in found):
            return list(self._rows(path, False, say))
        for line in said:
            say(line)
        self.unit = trial.unit
        return found

    def _rows(self, path: Path, with_tags: bool, say: Callable[[str], None]) -> Iterable[TaggedRow]:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        refuse_pipe(path)
        if path.suffix.lower() != ".parquet":
            refuse_foreign(path)
        if path.is_dir():
            return self._of_texts(path, "a folder of BRAT", read_brat(path, self.bad), with_tags, say)
        if path.suffix.lower() not in _NAMED and (piped := PipedWords.of(path, self.labels, with_tags=with_tags)):
            say(str(piped))
            self.has_numbers |= piped.form.is_of_numbers
            return piped.rows(self.bad, with_tags=with_tags)
        of_json = is_json(path)
        if not of_json and not with_tags and is_running_text(path, self.unit):
            return self._of_texts(path, "a text on each line", read_plain(path, self.bad), with_tags, say)
        if not of_json:
            layout, line = layout_of(path, self.columns, labels=self.labels, with_tags=with_tags, like=self.layout)
            say(line)
            if with_tags:
                self.layout = self.layout or layout
                self.has_numbers |= layout.form.is_of_numbers
            return read_columns(path, self.bad, layout)
        if lists := TokenLists.of(path, self.columns, self.labels, with_tags=with_tags):
            say(str(lists))
            self.has_numbers |= lists.form.is_of_numbers
            return lists.rows(self.bad)
        repeated: list[str] = []
        texts = list(read_annotated(path, self.bad, repeated))
        if repeated:
            texts = [text._replace(id=str(text.number)) for text in texts]
            say(f"{path}: id is no id, as it repeats ({repeated[0]}); predictions have the numbers of texts, from 0")
        return self._of_texts(path, _shape(path), texts, with_tags, say)

    def _of_texts(
        self, path: Path, format_name: str, texts: Iterable[AnnotatedText], with_tags: bool, say: Callable[[str], None]
    ) -> Iterable[TaggedRow]:
        found = [text if with_tags else text._replace(spans=None) for text in texts]
        self.unit = self.unit or unit_of(text.text for text in found)
        other = "word" if self.unit == "character" else "character"
        say(f"{path}: {format_name}; each {self.unit} of a text is tagged (--unit={other} tags each {other})")
        return tagged(found, self.unit, self.bad)


def _shape(path: Path) -> str:
    """Return what the shape of a JSON file's first good value is called."""
    for value in json_values(path):
        try:
            return shape_of(value).name
        except InputError:
            continue
    return "JSON"
