"""From any path to weights inside a model, with a report of what happened to each.

What would train garbage is an error: a vocabulary, a width or a number of layers that differ. Everything else that does
not go one to one is in the report; nothing is ignored silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from bertworks.checkpoints import names, shapes
from bertworks.checkpoints.finding import find_storage
from bertworks.checkpoints.folders import TENSORFLOW_FILE, open_file, open_folder, snapshot_of
from bertworks.checkpoints.formats.tensorflow import open_tensorflow
from bertworks.checkpoints.weights import Checkpoint, Weight, padding
from bertworks.config import BertConfig
from bertworks.datasets import models as zoo
from bertworks.errors import InputError

# Heads of a fine-tuning, whose size belongs to the task: another task's is left fresh instead of refused.
_TASK_HEADS = ("classifier.", "qa_outputs.", "crf.")

# What a fine-tuned model does not need of a pre-trained one.
_USUALLY_LEFT = ("cls.", "bert.pooler.")

_ACTIVATIONS = {"gelu_new": "tanh form of GELU (gelu_new)", "gelu": "erf form of GELU (gelu)"}
_CASINGS = {True: "lower-cased (uncased model)", False: "as it is (cased model)", None: "unknown"}


@dataclass(frozen=True)
class LoadReport:
    """What happened to every tensor; `str(report)` is a table for people.

    Attributes:
        source: what was opened.
        loaded: names of the model's tensors that got a stored value.
        missing: those that the checkpoint does not have; they keep their fresh initial values.
        misfits: those that it has in another shape, with both shapes; they keep their fresh values too.
        left_over: stored names that the model does not have.
        shape: layers, sizes and parameters of the model, in words.
        hidden_act: the activation that the model computes, in Hugging Face's words; None if unknown.
        do_lower_case: whether its vocabulary wants lower-cased text; None if unknown.
        notes: anything else, one line each.
        odd: whether more is missing than the head of a fine-tuning, or more left over than the heads of pre-training.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    misfits: dict[str, str] = field(default_factory=dict)
    left_over: tuple[str, ...] = ()
    shape: str = ""
    hidden_act: str | None = None
    do_lower_case: bool | None = None
    notes: tuple[str, ...] = ()
    odd: bool = False

    def shown(self, *, verbose: bool) -> str:
        """Return the table if something is odd or a person asks for it; else a line, and the notes on guesses."""
        if verbose or self.odd or self.misfits:
            return str(self)
        activation = _ACTIVATIONS.get(self.hidden_act or "unknown", self.hidden_act or "unknown")
        parts = [f"Weights from {self.source}: {self.shape}", activation, f"text {_CASINGS[self.do_lower_case]}"]
        if heads := dict.fromkeys(name.partition(".")[0] for name in self.missing):
            parts.append(f"drawn at random: {', '.join(heads)}")
        return "\n  ".join(["; ".join(parts), *(note for note in self.notes if "set aside" not in note)])

    def __str__(self) -> str:
        """The table."""
        rows = [
            ("model", [self.shape] if self.shape else []),
            ("loaded", [f"{len(self.loaded)} tensors"]),
            ("missing", names.grouped(self.missing, "freshly initialised")),
            ("does not fit", [f"{name}: {why}; freshly initialised" for name, why in self.misfits.items()]),
            ("left over", names.grouped(self.left_over, "not used")),
            ("activation", [_ACTIVATIONS.get(self.hidden_act or "unknown", self.hidden_act or "unknown")]),
            ("text", [_CASINGS[self.do_lower_case]]),
            ("notes", list(self.notes)),
        ]
        return titled_lines(f"Weights from {self.source}", rows, 14)


def titled_lines(heading: str, rows: Iterable[tuple[str, list[str]]], width: int) -> str:
    """Return a heading, and below it lines under titles, which have a column of `width` characters."""
    lines = [heading]
    for title, entries in rows:
        lines += [f"  {title if i == 0 else '':<{width}}{entry}" for i, entry in enumerate(entries or ["none"])]
    return "\n".join(lines)


def open_checkpoint(path: Path | str, flag: str = "--model") -> Checkpoint:
    """Open a BERT of any format, without reading its weights yet.

    Args:
        path: a TensorFlow checkpoint's prefix, one of its files or its folder; a model folder; a `.safetensors`,
            `.bin`, `.params` (GluonNLP) or `.ckpt` (MindSpore) file; a zip with one of these, or a way inside it; a
            name that the zoo knows; or an address of one of these, such as gs://BUCKET/FOLDER, which is copied here.
        flag: where the path came from, for the message when nothing is there.

    Raises:
        InputError: nothing there, nothing that we read, or damaged.
    """
    local = str(path)
    if "://" in local:
        from bertworks.remote.at_hand import local_inputs  # noqa: PLC0415  (few models are elsewhere)

        local = local_inputs(local, flag, is_model=True)
    storage, name = find_storage(snapshot_of(zoo.locate(local, flag)))
    if name is None:
        return open_folder(storage, flag)
    if name in storage.files() and not TENSORFLOW_FILE.search(name):
        return open_file(storage, name)
    if not any(file == name or file.startswith(f"{name}.") for file in storage.files()):
        raise InputError(f"{flag}={path}: no checkpoint is there")
    return open_tensorflow(storage, name)


