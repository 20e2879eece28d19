"""Question answering: train and predict the first and last token of the answer in each window.

Every token of a window, also of the question, has a logit as the start and a logit as the end. A softmax over the
window's tokens makes probabilities of each; no answer is the first token, [CLS]. The original's softmax is over
max_seq_length tokens, padding included (`model_fn_builder` in
https://github.com/google-research/bert/blob/master/run_squad.py). Here there is no padding.

Shapes: T packed tokens, B windows of a batch, L tokens of the longest of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertworks.data.batch import PackedBatch
from bertworks.data.sequences import Sequences
from bertworks.model.heads import SpanClassifier
from bertworks.model.predict import ModelInput, predict
from bertworks.processes import ALONE, Processes, share
from bertworks.task import Task, micro_batches
from bertworks.tasks.squad import nbest, score
from bertworks.tasks.squad.candidates import WindowLogits
from bertworks.tasks.squad.documents import SquadExample
from bertworks.tasks.squad.windows import ExampleWindows, Windows
from bertworks.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class DevQuestions:
    """The questions that a model is evaluated on.

    Attributes:
        blocks: reads the questions and makes their windows for prediction, each time it is called.
        answers: how answers are chosen from logits, and whether the rules of 2.0 score them.
        padded_to: see `logits_of`.
    """

    blocks: Callable[[], Iterable[ExampleWindows]]
    gold: score.Gold
    answers: nbest.AnswerSettings
    tokenizer: Tokenizer
    padded_to: int | None = None


@dataclass(frozen=True, kw_only=True)
class QuestionAnswering:
    """The settings of a run.

    Attributes:
        train: windows made for training; None without training.
        dev: None without evaluation.
        train_batch_size: windows of an optimizer step, over all processes.
        precision, eval_precision: what the model computes in; the weights are always float32.
        processes: share evaluation.
    """

    train: Windows | None = None
    dev: DevQuestions | None = None
    train_batch_size: int = 32
    random_seed: int = 12345
    precision: torch.dtype = torch.float32
    eval_precision: torch.dtype = torch.float32
    processes: Processes = ALONE


def task(settings: QuestionAnswering) -> Task:
    """Return question answering in the form that the loop takes."""
    return Task(
        batches=partial(micro_batches, settings.train, settings.train_batch_size, settings.random_seed),
        counts=counts,
        sums=partial(sums, settings),
        evaluate=partial(evaluate, settings),
        losses={"loss": 0.0},
    )


def counts(batch: PackedBatch) -> Mapping[str, float]:
    """Return what each term's sum is divided by: the number of windows."""
    return dict.fromkeys(("loss", "start_accuracy", "end_accuracy"), len(batch))


def sums(
    settings: QuestionAnswering, model: nn.Module, batch: PackedBatch, dropout: int | None
) -> Mapping[str, Tensor]:
    """Sum each term over a batch. A window's loss is the mean of the cross entropies of start and end."""
    logits = by_window(model(batch, dropout=dropout, dtype=settings.precision), batch)
    loss = F.cross_entropy(logits, batch.sequence_labels, reduction="sum") / 2
    start, end = (logits.argmax(1) == batch.sequence_labels).sum(0).float()
    return {"loss": loss, "start_accuracy": start, "end_accuracy": end}


def by_window(logits: Tensor, batch: PackedBatch) -> Tensor:
    """Spread logits [T, 2] to [B, L, 2], minus infinity after a window's tokens; leave out filler."""
    tokens, longest = batch.tokens, int(batch.lengths[: len(batch)].max(initial=1))
    lengths = batch.starts.diff()[: len(batch)]
    firsts = torch.arange(0, len(batch) * longest, longest, device=logits.device)
    targets = torch.repeat_interleave(firsts, lengths, output_size=tokens) + batch.position_ids[:tokens]
    spread = logits.new_full((len(batch) * longest, 2), -torch.inf)
    return spread.index_copy(0, targets, logits[:tokens]).view(len(batch), longest, 2)


def logits_of(
    model: SpanClassifier,
    sequences: Sequences,
    *,
    padded_to: int | None = None,
    dtype: torch.dtype = torch.float32,
    processes: Processes = ALONE,
) -> Iterator[WindowLogits]:
    """Compute the logits of each window's tokens, in order.

    Padding fills every window to the length `padded_to`, as in the original, where the logits of padding take ranks
    among the n best. None adds no padding, which is faster.
    """
    compute: Callable[[PackedBatch], Tensor] = partial(model, dtype=dtype)
    device = model.qa_outputs.weight.device
    for logits in predict(compute, inputs(sequences, padded_to), "token", device=device, processes=processes):
        yield logits[:, 0], logits[:, 1]


def inputs(sequences: Sequences, padded_to: int | None = None) -> Iterator[ModelInput]:
    """Yield the windows for the model; see `logits_of` for `padded_to`."""
    for (start, end), first in zip(pairwise(sequences.starts.tolist()), sequences.first, strict=True):
        padding = 0 if padded_to is None else padded_to - (end - start)
        yield ModelInput(sequences.ids[start:end], (np.arange(end - start) >= first).astype(np.int64), padding=padding)


