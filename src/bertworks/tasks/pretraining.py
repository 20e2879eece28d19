"""The task of pre-training: masked words and next sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bertworks.data.batch import PackedBatch, cut_by_tokens, pack
from bertworks.data.instances import Instances, InstanceSource
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.processes import ALONE, Processes
from bertworks.task import Partition, Task


@dataclass(frozen=True)
class InstancePhase:
    """A part of the steps, which trains on instances of one source.

    Attributes:
        train_batch_size: instances of an optimizer step, over all processes.
        first_step: finished steps where the phase begins.
        first_instance: the number of its first instance in the source.
        causal: whether each word is predicted from those before it; then instances are single texts.
    """

    source: InstanceSource
    train_batch_size: int
    first_step: int = 0
    first_instance: int = 0
    causal: bool = False


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """The settings of a pre-training run.

    Attributes:
        phases: what the steps train on, by their first steps; the first phase begins at step 0.
        vocab_size: the model's; instances with higher ids are refused.
        max_eval_steps: the number of batches, of `eval_batch_size` instances, in an evaluation.
        precision, eval_precision: the types that the model computes in; its weights stay float32.
        next_sentence: whether to train and evaluate the prediction of next sentences too.
        bag_of_words: the weight of the prediction of a text's words from its first token; 0 is none.
        processes: take the batches of an evaluation in turns.
    """

    phases: Sequence[InstancePhase]
    eval_source: InstanceSource
    vocab_size: int
    eval_batch_size: int
    max_eval_steps: int
    precision: torch.dtype = torch.float32
    eval_precision: torch.dtype = torch.float32
    next_sentence: bool = True
    bag_of_words: float = 0.0
    processes: Processes = ALONE


def task(settings: Pretraining) -> Task:
    """Return the task for the training loop; the masked-word loss divides by count + 1e-5, as in the original."""
    next_sentence, bag_of_words = settings.next_sentence, settings.bag_of_words > 0
    return Task(
        batches=partial(batches, settings),
        counts=partial(counts, next_sentence=next_sentence, bag_of_words=bag_of_words),
        sums=partial(sums, settings.precision, next_sentence=next_sentence, bag_of_words=bag_of_words),
        evaluate=partial(evaluate, settings),
        losses={"masked_lm_loss": 1e-5}
        | ({"next_sentence_loss": 0.0} if next_sentence else {})
        | ({"bag_of_words_loss": 0.0} if bag_of_words else {})
        | ({"causal_lm_loss": 1e-5} if any(phase.causal for phase in settings.phases) else {}),
        weights={"bag_of_words_loss": settings.bag_of_words} if bag_of_words else {},
    )


def size_of(model: PretrainingModel) -> str:
    """Return the size of a model in words."""
    config, parameters = model.config, sum(p.numel() for p in model.parameters()) / 1e6
    return f"{config.num_hidden_layers} layers of {config.hidden_size}, {parameters:.1f} M parameters"


def freeze_unused(model: PretrainingModel, *, next_sentence: bool, bag_of_words: bool) -> None:
    """Leave out of the training what no loss reads: neither gradients nor decay change it."""
    model.cls.seq_relationship.requires_grad_(next_sentence)
    model.bert.pooler.requires_grad_(next_sentence or bag_of_words)


def batches(settings: Pretraining, step: int, partition: Partition) -> Sequence[PackedBatch]:
    """Return this process's share of a step, in micro-batches within the token budget; one empty one if it has none."""
    phase = next(phase for phase in reversed(settings.phases) if phase.first_step <= step)
    in_phase = step - phase.first_step
    first, last = partition.rows(in_phase, phase.train_batch_size)
    drawn = phase.source.instances(phase.first_instance + first, phase.first_instance + last)
    if drawn.input_ids.max(initial=0) >= settings.vocab_size:
        raise InputError(
            f"--input_file: holds word {drawn.input_ids.max()}, but the model has only {settings.vocab_size}; "
            "it was made with another vocabulary"
        )
    portions = cut_by_tokens(drawn.lengths, partition.token_budget) or [slice(0, 0)]
    in_step = first - in_phase * phase.train_batch_size
    return [packed(drawn.part(part.start, part.stop), in_step + part.start, phase.causal) for part in portions]


