"""The words of a text from its first token: against a loop over texts, with masks, pairs, filler and empty batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bertworks.data.batch import pack
from bertworks.model import bag_of_words

CLS, SEP, MASK, WORDS, HIDDEN = 1, 2, 3, 20, 4

# What the texts are, and what a model sees of them.
TEXTS = [[CLS, 7, 8, 7, 9, SEP], [CLS, 5, SEP, 6, 6, SEP], [CLS, SEP]]
SHOWN = [[CLS, 7, MASK, 7, 9, SEP], [CLS, 5, SEP, MASK, 19, SEP], [CLS, SEP]]
MASKED = {2: 8, 9: 6, 10: 6}
DIFFERENT = [{7, 8, 9}, {5, 6}, set()]


def batch_of(texts, masked, *, filled):
    ids = np.array([word for text in texts for word in text], np.int64)
    return pack(
        ids,
        0 * ids,
        np.array([len(text) for text in texts], np.int64),
        rows=np.array(list(masked), np.int64),
        labels=np.array(list(masked.values()), np.int64),
        filled=filled,
    )


@pytest.mark.parametrize("filled", [False, True])
def test_all_different_words_of_a_text_share_the_target(filled: bool) -> None:
    found = bag_of_words.shares(batch_of(SHOWN, MASKED, filled=filled), WORDS)
    assert found.shape == (len(TEXTS), WORDS)
    for row, words in zip(found, DIFFERENT, strict=True):
        assert {int(i) for i in row.nonzero()} == words
        assert all(float(row[word]) == pytest.approx(1 / len(words)) for word in words)


@pytest.mark.parametrize("filled", [False, True])
def test_the_loss_is_that_of_a_loop_over_texts(filled: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    pooled, words = torch.randn(3, HIDDEN, generator=generator), torch.randn(WORDS, HIDDEN, generator=generator)
    bias = torch.randn(WORDS, generator=generator)
    expected = 0.0
    for vector, different in zip(pooled, DIFFERENT, strict=True):
        logits = (words @ vector + bias).double()
        norm = math.log(float(logits.exp().sum()))
        expected += sum(norm - float(logits[word]) for word in different) / max(1, len(different))
    found = bag_of_words.loss(pooled, words, bias, batch_of(SHOWN, MASKED, filled=filled))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_no_texts_have_no_loss() -> None:
    nothing = torch.zeros(0, HIDDEN, requires_grad=True)
    found = bag_of_words.loss(nothing, torch.ones(WORDS, HIDDEN), torch.zeros(WORDS), batch_of([], {}, filled=True))
    assert float(found.detach()) == 0.0
    found.backward()
