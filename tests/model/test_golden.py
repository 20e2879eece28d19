"""The network against what the original release computes, value for value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bertworks import ragged
from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.model.heads import PretrainingModel
from tests.model.conftest import GOLDEN

Arrays = dict[str, NDArray[np.float32]]


def our_name(name: str) -> str:
    for theirs, ours in {
        "|": ".", "layer_": "layer.", "gamma": "weight", "beta": "bias", "kernel": "weight",
        "output_bias": "bias", "output_weights": "weight",
    }.items():  # fmt: skip
        name = name.replace(theirs, ours)
    return name + ".weight" if name.endswith("_embeddings") else name


@pytest.fixture(scope="module")
def golden() -> Arrays:
    with np.load(GOLDEN / "forward.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def google() -> PretrainingModel:
    model = PretrainingModel(BertConfig.from_google_file(GOLDEN / "bert_config.json"))
    with np.load(GOLDEN / "initial_weights.npz") as file:
        weights = {our_name(n): torch.tensor(v.T if n.endswith("kernel") else v) for n, v in file.items()}
    model.load_state_dict(weights)  # strict: the names are exactly these
    return model


@pytest.fixture(scope="module")
def batch(golden: Arrays) -> PackedBatch:
    real, masked = golden["input_mask"] == 1, golden["masked_lm_weights"] == 1
    lengths = real.sum(1)
    starts = ragged.starts(lengths)[:-1]
    return pack(
        golden["input_ids"][real],
        golden["segment_ids"][real],
        lengths,
        rows=(golden["masked_lm_positions"] + starts[:, None])[masked],
        labels=golden["masked_lm_ids"][masked].astype(np.int64),
        sequence_labels=golden["next_sentence_labels"].ravel().astype(np.int64),
    )


def close(ours: torch.Tensor, theirs: NDArray[np.float32]) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours.numpy() - theirs).max() <= 1e-5


@torch.no_grad()
def test_every_layer_and_both_heads(google: PretrainingModel, batch: PackedBatch, golden: Arrays) -> None:
    real, masked = golden["input_mask"] == 1, golden["masked_lm_weights"].ravel() == 1
    layers = google.bert.hidden_states(batch, range(4))
    for name, layer in zip(("embedding_output", "layer_1", "layer_2", "layer_3"), layers, strict=True):
        close(layer, golden[name][real])
    pooled = google.bert.pooler(layers[-1][batch.starts[:-1].long()])
    close(pooled, golden["pooled_output"])
    words = torch.log_softmax(google.masked_lm_logits(layers[-1][batch.rows]), -1)
    close(words, golden["masked_lm_log_probs"][masked])
    close(torch.log_softmax(google.next_sentence_logits(pooled), -1), golden["next_sentence_log_probs"])


@torch.no_grad()
def test_losses(google: PretrainingModel, batch: PackedBatch, golden: Arrays) -> None:
    sums = google(batch)
    masked_lm = float(sums["masked_lm_loss"]) / (len(batch.rows) + 1e-5)
    assert masked_lm == pytest.approx(float(golden["masked_lm_loss"]), rel=1e-5)
    assert float(sums["next_sentence_loss"]) / 6 == pytest.approx(float(golden["next_sentence_loss"]), rel=1e-5)
    best = golden["masked_lm_log_probs"].argmax(-1)[golden["masked_lm_weights"].ravel() == 1]
    assert int(sums["masked_lm_accuracy"]) == (best == batch.labels.numpy()).sum()
    right = golden["next_sentence_log_probs"].argmax(-1) == batch.sequence_labels.numpy()
    assert int(sums["next_sentence_accuracy"]) == right.sum()


def test_the_erf_gelu_is_told_apart(google: PretrainingModel, batch: PackedBatch, golden: Arrays) -> None:
    erf = PretrainingModel(BertConfig.from_huggingface_file(GOLDEN / "bert_config.json"))
    erf.load_state_dict(google.state_dict())
    with torch.no_grad():
        difference = np.abs(erf.bert(batch).numpy() - golden["layer_3"][golden["input_mask"] == 1]).max()
    assert 1e-5 < difference < 1e-1
