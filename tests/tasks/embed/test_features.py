"""Features of texts: layers, pooling, pairs, what is cut, and how much memory it takes."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.bert import Bert
from bertworks.model.heads import PretrainingModel
from bertworks.tasks.embed.feature_files import feature_file
from bertworks.tasks.embed.features import embed, extract
from bertworks.text.tokenizer import Tokenizer

VOCAB = Path(__file__).parents[2] / "fixtures" / "vocab.txt"
TEXTS = ["the old market", ("why was the ferry sold ?", "it costs 80 to visit"), "", "the " * 60, "北湖"]


def encoder(**changes: int) -> Bert:
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=900, max_position_embeddings=40, initializer_range=0.3, **{**sizes, **changes})
    model = PretrainingModel(config)
    model.initialise(1)
    return model.bert


@pytest.fixture(scope="module")
def bert() -> Bert:
    return encoder()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_vocab(VOCAB)


@torch.no_grad()
def test_token_rows_are_the_layers_outputs_side_by_side(bert: Bert, tokenizer: Tokenizer) -> None:
    found = list(extract(bert, tokenizer, TEXTS, layers=(-1, 0), token_budget=50))
    assert [one.text for one in found] == TEXTS
    for one in found:
        text_a, text_b = (one.text, None) if isinstance(one.text, str) else one.text
        pair = tokenizer.encode_pair(text_a, text_b, 40)
        assert one.ids == pair.ids
        batch = pack(np.array(pair.ids), np.array(pair.segment_ids), np.array([len(pair.ids)]))
        last, first = bert.hidden_states(batch, [3, 1])
        np.testing.assert_allclose(one.values, torch.cat([last, first], 1).numpy(), atol=1e-5, rtol=0)
    assert [one.cut for one in found] == [False, False, False, True, False]
    assert found[2].ids == [tokenizer.cls_id, tokenizer.sep_id]


def test_pooling_is_over_all_tokens_of_the_sequence(bert: Bert, tokenizer: Tokenizer) -> None:
    rows = [one.values for one in extract(bert, tokenizer, TEXTS, layers=(-1, -2))]
    expected = {
        "cls": [values[0] for values in rows],
        "mean": [values.mean(0) for values in rows],
        "max": [values.max(0) for values in rows],
    }
    for pooling, vectors in expected.items():
        found = embed(bert, tokenizer, TEXTS, layers=(-1, -2), pooling=pooling, token_budget=45)
        assert (found.shape, found.dtype) == ((5, 32), np.float32)
        np.testing.assert_allclose(found, vectors, atol=1e-5, rtol=0)


def test_layers_are_numbered_from_either_end(bert: Bert, tokenizer: Tokenizer) -> None:
    for layer in range(3):
        ours = embed(bert, tokenizer, TEXTS, layers=[layer])
        np.testing.assert_array_equal(ours, embed(bert, tokenizer, TEXTS, layers=[layer - 3]))
    assert not np.allclose(embed(bert, tokenizer, TEXTS, layers=[0]), embed(bert, tokenizer, TEXTS, layers=[1]))


def test_a_second_text_without_tokens_is_none(bert: Bert, tokenizer: Tokenizer) -> None:
    plain, pair = extract(bert, tokenizer, ["the market", ("the market", "\u200b")])
    assert plain.ids == pair.ids
    assert not pair.cut


def test_what_makes_no_sense_is_refused_before_the_work(bert: Bert, tokenizer: Tokenizer) -> None:
    def refusal(**options: object) -> str:
        with pytest.raises(InputError) as refused:
            extract(bert, tokenizer, [], **options)
        return str(refused.value)

    assert refusal(layers=[3]) == "--layers: the model has no layer 3, only 0 to 2, or -1 (the last) to -3"
    assert "no layer -4" in refusal(layers=[-1, -4])
    assert "give at least one layer" in refusal(layers=[])
    assert refusal(max_seq_length=41) == "--max_seq_length=41: the model has 40 positions; give at most that"
    assert "must be at least 3" in refusal(max_seq_length=2)
    assert "--pooling=sum" in refusal(pooling="sum")
    assert refusal(layers=-1) == "--layers: give a sequence of numbers such as [-1], not -1"
    for wrong in (-1, "-1", [-1.0], ["-1"], None):
        with pytest.raises(InputError, match="--layers: give a sequence of numbers"):
            embed(bert, tokenizer, ["the market"], layers=wrong)
    assert embed(bert, tokenizer, ["the market"], layers=[np.int64(-1)]).shape == (1, 16)
    with pytest.raises(InputError, match="a list of texts"):
        embed(bert, tokenizer, "the market")
    with pytest.raises(InputError, match="cls, mean or max"):
        embed(bert, tokenizer, ["the market"], pooling="none")


def test_a_pair_for_a_model_with_one_segment_is_refused(tokenizer: Tokenizer) -> None:
    single = encoder(type_vocab_size=1)
    assert embed(single, tokenizer, ["the market"]).shape == (1, 16)
    with pytest.raises(InputError, match=r"no second segment \(type_vocab_size 1\): 'the market'$"):
        embed(single, tokenizer, ["the market", ("the market", "the ferry")])
    with pytest.raises(InputError, match=rf": '{'x' * 40}'\.\.\.$"):
        embed(single, tokenizer, [("x" * 41, "the ferry")])


def test_no_texts(bert: Bert, tokenizer: Tokenizer) -> None:
    assert embed(bert, tokenizer, [], layers=(-1, -2)).shape == (0, 32)


@pytest.mark.parametrize(("pooling", "name"), [("none", "x.jsonl"), ("none", "x.npz"), ("mean", "x.npy")])
def test_memory_does_not_grow_with_the_input(tokenizer: Tokenizer, tmp_path: Path, pooling: str, name: str) -> None:
    bert = encoder(hidden_size=4, num_hidden_layers=1, intermediate_size=4)

    def lines(count: int) -> Iterator[str]:
        return itertools.islice(itertools.cycle(("the old market", "why was the ferry sold ?", "it costs 80")), count)

    def peak(count: int) -> int:
        tracemalloc.start()
        layers = [-1]
        found = extract(bert, tokenizer, lines(count), layers=layers, pooling=pooling, token_budget=2048)
        how = {"layers": layers, "hidden_size": 4, "pooling": pooling, "tokens": tokenizer.tokens}
        with feature_file(tmp_path / name, **how) as add:
            for one in found:
                add(one)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1000)  # tables, and what is made once
    assert peak(15_000) < peak(1_500) + (1 << 17)
