"""Documents and the questions about them: their words, their tokens, and which tokens are the answer.

Shapes: E examples, D documents, T tokens of all documents.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.ragged import starts, within
from bertworks.text import basic
from bertworks.text.tokenizer import Tokenizer

Ints = NDArray[np.int64]

# The original's white space. The tokenizer also splits at other characters.
_BLANKS = " \t\r\n\u202f"
_WORD = re.compile(f"[^{_BLANKS}]+")

# Whether a code point belongs to a word. The last entry stands for all code points after it.
_IN_WORD = np.ones(max(map(ord, _BLANKS)) + 2, np.bool_)
_IN_WORD[[ord(blank) for blank in _BLANKS]] = False


@dataclass(frozen=True)
class Document:
    """A text that questions are asked about."""

    text: str
    location: str = "the document"

    @cached_property
    def words(self) -> list[str]:
        """Split the text at blanks, tabs, line ends and U+202F."""
        return _WORD.findall(self.text)

    @cached_property
    def word_spans(self) -> Ints:
        """Begin and end of each word, in characters. Shape [words, 2]."""
        codes = basic.code_points(self.text)
        in_word = np.zeros(len(codes) + 2, np.bool_)
        in_word[1:-1] = _IN_WORD.take(codes, mode="clip")
        return np.flatnonzero(in_word[1:] != in_word[:-1]).reshape(-1, 2)

    @cached_property
    def _word_begins(self) -> list[int]:
        begins: list[int] = self.word_spans[:, 0].tolist()
        return begins

    def word_at(self, character: int) -> int:
        """Return the number of the word at a character; at a blank, that of the word before it, or -1."""
        return bisect_right(self._word_begins, character) - 1


@dataclass(frozen=True)
class GoldAnswer:
    """The right answer to a question, for training.

    Attributes:
        text: as the file has it.
        begin: where the file says that it begins, in characters.
        first_word, last_word: the words of the document that it touches.
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
        answer: the right answer, in training; None if the document has none, and in prediction.
    """

    id: str
    question: str
    document: Document
    answer: GoldAnswer | None = None


@dataclass(frozen=True)
class TokenizedDocuments:
    """Documents as tokens.

    Attributes:
        ids: [T]; the documents end to end.
        words: [T]; the number of each token's word in its document.
        starts: [D + 1]; where each document begins in `ids`, and where the last one ends.
        word_starts: for each document, [words + 1]; its first token of each word, and its number of tokens.
    """

    ids: NDArray[np.unsignedinteger]
    words: NDArray[np.int32]
    starts: Ints
    word_starts: list[Ints]

    @classmethod
    def of(cls, tokenizer: Tokenizer, documents: Sequence[Document]) -> TokenizedDocuments:
        """Tokenize each word by itself, as the tokenizer may split it further; each document must have a token."""
        lines = "\n".join(chain.from_iterable(document.words for document in documents))
        ids, edges = tokenizer.encode_lines(lines.encode("utf-8", "surrogatepass") + b"\n")
        counts = [len(document.words) for document in documents]
        firsts = starts(counts)
        of_documents = edges[firsts]
        empty = np.flatnonzero(np.diff(of_documents) == 0)
        if len(empty):
            location = documents[empty[0]].location
            raise InputError(f"{location}: the context is empty after tokenization; remove the paragraph")
        words = np.repeat(within(counts).astype(np.int32), np.diff(edges))
        word_starts = [edges[first : last + 1] - edges[first] for first, last in pairwise(firsts.tolist())]
        return cls(ids, words, of_documents, word_starts)

    def answer_spans(
        self, tokenizer: Tokenizer, examples: Sequence[SquadExample], which: Ints, by_characters: bool
    ) -> Ints:
        """Return the first and last token of each answer in its document, [E, 2]; both are -1 if there is no answer.

        Args:
            which: [E]; the document of each.
            by_characters: `WindowSettings.tighten_by_characters`.
        """
        ids, edges = tokenizer.encode_batch([example.answer.text if example.answer else "" for example in examples])
        bounds = edges.tolist()
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
            first, end = self.word_starts[document][[answer.first_word, answer.last_word + 1]].tolist()
            begin = int(self.starts[document])
            of_words = self.ids[begin + first : begin + end].tolist()
            spans[number] = _tightened(first, of_words, ids[bounds[number] : bounds[number + 1]].tolist())
        return spans


def _tightened(first: int, of_words: list[int], answer: list[int]) -> tuple[int, int]:
    """Find an answer's tokens among those of its words, the first of which is number `first`: "1895" in "(1895-1943).".

    If they are not there, as those of "Japan" in "Japanese", return all tokens of the words.
    """
    for begin in range(len(of_words) - len(answer) + 1 if answer else 0):
        if of_words[begin : begin + len(answer)] == answer:
            return first + begin, first + begin + len(answer) - 1
    return first, first + len(of_words) - 1
