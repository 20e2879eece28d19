"""Words to sequences and windows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.ner.alignment import align, windows
from bertworks.text.tokenizer import Tokenizer

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##a", "##b", "ab", "林", "."]
TOKENIZER = Tokenizer(TOKENS)
WORDS = st.text("ab林.\x00 ", max_size=6)


@given(st.lists(st.lists(WORDS, max_size=6), max_size=5), st.integers(3, 12), st.sampled_from([None, 1, 2, 3, 20]))
def test_every_word_is_read_at_its_first_piece(
    sentences: list[list[str]], max_seq_length: int, stride: int | None
) -> None:
    found = align(TOKENIZER, sentences, max_seq_length, stride)
    words = [word for sentence in sentences for word in sentence]
    assert found.starts[-1] == len(found.ids)
    assert np.diff(found.starts).max(initial=0) <= max_seq_length
    for i in range(len(found)):
        ids = found.ids[found.starts[i] : found.starts[i + 1]].tolist()
        assert (ids[0], ids[-1]) == (TOKENIZER.cls_id, TOKENIZER.sep_id)
        read = slice(found.row_starts[i], found.row_starts[i + 1])
        own = found.words[read].tolist()
        assert own == list(range(own[0], own[0] + len(own))) if own else True  # neighbours
        for word, row in zip(own, found.rows[read].tolist(), strict=True):
            pieces = (TOKENIZER.encode(words[word]) or [TOKENIZER.unk_id])[: max_seq_length - 2]
            assert ids[row : row + len(pieces)] == pieces
    if stride is None:
        assert len(found) == len(sentences)
        assert found.cut == len(words) - len(found.words)
        expected = [align(TOKENIZER, [sentence], max_seq_length) for sentence in sentences]
        assert found.ids.tolist() == [piece for one in expected for piece in one.ids.tolist()]
        assert found.rows.tolist() == [row for one in expected for row in one.rows.tolist()]
    else:
        assert found.words.tolist() == list(range(len(words)))  # each once, in order
        assert found.cut == 0
    own = [found.words[begin:end].tolist() for begin, end in pairwise(found.row_starts.tolist())]
    bounds = list(pairwise(found.word_starts.tolist()))
    assert found.tagged.tolist() == [len([w for w in found.words if first <= w < end]) for first, end in bounds]
    begins, ends = {first for first, _ in bounds}, {end - 1 for _, end in bounds}
    assert found.edges.tolist() == [[not some or some[0] in begins, not some or some[-1] in ends] for some in own]
    tags = np.arange(1, len(found.words) + 1)
    back = found.by_sentence(tags)
    assert [len(one) for one in back] == [len(sentence) for sentence in sentences]
    assert [tag for one in back for tag in one.tolist() if tag] == tags.tolist()


def test_a_sentence() -> None:
    found = align(TOKENIZER, [["aba", "\x00", "林", "b"]], 10)
    tokens = TOKENIZER.convert_ids_to_tokens(found.ids)
    assert tokens == ["[CLS]", "ab", "##a", "[UNK]", "林", "b", "[SEP]"]
    assert found.rows.tolist() == [1, 3, 4, 5]
    cut = align(TOKENIZER, [["aba", "\x00", "林", "b"], ["a"]], 5)
    assert (cut.rows.tolist(), cut.row_starts.tolist(), cut.words.tolist(), cut.cut) == (
        [1, 3, 1],
        [0, 2, 3],
        [0, 1, 4],
        2,
    )
    assert [one.tolist() for one in cut.by_sentence(np.array([7, 8, 9]))] == [[7, 8, 0, 0], [9]]


def test_no_sentences() -> None:
    found = align(TOKENIZER, [], 8)
    assert (len(found), len(found.ids), len(found.words), found.cut) == (0, 0, 0, 0)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(5, 12), st.integers(1, 15))
def test_a_word_is_read_where_it_sees_most(lengths: list[int], room: int, stride: int) -> None:
    ends = np.cumsum(lengths)
    begins = ends - lengths
    found = windows(np.array(lengths), room, stride)
    assert [word for one in found for word in range(one.first_read, one.last_read)] == list(range(len(lengths)))
    for one in found:
        assert one.first <= one.first_read < one.last_read <= one.last
        assert ends[one.last - 1] - begins[one.first] <= room

    def context(word: int, first: int, last: int) -> int:
        return int(min(begins[word] - begins[first], ends[last - 1] - ends[word]))

    # All windows as their definition has them, one after the other.
    everywhere, first = [], 0
    while True:
        last = max(j for j in range(first + 1, len(lengths) + 1) if ends[j - 1] - begins[first] <= room)
        everywhere.append((first, last))
        if last == len(lengths):
            break
        far = [i for i in range(first + 1, len(lengths)) if begins[i] >= begins[first] + stride]
        first = min([*far, last])
    for one in found:
        for word in range(one.first_read, one.last_read):
            around = [edge for edge in everywhere if edge[0] <= word < edge[1]]
            assert (one.first, one.last) == max(around, key=lambda edge: context(word, *edge))  # the first of the best


def test_no_room_and_no_stride() -> None:
    with pytest.raises(InputError, match="--max_seq_length=2: must be at least 3"):
        align(TOKENIZER, [["a"]], 2)
    with pytest.raises(InputError, match="--doc_stride=0: must be at least 1"):
        align(TOKENIZER, [["a", "b"]], 3, 0)