def packed(drawn: Instances, first_key: int = 0, causal: bool = False) -> PackedBatch:
    """Pack instances; their dropout keys count from `first_key`, the number of the first one in the step."""
    drawn = drawn.causal() if causal else drawn
    return pack(
        drawn.input_ids,
        drawn.segment_ids,
        drawn.lengths,
        rows=drawn.rows,
        labels=drawn.labels,
        sequence_labels=drawn.is_random_next,
        dropout_keys=np.arange(first_key, first_key + len(drawn)),
        filled=True,
        causal=causal,
    )


def counts(batch: PackedBatch, *, next_sentence: bool = True, bag_of_words: bool = False) -> Mapping[str, float]:
    """Return the divisor of each term: its number of predictions."""
    words, sequences = len(batch.rows), len(batch)
    if batch.causal:
        return {"causal_lm_loss": words, "causal_lm_accuracy": words}
    return {
        "masked_lm_loss": words,
        "masked_lm_accuracy": words,
        **({"next_sentence_loss": sequences, "next_sentence_accuracy": sequences} if next_sentence else {}),
        **({"bag_of_words_loss": sequences} if bag_of_words else {}),
    }


def sums(
    precision: torch.dtype,
    model: nn.Module,
    batch: PackedBatch,
    dropout: int | None,
    *,
    next_sentence: bool = True,
    bag_of_words: bool = False,
) -> Mapping[str, Tensor]:
    """Return the sum of each term over a batch."""
    wanted = counts(batch, next_sentence=next_sentence, bag_of_words=bag_of_words)
    predict_text = "bag_of_words_loss" in wanted
    terms: Mapping[str, Tensor] = model(batch, dropout=dropout, dtype=precision, predict_text=predict_text)
    # One head predicts masked words and next words; only what a row sees differs.
    return {name: terms[name.replace("causal", "masked")] for name in wanted}


@torch.no_grad()
def evaluate(settings: Pretraining, model: nn.Module) -> Mapping[str, float]:
    """Evaluate the first `max_eval_steps` batches of the evaluation instances, as the original does.

    `loss` is the mean of the batches' losses; the other results are means over all predictions.
    """
    asked = {"next_sentence": settings.next_sentence, "bag_of_words": settings.bag_of_words > 0}
    device, processes, size = next(model.parameters()).device, settings.processes, settings.eval_batch_size
    own = []
    for step in range(processes.rank, settings.max_eval_steps, processes.size):
        batch = packed(settings.eval_source.instances(step * size, (step + 1) * size))
        terms = sums(settings.eval_precision, model, batch.to(device), None, **asked)
        counted = counts(batch, **asked)
        own.append({name: (float(value), counted[name]) for name, value in terms.items()})
    by_process = [json.loads(text) for text in processes.gather(json.dumps(own).encode())]
    found = [by_process[step % processes.size][step // processes.size] for step in range(settings.max_eval_steps)]
    results = {
        name: sum(values[name][0] for values in found) / max(sum(values[name][1] for values in found), 1.0)
        for name in found[0]
    }
    return dict(sorted({"loss": sum(_loss(values, settings) for values in found) / len(found), **results}.items()))


def _loss(values: Mapping[str, Sequence[float]], settings: Pretraining) -> float:
    """Return the loss of a batch, from the sum and the count of each term."""
    total, count = values["masked_lm_loss"]
    loss = total / (count + 1e-5)
    for name, weight in (("next_sentence_loss", 1.0), ("bag_of_words_loss", settings.bag_of_words)):
        if name in values:
            total, count = values[name]
            loss += weight * total / count
    return loss


def most_frequent_label_share(source: InstanceSource, count: int) -> float:
    """Return the accuracy of always predicting the most frequent masked word, on the first `count` instances."""
    labels = source.instances(0, count).labels
    return float(np.bincount(labels).max() / len(labels))
