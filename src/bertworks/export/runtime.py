"""Run an exported model: padded int64 arrays in, float32 arrays out.

    from bertworks.export import session
    model = session("folder", "onnx")
    ids = np.array([[101, 7592, 102]])
    model.run({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)})
    # {"logits": [[...]]}

A session computes on the CPU and may be called from several threads at once. It computes in float32 what was exported
in float32; OpenVINO by itself would compute in bfloat16 where the processor can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError, one_line
from bertworks.export.libraries import library, openvino_core

Runtime = Literal["onnx", "openvino"]
Precision = Literal["fp32", "int8"]

# Where the files of a folder lie, as Hugging Face's programs look for them; OpenVINO's in the folder of that name, too.
FILES: dict[Runtime, dict[Precision, str]] = {
    "onnx": {"fp32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"},
    "openvino": {"fp32": "openvino_model.xml", "int8": "openvino_model_qint8_quantized.xml"},
}
OPENVINO_FOLDER = "openvino"

# The names of all outputs; OpenVINO may give the tensor of an output other names, too.
OUTPUTS = (
    *("last_hidden_state", "pooler_output", "sentence_embedding", "logits", "seq_relationship_logits"),
    *("start_logits", "end_logits"),
)

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Session:
    """An exported model, ready to compute.

    Attributes:
        file: what was opened.
        version: the name and version of the program that computes.
        outputs: the names of all outputs, with how many numbers each has for a row; 0 where the file does not say.
        run: computes. It takes `input_ids`, `attention_mask` (1 for a token, 0 for padding) and `token_type_ids`, int64
            of one shape: [sequences, tokens], or [examples, choices, tokens] for a model that chooses. It gives every
            output by name. Rows of padding hold numbers without a meaning.
    """

    file: Path
    version: str
    outputs: Mapping[str, int]
    run: Callable[[Mapping[str, NDArray[np.int64]]], Outputs]


def session(folder: Path | str, runtime: Runtime, precision: Precision = "fp32", threads: int = 0) -> Session:
    """Open the model in a folder that `bert export` wrote.

    Args:
        precision: which of the folder's files to open.
        threads: how many to compute with; 0 is all processors.

    Raises:
        InputError: the folder has no such file, the file is damaged, or the library is not installed.
    """
    if runtime not in FILES:
        raise InputError(f"--runtime={runtime}: give one of {', '.join(FILES)}")
    file = _file(Path(folder), runtime, precision)
    try:
        return _open_onnx(file, threads) if runtime == "onnx" else _open_openvino(file, threads)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: {runtime} cannot read it ({one_line(error):.200})") from None


def files_of(folder: Path, runtime: Runtime, precision: Precision) -> list[Path]:
    """Return the file of a model in a folder, and that of its weights where they are apart.

    Raises:
        InputError: the folder has no such file.
    """
    return with_weights(_file(folder, runtime, precision))


def with_weights(graph: Path) -> list[Path]:
    """Return the file of a graph, and the second file that some have for their weights."""
    second = (graph.with_suffix(".bin"), graph.with_name(f"{graph.name}_data"))
    return [graph, *(path for path in second if path.is_file())]


def _file(folder: Path, runtime: Runtime, precision: Precision) -> Path:
    """Return the file of a folder."""
    name = FILES[runtime][precision]
    for file in (folder / name, folder / OPENVINO_FOLDER / name):
        if file.is_file():
            return file
    wanted = "" if precision == "fp32" else f" --precision={precision}"
    raise InputError(f"{folder}: holds no {name}; write it with bert export MODEL FOLDER --format={runtime}{wanted}")


def _open_onnx(file: Path, threads: int) -> Session:
    onnxruntime = library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    try:
        opened = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes, which derive from Exception alone
        raise InputError(f"{file}: ONNX Runtime cannot read it ({one_line(error):.200})") from None
    outputs = {port.name: _width(port.shape) for port in opened.get_outputs()}

    def run(inputs: Mapping[str, NDArray[np.int64]]) -> Outputs:
        return dict(zip(outputs, opened.run(list(outputs), dict(inputs)), strict=True))

    return Session(file, f"onnxruntime {onnxruntime.__version__}", outputs, run)


def _open_openvino(file: Path, threads: int) -> Session:
    openvino = library("openvino")
    settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino_core().compile_model(str(file), "CPU", settings)
    outputs = {
        name: _width([None if size.is_dynamic else size.get_length() for size in port.partial_shape])
        for port in compiled.outputs
        for name in OUTPUTS
        if name in port.names
    }

    def run(inputs: Mapping[str, NDArray[np.int64]]) -> Outputs:
        # A request of its own for each call, so that calls from several threads do not meet.
        found = compiled.create_infer_request().infer(dict(inputs))
        return {name: np.array(found[name]) for name in outputs}

    return Session(file, f"openvino {openvino.__version__.partition('-')[0]}", outputs, run)


def _width(shape: Sequence[object]) -> int:
    """Return the last size of an output's shape; 0 where it depends on the inputs."""
    last = shape[-1] if shape else None
    return last if isinstance(last, int) else 0
