"""The files of a model besides its weights: configuration and vocabulary; and what the folder's name tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bertworks.checkpoints.storage import Storage, read_bytes
from bertworks.checkpoints.weights import Checkpoint, StoredVocabulary, Weight
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.text.vocab_file import tokens_of

# The released archives by their casing, as the original's `validate_case_matches_checkpoint` has them
# (tokenization.py); the small models came later and are uncased.
_UNCASED = r"(wwm_)?uncased_L-\d+_H-\d+_A-\d+|multilingual_L-12_H-768_A-12|chinese_L-12_H-768_A-12"
_CASED = r"(wwm_|multi_)?cased_L-\d+_H-\d+_A-\d+"


def read_json(storage: Storage, name: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: the file is not JSON, or not an object.
    """
    values = _json(storage, name)
    if not isinstance(values, dict):
        raise InputError(f"{storage.path / name}: not a JSON object")
    return values


def read_json_list(storage: Storage, name: str) -> list[Any]:
    """Read a JSON list.

    Raises:
        InputError: the file is not JSON, or not a list.
    """
    values = _json(storage, name)
    if not isinstance(values, list):
        raise InputError(f"{storage.path / name}: not a JSON list")
    return values


def _json(storage: Storage, name: str) -> Any:
    content = read_bytes(storage, name)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{storage.path / name}: not a JSON file ({error})") from None


def google_config(storage: Storage) -> BertConfig | None:
    """Read the `bert_config.json` of Google's and MindSpore's models; None where there is none."""
    if "bert_config.json" not in storage.files():
        return None
    return BertConfig.from_google(read_json(storage, "bert_config.json"), storage.path / "bert_config.json")


def google_checkpoint(
    storage: Storage,
    path: Path,
    form: str,
    weights: Mapping[str, Weight],
    notes: Iterable[str],
    config: BertConfig | None,
) -> Checkpoint:
    """Return a checkpoint of Google's or MindSpore's BERT.

    Both compute the tanh form of GELU unless a configuration names another activation.
    """
    return Checkpoint(
        path=path,
        format=form,
        weights=weights,
        config=config,
        hidden_act=config.hidden_act if config else "gelu_new",
        vocabulary=vocabulary(storage),
        do_lower_case=casing_of_name(storage.path),
        notes=tuple(notes),
        storage=storage,
    )


def vocabulary(storage: Storage) -> StoredVocabulary | None:
    """Return the vocabulary in `vocab.txt`, not read yet; None without it."""
    if "vocab.txt" not in storage.files():
        return None
    path = storage.path / "vocab.txt"
    return StoredVocabulary(path, lambda: tokens_of(read_bytes(storage, "vocab.txt"), path))


def casing_of_name(path: Path) -> bool | None:
    """Tell whether a released model wants lower-cased text, by the name of its archive or folder; None for other names.

    The innermost known name counts.
    """
    for part in reversed(path.parts):
        name = part.removesuffix(".zip")
        if re.fullmatch(_UNCASED, name):
            return True
        if re.fullmatch(_CASED, name):
            return False
    return None
