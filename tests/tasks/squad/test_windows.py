"""Windows: beside a slow implementation of the original's rules, on the golden files and on random ones."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.squad import windows as module
from bertworks.tasks.squad.documents import Document, GoldAnswer, SquadExample
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.windows import FIRST_UNIQUE_ID, Windows, WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer
from tests.tasks.squad import slow_squad

FIXTURES = Path(__file__).parents[2] / "fixtures"
TOKENIZER = Tokenizer.from_vocab(FIXTURES / "vocab.txt")

# What is no blank for words but parts them for the tokenizer (\xa0), what vanishes (\x00, \xad) and what becomes
# several pieces are all among these.
TEXT = st.text("the ma(1-9).é大ﬁİ \t\n\u202f\xa0\xad\x00", min_size=1, max_size=60)


def all_windows(read: list[SquadExample], settings: WindowSettings, training: bool) -> Windows:
    return Windows.joined([made for _, made in make_windows(TOKENIZER, read, settings, training)])


def assert_equal(fast: Windows, slow: Sequence[slow_squad.SlowWindow], training: bool) -> None:
    """Everything that the model and the answers need is the same."""
    assert len(fast) == len(slow)
    assert fast.unique_ids.tolist() == [window.unique_id for window in slow]
    assert fast.examples.tolist() == [window.example for window in slow]
    assert fast.doc_starts.tolist() == [window.begin for window in slow]
    assert fast.sequences.first.tolist() == [window.first for window in slow]
    assert fast.sequences.lengths.tolist() == [len(window.tokens) for window in slow]
    tokens = [token for window in slow for token in window.tokens]
    assert TOKENIZER.convert_ids_to_tokens(fast.sequences.ids.tolist()) == tokens
    if training:
        assert fast.positions.tolist() == [list(window.position or ()) for window in slow]
        assert fast.is_impossible.tolist() == [window.is_impossible for window in slow]
        assert len(fast.words) == len(fast.is_max_context) == 0
        return
    words = [window.word.get(place, -1) for window in slow for place in range(len(window.tokens))]
    assert fast.words.tolist() == words
    best = [window.is_max_context.get(place, False) for window in slow for place in range(len(window.tokens))]
    assert fast.is_max_context.tolist() == best
    assert fast.positions.shape == (0, 2)


def compare(path: Path, settings: WindowSettings, training: bool, version_2: bool) -> Windows:
    """The fast windows of a file, which are those of the slow implementation.

    Answers whose white space differs are left out here, as in the original; we read and count them. Empty questions are
    counted too, and read in both.
    """
    reader = SquadReader(path, training, version_2)
    read = list(reader.examples())
    slow = list(slow_squad.read(path, training, version_2))
    known = {example.id for example in slow}
    counted = {what: questions for what, (questions, _) in reader.read_anyway.items()}
    assert len(read) - len(slow) == sum(counted.values()) - counted.get("the question is empty", 0)
    read = [example for example in read if example.id in known]
    assert [example.id for example in read] == [example.id for example in slow]
    assert [example.document.words for example in read] == [example.words for example in slow]
    fast = all_windows(read, settings, training)
    expected = slow_squad.windows(
        slow,
        TOKENIZER.tokenize,
        max_seq_length=settings.max_seq_length,
        doc_stride=settings.doc_stride,
        max_query_length=settings.max_query_length,
        training=training,
    )
    assert_equal(fast, list(expected), training)
    return fast


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("settings", [WindowSettings(64, 16, 16), WindowSettings(), WindowSettings(20, 3, 6)])
def test_windows_of_the_golden_files(settings: WindowSettings, version: int, training: bool) -> None:
    found = compare(FIXTURES / f"squad-v{version}.json", settings, training, version == 2)
    assert len(found) > 90
    if training:
        assert (found.positions > 0).any()


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Files in the form of SQuAD 2.0, with answers here and there in their documents."""
    paragraphs = []
    number = 0
    for _ in range(draw(st.integers(1, 3))):
        context = draw(TEXT.filter(lambda text: bool(TOKENIZER.tokenize(text))))
        qas = []
        for _ in range(draw(st.integers(1, 3))):
            begin = draw(st.integers(0, len(context) - 1))
            text = context[begin : draw(st.integers(begin + 1, len(context)))]
            shift = draw(st.sampled_from([0, 0, 0, -1, 2]))
            is_possible = bool(text.split()) and 0 <= begin + shift <= len(context) - len(text)
            answers = [{"text": text, "answer_start": begin + shift}] if is_possible else []
            qas.append({"id": str(number), "question": draw(TEXT), "answers": answers, "is_impossible": not answers})
            number += 1
        paragraphs.append({"context": context, "qas": qas})
    return {"version": "v2.0", "data": [{"title": "t", "paragraphs": [p]} for p in paragraphs]}