def predict_answers(
    model: SpanClassifier,
    tokenizer: Tokenizer,
    blocks: Iterable[ExampleWindows],
    settings: nbest.AnswerSettings,
    *,
    padded_to: int | None = None,
    dtype: torch.dtype = torch.float32,
    processes: Processes = ALONE,
) -> Iterator[tuple[SquadExample, nbest.NbestAnswers]]:
    """Answer every question of a file, in order; one block is in memory at a time.

    Several processes share the windows of a block, and then its questions. Each of them gets all answers.

    The tokenizer is that of the windows. See `logits_of` for `model`, `padded_to` and `dtype`, and `find_answers` for
    errors.
    """
    for examples, windows in blocks:
        questions = list(nbest.questions_of(tokenizer, examples, settings))
        logits = logits_of(model, windows.sequences, padded_to=padded_to, dtype=dtype, processes=processes)
        of_block = nbest.window_tokens(tokenizer, windows)
        if processes.size > 1:
            own = share(processes, len(examples))
            pairs = [pair for pair in zip(of_block, logits, strict=True) if own.start <= pair[0].example < own.stop]
            of_block = (window._replace(example=window.example - own.start) for window, _ in pairs)
            logits = (of_window for _, of_window in pairs)
            questions = questions[own]
        answers = nbest.find_answers(questions, of_block, logits, settings)
        yield from zip(examples, _gathered(answers, processes), strict=True)


def _gathered(own: Iterator[nbest.NbestAnswers], processes: Processes) -> Iterator[nbest.NbestAnswers]:
    """Give the answers of all processes, in their order."""
    if processes.size == 1:
        yield from own
        return
    for part in processes.gather(json.dumps(list(own)).encode()):
        for prediction, entries, null_odds, best in json.loads(part):
            nbest_of_question = [_entry(values) for values in entries]
            yield nbest.NbestAnswers(prediction, nbest_of_question, null_odds, None if best is None else _entry(best))


def _entry(values: Sequence[Any]) -> nbest.NbestEntry:
    entry = nbest.NbestEntry(*values)
    return entry if entry.tokens is None else entry._replace(tokens=(entry.tokens[0], entry.tokens[1]))


def evaluate(settings: QuestionAnswering, model: nn.Module) -> Mapping[str, float]:
    """Score the answers to the questions of the dev set, in per cent: see `judge`."""
    dev = settings.dev
    assert dev is not None
    assert isinstance(model, SpanClassifier)
    found = predict_answers(
        model,
        dev.tokenizer,
        dev.blocks(),
        dev.answers,
        padded_to=dev.padded_to,
        dtype=settings.eval_precision,
        processes=settings.processes,
    )
    return judge(dev.gold, {example.id: answer for example, answer in found}, dev.answers)


def judge(
    gold: score.Gold, found: Mapping[str, nbest.NbestAnswers], settings: nbest.AnswerSettings
) -> Mapping[str, float]:
    """Return the official scores of answers.

    In SQuAD 2.0 the search for the best thresholds looks at the best answer of every question, also of those that
    `null_score_diff_threshold` leaves unanswered. The official script cannot, because it only has the predictions.

    Returns:
        eval_exact_match, eval_f1; in SQuAD 2.0 also eval_HasAns_*, eval_NoAns_* (exact and f1), and for exact and f1
        eval_best_* and eval_best_*_thresh.
    """
    if not settings.version_2_with_negative:
        results = score.evaluate_v1(gold, {name: answer.prediction for name, answer in found.items()})
    else:
        texts = {name: answer.best.text if answer.best else "" for name, answer in found.items()}
        odds = {name: answer.null_odds for name, answer in found.items()}
        results = score.evaluate_v2(gold, texts, odds, settings.null_score_diff_threshold)
    names = {"exact": "exact_match"}
    return {f"eval_{names.get(name, name)}": value for name, value in results.items() if not name.endswith("total")}


def best_threshold(results: Mapping[str, float], found: Mapping[str, nbest.NbestAnswers]) -> float:
    """Return the `null_score_diff_threshold` with the best F1 in SQuAD 2.0, from the results of `judge`.

    If it is best to answer nothing, the official script says 0, which leaves nothing unanswered if all null odds are
    negative. We return a number below all of them then.
    """
    threshold = results["eval_best_f1_thresh"]
    odds = [answer.null_odds for answer in found.values()]
    return min([threshold, *(each - 1 for each in odds)]) if threshold == 0 and threshold not in odds else threshold


def predictions_at(found: Mapping[str, nbest.NbestAnswers], threshold: float) -> dict[str, str]:
    """Return the predictions of SQuAD 2.0 at another `null_score_diff_threshold`, such as the best one."""
    return {
        name: answer.best.text if answer.best and answer.null_odds <= threshold else ""
        for name, answer in found.items()
    }
