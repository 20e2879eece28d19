"""Vocabularies on disk: the original's `vocab.txt`, and two files for Hugging Face's tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertworks.errors import InputError
from bertworks.files import write_text
from bertworks.foreign import refuse_pointer
from bertworks.text.rules import AddedToken

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
_CASED_SHARE = 50

# The largest vocabularies of any BERT have half a million tokens and 6 MB.
MOST_TOKENS = 1 << 22
_MOST_BYTES = 64 << 20
SPECIAL_TOKENS = (PAD, UNK, CLS, SEP, MASK)

# Our key in `tokenizer_config.json` for how a text's own "[MASK]" is read. With their `split_special_tokens` their
# pipelines would find no [MASK] at all.
SPLIT_KEY = "bertworks_split_special_tokens"


def read_vocab(vocab_file: Path | str) -> list[str]:
    """Read the tokens of a vocabulary in the order of their ids: one on each line, without white space around it.

    As in the original, only a newline ends a line, an empty line counts, and of equal tokens the last one's id is used.

    Raises:
        InputError: there is no such file, it is empty or it is not UTF-8.
    """
    path = Path(vocab_file)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); fix --vocab_file") from None
    return tokens_of(data, path)


def tokens_of(data: bytes, path: Path) -> list[str]:
    """Return the tokens in the bytes of a vocabulary file. `path` is its name in messages.

    Raises:
        InputError: the file is empty, not UTF-8, or far larger than any vocabulary.
    """
    refuse_pointer(data, path)
    if len(data) > _MOST_BYTES or data.count(b"\n") > MOST_TOKENS:
        raise InputError(
            f"{path}: is no vocabulary, which has at most {MOST_TOKENS:,} lines and {_MOST_BYTES >> 20} MB; fix "
            "--vocab_file"
        )
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        number = 1 + data.count(b"\n", 0, error.start)
        raise InputError(f"{path}, line {number}: is not valid UTF-8; fix --vocab_file") from None
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{path}: is empty; --vocab_file needs one token a line")
    return [line.strip() for line in lines]


def words_with_capitals(tokens: Sequence[str]) -> int:
    """Count the tokens with letters that lower-casing changes, without those in brackets such as [CLS]."""
    return sum(token != token.lower() and not (token.startswith("[") and token.endswith("]")) for token in tokens)


def is_cased(tokens: Sequence[str]) -> bool:
    """Tell whether a vocabulary is one of text that keeps its capitals: one token in fifty has some.

    The released uncased ones have none; a few may have been put in by hand. Of the released cased ones a third has.
    """
    return words_with_capitals(tokens) * _CASED_SHARE >= len(tokens)


def write_vocab(vocab_file: Path | str, tokens: Sequence[str]) -> None:
    """Write `vocab.txt`, whole or not at all."""
    write_text(vocab_file, "".join(f"{token}\n" for token in tokens))


def write_hugging_face(
    folder: Path | str,
    vocab: Mapping[str, int],
    added: Sequence[AddedToken],
    *,
    do_lower_case: bool,
    strip_accents: bool | None,
    split_special_tokens: bool,
    max_input_chars_per_word: int,
    split_ideographs: bool,
    longest: int | None = None,
) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` to a folder with a `vocab.txt`.

    `vocab` has the pieces of words, `added` the tokens that stay whole, specials included.

    `transformers` and `tokenizers` then give the same tokens for ordinary text. They differ by their own rules:
    characters that their Unicode tables put in another class, the final sigma, and words of more than 100 characters
    (the tokenizer that `transformers` builds, not `tokenizer.json` itself). They keep special tokens within a text
    whole, which their pipelines rely on, whatever `split_special_tokens` says; it is kept for us under our own key.

    `longest` is the most tokens that the model can read. Without it, those tools may give the model longer sequences.
    """
    ids = {**vocab, **{token.content: token.id for token in added}}
    specials = [token for token in SPECIAL_TOKENS if token in ids]
    others = [token.content for token in added if token.special and token.content not in SPECIAL_TOKENS]
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_described(token) for token in added],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": split_ideographs,
            "strip_accents": strip_accents,
            "lowercase": do_lower_case,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(ids) if CLS in ids and SEP in ids else None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": UNK,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": max_input_chars_per_word,
            "vocab": dict(vocab),
        },
    }
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": do_lower_case,
        "strip_accents": strip_accents,
        "tokenize_chinese_chars": split_ideographs,
        SPLIT_KEY: split_special_tokens,
        **({} if max_input_chars_per_word == 200 else {"max_input_chars_per_word": max_input_chars_per_word}),
        **({} if longest is None else {"model_max_length": longest}),
        **{f"{token[1:-1].lower()}_token": token for token in specials},
        **({"additional_special_tokens": others} if others else {}),
    }
    write_text(Path(folder) / "tokenizer.json", json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n")
    write_text(Path(folder) / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")


def _described(token: AddedToken) -> dict[str, Any]:
    """Return a token that stays whole, in the words of `tokenizers`."""
    return {
        "id": token.id,
        "content": token.content,
        "single_word": token.single_word,
        "lstrip": False,
        "rstrip": False,
        "normalized": token.normalized,
        "special": token.special,
    }


def _template(vocab: Mapping[str, int]) -> dict[str, Any]:
    """Return [CLS] a [SEP] b [SEP] in the notation of `tokenizers`."""

    def part(kind: str, name: str, segment: int) -> dict[str, Any]:
        return {kind: {"id": name, "type_id": segment}}

    single = [part("SpecialToken", CLS, 0), part("Sequence", "A", 0), part("SpecialToken", SEP, 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, part("Sequence", "B", 1), part("SpecialToken", SEP, 1)],
        "special_tokens": {token: {"id": token, "ids": [vocab[token]], "tokens": [token]} for token in (CLS, SEP)},
    }