def check_fits(checkpoint: Checkpoint, config: BertConfig) -> None:
    """Refuse a configuration that is not the checkpoint's, before a model of its size is built.

    It may have fewer layers: the upper ones are then left over. Heads are not looked at.

    Raises:
        InputError: names what differs and the flag to change.
    """
    weights = {}
    for name, weight in checkpoint.weights.items():
        if not name.startswith("bert.") or (names.layer_of(name) or 0) >= config.num_hidden_layers:
            continue
        padded = weight.shape and shapes.is_by_word(name) and padding(weight.shape[0], config.vocab_size)
        weights[name] = replace(weight, shape=(config.vocab_size, *weight.shape[1:])) if padded else weight
    if not weights:
        raise InputError(f"{checkpoint.path}: no weights of a BERT; it has {names.some(checkpoint.weights)}")
    _check_count(checkpoint, config.num_hidden_layers)
    shapes.missing(checkpoint.path, weights, config, "BertModel")
    shapes.check(checkpoint.path, weights, config)


def _check_count(checkpoint: Checkpoint, wanted: int) -> None:
    if wanted > (stored := names.count_layers(checkpoint.weights)):
        raise InputError(
            f"{checkpoint.path}: has {stored} layers, the model {wanted} (num_hidden_layers); "
            "give the configuration that came with the checkpoint (--bert_config_file)"
        )


def load_into(model: nn.Module, checkpoint: Checkpoint, config: BertConfig | None = None) -> LoadReport:
    """Fill a model's parameters from a checkpoint, once everything that must fit is known to.

    Args:
        model: its parameters bear our names and are initialised, for those that the checkpoint does not have.
        checkpoint: an opened checkpoint.
        config: the model's configuration, compared with what is known of the checkpoint's.

    Raises:
        InputError: the checkpoint is no BERT or is one of another size; or, with the model filled in part, damaged.
    """
    parameters = dict(model.named_parameters())
    found = {name: weight for name, weight in checkpoint.weights.items() if name in parameters}
    if not any(name.startswith("bert.") for name in found):
        raise InputError(f"{checkpoint.path}: no weights of a BERT; it has {names.some(checkpoint.weights)}")
    _check_layers(checkpoint, parameters)
    notes = list(checkpoint.notes) + (_differences(checkpoint, config) if config else [])
    misfits = {}
    for name, weight in found.items():
        wanted = tuple(parameters[name].shape)
        if weight.shape == wanted:
            continue
        if _is_padded(name, weight.shape, wanted):
            notes.append(f"{weight.stored_as} is padded: {weight.shape[0]:,} rows, of which {wanted[0]:,} are used")
        elif name.startswith(_TASK_HEADS):
            misfits[name] = f"{list(weight.shape)} in the checkpoint, {list(wanted)} in the model"
        else:
            raise InputError(_misfit(checkpoint, name, weight, wanted))
    missing = tuple(name for name in parameters if name not in found)
    tied = {name for name in names.TIED if name in checkpoint.weights and name not in parameters}
    for name in tied:
        # Without its head, an output embedding of its own does no harm.
        if "cls.predictions.bias" in parameters or is_copy(checkpoint, name):
            check_copy(checkpoint, name)
        else:
            notes.append(f"left out: {checkpoint.weights[name].stored_as}, an output embedding that is no copy")
    # In the order of the file: in a zip, going back is slow.
    loaded = tuple(name for name in found if name not in misfits)
    for name in loaded:
        _fill(parameters[name], found[name])
        if not _is_finite(parameters[name]):
            raise InputError(
                f"{checkpoint.path}: {found[name].stored_as} has values that are no numbers (NaN or infinite); the "
                "training that wrote it failed: take an earlier checkpoint"
            )
    if checkpoint.storage:
        checkpoint.storage.finish()
    return LoadReport(
        source=f"{checkpoint.path} ({checkpoint.format})",
        loaded=loaded,
        missing=missing,
        misfits=misfits,
        left_over=tuple(
            weight.stored_as for name, weight in checkpoint.weights.items() if name not in found and name not in tied
        ),
        shape=_shape(model, config or checkpoint.config),
        hidden_act=config.hidden_act if config else checkpoint.hidden_act,
        do_lower_case=checkpoint.do_lower_case,
        notes=tuple(notes),
        odd=not all(name.startswith(_TASK_HEADS) for name in missing)
        or not all(name in found or name in tied or name.startswith(_USUALLY_LEFT) for name in checkpoint.weights),
    )


