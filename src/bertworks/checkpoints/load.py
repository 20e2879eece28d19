"""From any path to weights inside a model, with a report of what happened to each.

What would train garbage is an error: a vocabulary, a width or a number of layers that differ. Everything else that does
not go one to one is in the report; nothing is ignored silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bertworks.checkpoints import names
from bertworks.checkpoints.huggingface import open_model_folder, open_weights_file, weights_of
from bertworks.checkpoints.tensorflow import open_tensorflow
from bertworks.checkpoints.weights import Checkpoint, Weight, padding
from bertworks.config import BertConfig
from bertworks.errors import InputError

# The axes of a tensor in the words of the configuration, for those that a person can set.
_AXES = {
    "bert.embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
    "bert.embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
    "bert.embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
    "cls.predictions.bias": ("vocab_size",),
    "intermediate.dense.weight": ("intermediate_size", "hidden_size"),
}

# Heads of a fine-tuning, whose size belongs to the task: another task's is left fresh instead of refused.
_TASK_HEADS = ("classifier.", "qa_outputs.")

_ACTIVATIONS = {"gelu_new": "tanh form of GELU (gelu_new)", "gelu": "erf form of GELU (gelu)"}


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor; `str(report)` is a table for people.

    Attributes:
        source: what was opened.
        loaded: names of the model's tensors that got a stored value.
        missing: those that the checkpoint does not have; they keep their fresh initial values.
        misfits: those that it has in another shape, with both shapes; they keep their fresh values too.
        left_over: stored names that the model has no place for.
        hidden_act: the activation that the weights were trained with, in Hugging Face's words; None if unknown.
        notes: what else a person should know, one line each.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    misfits: dict[str, str] = field(default_factory=dict)
    left_over: tuple[str, ...] = ()
    hidden_act: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The table."""
        rows = [
            ("loaded", [f"{len(self.loaded)} tensors"]),
            ("missing", _grouped(self.missing, "freshly initialised")),
            ("does not fit", [f"{name}: {why}; freshly initialised" for name, why in self.misfits.items()]),
            ("left over", _grouped(self.left_over, "not used")),
            ("activation", [_ACTIVATIONS.get(self.hidden_act or "unknown", self.hidden_act or "unknown")]),
            ("notes", list(self.notes)),
        ]
        lines = [f"Weights from {self.source}"]
        for title, entries in rows:
            for i, entry in enumerate(entries or ["none"]):
                lines.append(f"  {title if i == 0 else '':<14}{entry}")
        return "\n".join(lines)


def open_checkpoint(path: Path | str, flag: str = "--init_checkpoint") -> Checkpoint:
    """Open a BERT of any format, without reading its weights yet.

    Args:
        path: a TensorFlow checkpoint's prefix, one of its files or its folder; a model folder; a `.safetensors` or
            `.bin` file.
        flag: where the path came from, for the message when nothing is there.

    Raises:
        InputError: nothing there, nothing that we read, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        if weights_of(path):
            return open_model_folder(path)
        if not (path / "checkpoint").is_file() and not any(path.glob("*.index")):
            raise InputError(f"{flag}={path}: holds neither a TensorFlow checkpoint nor a model's weights")
        return open_tensorflow(path)
    if path.suffix in (".safetensors", ".bin", ".pt", ".pth") and path.is_file():
        return open_weights_file(path)
    if not path.exists() and not Path(f"{path}.index").exists():
        raise InputError(f"{flag}={path}: no checkpoint is there")
    return open_tensorflow(path)


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
        raise InputError(f"{checkpoint.path}: no weights of a BERT; it has {_some(checkpoint.weights)}")
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
    tied = {name for name in names.TIED if name in checkpoint.weights and name not in parameters}
    for name in tied:
        _check_tied(checkpoint, name)
    loaded = tuple(name for name in parameters if name in found and name not in misfits)
    with torch.no_grad():
        for name in loaded:
            stored = torch.from_numpy(found[name].read())
            parameters[name].copy_(stored[: len(parameters[name])])
    return LoadReport(
        source=f"{checkpoint.path} ({checkpoint.format})",
        loaded=loaded,
        missing=tuple(name for name in parameters if name not in found),
        misfits=misfits,
        left_over=tuple(
            weight.stored_as for name, weight in checkpoint.weights.items() if name not in found and name not in tied
        ),
        hidden_act=checkpoint.hidden_act,
        notes=tuple(notes),
    )


def _check_layers(checkpoint: Checkpoint, parameters: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint with fewer layers than the model, or with holes in one."""
    wanted = _layers(parameters)
    stored = _layers(checkpoint.weights)
    if wanted > stored:
        raise InputError(
            f"{checkpoint.path}: has {stored} layers, the model {wanted} (num_hidden_layers); "
            "give the configuration that came with the checkpoint (--bert_config_file)"
        )
    for name in parameters:
        if name.startswith(("bert.embeddings.", "bert.encoder.")) and name not in checkpoint.weights:
            raise InputError(f"{checkpoint.path}: has no {name}, only {_some(checkpoint.weights)}")


def _layers(tensors: Iterable[str]) -> int:
    return max((layer + 1 for name in tensors if (layer := names.layer_of(name)) is not None), default=0)


def _differences(checkpoint: Checkpoint, config: BertConfig) -> list[str]:
    """What shapes do not show: heads that differ are an error, another activation or epsilon is worth a note."""
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
    by_word = name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias", *names.TIED)
    return by_word and stored[1:] == wanted[1:] and len(stored) == len(wanted) and padding(stored[0], wanted[0])


def _misfit(checkpoint: Checkpoint, name: str, weight: Weight, wanted: tuple[int, ...]) -> str:
    """What differs, in the words of the configuration, and what to change."""
    axes: tuple[str, ...] = next((axes for end, axes in _AXES.items() if name.endswith(end)), ())
    for axis, theirs, ours in zip(axes, weight.shape, wanted, strict=False):
        if theirs != ours:
            flags = "--vocab_file and --bert_config_file" if axis == "vocab_size" else "--bert_config_file"
            return (
                f"{checkpoint.path}: {axis} is {theirs:,} in the checkpoint ({weight.stored_as}) and {ours:,} in the "
                f"model; give what came with the checkpoint ({flags})"
            )
    return (
        f"{checkpoint.path}: {weight.stored_as} has the shape {list(weight.shape)}, the model {list(wanted)}; "
        "give the configuration that came with the checkpoint (--bert_config_file)"
    )


def _check_tied(checkpoint: Checkpoint, name: str) -> None:
    """A stored second copy of a weight must be a copy: BERT's output embedding is its input embedding."""
    copy, original = checkpoint.weights[name], checkpoint.weights.get(names.TIED[name])
    if original is None or copy.shape != original.shape or not np.array_equal(copy.read(), original.read()):
        raise InputError(
            f"{checkpoint.path}: {copy.stored_as} is not equal to {names.TIED[name]}; "
            "a model with an output embedding of its own is not a BERT as the original made it"
        )


def _some(tensors: Iterable[str]) -> str:
    """The first few names, for a message."""
    listed = sorted(tensors)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "") if listed else "none"


def _grouped(tensors: Iterable[str], remark: str) -> list[str]:
    """Names with the same place in every layer on one line."""

    def lines() -> Iterator[str]:
        groups = Counter(names.any_layer(name) for name in tensors)
        for name, count in groups.items():
            yield f"{name}{f' ({count} layers)' if count > 1 else ''}; {remark}"

    return list(lines())
