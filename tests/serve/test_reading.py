"""The tokens that a request needs are known from the lengths of its texts, before its sequences are made."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.serve import reading
from bertworks.serve.reading import HowToRead, LongTextChoice, read_texts
from bertworks.serve.refusals import Refusal
from bertworks.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"])
LONG_TEXT = [how for how in get_args(LongTextChoice) if how != "error"]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=3),
    st.sampled_from(LONG_TEXT),
    st.integers(5, 30),
    st.integers(1, 30),
)
def test_the_limit_counts_the_sequences_that_would_be_made(
    lengths: list[tuple[int, int]], long_text: LongTextChoice, max_seq_length: int, stride: int
) -> None:
    texts = [("a " * length_a, "a " * length_b) for length_a, length_b in lengths]
    how = HowToRead(max_seq_length, long_text, stride, 1 << 62)
    needed = sum(one.length for of_text in read_texts(TOKENIZER, texts, how)[0] for one in of_text)
    read_texts(TOKENIZER, texts, HowToRead(max_seq_length, long_text, stride, needed))
    with pytest.raises(Refusal, match=f"needs {needed:,} tokens; a request may have {needed - 1:,}$"):
        read_texts(TOKENIZER, texts, HowToRead(max_seq_length, long_text, stride, needed - 1))


def test_no_window_is_made_of_a_text_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(reading, "kept_tokens")
    with pytest.raises(Refusal, match="a request may have 500"):
        read_texts(TOKENIZER, ["a " * 100_000], HowToRead(4, "window", 1, 500))
