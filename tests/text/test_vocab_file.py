"""Vocabularies on disk, read and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks import InputError, Tokenizer
from tests.text.texts import LETTERS, VOCAB_FILE, vocabulary


def test_a_vocabulary_is_read_as_the_original_reads_it(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("[UNK]\r\n a\t\n\nb\u2028c\na\n \u3000\nd".encode())
    tokenizer = Tokenizer.from_vocab(tmp_path / "vocab.txt")
    assert tokenizer.tokens == ["[UNK]", "a", "", "b\u2028c", "a", "", "d"]
    assert tokenizer.vocab == {"[UNK]": 0, "a": 4, "": 5, "b\u2028c": 3, "d": 6}
    assert tokenizer.vocab_size == 7
    assert tokenizer.encode("a d") == [4, 6]
    other = tmp_path / "other"
    tokenizer.save(other)
    again = Tokenizer.from_vocab(other / "vocab.txt")
    assert (again.tokens, again.sha256) == (tokenizer.tokens, tokenizer.sha256)
    assert again.sha256 != Tokenizer(again.tokens[::-1]).sha256


def test_ids_of_special_tokens_and_what_continues_a_word() -> None:
    tokenizer = Tokenizer.from_vocab(VOCAB_FILE)
    specials = [tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id]
    assert specials == [0, 1, 2, 3, 4]
    expected = [token[:2] == "##" for token in VOCAB_FILE.read_text().split("\n")[:-1]]
    assert tokenizer.is_continuation.tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_bad_vocabularies_and_words(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    with pytest.raises(InputError, match=r"vocab\.txt.*--vocab_file"):
        Tokenizer.from_vocab(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        Tokenizer.from_vocab(path)
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(InputError, match="line 2"):
        Tokenizer.from_vocab(path)
    path.write_bytes(b"a\nb\n")
    tokenizer = Tokenizer.from_vocab(path)
    assert tokenizer.tokenize("a b") == ["a", "b"]
    with pytest.raises(InputError, match=r"vocab\.txt: has no \[MASK\]"):
        assert tokenizer.mask_id
    for way in (tokenizer.encode, tokenizer.encode_with_offsets, lambda text: tokenizer.encode_batch([text])):
        with pytest.raises(InputError, match=r"vocab\.txt: has no \[UNK\]"):
            way("a c")
        assert tokenizer.encode_batch(["b", "a"])[0].tolist() == [1, 0]
    with pytest.raises(InputError, match="no token 'c'"):
        tokenizer.convert_tokens_to_ids(["a", "c"])
    for wrong in (-1, 2):
        with pytest.raises(InputError, match=f"id {wrong}"):
            tokenizer.convert_ids_to_tokens([0, wrong])


@pytest.mark.parametrize("case", ["uncased", "cased", "accents"])
def test_hugging_face_reads_what_is_saved(tmp_path: Path, case: str) -> None:
    transformers = pytest.importorskip("transformers")
    settings = {"uncased": (True, None), "cased": (False, None), "accents": (True, False)}[case]
    ours = Tokenizer(vocabulary(LETTERS + " ##é the"), settings[0], strip_accents=settings[1])
    ours.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("The abc, xyz! Éa aÉ 中ab国", "a" * 90, "unknown – “a”", "a\tb\x0bc\nd"):
        assert theirs.tokenize(text) == ours.tokenize(text)
        assert theirs(text)["input_ids"] == ours.encode_pair(text).ids
        assert theirs(text, "b")["token_type_ids"] == ours.encode_pair(text, "b").segment_ids
    assert theirs.mask_token_id == ours.mask_id
    assert len(theirs) == ours.vocab_size
    # What `transformers` builds from these files gives up at 100 characters; the file itself says 200.
    plain = pytest.importorskip("tokenizers").Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert plain.encode("a" * 150 + " the").tokens == ["[CLS]", *ours.tokenize("a" * 150 + " the"), "[SEP]"]
