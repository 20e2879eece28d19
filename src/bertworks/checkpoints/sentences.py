"""Folders of sentence-transformers: which module holds the BERT, and what is done with its output.

`modules.json` lists a Transformer, a Pooling and what follows it, each with a folder of its own; in older folders the
Transformer has one, too (`0_Transformer`). Lengths and prompts lie beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bertworks.checkpoints.formats import safetensors
from bertworks.checkpoints.formats.huggingface import read_tensors, weights_of
from bertworks.checkpoints.model_files import read_json, read_json_list
from bertworks.checkpoints.storage import Storage
from bertworks.checkpoints.weights import DenseLayer, SentenceRules
from bertworks.errors import InputError
from bertworks.files import write_text, written_whole

_MODULES = "modules.json"
# The flags of old configurations, with what they mean.
_POOLINGS = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}

# What `config_sentence_transformers.json` says of texts and vectors; the rest of it are versions of libraries.
_KEPT = ("prompts", "default_prompt_name", "similarity_fn_name")
_ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid")


@dataclass(frozen=True)
class _Module:
    """One of the list: the last part of its class's name, and the folder of its files."""

    kind: str
    storage: Storage


def transformer_of(storage: Storage) -> Storage:
    """Return the folder with the BERT of a folder of sentence-transformers; any other folder itself."""
    modules = _modules(storage)
    return modules[0].storage if modules else storage


def sentence_rules(storage: Storage, longest: int | None) -> SentenceRules | None:
    """Return how a folder of sentence-transformers makes a vector of a text; None for any other folder.

    Args:
        storage: the folder.
        longest: the most tokens that its tokenizer gives.

    Raises:
        InputError: a file in it is damaged.
    """
    modules = _modules(storage)
    if not modules:
        return None
    config = _json_of(modules[0].storage, lambda name: name.startswith("sentence_") and name.endswith("_config.json"))
    prompts = _json_of(storage, lambda name: name == "config_sentence_transformers.json")
    poolings: tuple[str, ...] = ()
    steps: list[DenseLayer | None] = []
    refusals = []
    for module in modules[1:]:
        values = _json_of(module.storage, lambda name: name == "config.json")
        if module.kind == "Pooling" and not poolings:
            poolings = _poolings(values)
            refusals += [f"pooling {name}" for name in poolings if name not in _POOLINGS.values()]
            if values.get("include_prompt", True) is not True:
                refusals.append("pooling without the prompt (include_prompt false)")
        elif module.kind == "Normalize":
            steps.append(None)
        elif module.kind == "Dense" and (layer := _dense(module.storage, values)):
            steps.append(layer)
        else:
            refusals.append(f"a module {module.kind}")
    if not poolings:
        refusals.append("no pooling")
    length = config.get("max_seq_length")
    name = prompts.get("default_prompt_name")
    prompt = (prompts.get("prompts") or {}).get(name, "") if name else ""
    return SentenceRules(
        poolings=poolings,
        steps=tuple(steps),
        max_seq_length=length if type(length) is int and length > 0 else longest,
        prompt=prompt if isinstance(prompt, str) else "",
        do_lower_case=config.get("do_lower_case") is True,
        refusal=" and ".join(refusals) or None,
        settings={key: prompts[key] for key in _KEPT if key in prompts},
    )


def save_sentence_rules(folder: Path, rules: SentenceRules, hidden_size: int) -> None:
    """Write beside a model how vectors are made of texts, so that sentence-transformers of any version does the same.

    Raises:
        InputError: a dense layer cannot be read.
    """
    modules = ["Transformer", "Pooling", *("Dense" if step else "Normalize" for step in rules.steps)]
    listed = []
    for number, kind in enumerate(modules):
        path = f"{number}_{kind}" if number else ""
        listed.append(
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        )
        (folder / path).mkdir(exist_ok=True)
    flags = {f"pooling_mode_{flag}": name in rules.poolings for flag, name in _POOLINGS.items()}
    _write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": hidden_size, **flags})
    for entry, step in zip(listed[2:], rules.steps, strict=True):
        if step:
            _save_dense(folder / str(entry["path"]), step)
        else:
            _write_json(folder / str(entry["path"]) / "config.json", {})
    said = {"max_seq_length": rules.max_seq_length, "do_lower_case": rules.do_lower_case}
    _write_json(folder / "sentence_bert_config.json", said)
    _write_json(folder / "config_sentence_transformers.json", dict(rules.settings))
    _write_json(folder / _MODULES, listed)


def _save_dense(folder: Path, layer: DenseLayer) -> None:
    module = "linear" if layer.activation == "Identity" else "activation"
    outputs, inputs = layer.weight.shape
    settings = {"in_features": inputs, "out_features": outputs, "bias": layer.bias is not None}
    activation = {"activation_function": f"torch.nn.modules.{module}.{layer.activation}"}
    _write_json(folder / "config.json", {**settings, **activation})
    tensors = {"linear.weight": layer.weight, **({"linear.bias": layer.bias} if layer.bias else {})}
    with written_whole(folder / "model.safetensors") as stream:
        safetensors.write(stream, tensors, {"format": "pt"})


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def _modules(storage: Storage) -> list[_Module]:
    """Return the modules in their order; empty where there is no list."""
    if _MODULES not in storage.files():
        return []
    found = []
    for entry in read_json_list(storage, _MODULES):
        kind, folder = (entry.get("type"), entry.get("path")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(folder, str):
            raise InputError(f"{storage.path / _MODULES}: not a list of modules with type and path")
        way = PurePosixPath(folder)
        if way.is_absolute() or ".." in way.parts:
            raise InputError(f"{storage.path / _MODULES}: names {folder!r}, which is not a folder in this one")
        found.append(_Module(kind.rpartition(".")[2], storage.folder(str(way)) if way.parts else storage))
    if found and found[0].kind != "Transformer":
        raise InputError(f"{storage.path / _MODULES}: begins with a {found[0].kind}, which is not a BERT")
    return found


def _poolings(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ways of pooling whose results are joined, in order."""
    if "pooling_mode" in values:
        mode = values["pooling_mode"]
        return tuple(map(str, mode)) if isinstance(mode, list) else (str(mode),)
    found = tuple(name for flag, name in _POOLINGS.items() if values.get(f"pooling_mode_{flag}") is True)
    return found or ("mean",)


def _dense(storage: Storage, values: Mapping[str, Any]) -> DenseLayer | None:
    """Return a dense layer behind the pooling; None for one that we cannot compute."""
    activation = str(values.get("activation_function", "Tanh")).rpartition(".")[2]
    file = weights_of(storage)
    if (
        activation not in _ACTIVATIONS
        or file is None
        or values.get("module_input_name", "sentence_embedding") != ("sentence_embedding")
    ):
        return None
    tensors = read_tensors(storage, file, [])
    weight, bias = tensors.get("linear.weight"), tensors.get("linear.bias")
    if weight is None or len(weight.shape) != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise InputError(f"{storage.path / file}: not a dense layer (linear.weight and linear.bias)")
    return DenseLayer(weight, bias, activation)


def _json_of(storage: Storage, is_it: Any) -> dict[str, Any]:
    """Return the first JSON file whose name fits; empty without one."""
    name = next((name for name in storage.files() if is_it(name)), None)
    return read_json(storage, name) if name else {}