@given(files(), st.integers(0, 4), st.integers(1, 9), st.integers(1, 12), st.booleans())
def test_windows_of_random_files(content: dict[str, Any], query: int, room: int, stride: int, training: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "squad.json"
        path.write_text(json.dumps(content))
        slow = list(slow_squad.read(path, training, True))
        if slow:
            compare(path, WindowSettings(query + 3 + room, stride, query), training, True)
            return
        reader, read, message = SquadReader(path, training, True), [], ""
        try:
            read = list(reader.examples())
        except InputError as error:
            message = str(error)
        assert read or "could not find the answer" in message
        assert len(read) == sum(questions for questions, _ in reader.read_anyway.values())


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 40))
@example(400, 300, 290)  # where the last window is so much shorter that its length tells
def test_every_token_counts_in_one_window(length: int, room: int, stride: int) -> None:
    read = [SquadExample("1", "the", Document("the " * length))]
    found = all_windows(read, WindowSettings(room + 4, stride, 1), training=False)
    assert np.bincount(found.words[found.is_max_context]).tolist() == [1] * length
    slow = slow_squad.SlowExample("1", "the", ["the"] * length)
    expected = slow_squad.windows(
        [slow],
        TOKENIZER.tokenize,
        max_seq_length=room + 4,
        doc_stride=stride,
        max_query_length=1,
        training=False,
    )
    assert_equal(found, list(expected), training=False)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list(SquadReader(FIXTURES / "squad-v2.json", True, True).examples())
    settings = WindowSettings(32, 8, 8)
    for training in (False, True):
        whole = list(make_windows(TOKENIZER, read, settings, training))
        with monkeypatch.context() as patch:
            patch.setattr(module, "BLOCK_TOKENS", 1)
            single = list(make_windows(TOKENIZER, read, settings, training))
        assert [len(block) for block, _ in single] == [1] * len(read)
        assert [len(block) for block, _ in whole] == [len(read)]
        for name, value in vars(Windows.joined([made for _, made in single])).items():
            expected = getattr(whole[0][1], name)
            if name == "sequences":
                assert vars(value).keys() == vars(expected).keys()
                assert all(np.array_equal(vars(value)[key], vars(expected)[key]) for key in vars(value))
            else:
                assert np.array_equal(value, expected), name


def answered(
    text: str, answer: str, settings: WindowSettings | None = None, last: bool = False
) -> tuple[Windows, list[list[str]]]:
    """Windows for one question whose answer is the first or last such text, and the tokens of the answer in each."""
    document = Document(text)
    begin = text.rindex(answer) if last else text.index(answer)
    words = GoldAnswer(answer, begin, document.word_at(begin), document.word_at(begin + len(answer) - 1))
    found = all_windows([SquadExample("1", "the", document, words)], settings or WindowSettings(), training=True)
    tokens = TOKENIZER.convert_ids_to_tokens(found.sequences.ids.tolist())
    spans = zip(found.sequences.starts.tolist(), found.positions.tolist(), strict=False)
    return found, [tokens[start + first : start + last + 1] for start, (first, last) in spans]


