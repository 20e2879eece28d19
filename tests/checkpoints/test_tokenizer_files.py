"""Tokenizers of model folders: what `transformers` saves is read whole, and what is not BERT's is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.checkpoints.storage import FolderStorage
from bertworks.checkpoints.tokenizer_files import tokenizer_of_folder
from bertworks.errors import InputError
from bertworks.text.rules import AddedToken
from bertworks.text.tokenizer import Tokenizer

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "b",
    "##a",
    "##b",
    "x",
    "##x",
    "new",
    ".",
    ",",
    "-",
    "café",
    "cafe",
    "##é",
    "東",
    "京",
    "東京",
    "##京",
]


def written(folder: Path, **files: Any) -> Path:
    """A folder with `vocab.txt` if it is given as a list, and JSON files by their names without the ending."""
    folder.mkdir(parents=True, exist_ok=True)
    if vocab := files.pop("vocab", None):
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab))
    for name, values in files.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    return folder


def read(folder: Path, lower: bool = True) -> Tokenizer:
    vocabulary, rules = tokenizer_of_folder(FolderStorage(folder))
    assert vocabulary is not None
    return vocabulary.tokenizer(lower if rules.do_lower_case is None else rules.do_lower_case, rules)


def saved(folder: Path, lower: bool = True) -> dict[str, Any]:
    """What our tokenizer writes as `tokenizer.json`."""
    Tokenizer(WORDS, lower).save(folder)
    return json.loads((folder / "tokenizer.json").read_text())


def added(content: str, number: int, *, normalized: bool = True, special: bool = False) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    return {"id": number, "content": content, "normalized": normalized, "special": special, **flags}


TEXTS = [
    "a New York b",
    "xnew york.new-york",
    "the [E1]a[/E1] b [SEP] x",
    "[e1] [MASK] CAFÉ-9x cafe-9",
    "東京 a東京b",
    "",
    "new\tYork new  york",
]


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("form", ["fast", "slow", "config"])
def test_added_and_special_tokens_are_those_of_transformers(tmp_path: Path, form: str, lower: bool) -> None:
    transformers = pytest.importorskip("transformers")
    more = [("New York", False), ("Café-9", False), ("[E1]", True), ("[/E1]", True)]
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower}
    folder = tmp_path / "model"
    if form == "fast":
        theirs = transformers.AutoTokenizer.from_pretrained(
            written(tmp_path / "plain", vocab=WORDS, tokenizer_config=config, config={"model_type": "bert"})
        )
        theirs.add_special_tokens({"additional_special_tokens": [token for token, special in more if special]})
        theirs.add_tokens([token for token, special in more if not special])
        theirs.save_pretrained(folder)
    elif form == "slow":
        written(
            folder,
            vocab=WORDS,
            tokenizer_config=config,
            added_tokens={token: len(WORDS) + i for i, (token, _) in enumerate(more)},
            special_tokens_map={"additional_special_tokens": [token for token, special in more if special]},
        )
    else:
        decoder = {
            str(len(WORDS) + i): added(token, 0, normalized=not special, special=special)
            for i, (token, special) in enumerate(more)
        }
        for token in decoder.values():
            del token["id"]
        written(folder, vocab=WORDS, tokenizer_config={**config, "added_tokens_decoder": decoder})
    written(folder, config={"model_type": "bert"})
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), read(folder)
    assert ours.vocab_size == len(theirs) == len(WORDS) + len(more)
    # What we write of it again is the same for them and for us.
    ours.save(tmp_path / "again")
    written(tmp_path / "again", config={"model_type": "bert"})
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "again"), read(tmp_path / "again")
    # Of the oldest form, transformers 5 looks for special tokens in lower-cased text, too; 4, which wrote it, did not.
    for text in TEXTS if form != "slow" else [text for text in TEXTS if "[e1]" not in text]:
        expected = theirs(text)["input_ids"][1:-1]
        ids, _ = ours.encode_batch([text])
        assert ours.encode(text) == ids.tolist() == ours.encode_with_offsets(text).ids.tolist() == expected
        assert again[0](text)["input_ids"][1:-1] == again[1].encode(text) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.text("aA東xé[]-. \n\u0301", max_size=12),
    st.lists(st.sampled_from(["A", "xa", "[a]", "é-", "東", "東a", "a x"]), unique=True, max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_three_ways_to_encode_agree_on_kept_tokens(
    text: str, contents: list[str], normalized: bool, lower: bool, ideographs: bool
) -> None:
    kept = [AddedToken(len(WORDS) + i, token, normalized=normalized) for i, token in enumerate(contents)]
    tokenizer = Tokenizer([*WORDS, *contents], lower, added=kept, split_ideographs=ideographs)
    line = text.replace("\n", " ")
    expected = tokenizer.encode(line)
    ids, starts = tokenizer.encode_batch([line, line])
    assert ids.tolist() == expected * 2
    assert starts.tolist() == [0, len(expected), 2 * len(expected)]
    aligned = tokenizer.encode_with_offsets(line)
    assert aligned.ids.tolist() == expected
    for token, (begin, end) in zip(expected, aligned.spans, strict=True):
        if token >= len(WORDS) and not normalized:
            assert line[begin:end] == tokenizer.tokens[token]


@pytest.mark.parametrize(
    ("normalizer", "text", "expected"),
    [
        ({"type": "BertNormalizer", "lowercase": False, "handle_chinese_chars": False}, "東京 A", ["東京", "[UNK]"]),
        ({"type": "BertNormalizer", "lowercase": True, "strip_accents": False}, "CAFÉ 東京", ["café", "東", "京"]),
        ({"type": "BertNormalizer", "lowercase": True, "strip_accents": None}, "CAFÉ", ["cafe"]),
        ({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]},
         "CAFÉ 東京", ["cafe", "東京"]),
        ({"type": "Lowercase"}, "CAFÉ", ["café"]),
        (None, "A café", ["[UNK]", "café"]),
    ],
)  # fmt: skip
def test_known_normalizers_are_obeyed(tmp_path: Path, normalizer: Any, text: str, expected: list[str]) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    whole = {**saved(tmp_path), "normalizer": normalizer}
    if normalizer and normalizer["type"] == "BertNormalizer":
        whole["normalizer"] = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, **normalizer}
    written(tmp_path, tokenizer=whole, tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast"})
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert read(tmp_path).tokenize(text) == expected == theirs.encode(text, add_special_tokens=False).tokens


def test_where_a_class_of_bert_is_named_its_configuration_counts_and_a_difference_is_told(tmp_path: Path) -> None:
    config = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False, "tokenize_chinese_chars": False}
    written(tmp_path, tokenizer=saved(tmp_path), tokenizer_config=config)
    _, rules = tokenizer_of_folder(FolderStorage(tmp_path))
    assert (rules.do_lower_case, rules.split_ideographs) == (False, False)
    assert any("do_lower_case False, tokenizer.json True" in note for note in rules.notes)


def test_long_words_as_the_file_says(tmp_path: Path) -> None:
    whole = saved(tmp_path)
    whole["model"]["max_input_chars_per_word"] = 3
    tokenizer = read(written(tmp_path, tokenizer=whole))
    assert tokenizer.tokenize("aaa aaaa") == ["a", "##a", "##a", "[UNK]"]


@pytest.mark.parametrize(
    ("change", "config", "told"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, {}, "made by Whitespace"),
        ({"pre_tokenizer": None}, {}, "made by nothing"),
        ({"normalizer": {"type": "NFKC"}}, {}, "goes through NFKC"),
        ({"normalizer": {"type": "BertNormalizer", "clean_text": False}}, {}, "clean_text false"),
        ({"model": {"type": "BPE", "vocab": {"[UNK]": 0}}}, {}, "model is BPE"),
        ({}, {"do_basic_tokenize": False}, "do_basic_tokenize"),
        ({}, {"wordpieces_prefix": "@@"}, "wordpieces_prefix is '@@'"),
        ({}, {"cls_token": "<s>"}, "cls_token is '<s>'"),
        (None, {"tokenizer_class": "KoBertTokenizer"}, "tokenizer_class is KoBertTokenizer"),
        (None, {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}, "made by mecab"),
    ],
)
def test_rules_that_are_not_berts_are_refused(
    tmp_path: Path, change: dict[str, Any] | None, config: dict[str, Any], told: str
) -> None:
    whole = saved(tmp_path)
    if change is None:
        (tmp_path / "tokenizer.json").unlink()
    else:
        written(tmp_path, tokenizer={**whole, **change})
    written(tmp_path, tokenizer_config=config)
    with pytest.raises(InputError, match=f"not BERT's: .*{told}.*--vocab_file"):
        read(tmp_path)


def test_ids_with_holes_and_doubles_and_two_files_that_differ(tmp_path: Path) -> None:
    whole = saved(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    vocab = whole["model"]["vocab"]
    holes = {token: number + (number > 8) for token, number in vocab.items()}
    written(tmp_path, tokenizer={**whole, "model": {**whole["model"], "vocab": holes}, "added_tokens": []})
    tokenizer = read(tmp_path)
    assert tokenizer.vocab_size == len(WORDS) + 1
    assert tokenizer.encode("a x") == [5, 10]
    for broken, told in (
        ({**vocab, "more": 5}, "'a' and 'more' have one id, 5"),
        ({**vocab, "more": 1 << 40}, "not a tokenizer"),
    ):
        written(tmp_path, tokenizer={**whole, "model": {**whole["model"], "vocab": broken}})
        with pytest.raises(InputError, match=told):
            read(tmp_path)
    written(tmp_path, tokenizer=whole, vocab=[*WORDS[:5], "word", *WORDS[6:]])
    with pytest.raises(InputError, match=r"line 6 is 'word', tokenizer.json has 'a' of id 5; remove the one"):
        read(tmp_path)
    written(tmp_path, tokenizer=whole, vocab=[*WORDS, "word"])
    with pytest.raises(InputError, match=r"'word', tokenizer.json has None"):
        read(tmp_path)
    written(tmp_path, tokenizer={**whole, "added_tokens": [added("word", 5)]}, vocab=WORDS)
    with pytest.raises(InputError, match="id 5 is 'a', the added token 'word' has it, too"):
        read(tmp_path)
    for files in ({"added_tokens": {"word": 1 << 40}}, {"tokenizer_config": {"added_tokens_decoder": ["a"]}}):
        with pytest.raises(InputError, match=r"no model has it|is not a tokenizer's"):
            read(written(tmp_path / next(iter(files)), vocab=WORDS, **files))
