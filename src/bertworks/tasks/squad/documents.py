"""Documents as tokens, and where in them answers are.

Shapes: E examples, D documents.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.ragged import within
from bertworks.text import basic
from bertworks.text.tokenizer import Tokenizer

Ints = NDArray[np.int64]

# What parts words here is not all that parts words for the tokenizer.
_BLANKS = " \t\r\n\u202f"
_WORD = re.compile(f"[^{_BLANKS}]+")


@dataclass(frozen=True)
class Document:
    """A text that questions are asked about.

    Attributes:
        text: as the file has it.
        place: where it stands, for messages.
    """

    text: str
    place: str = "the document"

    @cached_property
    def words(self) -> list[str]:
        """Its words: what blanks, tabs, line ends and U+202F part."""
        return _WORD.findall(self.text)

    @cached_property
    def word_spans(self) -> NDArray[np.int64]:
        """Begin and end of each word, in characters. Shape [words, 2]."""
        codes = basic.code_points(self.text)
        inside = np.zeros(len(codes) + 2, np.bool_)
        inside[1:-1] = _inside().take(codes, mode="clip")
        return np.flatnonzero(inside[1:] != inside[:-1]).reshape(-1, 2)

    @cached_property
    def _word_begins(self) -> list[int]:
        begins: list[int] = self.word_spans[:, 0].tolist()
        return begins

    def word_at(self, character: int) -> int:
        """The number of the word that a character is in; a blank's is that of the word before it, or -1."""
        return bisect_right(self._word_begins, character) - 1


@dataclass(frozen=True)
class GoldAnswer:
    """An answer in a document's words, for training.

    Attributes:
        text: as the file has it.
        begin: where the file says that it begins, in characters.
        first_word, last_word: the words it touches.
    """

    text: str
    begin: int
    first_word: int
    last_word: int


@dataclass(frozen=True)
class SquadExample:
    """A question about a document. Questions about the same document share it.

    Attributes:
        id: unique in its file.
        question: its text.
        document: what is asked about.
        answer: in training what is right; None where that is that there is no answer, and in prediction.
    """

    id: str
    question: str
    document: Document
    answer: GoldAnswer | None = None


@dataclass(frozen=True)
class TokenizedDocuments:
    """Tokenized documents.

    Attributes:
        ids: the tokens of all, end to end.
        words: for each token the number of its word in its document.
        starts: [D + 1]; where each document begins in them.
        word_tokens: for each document: the number of the first token of each word, and of all tokens.
    """

    ids: NDArray[np.unsignedinteger]
    words: NDArray[np.int32]
    starts: Ints
    word_tokens: list[Ints]

    @classmethod
    def of(cls, tokenizer: Tokenizer, documents: Sequence[Document]) -> TokenizedDocuments:
        """Tokenize documents, every word by itself: what parts words for the tokenizer may stand inside of one.

        Raises:
            InputError: nothing is left of one.
        """
        lines = "\n".join(chain.from_iterable(document.words for document in documents))
        ids, edges = tokenizer.encode_lines(lines.encode("utf-8", "surrogatepass") + b"\n")
        counts = np.array([len(document.words) for document in documents], np.int64)
        firsts = offsets(counts)
        starts = edges[firsts]
        empty = np.flatnonzero(np.diff(starts) == 0)
        if len(empty):
            place = documents[empty[0]].place
            raise InputError(f"{place}: nothing is left of the context when it is tokenized; remove the paragraph")
        words = np.repeat(within(counts).astype(np.int32), np.diff(edges))
        bounds = zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True)
        return cls(ids, words, starts, [edges[first : last + 1] - edges[first] for first, last in bounds])

    def answer_spans(
        self, tokenizer: Tokenizer, examples: Sequence[SquadExample], which: Ints, by_characters: bool
    ) -> Ints:
        """First and last token of each answer in its document, [E, 2]; both -1 where there is none.

        Args:
            tokenizer: as for `of`.
            examples: E of them.
            which: [E]; the document of each.
            by_characters: see `Settings`.
        """
        ids, starts = tokenizer.encode_batch([example.answer.text if example.answer else "" for example in examples])
        bounds = starts.tolist()
        spans = np.full((len(examples), 2), -1, np.int64)
        characters_of, characters = -1, spans
        for number, (example, document) in enumerate(zip(examples, which.tolist(), strict=True)):
            answer = example.answer
            if answer is None:
                continue
            if by_characters and example.document.text.startswith(answer.text, answer.begin):
                if characters_of != document:
                    characters_of, characters = document, tokenizer.encode_with_offsets(example.document.text).spans
                end = answer.begin + len(answer.text)
                touched = np.flatnonzero((characters[:, 1] > answer.begin) & (characters[:, 0] < end))
                if len(touched):
                    spans[number] = touched[0], touched[-1]
                    continue
            of_words = self.word_tokens[document]
            first, last = int(of_words[answer.first_word]), int(of_words[answer.last_word + 1]) - 1
            begin = int(self.starts[document])
            stretch = self.ids[begin + first : begin + last + 1].tolist()
            place = _tightened(stretch, ids[bounds[number] : bounds[number + 1]].tolist())
            spans[number] = (first, last) if place is None else (first + place[0], first + place[1])
        return spans


def offsets(lengths: Ints) -> Ints:
    """Where runs of these lengths begin when they lie end to end, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _tightened(stretch: list[int], answer: list[int]) -> tuple[int, int] | None:
    """Where in the tokens of its words the tokens of an answer stand first: of "(1895-1943)." the "1895".

    None where they do not stand there: for "Japan" in "Japanese", the word remains.
    """
    for begin in range(len(stretch) - len(answer) + 1 if answer else 0):
        if stretch[begin : begin + len(answer)] == answer:
            return begin, begin + len(answer) - 1
    return None


@cache
def _inside() -> NDArray[np.bool_]:
    """Whether a code point is inside of words; the last entry is for all that follow, too."""
    codes = [ord(blank) for blank in _BLANKS]
    inside = np.ones(max(codes) + 2, np.bool_)
    inside[codes] = False
    return inside