def _shape(model: nn.Module, config: BertConfig | None) -> str:
    parameters = f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters"
    if config is None:
        return parameters
    return (
        f"{config.num_hidden_layers} layers, hidden size {config.hidden_size:,}, {config.num_attention_heads} heads, "
        f"{config.vocab_size:,} words, {config.max_position_embeddings} positions; {parameters}"
    )


@torch.no_grad()
def _fill(parameter: Tensor, weight: Weight) -> None:
    """Read a weight, straight into the parameter's memory where that can be."""
    if parameter.device.type == "cpu" and parameter.dtype == torch.float32 and parameter.shape == weight.shape:
        weight.read_into(parameter.detach().numpy())
        increment_version(parameter)  # what was computed from the weights before is out of date
    else:
        parameter.copy_(torch.from_numpy(weight.read())[: len(parameter)])


def _is_finite(values: Tensor) -> bool:
    """Tell whether all values are numbers; their sum tells it at a fifth of the time, unless it is too large itself."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def check_copy(checkpoint: Checkpoint, name: str) -> None:
    """A stored second copy of a weight must be a copy: BERT's output embedding is its input embedding."""
    if not is_copy(checkpoint, name):
        raise InputError(
            f"{checkpoint.path}: {checkpoint.weights[name].stored_as} is not equal to {names.TIED[name]}; "
            "a model with an output embedding of its own is not a BERT as the original made it; its features can be "
            "computed, and it can be fine-tuned"
        )


def is_copy(checkpoint: Checkpoint, name: str) -> bool:
    """Tell whether the second copy `name` of a weight equals the first."""
    copy, original = checkpoint.weights[name], checkpoint.weights.get(names.TIED[name])
    return original is not None and copy.shape == original.shape and np.array_equal(copy.read(), original.read())


def _check_layers(checkpoint: Checkpoint, parameters: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint with fewer layers than the model, or with a tensor of a layer missing."""
    _check_count(checkpoint, names.count_layers(parameters))
    for name in parameters:
        if name.startswith(("bert.embeddings.", "bert.encoder.")) and name not in checkpoint.weights:
            raise InputError(f"{checkpoint.path}: has no {name}, only {names.some(checkpoint.weights)}")


def _differences(checkpoint: Checkpoint, config: BertConfig) -> list[str]:
    """Return what shapes do not show: heads that differ are an error, another activation or epsilon is worth a note."""
    notes = []
    if checkpoint.hidden_act is not None and checkpoint.hidden_act != config.hidden_act:
        notes.append(f"trained with hidden_act {checkpoint.hidden_act}, the model computes {config.hidden_act}")
    theirs = checkpoint.config
    if theirs and theirs.num_attention_heads != config.num_attention_heads:
        raise InputError(
            f"{checkpoint.path}: trained with {theirs.num_attention_heads} attention heads, the model has "
            f"{config.num_attention_heads}; set num_attention_heads in --bert_config_file"
        )
    if theirs and theirs.layer_norm_eps != config.layer_norm_eps:
        notes.append(f"trained with layer_norm_eps {theirs.layer_norm_eps}, the model has {config.layer_norm_eps}")
    return notes


def _is_padded(name: str, stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    fits = len(stored) == len(wanted) and stored[1:] == wanted[1:]
    return fits and shapes.is_by_word(name) and padding(stored[0], wanted[0])


def _misfit(checkpoint: Checkpoint, name: str, weight: Weight, wanted: tuple[int, ...]) -> str:
    """Return what differs, in the words of the configuration, and what to change."""
    for axis, theirs, ours in zip(shapes.axes_of(name) or (), weight.shape, wanted, strict=False):
        if theirs != ours and isinstance(axis, str):
            flags = "--vocab_file and --bert_config_file" if axis == "vocab_size" else "--bert_config_file"
            return (
                f"{checkpoint.path}: {axis} is {theirs:,} in the checkpoint ({weight.stored_as}) and {ours:,} in the "
                f"model; give what came with the checkpoint ({flags})"
            )
    return (
        f"{checkpoint.path}: {weight.stored_as} has the shape {list(weight.shape)}, the model {list(wanted)}; "
        "give the configuration that came with the checkpoint (--bert_config_file)"
    )
