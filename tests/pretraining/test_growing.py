"""Growing: a wider model computes the same, layers are stacked, words find their vectors."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.pretraining.growing import grow
from bertworks.text.tokenizer import Tokenizer
from bertworks.train.results import write_model
from tests.commands.runs import FIXTURES

SHAPE = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64}


def tokenizer(path: Path = FIXTURES / "vocab.txt") -> Tokenizer:
    return Tokenizer.from_vocab(path)


def config(layers: int = 2, **changes: int) -> BertConfig:
    values = {**SHAPE, "vocab_size": tokenizer().vocab_size, "num_hidden_layers": layers}
    return BertConfig(**{**values, **changes})


def drawn(of: BertConfig, seed: int) -> PretrainingModel:
    model = PretrainingModel(of)
    model.initialise(seed)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for p in model.parameters():  # norms and biases too, and large enough to matter
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return model


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, PretrainingModel]:
    folder, model = tmp_path / "small", drawn(config(), 3)
    folder.mkdir()
    write_model(model.config, tokenizer(), "BertForPreTraining", folder, model.state_dict())
    return folder, model


def answers(model: PretrainingModel) -> tuple[torch.Tensor, torch.Tensor]:
    ids = np.array([2, *range(100, 120), 3, 2, 50, 51, 3])
    with torch.no_grad():
        hidden = model.bert(pack(ids, 0 * ids, np.array([22, 4])))
        return model.masked_lm_logits(hidden), model.next_sentence_logits(model.bert.pooler(hidden[[0, 22]]))


def test_a_wider_model_computes_what_the_narrow_one_does(small) -> None:
    folder, narrow = small
    wide = drawn(config(hidden_size=96, num_attention_heads=12, intermediate_size=256), 9)
    lines = grow(wide, str(folder), tokenizer(), 1)
    for found, expected in zip(answers(wide), answers(narrow), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert "2 layers of 32 -> 2 of 96" in lines[1]
    assert "freshly initialised" not in lines[0]
    # The copies of a unit are read with other weights, so that they do not stay copies.
    weight = wide.bert.encoder.layer[0].intermediate.dense.weight
    assert not torch.allclose(weight[:64, :32], weight[:64, 32:64])


def test_layers_are_stacked(small) -> None:
    folder, shallow = small
    deep = drawn(config(layers=5), 9)
    grow(deep, str(folder), tokenizer(), 1)
    for number, layer in enumerate(deep.bert.encoder.layer):
        of = shallow.bert.encoder.layer[number % 2]
        assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), of.parameters(), strict=True))


def test_new_words_begin_as_the_mean_of_their_pieces(small, tmp_path: Path) -> None:
    folder, old = small
    words = tokenizer().tokens
    first = next(word for word in words if word.isalpha() and len(word) > 2)
    rest = next(word for word in words if word.startswith("##") and word[2:].isalpha())
    new, vocab = first + rest[2:] * 2, tmp_path / "vocab.txt"
    assert new not in words
    vocab.write_text("\n".join([*words[:5], new, "\u0f3a\u0f3a", *reversed(words[5:])]) + "\n", encoding="utf-8")
    model = drawn(config(vocab_size=len(words) + 2), 9)
    before = model.bert.embeddings.word_embeddings.weight.detach().clone()
    lines = grow(model, str(folder), tokenizer(vocab), 1)
    table, others = model.bert.embeddings.word_embeddings.weight, old.bert.embeddings.word_embeddings.weight
    pieces = tokenizer().convert_tokens_to_ids(tokenizer().tokenize(new))
    assert len(pieces) > 1
    torch.testing.assert_close(table[5], others[pieces].mean(0))
    torch.testing.assert_close(model.cls.predictions.bias[5], old.cls.predictions.bias[pieces].mean())
    assert torch.equal(table[6], before[6])
    assert torch.equal(table[-1], others[5])
    assert f"{len(words):,} have their vectors from there, 1 the mean of their pieces, 1 a random one" in lines[2]


def test_what_the_smaller_model_lacks_is_said(small, tmp_path: Path) -> None:
    folder, model = tmp_path / "encoder", small[1]
    folder.mkdir()
    weights = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("cls.")}
    write_model(model.config, tokenizer(), "BertModel", folder, weights)
    lines = grow(drawn(config(layers=3), 9), str(folder), tokenizer(), 1)
    assert re.search("missing .*cls.predictions.* freshly initialised", lines[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 48, "num_attention_heads": 6}, "hidden_size is 32 there and 48 here"),
        ({"hidden_size": 64}, "its head size does not fit"),
        ({"num_hidden_layers": 1}, "its number of layers does not fit"),
    ],
)
def test_what_cannot_grow_is_refused(small, changes, message: str) -> None:
    values = {"num_hidden_layers": 2, **changes}
    layers = values.pop("num_hidden_layers")
    with pytest.raises(InputError, match=f"--grow_from=.*{message}"):
        grow(PretrainingModel(config(layers, **values)), str(small[0]), tokenizer(), 1)