def test_an_answer_is_tightened_to_its_own_tokens_where_they_stand_there() -> None:
    assert answered("the mill (1895-1943).", "1895-")[1] == [TOKENIZER.tokenize("1895-")]
    assert answered("the mill (1895-1943).", "94")[1] == [TOKENIZER.tokenize("(1895-1943).")]


def test_an_answer_may_be_tightened_by_its_characters() -> None:
    text = "大约在1753年，大约在1791年，(大约)"
    before = len(TOKENIZER.tokenize("大约在1753年，")) + 3
    for by_characters, first in ((False, 3), (True, before)):
        found, tokens = answered(text[:-4], "大约在", WindowSettings(tighten_by_characters=by_characters), last=True)
        assert found.positions.tolist() == [[first, first + 2]]
        assert tokens == [TOKENIZER.tokenize("大约在")]
    # What is not where the file says is looked for in the words.
    document = Document(text)
    read = [SquadExample("1", "the", document, GoldAnswer("大约在", 5, 0, 0))]
    found = all_windows(read, WindowSettings(tighten_by_characters=True), training=True)
    assert found.positions.tolist() == [[3, 5]]


@given(TEXT, st.data())
def test_tightening_by_characters_covers_the_answer(text: str, draw: st.DataObject) -> None:
    begin = draw.draw(st.integers(0, len(text) - 1))
    answer = text[begin : draw.draw(st.integers(begin + 1, len(text)))]
    document = Document(text)
    if not TOKENIZER.tokenize(text) or not TOKENIZER.tokenize(answer):
        return
    words = GoldAnswer(answer, begin, max(0, document.word_at(begin)), document.word_at(begin + len(answer) - 1))
    read = [SquadExample("1", "", document, words)]
    found = all_windows(read, WindowSettings(tighten_by_characters=True), training=True)
    aligned = TOKENIZER.encode_with_offsets(text)
    assert found.sequences.ids[2:-1].tolist() == aligned.ids.tolist()
    first, last = (found.positions[0] - 2).tolist()
    assert aligned.spans[first][1] > begin
    assert aligned.spans[last][0] < begin + len(answer)
    assert first == 0 or aligned.spans[:first, 1].max() <= begin
    assert last == len(aligned.ids) - 1 or aligned.spans[last + 1 :, 0].min() >= begin + len(answer)


def test_an_answer_outside_of_a_window_is_the_first_token() -> None:
    found, tokens = answered("the mill . . . . . . . . . . . .", "mill", WindowSettings(10, 3, 3))
    assert len(found) > 2
    assert found.positions[0].all()
    assert not found.positions[-1].any()
    assert tokens[-1] == ["[CLS]"]
    assert not found.is_impossible.any()


def test_long_questions_are_cut_and_counted() -> None:
    read = [SquadExample(str(n), "the " * n, Document("man")) for n in range(1, 5)]
    found = all_windows(read, WindowSettings(10, 4, 2), training=False)
    assert found.questions_cut == 2
    assert found.sequences.first.tolist() == [3, 4, 4, 4]
    assert found.sequences.cut == 0
    assert found.unique_ids.tolist() == [FIRST_UNIQUE_ID + n for n in range(4)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((67, 128, 64), "--max_seq_length=67: .* more than --max_query_length=64"),
        ((384, 0, 64), "--doc_stride=0: must be at least 1"),
        ((384, 128, -1), "--max_query_length=-1: must not be negative"),
    ],
)
def test_settings_without_room_are_refused(settings: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WindowSettings(*settings)


def test_a_document_that_the_tokenizer_leaves_nothing_of_is_named() -> None:
    read = [SquadExample("1", "the", Document("man", "first")), SquadExample("2", "the", Document("\x00", "second"))]
    with pytest.raises(InputError, match=r"^second: the context is empty after tokenization"):
        all_windows(read, WindowSettings(), training=False)
