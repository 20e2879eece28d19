"""The model folder: `config.json` and `model.safetensors`, as Hugging Face lays it out; and `pytorch_model.bin`.

Everything is written as fp32 under Hugging Face's names, so that `transformers` opens the folder as it is. What is read
may be older: LayerNorm's gamma and beta, names without `bert.`, weights in several files, buffers and tied copies.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bertworks.checkpoints import names
from bertworks.checkpoints.weights import Checkpoint, Weight, padding
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.files import write_text, written_whole

# In the order of preference, each alone or as the list of the files that hold the weights.
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

_SAFETENSORS_FLOATS = {"F32", "F16", "BF16", "F64"}
_TORCH_FLOATS = {torch.float32, torch.float16, torch.bfloat16, torch.float64}

# Keys of a read config.json that say how that file's weights were stored, which is not how ours are.
_STORAGE_KEYS = {
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
    folder = Path(folder)
    kept = {name: tensor for name, tensor in state_dict.items() if name not in names.TIED}
    with written_whole(folder / "model.safetensors") as stream:
        write_safetensors(stream, kept, {"format": "pt"})
    extra = {key: value for key, value in config.extra.items() if key not in _STORAGE_KEYS}
    write_text(folder / "config.json", replace(config, extra=extra).to_json(architecture) + "\n")


def write_safetensors(stream: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as fp32 in the safetensors format, in the order given, holding one at a time.

    The library's own writer either holds a second copy of the model or writes to a name of its own choice, which could
    not be made whole-or-nothing. The format: the header's length as 8 bytes, a JSON header padded with spaces to a
    multiple of 8, the tensors end to end (https://github.com/huggingface/safetensors, "Format").
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        stream.write(np.ascontiguousarray(tensor.detach().float().cpu().numpy(), "<f4").data)


def open_model_folder(folder: Path | str) -> Checkpoint:
    """A folder with `config.json` and weights as safetensors or `pytorch_model.bin`, one file or several.

    Raises:
        InputError: no weights, no BERT, damaged, or a pickle that holds code.
    """
    folder = Path(folder)
    path = weights_of(folder)
    if path is None:
        raise InputError(f"{folder}: holds no weights ({' or '.join(_WEIGHT_FILES)})")
    return _described(folder, folder, path)


def weights_of(folder: Path) -> Path | None:
    """The file with the weights of a model folder, or the one that lists the files with them; None without either."""
    paths = (folder / f"{name}{suffix}" for name in _WEIGHT_FILES for suffix in ("", ".index.json"))
    return next((path for path in paths if path.is_file()), None)


def open_weights_file(path: Path | str) -> Checkpoint:
    """A `.safetensors` or `.bin` file by its own name; a `config.json` beside it is read too."""
    path = Path(path)
    return _described(path, path.parent, path)


def _described(path: Path, folder: Path, file: Path) -> Checkpoint:
    """The tensors of `file` by our names, with what lies in the folder beside them; `path` is what was asked for."""
    weights: dict[str, Weight] = {}
    notes: list[str] = []
    stored = _stored_in_several(file, notes) if file.suffix == ".json" else _stored(file, notes)
    for stored_as, weight in stored.items():
        name = names.from_huggingface(stored_as)
        if names.is_buffer(name):
            notes.append(f"set aside: {stored_as}, a constant")
            continue
        if name in weights:
            raise InputError(f"{path}: {weights[name].stored_as} and {stored_as} are the same weight")
        weights[name] = weight
    config = _config(folder / "config.json")
    vocab_file = folder / "vocab.txt"
    if config and vocab_file.is_file():
        with vocab_file.open("rb") as stream:
            words = sum(1 for _ in stream)
        if padding(config.vocab_size, words):
            notes.append(
                f"the vocabulary is padded from {words:,} to {config.vocab_size:,} words; the padding is cut off"
            )
            config = replace(config, vocab_size=words)
    return Checkpoint(
        path=path,
        format="Hugging Face",
        weights=weights,
        config=config,
        hidden_act=config.hidden_act if config else None,
        vocab_file=vocab_file if vocab_file.is_file() else None,
        do_lower_case=_do_lower_case(folder / "tokenizer_config.json"),
        notes=tuple(notes),
    )


def _config(path: Path) -> BertConfig | None:
    """The configuration of a BERT; None where there is no file."""
    if not path.is_file():
        return None
    config = BertConfig.from_huggingface_file(path)
    for key, wanted in (("model_type", "bert"), ("position_embedding_type", "absolute")):
        if config.extra.get(key, wanted) != wanted:
            raise InputError(
                f"{path}: {key} is {config.extra[key]!r}, not {wanted!r}: not a BERT as the original made it"
            )
    return config


def _do_lower_case(path: Path) -> bool | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None
    answer = values.get("do_lower_case") if isinstance(values, dict) else None
    return answer if isinstance(answer, bool) else None


def _stored(path: Path, notes: list[str]) -> dict[str, Weight]:
    """The tensors of one file by the names in it; what else it holds goes to `notes`."""
    if path.suffix == ".safetensors":
        return _stored_in_safetensors(path)
    return _stored_in_pickle(path, notes)


def _stored_in_several(index: Path, notes: list[str]) -> dict[str, Weight]:
    """The tensors of the files that an index lists."""
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = sorted({str(file) for file in weight_map.values()})
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise InputError(f"{index}: not a list of weight files (no weight_map)") from None
    stored: dict[str, Weight] = {}
    for file in files:
        if Path(file).name != file or not (index.parent / file).is_file():
            raise InputError(f"{index}: names {file!r}, which is not a file of this folder")
        for name, weight in _stored(index.parent / file, notes).items():
            if weight_map.get(name) != file:
                raise InputError(f"{index.parent / file}: holds {name}, which {index.name} does not say")
            stored[name] = weight
    if absent := weight_map.keys() - stored.keys():
        raise InputError(f"{index}: {min(absent)} is not in {weight_map[min(absent)]}")
    return stored


def _stored_in_safetensors(path: Path) -> dict[str, Weight]:
    with _safetensors(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def weight(name: str, shape: tuple[int, ...]) -> Weight:
        def read() -> NDArray[np.float32]:
            # Opened anew for each tensor: one mapping for all would hold the whole file in memory in the end.
            with _safetensors(path) as file:
                if (dtype := file.get_slice(name).get_dtype()) not in _SAFETENSORS_FLOATS:
                    raise InputError(f"{path}: {name} is of type {dtype}, not a plain floating-point type")
                return _as_float32(file.get_tensor(name))

        return Weight(name, shape, read)

    return {name: weight(name, shape) for name, shape in shapes.items()}


@contextmanager
def _safetensors(path: Path) -> Iterator[Any]:
    """The file, opened by the library, which checks its header against its length."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file, or damaged ({error})") from None


