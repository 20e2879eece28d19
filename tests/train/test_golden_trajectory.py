"""Forty steps of the original, step by step: losses, gradient norms, rates, and the weights at the end."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks import ragged
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch
from bertworks.data.instances import Instances
from bertworks.model.heads import PretrainingModel
from bertworks.task import Partition
from bertworks.tasks import pretraining
from bertworks.train import loop
from bertworks.train.distributed import World
from bertworks.train.run import Run

GOLDEN = Path(__file__).parents[1] / "fixtures" / "google_tiny"


@cache
def forward() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "forward.npz") as stored:
        return dict(stored)


class GoldenBatch:
    """The one batch of the golden run, as a source: the same six instances for ever."""

    def instances(self, first: int, last: int) -> Instances:
        golden = forward()
        which = np.arange(first, last) % 6
        mask = golden["input_mask"][which] > 0
        lengths = mask.sum(1)
        weights = golden["masked_lm_weights"][which] > 0
        positions = golden["masked_lm_positions"][which] + ragged.starts(lengths)[:-1, None]
        return Instances(
            input_ids=golden["input_ids"][which][mask].astype(np.int64),
            segment_ids=golden["segment_ids"][which][mask].astype(np.int64),
            lengths=lengths.astype(np.int64),
            rows=positions[weights].astype(np.int64),
            labels=golden["masked_lm_ids"][which][weights].astype(np.int64),
            is_random_next=golden["next_sentence_labels"][which, 0].astype(np.int64),
        )

    def identity(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize("token_budget", [10_000, 60], ids=["whole", "cut"])
def test_forty_steps_of_the_original(tmp_path: Path, token_budget: int) -> None:
    golden = json.loads((GOLDEN / "training_trajectory.json").read_text())
    config = BertConfig.from_google_file(GOLDEN / "bert_config.json")
    model = PretrainingModel(config)
    load_into(model, open_checkpoint(GOLDEN / "bert_model.ckpt"), config)
    settings = pretraining.Pretraining(
        phases=[pretraining.InstancePhase(GoldenBatch(), 6)],
        eval_source=GoldenBatch(),
        vocab_size=config.vocab_size,
        eval_batch_size=6,
        max_eval_steps=1,
    )
    run = Run(
        output_dir=tmp_path,
        num_train_steps=golden["num_train_steps"],
        num_warmup_steps=golden["num_warmup_steps"],
        learning_rate=golden["init_lr"],
        token_budget=token_budget,
        log_every_steps=1,
        write_model=lambda folder, weights: torch.save({}, folder / "model.pt"),
    )
    loop.train(model, pretraining.task(settings), run, World(0, 1, torch.device("cpu")))

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()[1:]]
    for line, step in zip(lines, golden["losses"], strict=True):
        assert line["learning_rate"] == pytest.approx(step["learning_rate"], rel=1e-6)
        assert line["gradient_norm"] == pytest.approx(step["gradient_norm"], rel=5e-4)
        # The original's masked-word loss divides by count + 1e-5; a line gives the plain mean.
        masked = line["loss"] - line["next_sentence_loss"]
        assert masked == pytest.approx(step["masked_lm_loss"], rel=1e-5)
        assert line["next_sentence_loss"] == pytest.approx(step["next_sentence_loss"], rel=1e-5, abs=1e-6)
    trained = open_checkpoint(GOLDEN / "trained.ckpt")
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), trained.weights[name].read(), rtol=0, atol=1e-4)


def test_the_batch_is_cut(tmp_path: Path) -> None:
    settings = pretraining.Pretraining(
        phases=[pretraining.InstancePhase(GoldenBatch(), 6)],
        eval_source=GoldenBatch(),
        vocab_size=900,
        eval_batch_size=6,
        max_eval_steps=1,
    )
    batches: list[PackedBatch] = list(pretraining.batches(settings, 3, Partition(token_budget=60)))
    assert [len(batch) for batch in batches] == [1, 3, 1, 1]
    assert [batch.dropout_keys.tolist() for batch in batches] == [[0, 0], [1, 2, 3, 0], [4, 0], [5, 0]]  # and filler
