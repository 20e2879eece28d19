"""Export a model: the graph, what stands beside it, the comparison, the certificate; all of it or nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints.weights import SentenceRules
from bertworks.errors import InputError
from bertworks.export import graph as graphs
from bertworks.export.bert_graph import build
from bertworks.export.certificate import Certificate
from bertworks.export.heads import Head, head_of, sentence_rules_of, weights_of
from bertworks.export.layers import Products
from bertworks.export.layout import check_free, weights_sha256, write_beside
from bertworks.export.libraries import library, openvino_core
from bertworks.export.measure import Measure
from bertworks.export.opened import open_export
from bertworks.export.parity import OutputError, compare, shapes
from bertworks.export.runtime import FILES, OPENVINO_FOLDER, Precision, Runtime, session, with_weights
from bertworks.files import folder_written_whole
from bertworks.pretrained import Pretrained

# The largest difference from ours that rounding explains in float32, as a share of the largest value. It is usually a
# hundred times smaller.
LIMIT = 1e-4

# How the large products are computed, by format and precision.
_PRODUCTS: dict[Runtime, dict[Precision, Products]] = {
    "onnx": {"fp32": "fp32", "int8": "int8"},
    "openvino": {"fp32": "fp32", "int8": "int8_weights"},
}


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        files: the graphs, with their bytes.
        replaced: whether an earlier export was.
        left_over: what the model's files hold that is in no graph.
    """

    folder: Path
    files: Mapping[str, int]
    certificate: Certificate
    replaced: bool
    left_over: tuple[str, ...]


def export(
    pretrained: Pretrained,
    folder: Path,
    form: Runtime,
    precision: Precision = "fp32",
    measure: Measure | None = None,
    max_metric_drop: float = 0.005,
) -> Export:
    """Export a model into a folder, which is new, empty, or of an earlier export; that one is replaced whole.

    Args:
        pretrained: on the CPU, in float32.
        precision: int8 writes the file of fp32, too.
        measure: the metric of the model's task.
        max_metric_drop: how far it may fall.

    Raises:
        InputError: the folder is not free; ONNX cannot hold the model; a weight is no number; a library is not
            installed; what was exported computes something else, or its metric falls too far. Nothing is written then.
    """
    check_free(folder, pretrained.checkpoint.path)
    replaced = folder.is_dir() and any(folder.iterdir())
    library("onnx")
    library("onnxruntime" if form == "onnx" else "openvino")
    head, weights, sentences = head_of(pretrained), weights_of(pretrained), sentence_rules_of(pretrained)
    metrics = {"torch": dict(measure.of(pretrained))} if measure else {}
    errors: dict[str, Mapping[str, OutputError]] = {}
    computed_by = ""
    with folder_written_whole(folder) as aside:
        notes = write_beside(aside, pretrained, head, sentences, _in_two_files(weights, form, precision))
        for each in _precisions(precision):
            name = _write_graph(aside, pretrained, weights, head, sentences, form, each)
            opened = session(aside, form, each)
            errors[name], computed_by = compare(pretrained, head, sentences, opened), opened.version
            _check_errors(name, each, errors[name])
            if measure:
                metrics[name] = dict(measure.of(open_export(aside, form, each)))
                _check_metrics(name, metrics["torch"], metrics[name], max_metric_drop)
            del opened
        gc.collect()  # closes what the sessions have mapped
        sizes = {name: sum(file.stat().st_size for file in with_weights(aside / name)) for name in errors}
        certificate = Certificate(
            model=pretrained.checkpoint.path.name,
            weights=weights_sha256(weights),
            architecture=head.architecture,
            computed_by=computed_by,
            errors=errors,
            shapes=shapes(pretrained.config),
            limit=LIMIT,
            data=measure.data if measure else None,
            data_sha256=measure.sha256 if measure else None,
            metrics=metrics,
            max_metric_drop=max_metric_drop,
            notes=notes,
        )
        certificate.write(aside)
    return Export(folder, sizes, certificate, replaced, pretrained.report.left_over)


def _precisions(precision: Precision) -> Iterator[Precision]:
    yield "fp32"
    if precision == "int8":
        yield "int8"


def _in_two_files(weights: Mapping[str, NDArray[np.float32]], form: Runtime, precision: Precision) -> list[str]:
    """Return the names of the ONNX files that are too large for one file."""
    size = sum(values.nbytes for values in weights.values())
    sizes = {each: size if each == "fp32" else size // 4 for each in _precisions(precision)}
    large = [each for each, size in sizes.items() if size > graphs.MOST_BYTES]
    return [Path(FILES["onnx"][each]).name for each in large] if form == "onnx" else []


def _write_graph(
    folder: Path,
    pretrained: Pretrained,
    weights: Mapping[str, NDArray[np.float32]],
    head: Head,
    sentences: SentenceRules | None,
    form: Runtime,
    precision: Precision,
) -> str:
    """Write one graph, and return its name in the folder."""
    graph = build(pretrained.config, weights, head, sentences, _PRODUCTS[form][precision])
    about = f"{head.architecture} in {precision}, exported by bertworks"
    name = FILES[form][precision]
    if form == "openvino" and sentences:
        name = f"{OPENVINO_FOLDER}/{name}"
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if form == "onnx":
        graph.write(path, about)
        return name
    # Through a file, because a graph in memory ends at 2 GiB. `Core.read_model` does what `convert_model` does, which
    # also sends usage statistics to a server.
    openvino = library("openvino")
    files = graph.write(path.with_suffix(".onnx"), about)
    model = openvino_core().read_model(str(files[0]))
    openvino.save_model(model, str(path), compress_to_fp16=False)
    del model
    for file in files:
        file.unlink()
    return name


def _check_errors(name: str, precision: Precision, errors: Mapping[str, OutputError]) -> None:
    """Refuse a file that computes something else."""
    limit = LIMIT if precision == "fp32" else np.inf
    for output, error in errors.items():
        if not error.relative < limit:
            raise InputError(
                f"{name}: {output} differs from ours by {error.largest:.2g}, which rounding does not explain; try the "
                "other --format, or another version of the program that computes it"
            )


def _check_metrics(name: str, ours: Mapping[str, float], theirs: Mapping[str, float], allowed: float) -> None:
    """Refuse a file whose metric falls too far."""
    for metric, value in ours.items():
        if not value - theirs[metric] <= allowed:
            raise InputError(
                f"--max_metric_drop={allowed:g}: {metric} is {value:.4f} in torch and {theirs[metric]:.4f} in {name}; "
                "allow more, or export in float32 only; nothing was written"
            )
