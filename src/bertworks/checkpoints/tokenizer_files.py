"""The tokenizer of a model folder, as Hugging Face's tools save it: the files, and which of them counts.

`vocab.txt` or `tokenizer.json` has the pieces of words; `tokenizer.json`, `tokenizer_config.json` and
`added_tokens.json` have tokens that were added to them. The first two of these tell the rules; where a class of BERT is
named, `tokenizer_config.json` counts (`transformers`, tokenization_bert.py). A rule that the original does not have is
obeyed where we know it, and otherwise refused, unless a vocabulary is given instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

from bertworks.checkpoints.model_files import casing_of_name, read_json
from bertworks.checkpoints.storage import Storage, read_bytes
from bertworks.checkpoints.text_rules import TextRules
from bertworks.checkpoints.weights import StoredVocabulary
from bertworks.errors import InputError
from bertworks.text.rules import AddedToken
from bertworks.text.vocab_file import CLS, MASK, MOST_TOKENS, PAD, SEP, SPLIT_KEY, UNK, tokens_of

_FILES = ("tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json")

# Classes that make words and pieces as BERT does, and those that do whatever `tokenizer.json` says.
_BERTS = {
    f"{name}Tokenizer"
    for name in ("Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "SqueezeBert", "LayoutLM", "RetriBert")
}
_BY_FILE = {None, "PreTrainedTokenizer", "TokenizersBackend"}

# What `transformers` writes and we do not. It also copies our own key, but does not do what it says.
_THEIR_KEYS = {"backend", "added_tokens_decoder"}


def tokenizer_of_folder(storage: Storage) -> tuple[StoredVocabulary | None, TextRules]:
    """Return the vocabulary of a folder, None where there is none, and the rules for its text.

    Raises:
        InputError: a file is not JSON, or does not hold what it should.
    """
    there = {name: read_json(storage, name) for name in _FILES if name in storage.files()}
    config, whole = there.get("tokenizer_config.json", {}), there.get("tokenizer.json", {})
    try:
        added, rules = _added_tokens(storage, there), _rules(storage, there, config, whole)
    except (TypeError, ValueError, AttributeError, KeyError, StopIteration):
        raise InputError(f"{storage.path}: {' or '.join(there)} is not a tokenizer's; mend it or remove it") from None
    reader = partial(_pieces, storage, whole)
    vocabulary = None
    if "vocab.txt" in storage.files() or whole:
        name = "vocab.txt" if "vocab.txt" in storage.files() else "tokenizer.json"
        pieces = cache(lambda: reader(tuple(token.content for token in added)))
        vocabulary = StoredVocabulary(
            storage.path / name,
            pieces=lambda: pieces()[0],
            added=lambda: tuple(_checked(token, pieces()[1]) for token in added),
        )
    return vocabulary, rules


def _rules(
    storage: Storage, there: Mapping[str, Any], config: Mapping[str, Any], whole: Mapping[str, Any]
) -> TextRules:
    """Return what the files say about text."""
    notes: list[str] = []
    kind = config.get("tokenizer_class")
    kind = kind.removesuffix("Fast") if isinstance(kind, str) else None
    refusals = [*_foreign_class(kind, config, bool(whole)), *_foreign_parts(whole)]
    refusals += [
        f"its {name} is {content!r}, not {wanted}"
        for name, wanted in (("cls_token", CLS), ("sep_token", SEP), ("unk_token", UNK))
        if (content := _content(_named(there, name), wanted)) != wanted
    ]
    for name, wanted in (("mask_token", MASK), ("pad_token", PAD)):
        if (content := _content(_named(there, name), wanted)) != wanted:
            notes.append(f"its {name} is {content!r}; here it is {wanted}")
    told, unknown = _normalizer(whole)
    refusals += unknown
    if kind not in _BY_FILE or not whole:
        spoken = {"do_lower_case": "lowercase", "strip_accents": None, "tokenize_chinese_chars": "handle_chinese_chars"}
        for key, theirs in spoken.items():
            if key in config and isinstance(config[key], bool | None):
                if theirs and key in told and told[key] != config[key]:
                    notes.append(f"tokenizer_config.json has {key} {config[key]}, tokenizer.json {told[key]}")
                told = {**told, key: config[key]}
    lower, strip = told.get("do_lower_case"), told.get("strip_accents")
    split = config.get("split_special_tokens", not there)
    if not config.keys() & _THEIR_KEYS:
        split = config.get(SPLIT_KEY, split)
    longest = config.get("model_max_length")
    notes += _other_endings(whole)
    if config.get("never_split"):
        notes.append(f"never_split in tokenizer_config.json has no effect: {config['never_split']!s:.60}")
    letters = _part(whole, "model").get("max_input_chars_per_word", 200)
    return TextRules(
        do_lower_case=lower if isinstance(lower, bool) else casing_of_name(storage.path),
        strip_accents=strip if isinstance(strip, bool) else None,
        split_ideographs=told.get("tokenize_chinese_chars", True) is not False,
        split_special_tokens=split is not False,
        max_input_chars_per_word=letters if type(letters) is int and 0 < letters < 1 << 20 else 200,
        longest=int(longest) if isinstance(longest, int | float) and 0 < longest < 1 << 20 else None,
        notes=tuple(notes),
        refusal="; ".join(refusals) or None,
    )


def _foreign_class(kind: str | None, config: Mapping[str, Any], described: bool) -> Iterator[str]:
    """Return why a tokenizer of this class, with this configuration, is not BERT's."""
    words = (config.get("word_tokenizer_type", "basic"), config.get("subword_tokenizer_type", "wordpiece"))
    if kind == "BertJapaneseTokenizer":
        if words != ("basic", "wordpiece") or config.get("do_word_tokenize") is False:
            yield f"its words are made by {words[0]} and {words[1]} (tokenizer_class {kind})"
    elif kind not in _BY_FILE | _BERTS and not described:
        yield f"its tokenizer_class is {kind}"
    if config.get("wordpieces_prefix", "##") != "##":
        yield f"its wordpieces_prefix is {config['wordpieces_prefix']!r}, not '##'"
    if config.get("do_basic_tokenize") is False:
        yield "its text comes cut into words (do_basic_tokenize false)"


