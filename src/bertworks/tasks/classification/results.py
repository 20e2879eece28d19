"""The end of a run of classification: the dev sets are evaluated and shown, test sets predicted, and files written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.config import BertConfig
from bertworks.job import Evaluation, Network, Setup
from bertworks.model.heads import SequenceClassifier
from bertworks.tasks.classification import task
from bertworks.tasks.classification.calibration import (
    cool,
    draw_reliability,
    reliability,
    temperature,
    warning_of,
)
from bertworks.tasks.classification.outputs import (
    draw_confusion_matrix,
    shown_label,
    write_dev_predictions,
    write_dev_rows,
    write_predictions,
)
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.rows import AnyRow
from bertworks.tasks.classification.task import Classification, LabelledSequences, predictions
from bertworks.tasks.metrics import confusion_matrix, per_class, total

Encode = Callable[[Sequence[AnyRow]], LabelledSequences]

# The most classes, and the most confusions, that are shown.
_CLASSES, _CONFUSIONS = 60, 5


def results_of(
    problem: Problem,
    setup: Setup,
    settings: Classification,
    encode: Encode,
    calibrated: BertConfig | None,
    network: Network,
) -> Iterator[str | Evaluation]:
    """Evaluate the dev sets, and write the predictions of the test sets.

    Args:
        calibrated: the configuration of the model that is written once it is calibrated; None leaves it as it is.
    """
    is_main = setup.processes.is_main
    if problem.drawn and is_main:
        yield f"The rows of the dev set: {write_dev_rows(setup.output_dir, problem)}"
    if "dev" in setup.splits:
        logits = {ending: task.predict_logits(settings, network, data) for ending, data in settings.dev.items()}
        if calibrated is not None:
            assert isinstance(network, SequenceClassifier)
            ending, data = next(iter(settings.dev.items()))
            assert data.labels is not None
            degrees = temperature(problem.kind, data.labels, logits[ending])
            cool(network.classifier, degrees)
            if is_main:
                yield _calibrated(problem, setup, data.labels, logits[ending], degrees)
                save_model_folder(setup.output_dir, calibrated, network.state_dict(), "BertForSequenceClassification")
                setup.tokenizer.save(setup.output_dir, calibrated.longest_sequence)
            logits = {ending: values / np.float32(degrees) for ending, values in logits.items()}
        if is_main:
            yield from _dev_results(problem, setup, settings, logits)
    if "test" in setup.splits:
        for ending, rows in problem.test.items():
            data = encode(rows)
            start = time.perf_counter()
            predicted = task.predict_logits(settings, network, data)
            rate = len(data.sequences.ids) / (time.perf_counter() - start)
            if not is_main:
                continue
            written = write_predictions(setup.output_dir, problem, ending, rows, predicted)
            yield f"Predicted {len(data):,} examples, {rate:,.0f} tokens/s: {', '.join(map(str, written))}"
            yield from _score(problem, settings, encode, ending, rows, predicted)


def _calibrated(
    problem: Problem, setup: Setup, labels: NDArray[np.generic], found: NDArray[np.float32], degrees: float
) -> str:
    """Return a line about the temperature that was found on a dev set; draw the reliability."""
    before, after = (reliability(problem.kind, labels, values) for values in (found, found / np.float32(degrees)))
    picture = draw_reliability(setup.output_dir / "reliability.png", before, after)
    return (
        f"Calibrated on the dev set: temperature {degrees:.4f}, expected calibration error {before.error:.4f} -> "
        f"{after.error:.4f}; the model that is written has it in its head: {picture}{warning_of(degrees, len(labels))}"
    )


def _dev_results(
    problem: Problem, setup: Setup, settings: Classification, logits: Mapping[str, NDArray[np.float32]]
) -> Iterator[str | Evaluation]:
    """Evaluate the dev sets, and write their predictions."""
    results = dict(task.evaluate_logits(settings, logits))
    results["loss"] = results["eval_loss"]
    originals = ("eval_accuracy", "eval_loss", "global_step", "loss")
    yield _evaluation(problem, settings, logits, results, originals)
    for ending, rows in problem.dev.items():
        yield f"The predictions: {write_dev_predictions(setup.output_dir, problem, ending, rows, logits[ending])}"
    if problem.kind == "single":
        yield from _confusion(problem, setup, settings, logits)


def _evaluation(
    problem: Problem,
    settings: Classification,
    logits: Mapping[str, NDArray[np.float32]],
    results: dict[str, float],
    originals: Sequence[str] = (),
) -> Evaluation:
    """Return the results of labelled sets with a report about each."""
    reports = []
    for ending, data in settings.dev.items():
        assert data.labels is not None
        reports += [f"{problem.name}{ending.replace('_', ' ')}:"] if len(settings.dev) > 1 else []
        reports.append(report(problem, data.labels, logits[ending]))
        if problem.kind == "regression":
            results[f"eval_mae{ending}"] = mean_absolute_error(data.labels, logits[ending][:, 0])
    return Evaluation(results, originals, "\n".join(filter(None, reports)))


def _score(
    problem: Problem,
    settings: Classification,
    encode: Encode,
    ending: str,
    rows: Sequence[AnyRow],
    logits: NDArray[np.float32],
) -> Iterator[str | Evaluation]:
    """Score the rows of a test set that have labels, if some have."""
    labelled = [i for i, row in enumerate(rows) if row.label is not None]
    if not labelled:
        return
    different = {rows[i].label for i in labelled}
    if len(different) == 1 and len(labelled) > 1:
        yield f"All test rows have the label {shown_label(*different)}, which is taken for none; nothing is scored"
        return
    if len(labelled) < len(rows):
        yield f"{len(rows) - len(labelled):,} of {len(rows):,} test rows have no label that is known and are not scored"
    scored = replace(settings, dev={ending: encode([rows[i] for i in labelled])})
    found = {ending: logits[labelled]}
    results = dict(task.evaluate_logits(scored, found))
    evaluation = _evaluation(problem, scored, found, results)
    yield replace(evaluation, results={name.replace("eval_", "test_", 1): of for name, of in results.items()})


def _confusion(
    problem: Problem, setup: Setup, settings: Classification, logits: Mapping[str, NDArray[np.float32]]
) -> Iterator[str]:
    """Draw the confusion matrix of each dev set."""
    for ending, data in settings.dev.items():
        assert data.labels is not None
        counts = confusion_matrix(data.labels, task.predictions("single", logits[ending]), problem.classes)
        title = f"{problem.name}{ending.replace('_', ' ')}: {counts.trace() / counts.sum():.1%} right"
        path = setup.output_dir / f"confusion_matrix{ending}.png"
        yield f"The confusion matrix: {draw_confusion_matrix(path, counts, problem.labels, title)}"


def report(problem: Problem, labels: NDArray[Any], logits: NDArray[np.float32]) -> str:
    """Return lines about the predictions for N labelled examples.

    Args:
        labels: as `LabelledSequences.labels`.
        logits: [N, C].
    """
    found = predictions(problem.kind, logits)
    if problem.kind == "regression":
        return _of_numbers(labels, found)
    if problem.kind == "choice":
        return ""
    lines = [_table(problem.labels, labels, found)]
    if problem.kind == "single":
        often = np.bincount(labels, minlength=problem.classes)
        most = int(often.argmax())
        lines.append(f"always {problem.labels[most]}: accuracy {often[most] / len(labels):.4f}")
        lines += _confusions(problem.labels, confusion_matrix(labels, found, problem.classes))
    return "\n".join(lines)


def mean_absolute_error(labels: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the mean of the absolute differences."""
    return float(np.abs(np.asarray(labels, np.float64) - found).mean())


