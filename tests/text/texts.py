"""Texts and vocabularies for the tests of the tokenizer."""

from __future__ import annotations

import itertools
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from bertworks import Tokenizer
from bertworks.text.wordpiece import WordPiece

FIXTURES = Path(__file__).parents[1] / "fixtures"
VOCAB_FILE = FIXTURES / "vocab.txt"

same_unicode = pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0",
    reason="the plain implementation asks this Python, whose Unicode is not 14.0",
)

# Characters that some rule is about, among plain ones: what a rule can get wrong shows where they meet.
HARD = st.text(
    st.sampled_from(
        "abcXYZ019 .,-'[]!\t\n\r\x0b\x0c\x1c\x1f\x00\x7f\x85\xa0\u2028\u2029\u3000\u200b\u00ad\ufeff\ufffd"
        "éÉñÅ\u0301\u0327\u0345σςΣΟßıİĲﬁ中国\U00020000豈\U0002f800가각ᄀ–“¿、\u302e\U00016ff0\u0b57ௌ\u0378\U0010ffff\ue000\ud800\udc00ⓐⅣº𝒳𐐀"
    ),
    max_size=40,
)
ANY = st.text(st.characters(codec="utf-8", exclude_categories=[]), max_size=30)
TEXTS = st.one_of(HARD, ANY) if unicodedata.unidata_version == "14.0.0" else HARD


def golden_lines() -> list[dict]:
    lines = (FIXTURES / "tokenization.jsonl").read_text().split("\n")
    return [json.loads(line) for line in lines if line]


def lists(ids: np.ndarray, starts: np.ndarray) -> list[list[int]]:
    """Flat ids, one list a line."""
    return [ids[begin:end].tolist() for begin, end in itertools.pairwise(starts)]


def wordpiece_of(tokenizer: Tokenizer) -> WordPiece:
    return WordPiece(tokenizer.vocab, "[UNK]", tokenizer.max_input_chars_per_word, tokenizer.vocab_file)


def vocabulary(tokens: str) -> list[str]:
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens.split()]


LETTERS = (
    "a b c d e i n o s x y z 0 1 . , - ' [ ] ! ##a ##b ##c ##e ##i ##n ##x ##y ##z ##0 "
    "σ ς ##σ ##ς ab ##bc abc ##xyz 中 é"
)
