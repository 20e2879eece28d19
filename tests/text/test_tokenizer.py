"""The tokenizer gives the original's tokens, by every way into it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bertworks import FullTokenizer, InputError, Tokenizer
from bertworks.text import basic
from bertworks.text.basic import basic_tokenize
from tests.text import slow_tokenizer
from tests.text.texts import HARD, LETTERS, TEXTS, VOCAB_FILE, golden_lines, lists, vocabulary


@pytest.fixture(scope="module")
def golden() -> list[dict]:
    return golden_lines()


@pytest.mark.parametrize("case", ["uncased", "cased"])
def test_golden_lines_token_for_token(golden: list[dict], case: str) -> None:
    tokenizer = Tokenizer.from_vocab(VOCAB_FILE, do_lower_case=case == "uncased")
    texts, expected = [line["text"] for line in golden], [line[case] for line in golden]
    assert len(texts) == 1541
    assert [tokenizer.tokenize(text) for text in texts] == expected
    for _ in range(2):  # the second time every word is known
        bulk = lists(*tokenizer.encode_batch(texts))
        assert [tokenizer.convert_ids_to_tokens(ids) for ids in bulk] == expected
    assert [tokenizer.convert_ids_to_tokens(tokenizer.encode_with_offsets(text).ids) for text in texts] == expected


def test_vectors_of_the_original_tests(tmp_path: Path) -> None:
    tokens = ["[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed", "wa", "un", "runn", "##ing", ","]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    tokenizer = FullTokenizer(tmp_path / "vocab.txt")
    found = tokenizer.tokenize("UNwant\u00e9d,running")
    assert found == ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert tokenizer.convert_tokens_to_ids(found) == [7, 4, 5, 10, 8, 9]
    assert tokenizer.convert_ids_to_tokens([7, 4, 5, 10, 8, 9]) == found
    assert tokenizer.inv_vocab[3] == "want"
    with pytest.raises(KeyError):
        tokenizer.convert_tokens_to_ids(["absent"])
    assert basic_tokenize("ah\u535a\u63a8zz") == ["ah", "\u535a", "\u63a8", "zz"]
    assert basic_tokenize(" \tHeLLo!how  \n Are yoU?  ") == ["hello", "!", "how", "are", "you", "?"]
    assert basic_tokenize("H\u00e9llo") == ["hello"]
    assert basic_tokenize(" \tHeLLo!how  \n Are yoU?  ", False) == ["HeLLo", "!", "how", "Are", "yoU", "?"]


def test_the_recipe_that_maps_words_to_pieces(tmp_path: Path) -> None:
    """The recipe of the original's README, by its own names."""
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary("john johan ##son ' s house")))
    tokenizer = FullTokenizer(vocab_file=tmp_path / "vocab.txt", do_lower_case=True)
    orig_tokens = ["John", "Johanson", "'s", "house"]
    bert_tokens = ["[CLS]"]
    orig_to_tok_map = []
    for orig_token in orig_tokens:
        orig_to_tok_map.append(len(bert_tokens))
        bert_tokens.extend(tokenizer.tokenize(orig_token))
    bert_tokens.append("[SEP]")
    assert bert_tokens == ["[CLS]", "john", "johan", "##son", "'", "s", "house", "[SEP]"]
    assert orig_to_tok_map == [1, 2, 4, 6]


@given(TEXTS, st.booleans())
@example("ΟΔΟΣ Σ ΑΣ\u200bΒ ΑΣ' ΑΣ中 Σ\u0301Σ", True)
@example("a\u302e\U00016ff0\u0301b", True)
@settings(max_examples=400, deadline=None)
def test_every_way_in_agrees_with_the_plain_implementation(text: str, lower: bool) -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS), lower)
    expected = slow_tokenizer.tokenize(text, tokenizer.vocab, lower)
    assert basic_tokenize(text, lower) == slow_tokenizer.words(text, lower)
    assert tokenizer.tokenize(text) == expected
    ids = tokenizer.convert_tokens_to_ids(expected)
    assert lists(*tokenizer.encode_batch(["", text, "a", text])) == [[], ids, tokenizer.encode("a"), ids]
    assert tokenizer.encode_with_offsets(text).ids.tolist() == ids


