"""The original's module `tokenization`: `from bertworks import tokenization` stands for `import tokenization`."""

from __future__ import annotations

from pathlib import Path

from bertworks.checkpoints.model_files import casing_of_name
from bertworks.errors import InputError
from bertworks.text.full_tokenizer import (
    BasicTokenizer,
    FullTokenizer,
    WordpieceTokenizer,
    convert_by_vocab,
    convert_ids_to_tokens,
    convert_to_unicode,
    convert_tokens_to_ids,
    load_vocab,
    printable_text,
    whitespace_tokenize,
)

__all__ = [
    "BasicTokenizer",
    "FullTokenizer",
    "WordpieceTokenizer",
    "convert_by_vocab",
    "convert_ids_to_tokens",
    "convert_to_unicode",
    "convert_tokens_to_ids",
    "load_vocab",
    "printable_text",
    "validate_case_matches_checkpoint",
    "whitespace_tokenize",
]


def validate_case_matches_checkpoint(do_lower_case: bool, init_checkpoint: str | None) -> None:
    """Refuse a casing that contradicts the name of a released model's folder.

    Raises:
        InputError: it does.
    """
    lower = casing_of_name(Path(init_checkpoint)) if init_checkpoint else None
    if lower is not None and lower != do_lower_case:
        kind = "lowercased" if lower else "cased"
        raise InputError(
            f"do_lower_case={do_lower_case}: {init_checkpoint} is a {kind} model; pass do_lower_case={lower}, or "
            "rename its folder if that is wrong"
        )
