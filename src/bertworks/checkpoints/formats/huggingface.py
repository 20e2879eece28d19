"""The model folder: `config.json` and `model.safetensors`, as Hugging Face lays it out; and `pytorch_model.bin`.

What is written has Hugging Face's names, so that `transformers` opens the folder as it is. What is read may be older:
LayerNorm's gamma and beta, names without `bert.`, weights in several files, buffers and tied copies.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.checkpoints import names
from bertworks.checkpoints.formats import safetensors
from bertworks.checkpoints.formats.torch_pickles import ASIDE, check_file, check_zip, is_set_aside, without_training
from bertworks.checkpoints.kinds import kind_of
from bertworks.checkpoints.model_files import read_json
from bertworks.checkpoints.storage import SMALL, Storage, in_memory
from bertworks.checkpoints.tokenizer_files import tokenizer_of_folder
from bertworks.checkpoints.weights import Checkpoint, StoredVocabulary, Weight, add, padding
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.files import write_text, written_whole

# In the order of preference, each alone or as the list of the files that hold the weights.
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

# What `config.json` may say and a BERT as the original made it does not.
_WANTED: dict[str, Any] = {
    "model_type": "bert", "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False,
    "pruned_heads": {},
}  # fmt: skip

# A decoder shares the word embeddings, and a wrapper may hold a model twice. Each tensor is read, and converted, alone.
_MOST_SHARED = 4

_TORCH_FLOATS = {torch.float32, torch.float16, torch.bfloat16, torch.float64}

# Keys of a read config.json that say how that file's weights were stored, which is not how ours are.
STORAGE_KEYS = {
    "architectures", "model_type", "dtype", "torch_dtype", "transformers_version", "_name_or_path",
    "tie_word_embeddings", "quantization_config",
}  # fmt: skip


def save_model_folder(
    folder: Path | str,
    config: BertConfig,
    state_dict: Mapping[str, Tensor],
    architecture: str = "BertForPreTraining",
) -> None:
    """Write `config.json` and `model.safetensors` (fp32) into `folder`, each whole or not at all, on the disk.

    Other files of the folder stay. Tied second names (`cls.predictions.decoder.*`) are not stored.

    Args:
        folder: made when it is not there.
        config: the model's configuration.
        state_dict: tensors by our names, on any device, of any floating-point type.
        architecture: Hugging Face's class for this head, as `config.json` names it.
    """
    save_weights(folder, config, safetensors.of_tensors(state_dict), architecture)


def save_weights(
    folder: Path | str, config: BertConfig, weights: Mapping[str, Weight], architecture: str, *, half: bool = False
) -> None:
    """The same from weights that may still be on the disk, holding one at a time.

    Args:
        half: store float16.

    Raises:
        InputError: a weight cannot be read, or does not fit into float16.
    """
    folder = Path(folder)
    kept = {name: weight for name, weight in weights.items() if name not in names.TIED}
    with written_whole(folder / "model.safetensors") as stream:
        safetensors.write(stream, kept, {"format": "pt"}, half=half)
    extra = {key: value for key, value in config.extra.items() if key not in STORAGE_KEYS}
    if half:
        extra["dtype"] = "float16"
    write_text(folder / "config.json", replace(config, extra=extra).to_json(architecture) + "\n")


def weights_of(storage: Storage) -> str | None:
    """Return the file with the weights of a model folder, or the one that lists their files; None without either."""
    files = set(storage.files())
    choices = (f"{name}{suffix}" for name in _WEIGHT_FILES for suffix in ("", ".index.json"))
    return next((file for file in choices if file in files), None)


def open_huggingface(storage: Storage, name: str | None = None) -> Checkpoint:
    """Return a model folder, or the file `name` in it (`.safetensors`, `.bin`, or an index of several).

    Raises:
        InputError: no weights, no BERT, damaged, or a pickle that holds code.
    """
    file = name or weights_of(storage)
    if file is None:
        raise InputError(f"{storage.path}: holds no weights ({' or '.join(_WEIGHT_FILES)})")
    path = storage.path / name if name else storage.path
    weights: dict[str, Weight] = {}
    notes: list[str] = []
    in_file = _in_several(storage, file, notes) if file.endswith(".json") else read_tensors(storage, file, notes)
    architecture, config = _config(storage)
    try:
        ours_of = names.from_torch(in_file)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    for stored_as, weight in in_file.items():
        ours = ours_of[stored_as]
        if names.is_buffer(ours):
            notes.append(f"set aside: {stored_as}, a constant")
            continue
        add(weights, ours, weight, path)
    notes += _without_effect(storage, config)
    words, text_rules = tokenizer_of_folder(storage)
    if config and words:
        config = _without_padding(config, words, notes)
    return Checkpoint(
        path=path,
        format="Hugging Face",
        weights=weights,
        config=config,
        hidden_act=config.hidden_act if config else None,
        vocabulary=words,
        do_lower_case=text_rules.do_lower_case,
        text_rules=text_rules,
        architecture=architecture,
        notes=(*notes, *text_rules.notes),
        storage=storage,
    )


def _without_effect(storage: Storage, config: BertConfig | None) -> list[str]:
    """Return what lies in the folder and changes nothing here."""
    found = []
    dropout = config.extra.get("classifier_dropout") if config else None
    if config and dropout not in (None, config.hidden_dropout_prob):
        found.append(f"classifier_dropout {dropout} has no effect; a head's dropout is hidden_dropout_prob")
    if config and config.extra.get("auto_map"):
        found.append("auto_map in config.json: the model's own code is not run; it is computed as a plain BERT")
    theirs = config.extra.get("sentence_transformers") if config else None
    activation = str(theirs.get("activation_fn", "Identity")) if isinstance(theirs, dict) else "Identity"
    if not activation.endswith("Identity"):
        found.append(f"sentence-transformers' CrossEncoder ends with {activation}; here an output is as it is")
    if "adapter_config.json" in storage.files():
        found.append("adapter_config.json: the adapter beside the weights is not applied to them")
    return found


def _without_padding(config: BertConfig, words: StoredVocabulary, notes: list[str]) -> BertConfig:
    count = len(words.read())
    if not padding(config.vocab_size, count):
        return config
    notes.append(f"the vocabulary is padded from {count:,} to {config.vocab_size:,} words; the padding is cut off")
    return replace(config, vocab_size=count)


def _config(storage: Storage) -> tuple[str | None, BertConfig | None]:
    """Return the class that a BERT was saved from, and its configuration; None where no file says it."""
    # Before 2019 the library called its own file as Google does.
    name = next((name for name in ("config.json", "bert_config.json") if name in storage.files()), None)
    if name is None:
        return None, None
    path = storage.path / name
    config = BertConfig.from_huggingface(read_json(storage, name), path)
    for key, wanted in _WANTED.items():
        if config.extra.get(key, wanted) != wanted:
            raise InputError(
                f"{path}: {key} is {config.extra[key]!r}, not {wanted!r}: not a BERT as the original made it"
            )
    architectures = config.extra.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else None
    return named if isinstance(named, str) else None, config


def read_tensors(storage: Storage, file: str, notes: list[str]) -> dict[str, Weight]:
    """Return the tensors of one file by the names in it; what else it holds goes to `notes`.

    Raises:
        InputError: not a file of tensors, or damaged.
    """
    if file.endswith(".safetensors") or kind_of(storage, file) == "safetensors":
        return safetensors.read(storage, file)
    return _in_pickle(storage, file, notes)


def _in_several(storage: Storage, index: str, notes: list[str]) -> dict[str, Weight]:
    """Return the tensors of the files that an index lists."""
    weight_map = read_json(storage, index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise InputError(f"{storage.path / index}: not a list of weight files (no weight_map)")
    stored: dict[str, Weight] = {}
    there = set(storage.files())
    for file in sorted({str(file) for file in weight_map.values()}):
        if file not in there or file == index:
            raise InputError(f"{storage.path / index}: names {file!r}, which is not a file of this folder")
        for name, weight in read_tensors(storage, file, notes).items():
            if weight_map.get(name) != file:
                raise InputError(f"{storage.path / file}: holds {name}, which {index} does not say")
            stored[name] = weight
    if absent := weight_map.keys() - stored.keys():
        raise InputError(f"{storage.path / index}: {min(absent)} is not in {weight_map[min(absent)]}")
    return stored


def _in_pickle(storage: Storage, file: str, notes: list[str]) -> dict[str, Weight]:
    """Return the tensors of a file that `torch.save` wrote. Only tensors and plain containers are ever unpickled."""
    path = storage.path / file
    try:
        # In a zip, going back and forth is slow.
        local = storage.local(file) or in_memory(storage, file)
        zipped = zipfile.is_zipfile(local)
        if zipped:
            check_zip(local)
        else:
            check_file(local)
        # Only the zip form (torch 1.6 and later) can be mapped into memory instead of being read.
        mapped = zipped and isinstance(local, Path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of another protocol
            with torch.serialization.safe_globals(ASIDE):
                values = torch.load(local, map_location="cpu", weights_only=True, mmap=mapped)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        held = re.search(r"GLOBAL (\w+(?:\.\w+)+)", str(error))
        remedy = (
            f" ({held[1]}); where it was made, torch.save(model.state_dict(), FILE) saves tensors alone" if held else ""
        )
        raise InputError(
            f"{path}: not a file of tensors that torch can read safely: damaged, or a pickle with code in it, which is "
            f"never run{remedy}"
        ) from None
    except Exception as error:  # damaged bytes make torch raise almost anything
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a file of tensors that torch can read safely ({reason})") from None
    values = without_training(values, notes)
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(f"{path}: holds no weights by name")
    notes.extend(f"set aside: {name}" for name, value in values.items() if not isinstance(value, Tensor))
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    if not tensors and any(map(is_set_aside, values.values())):
        raise InputError(
            f"{path}: holds NumPy's arrays and no tensors; where it was made, save tensors: torch.save({{name: "
            "torch.from_numpy(array) for name, array in ...}, FILE)"
        )
    plain = {name: tensor for name, tensor in tensors.items() if _is_plain(tensor)}
    _check_stored(path, plain, storage.size(file))
    return {name: _of_torch(storage, file, name, tensor) for name, tensor in tensors.items()}


def _is_plain(tensor: Tensor) -> bool:
    return tensor.dtype in _TORCH_FLOATS and tensor.layout == torch.strided and tensor.device.type == "cpu"


def _check_stored(path: Path, tensors: Mapping[str, Tensor], size: int) -> None:
    """Refuse tensors that a pickle makes instead of reading them, or makes many times of the same numbers."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    if (claimed := sum(storages.values())) > size:
        raise InputError(f"{path}: has tensors of {claimed:,} bytes, which cannot be in a file of {size:,}")
    views = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if views > max(SMALL, _MOST_SHARED * size):
        raise InputError(
            f"{path}: has tensors of {views:,} bytes together, which share the numbers of a file of {size:,} bytes; "
            "those of no BERT do"
        )


def _of_torch(storage: Storage, file: str, name: str, tensor: Tensor) -> Weight:
    """Return a tensor of a pickle."""
    path = storage.path / file

    def read_into(out: NDArray[np.float32]) -> None:
        # The tensor may be mapped, and the system ends a program that reads behind the end of a mapped file.
        with storage.at(file, 0):
            pass
        if not _is_plain(tensor):
            raise InputError(f"{path}: {name} is of type {tensor.dtype}, not a plain floating-point type")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise InputError(f"{path}: {name} claims {tensor.numel():,} numbers, more than are stored")
        torch.from_numpy(out).copy_(tensor.detach())

    return Weight(name, tuple(tensor.shape), read_into)
