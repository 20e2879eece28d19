"""The tokenizer gives the original's tokens, by every way into it."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bertworks import FullTokenizer, InputError, Tokenizer
from bertworks.text import basic, unicode14
from bertworks.text.basic import basic_tokenize
from bertworks.text.pairs import truncated_lengths
from bertworks.text.wordpiece import PieceCache, WordPiece
from bertworks.text.words import WordNumbers
from tests.text import slow_tokenizer

FIXTURES = Path(__file__).parents[1] / "fixtures"
VOCAB_FILE = FIXTURES / "vocab.txt"

same_unicode = pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0",
    reason="the plain implementation asks this Python, whose Unicode is not 14.0",
)

# Characters that some rule is about, among plain ones: what a rule can get wrong shows where they meet.
HARD = st.text(
    st.sampled_from(
        "abcXYZ019 .,-'[]!\t\n\r\x0b\x0c\x1c\x1f\x00\x7f\x85\xa0\u2028\u2029\u3000\u200b\u00ad\ufeff\ufffd"
        "éÉñÅ\u0301\u0327\u0345σςΣΟßıİĲﬁ中国\U00020000豈\U0002f800가각ᄀ–“¿、\u302e\U00016ff0\u0b57ௌ\u0378\U0010ffff\ue000\ud800\udc00ⓐⅣº𝒳𐐀"
    ),
    max_size=40,
)
ANY = st.text(st.characters(codec="utf-8", exclude_categories=[]), max_size=30)
TEXTS = st.one_of(HARD, ANY) if unicodedata.unidata_version == "14.0.0" else HARD


@pytest.fixture(scope="module")
def golden() -> list[dict]:
    lines = (FIXTURES / "tokenization.jsonl").read_text().split("\n")
    return [json.loads(line) for line in lines if line]


def lists(ids: np.ndarray, starts: np.ndarray) -> list[list[int]]:
    """Flat ids, one list a line."""
    return [ids[begin:end].tolist() for begin, end in itertools.pairwise(starts)]


def wordpiece_of(tokenizer: Tokenizer) -> WordPiece:
    return WordPiece(tokenizer.vocab, "[UNK]", tokenizer.max_input_chars_per_word, tokenizer.vocab_file)


def vocabulary(tokens: str) -> list[str]:
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens.split()]


LETTERS = (
    "a b c d e i n o s x y z 0 1 . , - ' [ ] ! ##a ##b ##c ##e ##i ##n ##x ##y ##z ##0 "
    "σ ς ##σ ##ς ab ##bc abc ##xyz 中 é"
)


# The original's answers


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


# The rules, against the plain implementation


@same_unicode
def test_the_frozen_table_is_that_of_unicode_14() -> None:
    def letter(code: int) -> str:
        character, category = chr(code), unicodedata.category(chr(code))
        if character in "\t\n\r " or category in ("Zs", "Zl", "Zp"):
            return "s"
        if character in "\0\ufffd" or category in ("Cc", "Cf"):
            return "d"
        if category.startswith("P") or (code < 128 and not character.isalnum()):
            return "p"
        return {"Mn": "m", "Cn": "u"}.get(category, "o")

    runs = [(key, len(list(group))) for key, group in itertools.groupby(map(letter, range(0x110000)))]
    assert "".join(f"{count if count > 1 else ''}{key}" for key, count in runs) == unicode14._RUNS


@pytest.mark.parametrize("lower", [True, False])
def test_every_code_point_between_two_letters(lower: bool) -> None:
    kinds = unicode14.kinds()
    for begin in range(0, 0x110000, 1 << 16):
        known = [code for code in range(begin, begin + (1 << 16)) if not kinds[code] & unicode14.UNASSIGNED]
        codes = range(begin, begin + (1 << 16)) if unicodedata.unidata_version == "14.0.0" else known
        text = " ".join([f"a{chr(code)}b" for code in codes])
        expected = slow_tokenizer.words(text, lower)
        assert basic_tokenize(text, lower) == expected
        block = basic.normalized_block(text.encode("utf-8", "surrogatepass"), lower, lower)
        signs_apart = re.sub(rb"([!-/:-@\[-`{-~])", rb" \1 ", block)
        assert signs_apart.decode("utf-8", "surrogatepass").split() == expected


@pytest.mark.parametrize(
    ("lower", "frozen"),
    [
        (True, "9f7c34f08042a79f9558125390f9a5c8ba56d35dd0573b23b9068b5962cd2064"),
        (False, "94cc0f8792dd1c69c398022bf8e0f7327e858d9802c054f3ad9fe321201a4ba4"),
    ],
)
def test_every_code_point_gives_the_same_on_every_python(lower: bool, frozen: str) -> None:
    """The digest of what Python 3.11 gives, where the plain implementation above has the same Unicode."""
    digest = hashlib.sha256()
    for begin in range(0, 0x110000, 0x400):
        text = " ".join(f"a{chr(code)}b" for code in range(begin, begin + 0x400) if not 0xD800 <= code < 0xE000)
        digest.update("\x1f".join(basic_tokenize(text, lower)).encode())
    assert digest.hexdigest() == frozen


@pytest.mark.parametrize("lower", [True, False])
def test_characters_unknown_to_unicode_14_pass_untouched_on_a_newer_python(
    monkeypatch: pytest.MonkeyPatch, lower: bool
) -> None:
    unassigned = [chr(code) for code in np.flatnonzero(unicode14.kinds() == unicode14.UNASSIGNED)[::97]]
    text = " ".join(f"Σ{character}Σ\u0301{character}é" for character in unassigned)
    fold, seen = basic.fold, []

    def newer(text: str, lower: bool, strip: bool) -> str:
        seen.append(text)
        return fold(text, lower, strip)

    monkeypatch.setattr(basic, "fold", newer)
    words = basic_tokenize(text, lower)
    assert bool(seen) == lower
    assert not set("".join(seen)) & set(unassigned)
    between = "σ{0}σ{0}e" if lower else "Σ{0}Σ\u0301{0}é"
    assert words == [between.format(character) for character in unassigned]


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


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_lower_casing_that_keeps_accents(text: str) -> None:
    kept = basic_tokenize(text, True, strip_accents=False)
    assert kept == slow_tokenizer.words(" ".join(slow_tokenizer.words(text, False)).lower(), False) or "Σ" in text
    block = basic.normalized_block(text.encode("utf-8", "surrogatepass"), True, False)
    assert b"".join(block.split()).decode("utf-8", "surrogatepass") == "".join(kept)


def test_accents_may_be_kept_or_dropped_whatever_the_case() -> None:
    assert basic_tokenize("Über ÉTÉ", True, strip_accents=False) == ["über", "été"]
    assert basic_tokenize("Über ÉTÉ", False, strip_accents=True) == ["Uber", "ETE"]


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


@pytest.mark.parametrize("limits", [{"max_words": 1}, {"max_words": 7}, {"max_bytes": 3}])
def test_forgetting_words_changes_nothing(golden: list[dict], limits: dict[str, int]) -> None:
    tokenizer = Tokenizer.from_vocab(VOCAB_FILE)
    small = PieceCache(wordpiece_of(tokenizer), tokenizer.dtype, **limits)
    text = "\n".join(line["text"].replace("\n", " ") for line in golden[::5]).encode("utf-8", "surrogatepass")
    for line in text.split(b"\n"):
        ids, _ = small.encode(basic.normalized_block(line, True, True))
        assert ids.tolist() == tokenizer.encode_lines(line + b"\n")[0].tolist()


def test_what_is_remembered_is_bounded() -> None:
    tokenizer = Tokenizer(vocabulary("##a a"))
    small = PieceCache(wordpiece_of(tokenizer), tokenizer.dtype, max_words=20, max_bytes=500)
    most = 0
    for length in range(1, 200):
        small.encode(b" ".join([b"a" * length, b"b" * length, b"c" * length]))
        most = max(most, len(small))
    assert 20 <= most < 20 + 3
    assert len(small) <= 6


@pytest.mark.parametrize("longest", [1, 3, 8, 9, 17, 30])
def test_distinct_words_get_distinct_numbers(longest: int) -> None:
    """Against a dictionary, with enough words for tables to grow and for words to meet in them."""
    random = np.random.default_rng(longest)
    numbers = WordNumbers(max_word_bytes=25)
    known: dict[bytes, int] = {}
    names: list[bytes] = []
    for size in (1, 10, 5_000, 30_000, 30_000):
        letters = random.integers(ord("a"), ord("e"), (size, longest), dtype=np.uint8)
        words = [row[: n + 1].tobytes() for row, n in zip(letters, random.integers(0, longest, size), strict=True)]
        found, before, new = numbers.look_up(b" ".join(words) + b"\n")
        names += new
        assert before.tolist() == [size]
        assert numbers.count == len(names) == len(set(names))
        for word, number in zip(words, found.tolist(), strict=True):
            assert known.setdefault(word if len(word) <= 25 else b"a" * 26, number) == number
        assert [known[name] for name in names] == list(range(len(names)))


def test_a_pickled_tokenizer_leaves_its_words_behind() -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS), False, strip_accents=True)
    before = pickle.dumps(tokenizer)
    expected = lists(*tokenizer.encode_batch(["abc éa"] * 3))
    assert len(pickle.dumps(tokenizer)) < 2 * len(before)
    assert lists(*pickle.loads(pickle.dumps(tokenizer)).encode_batch(["abc éa"] * 3)) == expected


# Pairs


def by_the_loop(length_a: int, length_b: int, room: int) -> tuple[int, int]:
    while length_a + length_b > room:
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    return length_a, length_b


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 70))
def test_two_lengths_are_cut_as_by_the_loop(length_a: int, length_b: int, room: int) -> None:
    assert truncated_lengths(length_a, length_b, room) == by_the_loop(length_a, length_b, room)


def test_pairs() -> None:
    tokenizer = Tokenizer(vocabulary("a b c d"))
    a, b, c, d = range(5, 9)
    assert tokenizer.encode_pair("a b") == ([2, a, b, 3], [0, 0, 0, 0])
    assert tokenizer.encode_pair("a b", "c d") == ([2, a, b, 3, c, d, 3], [0, 0, 0, 0, 1, 1, 1])
    assert tokenizer.encode_pair("a b", "c d", max_seq_length=6) == ([2, a, b, 3, c, 3], [0, 0, 0, 0, 1, 1])
    assert tokenizer.encode_pair("a b c d", max_seq_length=5) == ([2, a, b, c, 3], [0] * 5)
    assert tokenizer.encode_pair("a", " \t", max_seq_length=3) == ([2, a, 3], [0] * 3)
    assert tokenizer.encode_pair("a", "b", max_seq_length=4) == ([2, a, 3], [0] * 3)
    with pytest.raises(InputError, match="--max_seq_length=2"):
        tokenizer.encode_pair("a", "b", max_seq_length=2)


# Offsets


def test_spans_are_places_in_the_text_as_given() -> None:
    tokenizer = Tokenizer(vocabulary("x straße ##e i ##le 中 国 ᄀ ##ᅡ ##ᆨ ca ##fe ! ae"))
    text = "  CAFE\u0301! \x00中国\u200b İle\t각 Qq a\u0000é"
    aligned = tokenizer.encode_with_offsets(text)
    assert tokenizer.convert_ids_to_tokens(aligned.ids) == [
        *("ca", "##fe", "!", "中", "国", "i", "##le", "ᄀ", "##ᅡ", "##ᆨ", "[UNK]", "ae")
    ]
    assert [text[begin:end] for begin, end in aligned.spans] == [
        *("CA", "FE\u0301", "!", "中", "国", "İ", "le", "각", "각", "각", "Qq", "a\0é")
    ]
    assert aligned.words.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 5]
    # Canonical ordering turns these two around.
    turned = Tokenizer(vocabulary("a ##\U00016ff0 ##\u302e")).encode_with_offsets("a\u302e\U00016ff0")
    assert (turned.ids.tolist(), turned.spans.tolist()) == ([5, 6, 7], [[0, 1], [2, 3], [1, 2]])
    for nothing in ("", " \n", "\u0301"):
        assert tokenizer.encode_with_offsets(nothing).spans.shape == (0, 2)


@given(TEXTS, st.booleans())
@example("\u302e\U00016ff0", True)  # canonical ordering turns them round
@settings(max_examples=200, deadline=None)
def test_spans_cover_the_text_and_say_what_they_hold(text: str, lower: bool) -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS), lower)
    aligned = tokenizer.encode_with_offsets(text)
    covered = set(itertools.chain.from_iterable(range(begin, end) for begin, end in aligned.spans))
    kinds = unicode14.kinds()
    for place, character in enumerate(text):
        kind = kinds[ord(character)]
        if kind & unicode14.SPACE:
            assert place not in covered
        elif not kind & (unicode14.DELETED | unicode14.MARK):
            assert place in covered
    words = re.sub("[" + "".join(map(chr, np.flatnonzero(kinds & unicode14.SPACE))) + "]", " ", text).split(" ")
    words = [word for word in words if word]
    for piece, (begin, end), word in zip(aligned.ids, aligned.spans, aligned.words, strict=True):
        assert 0 <= begin < end <= len(text)
        assert text[begin] in words[word]
        held = "".join(basic_tokenize(text[begin:end], lower))
        token = tokenizer.tokens[piece].removeprefix("##")
        if token != "[UNK]":
            assert token.replace("ς", "σ") in held.replace("ς", "σ")


# Vocabularies


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


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3\x00\xa9", b"\xe4\xb8", b"\xf5\x80\x80\x80", b"a\xa9"])
@pytest.mark.parametrize("lines_before", [0, 3, 50_000])
def test_lines_that_are_not_utf8_are_named(bad: bytes, lines_before: int) -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS))
    block = "é a b\n".encode() * lines_before + b"a " + bad + b" b\n" + "é\n".encode()
    with pytest.raises(InputError, match=f"line {lines_before + 1}: .*UTF-8"):
        tokenizer.encode_lines(block)


# Hugging Face


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
