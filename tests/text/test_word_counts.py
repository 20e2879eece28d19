"""Counting words: what the tokenizer would count line by line, in any parts and with any number of processes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.text import word_counts
from bertworks.text.basic import basic_tokenize
from bertworks.text.word_counts import count_block, count_words

texts = st.text(
    st.sampled_from("ab CdÉé-.,字\u3000\x00\x0b\u2028 \t\nΣς'0") | st.characters(codec="utf-8"), max_size=60
)


@settings(deadline=None)
@given(texts, st.booleans(), st.none() | st.booleans())
def test_counts_the_words_of_the_tokenizer(text: str, do_lower_case: bool, strip_accents: bool | None) -> None:
    expected = Counter(w for line in text.split("\n") for w in basic_tokenize(line, do_lower_case, strip_accents))
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        path.write_bytes(b"first\n" + text.encode())
        found = count_words([path], do_lower_case=do_lower_case, strip_accents=strip_accents)
    assert found.counts == expected + Counter(["first"])


@settings(deadline=None)
@given(st.lists(texts, max_size=5), st.randoms(use_true_random=False))
def test_partial_counts_add_up_in_any_order(contents: list[str], chance) -> None:
    blocks = [text.encode() + b"\n" for text in contents]
    whole = count_block(b"".join(blocks), True, True, longest=3)
    chance.shuffle(blocks)
    counts, words, characters = zip(
        *(count_block(block, True, True, longest=3) for block in [*blocks, b""]), strict=True
    )
    assert (sum(counts, Counter[bytes]()), sum(words), sum(characters)) == whole
    longer = [word for word, count in count_block(b"".join(blocks), True, True).counts.items() for _ in range(count)]
    assert whole.long_characters == sum(length for length in (len(word.decode()) for word in longer) if length > 3)


def test_any_number_of_workers_counts_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_counts, "BLOCK_BYTES", 500)
    words = [f"word{n * n % 97}" for n in range(5000)]
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("\n\n".join(" ".join(words[n : n + 10]) for n in range(0, 3000, 10)))
    paths[1].write_text("\n\n".join(" ".join(words[n : n + 10]) for n in range(3000, 5000, 10)))
    told: list[int] = []
    assert count_words(paths, num_workers=2, progress=told.append) == count_words(paths)
    assert count_words(paths).counts == Counter(words)
    assert sum(told) == sum(path.stat().st_size for path in paths)
    assert len(told) > 50
    paths[1].write_bytes(paths[1].read_bytes() + b"\xff")
    with pytest.raises(InputError, match=r"b.txt, line 399: not UTF-8"):
        count_words(paths, num_workers=2)


def test_words_that_are_always_unknown_are_left_out(tmp_path: Path) -> None:
    longest = "é" * 200
    (tmp_path / "a.txt").write_text(f"{longest} {longest}é {'x' * 201} {'y' * 10_000_000} end\n{'z' * 801}")
    found = count_words([tmp_path / "a.txt"], strip_accents=False)
    assert found.counts == {longest: 1, "end": 1}
    assert found.long_words == 4
    assert found.long_characters == 201 + 201 + 10_000_000 + 801
    assert found.characters == found.long_characters + 203
    more = count_words([tmp_path / "a.txt"], strip_accents=False, max_input_chars_per_word=801)
    assert more.counts == {longest: 1, longest + "é": 1, "x" * 201: 1, "z" * 801: 1, "end": 1}