def _stored_in_pickle(path: Path, notes: list[str]) -> dict[str, Weight]:
    """The tensors of a file that `torch.save` wrote. Only tensors and plain containers are ever unpickled."""
    try:
        # Only the zip form (torch 1.6 and later) can be mapped into memory instead of being read.
        values = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # damaged bytes make torch raise almost anything
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a file of tensors that torch can read safely ({reason})") from None
    for inner in ("state_dict", "model"):
        if isinstance(values, dict) and isinstance(values.get(inner), dict):
            notes.extend(f"set aside: {key}" for key in values if key != inner)
            values = values[inner]
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(f"{path}: holds no weights by name")

    def weight(name: str, tensor: Tensor) -> Weight:
        def read() -> NDArray[np.float32]:
            if tensor.dtype not in _TORCH_FLOATS or tensor.layout != torch.strided or tensor.device.type != "cpu":
                raise InputError(f"{path}: {name} is of type {tensor.dtype}, not a plain floating-point type")
            return _as_float32(tensor.detach())

        return Weight(name, tuple(tensor.shape), read)

    notes.extend(f"set aside: {name}" for name, value in values.items() if not isinstance(value, Tensor))
    return {name: weight(name, tensor) for name, tensor in values.items() if isinstance(tensor, Tensor)}


def _as_float32(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().numpy()
    return array
