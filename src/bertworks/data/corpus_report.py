"""What a corpus holds, and how much of it a model never sees: counted while text is tokenized, and said in words.

`count_text` counts a block of text, `CorpusCounts.joined` adds counts up, and `remarks` says what a person should know
before training. Shards and record files keep their counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.text import basic
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import UNK
from bertworks.text.wordpiece import CONTINUES

# From this share of a vocabulary on, pieces that the text never becomes show that the two do not belong together.
_MANY_PIECES = 0.01
# From this share of the characters on, [UNK] may be the fault of the vocabulary.
_MUCH_UNKNOWN = 0.05

# Whether a byte of normalized text ends a word.
_IS_END = bytes(code in b" \n" or code in basic.ASCII_SIGNS for code in range(256))


@dataclass(frozen=True)
class CorpusCounts:
    """Counts of documents, sentences, tokens and characters. Characters are those of words, after normalization.

    Attributes:
        documents: those with tokens.
        one_sentence_documents: the documents of one sentence. Their second part is always a random one.
        tokens, unknown_tokens: all tokens, and those that are [UNK].
        characters, unknown_characters: all characters, and those of words that are [UNK].
        long_words, long_word_characters: the words that are [UNK] because they are too long, and their characters.
        sentence_lengths: how many sentences have each number of tokens.
    """

    documents: int = 0
    one_sentence_documents: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    characters: int = 0
    unknown_characters: int = 0
    long_words: int = 0
    long_word_characters: int = 0
    sentence_lengths: Mapping[int, int] = field(default_factory=dict)

    @property
    def sentences(self) -> int:
        """The number of sentences."""
        return sum(self.sentence_lengths.values())

    def longer(self, length: int) -> tuple[int, int]:
        """Return how many sentences have more than `length` tokens, and how many tokens they have beyond it."""
        beyond = {tokens - length: count for tokens, count in self.sentence_lengths.items() if tokens > length}
        return sum(beyond.values()), sum(tokens * count for tokens, count in beyond.items())

    @classmethod
    def joined(cls, parts: Iterable[CorpusCounts]) -> CorpusCounts:
        """Return the counts of several texts together."""
        sums: Counter[str] = Counter()
        lengths: Counter[int] = Counter()
        for part in parts:
            sums.update({f.name: getattr(part, f.name) for f in fields(cls) if f.name != "sentence_lengths"})
            lengths.update(part.sentence_lengths)
        return cls(**sums, sentence_lengths=dict(sorted(lengths.items())))

    def as_json(self) -> dict[str, Any]:
        """Return them as values for JSON."""
        return {**asdict(self), "sentence_lengths": {str(n): count for n, count in self.sentence_lengths.items()}}

    @classmethod
    def of_json(cls, values: Mapping[str, Any] | None) -> CorpusCounts | None:
        """Return what `as_json` gave; None if there are none."""
        if values is None:
            return None
        return cls(**{**values, "sentence_lengths": {int(n): c for n, c in values["sentence_lengths"].items()}})


def count_text(
    tokenizer: Tokenizer, text: bytes, tokens: NDArray[np.unsignedinteger], starts: NDArray[np.int64]
) -> CorpusCounts:
    """Count a block of text that was tokenized.

    Only lines with [UNK] are looked at again. Of the other lines, the pieces are the characters.

    Args:
        text: lines of UTF-8, each with a newline at its end; an empty line ends a document.
        tokens: [T] their tokens, as `Tokenizer.encode_lines` gives them.
        starts: [lines + 1] the start of each line in the tokens, and the end of the last.
    """
    lengths = np.diff(starts)
    data = np.frombuffer(text, np.uint8)
    line_bytes = np.diff(np.flatnonzero(data == ord("\n")), prepend=-1)
    characters = _piece_characters(tokenizer)
    is_unknown = tokens == tokenizer.vocab.get(UNK, -1)
    looked_at = np.zeros(len(lengths), bool)
    looked_at[np.searchsorted(starts, np.flatnonzero(is_unknown), side="right") - 1] = True
    lower = tokenizer.do_lower_case
    lines = data[np.repeat(looked_at, line_bytes)].tobytes()
    words = basic.normalized_block(lines, lower, basic.drops_accents(lower, tokenizer.strip_accents))
    known = characters.take(tokens[np.repeat(looked_at, lengths)]).sum()
    unknown_characters = _characters(words) - int(known)
    long_words = _long_words(words, tokenizer.max_input_chars_per_word)
    of_line = np.cumsum(line_bytes == 1)
    return CorpusCounts(
        tokens=len(tokens),
        unknown_tokens=int(is_unknown.sum()),
        characters=int(characters.take(tokens).sum()) + unknown_characters,
        unknown_characters=unknown_characters,
        long_words=len(long_words),
        long_word_characters=sum(long_words),
        **_structure(lengths[lengths > 0], np.bincount(of_line[lengths > 0])),
    )


def _structure(lengths: NDArray[np.integer], per_document: NDArray[np.integer]) -> dict[str, Any]:
    """Count documents and sentences: tokens per sentence [S], and sentences per document [D], 0 for no document."""
    values, counts = np.unique(lengths, return_counts=True)
    return {
        "documents": int((per_document > 0).sum()),
        "one_sentence_documents": int((per_document == 1).sum()),
        "sentence_lengths": dict(zip(values.tolist(), counts.tolist(), strict=True)),
    }


@lru_cache(maxsize=1)
def _piece_characters(tokenizer: Tokenizer) -> NDArray[np.int32]:
    """Return how many characters of a text each piece stands for [V]; 0 for [UNK]."""
    lengths = [0 if piece == UNK else len(piece.removeprefix(CONTINUES)) for piece in tokenizer.tokens]
    return np.array(lengths, np.int32)


def _characters(words: bytes) -> int:
    """Count the characters of normalized text, without white space."""
    data = np.frombuffer(words, np.uint8)
    begins = (data & 0xC0) != 0x80  # not in the middle of a character
    return int((begins & (data != ord(" ")) & (data != ord("\n"))).sum())


def _long_words(words: bytes, most: int) -> list[int]:
    """Return the characters of each word of normalized text that has more than `most`."""
    ends = np.flatnonzero(np.frombuffer(words.translate(_IS_END), np.uint8))
    if np.diff(ends, prepend=-1, append=len(words)).max(initial=0) <= most + 1:  # in bytes
        return []
    word = rf"[^ \n{re.escape(basic.ASCII_SIGNS.decode())}]{{{most + 1},}}"
    return [len(found) for found in re.findall(word, words.decode())]


def remarks(counts: CorpusCounts, tokenizer: Tokenizer, max_seq_length: int, next_sentence: bool = True) -> list[str]:
    """Say what of a corpus is lost or teaches nothing, a line each, with the flag that changes it.

    Args:
        counts: of the corpus.
        tokenizer: what tokenized it.
        max_seq_length: the longest instance.
        next_sentence: whether instances are pairs of texts.
    """
    said = list(_of_vocabulary(tokenizer, counts))
    if counts.unknown_tokens:
        share = counts.unknown_characters / counts.characters
        said.append(f"[UNK] stands for {share:.2%} of the characters ({counts.unknown_tokens:,} tokens)")
        if counts.long_words:
            said[-1] += (
                f"; {counts.long_words:,} words of more than {tokenizer.max_input_chars_per_word} characters are "
                f"{counts.long_word_characters / counts.characters:.2%}: set words apart with blanks, or raise "
                "--max_input_chars_per_word"
            )
        elif share > _MUCH_UNKNOWN:
            said[-1] += "; does the vocabulary belong to this text? (--vocab_file)"
    if not next_sentence:
        return said
    if counts.one_sentence_documents and counts.documents > 1:
        share = counts.one_sentence_documents / counts.documents
        said.append(
            f"{counts.one_sentence_documents:,} of {counts.documents:,} documents ({share:.1%}) have one sentence, and "
            "the second part of their instances is always random; blank lines end documents, and run_pretraining "
            "--next_sentence=False needs no pairs"
        )
    longer, beyond = counts.longer(max_seq_length - 3)
    if longer:
        said.append(
            f"{longer:,} of {counts.sentences:,} sentences are longer than an instance of {max_seq_length} tokens, "
            f"which has no room for {beyond / counts.tokens:.2%} of all tokens; put one sentence on a line, raise "
            "--max_seq_length, or train with run_pretraining --next_sentence=False, which uses all tokens"
        )
    return said


def _of_vocabulary(tokenizer: Tokenizer, counts: CorpusCounts) -> Iterator[str]:
    """Say whether a vocabulary is of text with another casing, or with accents that are dropped."""
    pieces = [piece for piece in tokenizer.tokens if not (piece.startswith("[") and piece.endswith("]"))]
    lower = tokenizer.do_lower_case
    capitals = [piece for piece in pieces if piece != piece.lower()]
    if lower and len(capitals) > _MANY_PIECES * len(pieces):
        yield (
            f"{len(capitals):,} of {len(pieces):,} pieces of the vocabulary have capital letters ({_some(capitals)}), "
            "but the text is lower-cased; a cased vocabulary needs --do_lower_case=False"
        )
    if not lower and not capitals and counts.unknown_tokens and any(piece != piece.upper() for piece in pieces):
        yield "the vocabulary has no capital letters, but the text is not lower-cased (--do_lower_case=False)"
    if basic.drops_accents(lower, tokenizer.strip_accents):
        accents = [p for p in pieces if basic.normalized(p, False, True) != basic.normalized(p, False, False)]
        if len(accents) > _MANY_PIECES * len(pieces):
            yield (
                f"{len(accents):,} of {len(pieces):,} pieces of the vocabulary have accents or vowel signs "
                f"({_some(accents)}), but these are dropped from the text; such a vocabulary needs "
                "--strip_accents=False"
            )


def _some(pieces: list[str]) -> str:
    """Return the last pieces, which are the longest in a vocabulary in order of learning."""
    return ", ".join(pieces[-3:])