@pytest.mark.parametrize("letter", ["a", "é", "中", "x中"])
def test_words_of_more_than_200_characters_are_unknown(letter: str) -> None:
    tokenizer = Tokenizer(vocabulary("a ##a é ##é x 中"), True, strip_accents=False)
    for length in (199, 200, 201, 799, 800, 801, 5000):
        text = (letter * length)[:length] + " x"
        expected = slow_tokenizer.tokenize(text, tokenizer.vocab, False)
        assert tokenizer.tokenize(text) == expected
        assert tokenizer.convert_ids_to_tokens(tokenizer.encode_batch([text])[0]) == expected
        assert tokenizer.convert_ids_to_tokens(tokenizer.encode_with_offsets(text).ids) == expected


def test_special_tokens_within_a_text() -> None:
    split, kept = (Tokenizer(vocabulary(LETTERS + " mask"), split_special_tokens=flag) for flag in (True, False))
    text = "a[MASK] b [mask][SEP]\n[UNK] [CLS"
    assert split.tokenize("a[MASK]") == ["a", "[", "mask", "]"]
    expected = ["a", "[MASK]", "b", "[", "mask", "]", "[SEP]", "[UNK]", "[", "[UNK]"]
    assert kept.tokenize(text) == expected
    assert lists(*kept.encode_batch(["", text])) == [[], kept.convert_tokens_to_ids(expected)]
    aligned = kept.encode_with_offsets(text)
    assert kept.convert_ids_to_tokens(aligned.ids) == expected
    found = [text[begin:end] for begin, end in aligned.spans]
    assert found == ["a", "[MASK]", "b", "[", "mask", "]", "[SEP]", "[UNK]", "[", "CLS"]
    assert aligned.words.tolist() == [0, 0, 1, 2, 2, 2, 2, 3, 4, 4]


# Lines and batches


def test_only_a_newline_ends_a_line() -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS))
    block = "a\rb\x0bc\x1cd\x85e\u2028a\u2029b\r\n\n  \nx".encode()
    expected = [tokenizer.encode("a bcde a b"), [], [], tokenizer.encode("x")]
    assert lists(*tokenizer.encode_lines(block)) == expected
    assert lists(*tokenizer.encode_lines(block + b"\n")) == expected
    assert lists(*tokenizer.encode_lines(block + b"\n\n")) == [*expected, []]
    for empty in (tokenizer.encode_lines(b""), tokenizer.encode_batch([])):
        assert (empty[0].tolist(), empty[1].tolist()) == ([], [0])
    assert tokenizer.encode_lines(b"\n")[1].tolist() == [0, 0]


def test_a_batch_takes_strings_and_bytes_with_newlines() -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS))
    texts = ["a\nb", "é\n".encode(), "", b"c\r\n", "\n"]
    ids, starts = tokenizer.encode_batch(texts)
    assert lists(ids, starts) == [tokenizer.encode(text) for text in ("a b", "é", "", "c", "")]
    assert ids.dtype == np.uint16
    assert starts.dtype == np.int64
    assert Tokenizer([*vocabulary(LETTERS), *map(str, range(70_000))]).encode_batch(["a"])[0].dtype == np.uint32


@given(st.lists(HARD, max_size=8).map("\n".join), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_where_a_block_is_cut_changes_nothing(text: str, size: int) -> None:
    block = text.encode("utf-8", "surrogatepass")
    tokenizer = Tokenizer(vocabulary(LETTERS))
    whole = lists(*tokenizer.encode_lines(block))
    assert whole == [tokenizer.encode(line) for line in text.removesuffix("\n").split("\n") if text]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(basic, "STRETCH_BYTES", size)
        assert b"".join(basic.stretches(block)) == block
        assert lists(*tokenizer.encode_lines(block)) == whole


def test_a_pickled_tokenizer_leaves_its_words_behind() -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS), False, strip_accents=True)
    before = pickle.dumps(tokenizer)
    expected = lists(*tokenizer.encode_batch(["abc éa"] * 3))
    assert len(pickle.dumps(tokenizer)) < 2 * len(before)
    assert lists(*pickle.loads(pickle.dumps(tokenizer)).encode_batch(["abc éa"] * 3)) == expected


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3\x00\xa9", b"\xe4\xb8", b"\xf5\x80\x80\x80", b"a\xa9"])
@pytest.mark.parametrize("lines_before", [0, 3, 50_000])
def test_lines_that_are_not_utf8_are_named(bad: bytes, lines_before: int) -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS))
    block = "é a b\n".encode() * lines_before + b"a " + bad + b" b\n" + "é\n".encode()
    with pytest.raises(InputError, match=f"line {lines_before + 1}: .*UTF-8"):
        tokenizer.encode_lines(block)
