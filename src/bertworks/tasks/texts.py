"""The texts that are given to a fine-tuned model: their checks, and how they are read, as in its training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, get_args

import numpy as np

from bertworks.config import BertConfig
from bertworks.data.sequences import LongText
from bertworks.errors import InputError
from bertworks.text.basic import basic_tokenize
from bertworks.text.tokenizer import Tokenizer

# What texts that are longer than a sequence do.
LONG_TEXTS: Mapping[LongText, str] = {
    "truncate": "lose their end",
    "head_tail": "lose their middle",
    "window": "are read through windows",
}

# One text, or a pair of texts.
Text = str | tuple[str, str]


def is_blank(text: str) -> bool:
    """Tell whether a text has no words for the model, such as a text of zero-width blanks."""
    # A letter or a digit is always part of a word. This is quicker than tokenizing.
    return not text.lstrip()[:1].isalnum() and not basic_tokenize(text)


def checked_texts(texts: Iterable[Any], *, pairs: bool) -> list[Any]:
    """Return texts as a list, from a list, a generator or a file; with `pairs`, texts or pairs of texts.

    They may be empty.

    Raises:
        InputError: it is one text, a mapping, or nothing that can be gone through; or an item is not a text.
    """
    if isinstance(texts, str):
        raise InputError("texts: give a list of texts, not one")
    if isinstance(texts, Mapping | bytes) or not isinstance(texts, Iterable):
        raise InputError(f"texts: give a list of texts, not {texts!r:.60}")
    found = list(texts)
    for number, text in enumerate(found):
        is_pair = pairs and isinstance(text, tuple | list) and len(text) == 2
        if not all(isinstance(part, str) for part in (text if is_pair else [text])):
            expected = "a text or a pair of texts" if pairs else "a text"
            raise InputError(f"texts[{number}]: is not {expected} but {text!r:.60}")
    return found


class LengthCount:
    """Counts the texts that are given to a model, and those with more tokens than a sequence has room for.

    It tokenizes them once more; on CPU that is little beside what a model takes.
    """

    def __init__(self, tokenizer: Tokenizer, max_seq_length: int) -> None:
        self.tokenizer, self.max_seq_length = tokenizer, max_seq_length
        self.texts = self.long = 0

    def add(self, texts: Sequence[Text]) -> None:
        """Count some texts, or pairs."""
        parts = [part for text in texts for part in (text if isinstance(text, tuple) else (text, ""))]
        lengths = np.diff(self.tokenizer.encode_batch(parts)[1].astype(np.int64)).reshape(-1, 2)
        self.texts += len(texts)
        self.long += int((lengths.sum(1) + 2 + (lengths[:, 1] > 0) > self.max_seq_length).sum())

    def remarks(self, long_text: LongText = "truncate") -> list[str]:
        """Say, in one line if any, how many are longer, and how they are read."""
        if not self.long:
            return []
        of, does = f"{self.long:,} of {self.texts:,} texts", LONG_TEXTS[long_text]
        return [f"{of} are longer than --max_seq_length={self.max_seq_length} and {does}"]


def sequence_length(config: BertConfig, max_seq_length: int | None) -> int:
    """Return the longest sequence in tokens: as given, or as in training, or all positions of the model.

    Raises:
        InputError: the given length is below 3, or above the positions of the model.
    """
    positions = config.max_position_embeddings
    if max_seq_length is not None and not 3 <= max_seq_length <= positions:
        raise InputError(f"max_seq_length={max_seq_length}: must be from 3 to {positions}, the positions of the model")
    return max_seq_length or config.longest_sequence


def how_long_texts_are_read(config: BertConfig, max_seq_length: int) -> tuple[LongText, int]:
    """Return what happens to long texts, and how many tokens further on the next window begins: as in training."""
    long_text = config.fine_tuned("long_text", str, get_args(LongText)) or "truncate"
    return cast(LongText, long_text), config.fine_tuned("doc_stride", int) or max(1, max_seq_length // 2)
