"""What lies beside weights and tells what they are: a configuration, a vocabulary, the name of the folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bertworks.checkpoints.storage import Place, read_bytes
from bertworks.checkpoints.weights import Vocabulary
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.text.vocab_file import tokens_of

# The released archives by their casing, as the original's `validate_case_matches_checkpoint` has them
# (tokenization.py); the small models came later and are uncased.
_UNCASED = r"(wwm_)?uncased_L-\d+_H-\d+_A-\d+|multilingual_L-12_H-768_A-12|chinese_L-12_H-768_A-12"
_CASED = r"(wwm_|multi_)?cased_L-\d+_H-\d+_A-\d+"


def read_json(place: Place, name: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: it is none.
    """
    try:
        values = json.loads(read_bytes(place, name))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place.path / name}: not a JSON file ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{place.path / name}: not a JSON object")
    return values


def google_config(place: Place) -> BertConfig | None:
    """What `bert_config.json` says, as Google's and MindSpore's models have it; None where there is none."""
    if "bert_config.json" not in place.files():
        return None
    return BertConfig.from_google(read_json(place, "bert_config.json"), place.path / "bert_config.json")


def vocabulary(place: Place) -> Vocabulary | None:
    """The tokens of `vocab.txt`, or where there is none of `tokenizer.json`, not read yet; None without either."""
    files = place.files()
    for name, tokens in (("vocab.txt", tokens_of), ("tokenizer.json", _tokens_of_json)):
        if name in files:
            return Vocabulary(place.path / name, partial(_read_tokens, place, name, tokens))
    return None


def _read_tokens(place: Place, name: str, tokens: Callable[[bytes, Path], list[str]]) -> list[str]:
    return tokens(read_bytes(place, name), place.path / name)


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
    """Whether a released model wants lower-cased text, told by the name of its archive or folder; None if it does not.

    The innermost name that tells is the one that counts.
    """
    for part in reversed(path.parts):
        name = part.removesuffix(".zip")
        if re.fullmatch(_UNCASED, name):
            return True
        if re.fullmatch(_CASED, name):
            return False
    return None
