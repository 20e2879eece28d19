"""Load a model to serve, computed by torch, or by ONNX Runtime or OpenVINO from a folder that `bert export` wrote."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks.checkpoints.weights import DenseLayer, SentenceRules, Weight
from bertworks.cores import usable_cores
from bertworks.errors import InputError
from bertworks.export.opened import open_export
from bertworks.export.runtime import Precision, files_of
from bertworks.model.device import precision_name
from bertworks.pretrained import Pretrained, load
from bertworks.serve.models import ServedModel
from bertworks.text.tokenizer import Tokenizer

Runtime = Literal["torch", "onnx", "openvino"]

# Digits of a version.
_VERSION = 12


def check_runtime(runtime: Runtime, device: str, precision: str) -> None:
    """Refuse flags that an exported model does not have.

    Raises:
        InputError: it computes on another device, or in another precision.
    """
    if runtime == "torch":
        return
    if device not in ("auto", "cpu"):
        raise InputError(f"--device={device}: --runtime={runtime} computes on the CPU; leave --device out")
    if precision not in ("auto", "fp32", "int8"):
        raise InputError(f"--precision={precision}: --runtime={runtime} has fp32 and int8, as they were exported")


def load_model(device: str, precision: str, runtime: Runtime, name: str, source: str) -> ServedModel:
    """Load a model.

    Raises:
        InputError: it cannot be opened, or has weights that are no numbers.
    """
    digest = hashlib.sha256()
    computes_in: str
    if runtime == "torch":
        pretrained = _in_own_thread(lambda: load(source, device=device, precision=precision))
        for tensor_name, tensor in pretrained.model.state_dict().items():
            digest.update(tensor_name.encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        if pretrained.dtype != torch.float32:
            digest.update(str(pretrained.dtype).encode())
        computes_in = precision_name(pretrained.dtype)
    else:
        exported: Precision = "int8" if precision == "int8" else "fp32"
        computes_in = exported
        pretrained = open_export(source, runtime, exported, usable_cores())
        for file in files_of(Path(source), runtime, exported):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    pretrained.tokenizer.encode("a")  # what it prepares is shared by the tokenizers of all threads
    digest.update(repr(pretrained.config).encode())
    digest.update(pretrained.tokenizer.sha256.encode())
    digest.update(_rules_of(pretrained.tokenizer).encode())
    pretrained = _with_held_rules(pretrained, digest)
    version = digest.hexdigest()[:_VERSION]
    loaded_at, by_another = int(time.time()), runtime != "torch"
    model = ServedModel(name, source, pretrained, version, loaded_at, computes_in, exported=by_another)
    if not model.abilities:
        raise InputError(f"{source}: can do nothing that --runtime={runtime} computes")
    return model


def _in_own_thread(function: Callable[[], Pretrained]) -> Pretrained:
    """Call a function in a thread that ends after it.

    GNU OpenMP gives every thread that computes a team of its own, for as long as it lives. When the teams have more
    threads than there are processors, they all wait passively, and short computations take half as long again.
    """
    future: Future[Pretrained] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="bert-load", daemon=True)
    thread.start()
    found = future.result()
    thread.join()
    return found


def _rules_of(tokenizer: Tokenizer) -> str:
    """Return all that says how text becomes pieces, beside the vocabulary."""
    rules = (
        *(tokenizer.do_lower_case, tokenizer.strip_accents, tokenizer.split_special_tokens),
        *(tokenizer.max_input_chars_per_word, tokenizer.split_ideographs, tokenizer.added),
    )
    return repr(rules)


def _with_held_rules(pretrained: Pretrained, digest: hashlib._Hash) -> Pretrained:
    """Return a model whose layers after the pooling are in memory; hash them."""
    rules = pretrained.checkpoint.sentences
    if not rules:
        return pretrained
    held = _held(rules)
    steps = [step and (step.activation, step.weight.shape, step.bias is not None) for step in held.steps]
    digest.update(repr((held.poolings, steps, held.max_seq_length, held.prompt, held.do_lower_case)).encode())
    for step in held.steps:
        if step is not None:
            for weight in filter(None, (step.weight, step.bias)):
                digest.update(weight.read().data)
    return replace(pretrained, checkpoint=replace(pretrained.checkpoint, sentences=held))


def _held(rules: SentenceRules) -> SentenceRules:
    """Read the layers after the pooling, so that answers need no file."""

    def hold(weight: Weight) -> Weight:
        values = weight.read()

        def read_into(out: NDArray[np.float32]) -> None:
            out[...] = values

        return replace(weight, read_into=read_into)

    def step_held(step: DenseLayer | None) -> DenseLayer | None:
        if step is None:
            return None
        return replace(step, weight=hold(step.weight), bias=hold(step.bias) if step.bias else None)

    return replace(rules, steps=tuple(map(step_held, rules.steps)))