def _of_numbers(labels: NDArray[Any], found: NDArray[Any]) -> str:
    mean, wrong = float(np.mean(labels, dtype=np.float64)), mean_absolute_error(labels, found)
    always = mean_absolute_error(labels, np.full(len(labels), mean))
    return f"mean absolute error {wrong:.4g}; always the mean, {mean:.4g}: {always:.4g}"


def _table(names: Sequence[str], labels: NDArray[Any], found: NDArray[Any]) -> str:
    """Return precision, recall and F1 of each class, and their plain mean."""
    counts = per_class(labels, found, len(names))
    width = max(map(len, ("all", *names[:_CLASSES])))
    lines = [f"{'':{width}}  precision  recall      F1  examples  predicted  correct"]
    for name, of in [*list(zip(names, counts, strict=True))[:_CLASSES], ("all", total(counts))]:
        shares = f"{of.precision:9.2%} {of.recall:7.2%} {of.f1:7.2%}"
        lines.append(f"{name:{width}}  {shares} {of.actual:9,}  {of.predicted:9,} {of.correct:8,}")
    if len(names) > _CLASSES:
        lines.insert(-1, f"and {len(names) - _CLASSES:,} more")
    return "\n".join(lines)


def _confusions(names: Sequence[str], matrix: NDArray[np.int64]) -> list[str]:
    """Return which classes are most often taken for which."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    most = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS].tolist()
    pairs = [divmod(place, len(names)) for place in most]
    shown = [f"{names[i]} as {names[j]} {wrong[i, j]:,} times" for i, j in pairs if wrong[i, j]]
    return [f"most often taken for another: {', '.join(shown)}"] if shown else []
