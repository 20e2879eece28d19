"""The files of a model besides its weights: configuration and vocabulary; and what the folder's name tells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
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
    try:
        values = json.loads(read_bytes(storage, name))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{storage.path / name}: not a JSON file ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{storage.path / name}: not a JSON object")
    return values


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
    """A checkpoint of Google's or MindSpore's BERT.

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
    """The vocabulary in `vocab.txt`, or else in `tokenizer.json`, not read yet; None without either."""
    files = storage.files()
    for name, tokens in (("vocab.txt", tokens_of), ("tokenizer.json", _tokens_of_json)):
        if name in files:
            return StoredVocabulary(storage.path / name, partial(_read_tokens, storage, name, tokens))
    return None


def _read_tokens(storage: Storage, name: str, tokens: Callable[[bytes, Path], list[str]]) -> list[str]:
    return tokens(read_bytes(storage, name), storage.path / name)


def _tokens_of_json(data: bytes, path: Path) -> list[str]:
    """The tokens of a `tokenizer.json` in the order of their ids."""
    try:
        model = json.loads(data)["model"]
        kind, ids = model.get("type"), sorted((number, token) for token, number in model["vocab"].items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: not a tokenizer (no model with a vocab); give --vocab_file") from None
    if kind not in (None, "WordPiece") or [number for number, _ in ids] != list(range(len(ids))):
        raise InputError(f"{path}: not a WordPiece vocabulary with ids from 0 on; give --vocab_file")
    return [token for _, token in ids]


def casing_of_name(path: Path) -> bool | None:
    """Whether a released model wants lower-cased text, by the name of its archive or folder; None for other names.

    The innermost known name counts.
    """
    for part in reversed(path.parts):
        name = part.removesuffix(".zip")
        if re.fullmatch(_UNCASED, name):
            return True
        if re.fullmatch(_CASED, name):
            return False
    return None