def _foreign_parts(whole: Mapping[str, Any]) -> Iterator[str]:
    """Yield which parts of a `tokenizer.json` are not BERT's."""
    if not whole:
        return
    model = _part(whole, "model")
    if model.get("type", "WordPiece") != "WordPiece":
        yield f"its model is {model.get('type')}, not WordPiece"
    for key, wanted in (("continuing_subword_prefix", "##"), ("unk_token", UNK)):
        if model.get(key, wanted) != wanted:
            yield f"its {key} is {model[key]!r}, not {wanted!r}"
    steps = _steps(whole.get("pre_tokenizer"), "pretokenizers")
    if "pre_tokenizer" in whole and [step.get("type") for step in steps] != ["BertPreTokenizer"]:
        yield f"its words are made by {' and '.join(str(step.get('type')) for step in steps) or 'nothing'}"


def _normalizer(whole: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what `tokenizer.json` says of characters, by `tokenizer_config.json`'s keys; and what we do not know."""
    if "normalizer" not in whole:
        return {}, []
    steps = _steps(whole["normalizer"], "normalizers")
    unknown = []
    told: dict[str, Any] = {"do_lower_case": False, "strip_accents": False, "tokenize_chinese_chars": False}
    for step in steps:
        kind = step.get("type")
        if kind == "BertNormalizer":
            told["do_lower_case"] |= step.get("lowercase", True) is True
            told["strip_accents"] = told["strip_accents"] or step.get("strip_accents")
            told["tokenize_chinese_chars"] = step.get("handle_chinese_chars", True) is not False
            if step.get("clean_text") is False:
                unknown.append("it keeps control characters (clean_text false)")
        elif kind == "Lowercase":
            told["do_lower_case"] = True
        elif kind == "StripAccents":
            told["strip_accents"] = True
        elif kind != "NFD" or not any(other.get("type") == "StripAccents" for other in steps):
            unknown.append(f"its text goes through {kind}")
    return told, unknown


def _other_endings(whole: Mapping[str, Any]) -> Iterator[str]:
    """Yield a note where a sequence is not [CLS] text [SEP] there."""
    processor = whole.get("post_processor")
    if "post_processor" not in whole or (isinstance(processor, dict) and processor.get("type") == "BertProcessing"):
        return
    single = processor.get("single") if isinstance(processor, dict) else None
    names = [next(iter(item.values())).get("id") for item in single] if isinstance(single, list) else []
    if names != [CLS, "A", SEP]:
        yield f"tokenizer.json makes {' '.join(map(str, names)) or 'no special tokens'}; here it is [CLS] text [SEP]"


def _added_tokens(storage: Storage, there: Mapping[str, Any]) -> list[AddedToken]:
    """Return the tokens that the files say were added, in the order of their ids, special ones included."""
    config, whole = there.get("tokenizer_config.json", {}), there.get("tokenizer.json", {})
    specials = {
        _content(token)
        for values in (there.get("special_tokens_map.json", {}), config)
        for key in ("additional_special_tokens", "extra_special_tokens")
        for token in _values(values.get(key))
    }
    entries: list[Any] = list(whole.get("added_tokens") or [])
    entries += [{"id": i, **token} for i, token in (config.get("added_tokens_decoder") or {}).items()]
    entries += [
        {"id": i, "content": token, "special": token in specials, "normalized": token not in specials}
        for token, i in there.get("added_tokens.json", {}).items()
    ]
    found: dict[str, AddedToken] = {}
    for entry in entries:
        content, number = entry.get("content"), int(entry.get("id", -1))
        if not isinstance(content, str) or not 0 <= number < MOST_TOKENS:
            raise InputError(f"{storage.path}: the added token {content!r:.40} has the id {number}; no model has it")
        if content in found and found[content].id != number:
            raise InputError(
                f"{storage.path}: the added token {content!r} has the ids {found[content].id} and {number}"
            )
        found.setdefault(
            content,
            AddedToken(
                number,
                content,
                normalized=bool(entry.get("normalized", not entry.get("special"))),
                special=bool(entry.get("special")),
                single_word=bool(entry.get("single_word")),
            ),
        )
    return sorted(found.values(), key=lambda token: token.id)


def _checked(token: AddedToken, pieces: Mapping[str, int]) -> AddedToken:
    """Return the token, with whether it is a piece of words, too."""
    return AddedToken(
        token.id, token.content, token.normalized, token.special, token.single_word, token.content in pieces
    )


def _pieces(storage: Storage, whole: Mapping[str, Any], added: tuple[str, ...]) -> tuple[list[str], dict[str, int]]:
    """Return the tokens of the vocabulary by their ids, "" where an id has none; and the ids of those that make words.

    Raises:
        InputError: two tokens have one id, or the two files differ.
    """
    path, json_path = storage.path / "vocab.txt", storage.path / "tokenizer.json"
    listed = tokens_of(read_bytes(storage, "vocab.txt"), path) if "vocab.txt" in storage.files() else None
    if not whole:
        return listed or [], {token: i for i, token in enumerate(listed or [])}
    vocab = _part(whole, "model").get("vocab")
    if not isinstance(vocab, dict) or not all(type(i) is int and 0 <= i < MOST_TOKENS for i in vocab.values()):
        if listed is not None:
            return listed, {token: i for i, token in enumerate(listed)}
        raise InputError(f"{json_path}: not a tokenizer (no model with a vocab of WordPiece); give --vocab_file")
    tokens = [""] * (max(vocab.values(), default=-1) + 1)
    for token, i in vocab.items():
        if tokens[i]:
            raise InputError(f"{json_path}: {tokens[i]!r} and {token!r} have one id, {i}; mend it or give --vocab_file")
        tokens[i] = token
    if listed is None:
        return tokens, vocab
    # A token that a list has twice has one id in a table; white space around tokens goes.
    for i in range(max(len(tokens), len(listed))):
        theirs, ours = tokens[i] if i < len(tokens) else None, listed[i] if i < len(listed) else None
        if theirs == "" or (theirs is not None and theirs.strip() == ours) or (theirs is None and ours in added):
            continue
        raise InputError(
            f"{path}: line {i + 1} is {ours!r}, tokenizer.json has {theirs!r} of id {i}; remove the one of the two "
            "files that is out of date"
        )
    return listed, vocab


def _steps(value: Any, inner: str) -> list[dict[str, Any]]:
    """Return the steps of a normalizer or a pre-tokenizer, of which one may be a sequence of others."""
    if not isinstance(value, dict):
        return []
    if value.get("type") == "Sequence" and isinstance(value.get(inner), list):
        return [step for part in value[inner] for step in _steps(part, inner)]
    return [value]


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _named(there: Mapping[str, Any], name: str) -> Any:
    """Return what a special token is called, as the files have it; None where they do not say."""
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        if (value := there.get(file, {}).get(name)) is not None:
            return value
    return None


def _content(token: Any, default: str = "") -> str:
    """Return the text of a token, which may be an object with one."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else default


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
