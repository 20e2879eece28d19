"""Filling masks."""

from pathlib import Path

import pytest
import torch

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.tasks.fill_mask import Guess, fill_mask
from bertworks.text.tokenizer import Tokenizer

VOCAB = Path(__file__).parents[1] / "fixtures" / "vocab.txt"


@pytest.fixture(scope="module")
def model() -> PretrainingModel:
    config = BertConfig(
        vocab_size=900,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    model = PretrainingModel(config)
    model.initialise(1)
    return model


def filled(model: PretrainingModel, tokenizer: Tokenizer, texts: list[str], top_k: int = 3) -> list[list[list[Guess]]]:
    answers = list(fill_mask(model, tokenizer, texts, top_k))
    assert [text for text, _ in answers] == texts
    return [guesses for _, guesses in answers]


def test_every_mask_of_every_text_gets_its_guesses(model: PretrainingModel) -> None:
    tokenizer = Tokenizer.from_vocab(VOCAB)
    texts = ["the [MASK] market", "[MASK] [MASK]", "it costs [MASK]"]
    together = filled(model, tokenizer, texts)
    assert [len(guesses) for guesses in together] == [1, 2, 1]
    for text, guesses in zip(texts, together, strict=True):
        (alone,) = filled(model, tokenizer, [text])
        assert [[word for word, _ in one] for one in alone] == [[word for word, _ in one] for one in guesses]
        for one in guesses:
            probabilities = [probability for _, probability in one]
            assert probabilities == sorted(probabilities, reverse=True)
    (everything,) = filled(model, tokenizer, ["[MASK]"], 900)
    assert sum(p for _, p in everything[0]) == pytest.approx(1.0, abs=1e-4)


def test_only_words_of_the_vocabulary_are_given(model: PretrainingModel) -> None:
    tokens = Tokenizer.from_vocab(VOCAB).tokens
    few = Tokenizer(tokens[:50])
    texts = ["[MASK] [MASK]", "[MASK]"]
    for top_k in (50, 900, 5000):
        for guesses in filled(model, few, texts, top_k):
            for one in guesses:
                assert sorted(word for word, _ in one) == sorted(tokens[:50])
                assert sum(p for _, p in one) == pytest.approx(1.0, abs=1e-4)
    # A word that the vocabulary lacks may be the best of the model's.
    best = [filled(model, Tokenizer(tokens), ["[MASK]"], 1)[0][0][0][0], filled(model, few, ["[MASK]"], 1)[0][0][0][0]]
    assert best[0] not in few.vocab
    assert best[1] in few.vocab


def test_what_cannot_be_filled_is_said(model: PretrainingModel) -> None:
    tokenizer = Tokenizer.from_vocab(VOCAB)
    with pytest.raises(InputError, match=r"no \[MASK\] in 'the market'"):
        filled(model, tokenizer, ["the market"])
    with pytest.raises(InputError, match="16 positions"):
        filled(model, tokenizer, ["[MASK]" + " the" * 20])
    with pytest.raises(InputError, match="--top_k: 0 must be at least 1"):
        filled(model, tokenizer, ["[MASK]"], 0)
    assert torch.is_grad_enabled()


def test_a_message_names_the_place_and_shows_the_beginning(model: PretrainingModel) -> None:
    tokenizer = Tokenizer.from_vocab(VOCAB)

    def refusal(*texts: str | tuple[str, str]) -> str:
        with pytest.raises(InputError) as refused:
            list(fill_mask(model, tokenizer, texts))
        return str(refused.value)

    assert refusal("x" * 40) == f"no [MASK] in '{'x' * 40}'"
    assert refusal("x" * 41) == f"no [MASK] in '{'x' * 40}'..."
    assert refusal(("a.txt, line 1", "[MASK]"), ("a.txt, line 7", "the")) == "a.txt, line 7: no [MASK] in 'the'"
    long = "[MASK]" + " the" * 20
    expected = f"a.txt, line 2: 23 tokens, but the model has 16 positions: '{long[:40]}'..."
    assert refusal(("a.txt, line 2", long)) == expected
    ((text, _),) = fill_mask(model, tokenizer, [("a.txt, line 1", "the [MASK]")])
    assert text == "the [MASK]"
