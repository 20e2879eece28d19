"""Files with a sentence on each line, whose words have their tags behind them: `Paris|NP|I-LOC est|V|O`, as WikiNER."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.tag_files import FileLine, TaggedRow, file_lines, usable
from bertworks.tasks.ner.tag_forms import TagForm, form_of

_MARK = "|"

# The lines that tell what a file is.
_LOOKED_AT = 50


@dataclass(frozen=True)
class PipedWords:
    """How such a file is written.

    Attributes:
        path: the file.
        marks: how many marks each word has; the tag stands behind the last.
        form: of its tags.
    """

    path: Path
    marks: int
    form: TagForm

    @classmethod
    def of(cls, path: Path, labels: Sequence[str] = (), *, with_tags: bool = True) -> PipedWords | None:
        """Recognise a file by its first lines; None if it is another.

        Raises:
            InputError: its tags are of no known form.
        """
        lines = (line.content.decode(errors="replace") for line in file_lines(path) if line.content)
        first = [line.split() for line in islice(lines, _LOOKED_AT)]
        counts = {word.count(_MARK) for words in first for word in words}
        if not first or 0 in counts or max(map(len, first)) < 2 or len(counts - {min(counts, default=0)}) > 1:
            return None
        marks = min(counts)
        tags = {word.rpartition(_MARK)[2] for line in file_lines(path) for word in _text(line).split()}
        try:
            return cls(path, marks, form_of(tags, labels) if with_tags else TagForm())
        except InputError as problem:
            raise InputError(f"{path}: {problem}") from None

    def __str__(self) -> str:
        """A line for a person."""
        note = f"; {self.form.note}" if self.form.note else ""
        return f"{self.path}: a sentence on each line, each word with its tag behind the last {_MARK}{note}"

    def rows(self, bad: BadRows, *, with_tags: bool = True) -> Iterator[TaggedRow]:
        """Read the sentences.

        Raises:
            InputError: with the file and the line: not UTF-8, a word without a tag, or a tag of no known scheme.
        """

        def parse(number: int, line: FileLine) -> TaggedRow:
            # A word may have the mark in it.
            words = [word.rsplit(_MARK, self.marks) for word in line.text.split()]
            if wrong := next((parts[0] for parts in words if len(parts) <= self.marks), None):
                raise InputError(f"{line.location}: {wrong:.40} has fewer than {self.marks} {_MARK} behind it")
            try:
                tags = tuple(self.form.read(parts[-1]) for parts in words) if with_tags else None
            except InputError as problem:
                raise InputError(f"{line.location}: {problem}") from None
            return TaggedRow(line.location, str(number), tuple(parts[0] for parts in words), tags)

        return usable(self.path, (line for line in file_lines(self.path) if line.content), parse, bad)


def _text(line: FileLine) -> str:
    return line.content.decode(errors="replace")
