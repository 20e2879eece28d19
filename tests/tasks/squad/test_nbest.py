"""Answers from logits: equal to a slow, plain implementation, and what the original fails at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.squad import candidates
from bertworks.tasks.squad.candidates import WindowLogits, WindowTokens
from bertworks.tasks.squad.documents import Document, SquadExample
from bertworks.tasks.squad.nbest import (
    AnswerSettings,
    Question,
    find_answers,
    questions_of,
    window_tokens,
)
from bertworks.tasks.squad.windows import WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer
from tests.tasks.squad.made_windows import as_plain, texts, token_windows
from tests.tasks.squad.slow_answers import slow_answer


def expected(
    question: Question, windows: list[WindowTokens], logits: list[WindowLogits], settings: AnswerSettings
) -> dict:
    plain = [
        (
            window.tokens,
            {i: int(word) for i, word in enumerate(window.words) if word >= 0},
            dict(enumerate(window.is_max_context.tolist())),
        )
        for window in windows
    ]
    return slow_answer(
        question.words,
        plain,
        [(start.tolist(), end.tolist()) for start, end in logits],
        settings.n_best_size,
        settings.max_answer_length,
        settings.do_lower_case,
        settings.version_2_with_negative,
        settings.null_score_diff_threshold,
    )


@given(
    st.lists(texts, min_size=1, max_size=3),
    st.integers(0, 2**32),
    st.booleans(),
    st.builds(
        AnswerSettings,
        n_best_size=st.sampled_from([1, 2, 3, 20, 100]),
        max_answer_length=st.integers(1, 8),
        do_lower_case=st.booleans(),
        version_2_with_negative=st.booleans(),
        null_score_diff_threshold=st.floats(-3, 3),
    ),
    st.sampled_from([1, 1 << 17]),
)
def test_equal_to_the_slow_implementation(
    documents: list[list[str]], seed: int, many_ties: bool, settings: AnswerSettings, together: int
) -> None:
    draw = np.random.default_rng(seed)
    questions = [Question(f"q{i}", words) for i, words in enumerate(documents)]
    of_each = [
        token_windows(i, words, settings.do_lower_case, int(draw.integers(2, 9)), int(draw.integers(1, 3)))
        for i, words in enumerate(documents)
    ]
    windows = [window for one in of_each for window in one]
    logits = []
    for window in windows:
        scores = draw.normal(size=(2, len(window.tokens) + int(draw.integers(0, 3))))
        start, end = (np.round(scores) if many_ties else scores).astype(np.float32)
        logits.append((start, end))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "PAIRS_TOGETHER", together)
        found = list(find_answers(questions, windows, logits, settings))
    assert len(found) == len(questions)
    done = 0
    for question, mine, answer in zip(questions, of_each, found, strict=True):
        wanted = expected(question, mine, logits[done : done + len(mine)], settings)
        done += len(mine)
        got = as_plain(answer)
        probabilities = [entry.pop("probability") for entry in got["nbest"]]
        wanted_probabilities = [entry.pop("probability") for entry in wanted["nbest"]]
        if wanted["odds"] is None:  # where the original fails
            assert wanted["nbest"][0] in got["nbest"]
        else:
            assert probabilities == pytest.approx(wanted_probabilities)
            assert got == wanted


def one_window(words: list[str], **settings: object) -> tuple[list[Question], list[WindowTokens], AnswerSettings]:
    return [Question("q", words)], token_windows(0, words, True, 99, 99), AnswerSettings(**settings)  # type: ignore[arg-type]


def scores(**at: float) -> np.ndarray:
    """Logits of 8 tokens, low but where they are given: t3 is the first of the document."""
    found = np.full(8, -9.0, np.float32)
    for name, value in at.items():
        found[int(name[1:])] = value
    return found


def test_the_best_texts_without_repeats() -> None:
    questions, windows, settings = one_window(["the", "Mill's", "mill"], n_best_size=3)
    assert windows[0].tokens == ["[CLS]", "who", "[SEP]", "th", "##e", "mi", "##ll", "'", "s", "mi", "##ll", "[SEP]"]
    start, end = (np.full(12, -9.0, np.float32) for _ in range(2))
    start[[5, 3, 9]] = 3, 2, 1
    end[[6, 10, 7]] = 3, 2, 1
    (answer,) = find_answers(questions, windows, [(start, end)], settings)
    # 5-6 scores 6; 3-6 and 5-10 score 5, the start that is better first.
    assert [entry.text for entry in answer.nbest] == ["Mill", "Mill's mill", "the Mill"]
    assert answer.nbest[1].tokens == (5, 10)
    assert answer.prediction == "Mill"
    assert answer.best == answer.nbest[0]


def test_no_answer_where_its_odds_are_above_the_threshold() -> None:
    for threshold, prediction in ((0.9, ""), (1.0, "é"), (1.1, "é")):
        questions, windows, settings = one_window(
            ["é", "b"], version_2_with_negative=True, null_score_diff_threshold=threshold
        )
        start, end = scores(t0=3, t3=2)[:6], scores(t0=2, t3=2)[:6]
        (answer,) = find_answers(questions, windows, [(start, end)], settings)
        assert (answer.prediction, answer.null_odds) == (prediction, 1.0)
        assert [entry.text for entry in answer.nbest[:2]] == ["", "é"]


def test_an_answer_is_found_where_the_original_fails() -> None:
    """Version 2, and none of the n best starts and ends make a span."""
    questions, windows, settings = one_window(["a", "b", "c"], version_2_with_negative=True, n_best_size=2)
    start, end = scores(t0=5, t1=4, t3=1)[:7], scores(t0=5, t1=4, t4=2, t3=1)[:7]
    (answer,) = find_answers(questions, windows, [(start, end)], settings)
    assert (answer.prediction, answer.null_odds) == ("", 7.0)
    assert [entry.text for entry in answer.nbest] == ["", "a b"]
    settings = replace(settings, null_score_diff_threshold=8)
    (willing,) = find_answers(questions, windows, [(start, end)], settings)
    assert willing.prediction == "a b"


def test_an_answer_is_found_beside_a_single_best() -> None:
    questions, windows, settings = one_window(["a"], version_2_with_negative=True, n_best_size=1)
    windows[0] = windows[0]._replace(words=np.array([0, -1, -1, 0, -1]))
    start, end = scores(t3=2)[:5], scores(t3=2)[:5]
    start[0], end[0] = 1, 1
    (answer,) = find_answers(questions, windows, [(start, end)], settings)
    assert [entry.text for entry in answer.nbest] == ["a", ""]


def test_no_span_at_all() -> None:
    questions = [Question("a", ["x"]), Question("b", ["x"]), Question("c", ["x"])]
    window = WindowTokens(1, ["[CLS]", "[SEP]"], np.array([-1, -1]), np.array([False, False]))
    logits = (np.array([1.0, 0.0], np.float32), np.array([0.5, 0.0], np.float32))
    found = list(find_answers(questions, [window], [logits], AnswerSettings()))
    assert [(answer.prediction, answer.best) for answer in found] == [("empty", None)] * 3
    found = list(find_answers(questions, [window], [logits], AnswerSettings(version_2_with_negative=True)))
    assert [(answer.prediction, answer.null_odds) for answer in found] == [("", 0.0), ("", 1.5), ("", 0.0)]


def test_logits_that_are_no_numbers() -> None:
    questions, windows, settings = one_window(["a"])
    bad = np.full(5, np.nan, np.float32)
    with pytest.raises(InputError, match="question q: the model's logits are not finite"):
        list(find_answers(questions, windows, [(bad, bad)], settings))


def test_windows_of_a_block_of_examples() -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "who", "mill", "##s", "the"]
    tokenizer = Tokenizer(tokens)
    examples = [SquadExample(name, "Who who", Document("the mills of mill")) for name in "abc"]
    how = WindowSettings(max_seq_length=9, doc_stride=2, max_query_length=2)
    ((_, block),) = make_windows(tokenizer, examples, how, training=False)
    later = replace(block, examples=block.examples + 1000)
    found = list(window_tokens(tokenizer, later))
    assert [window.example for window in found] == [0, 0, 1, 1, 2, 2]
    first, second = found[:2]
    assert first.tokens == ["[CLS]", "who", "who", "[SEP]", "the", "mill", "##s", "[UNK]", "[SEP]"]
    assert first.words.tolist() == [-1, -1, -1, -1, 0, 1, 1, 2, -1]
    assert second.tokens == ["[CLS]", "who", "who", "[SEP]", "##s", "[UNK]", "mill", "[SEP]"]
    assert second.is_max_context.tolist() == [False] * 4 + [False, True, True, False]


def test_by_characters_texts_are_those_of_their_tokens() -> None:
    """A text without blanks is one word. What the vocabulary lacks makes the original answer with all of it."""
    tokenizer = Tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "who", *"李在河上有桥"])
    document = Document("\u3000李在河上有\u200b桥鑫河上\n李")
    asked = [SquadExample(name, "who", document) for name in "ab"]
    how = WindowSettings(max_seq_length=10, doc_stride=3, max_query_length=1)
    ((block, made),) = make_windows(tokenizer, asked, how, training=False)
    windows = list(window_tokens(tokenizer, made))
    assert [(window.example, window.shift) for window in windows] == [
        *((0, -3), (0, 0), (0, 3)),
        *((1, -3), (1, 0), (1, 3)),
    ]
    logits = []
    for window in windows:
        start, end = (np.full(len(window.tokens), -9.0, np.float32) for _ in range(2))
        # Tokens of the document, from 0 on: 河 2, 上 3, 桥 5, 鑫 6, 河 7, 上 8.
        for token, score in ((7, 4.0), (2, 3.0), (5, 2.0)):
            if 3 <= (place := token - window.shift) < len(window.tokens) - 2:
                start[place] = end[place + 1] = score
        logits.append((start, end))
    found = {}
    for by_characters in (False, True):
        settings = AnswerSettings(max_answer_length=2, by_characters=by_characters, n_best_size=3)
        questions = list(questions_of(tokenizer, block, settings))
        found[by_characters] = list(find_answers(questions, windows, logits, settings))
    whole = "\u3000李在河上有\u200b桥鑫河上"
    for original, ours in zip(found[False], found[True], strict=True):
        assert [entry.text for entry in original.nbest] == [whole]
        assert [entry.text for entry in ours.nbest] == ["河上", "河上", "桥鑫"]
        assert [entry.tokens for entry in ours.nbest] == [(7, 8), (2, 3), (5, 6)]
        assert (original.prediction, ours.prediction) == (whole, "河上")


def test_tokens_of_one_place_are_one_answer() -> None:
    """A Korean syllable becomes several pieces: each is of the one character."""
    pieces = ["\u1112", "##\u1161\u11ab"]
    tokenizer = Tokenizer(["[UNK]", "[CLS]", "[SEP]", "who", *pieces, "b"])
    (question,) = questions_of(
        tokenizer, [SquadExample("a", "who", Document("한 b"))], settings := AnswerSettings(by_characters=True)
    )
    window = WindowTokens(
        0,
        ["[CLS]", "who", "[SEP]", *pieces, "b", "[SEP]"],
        np.array([-1, -1, -1, 0, 0, 1, -1]),
        np.array([False] * 3 + [True] * 3 + [False]),
        -3,
    )
    logits = (np.arange(7, dtype=np.float32), np.arange(7, dtype=np.float32))
    (answer,) = find_answers([question], [window], [logits], settings)
    assert [entry.text for entry in answer.nbest] == ["b", "한 b", "한"]


def test_windows_in_another_order() -> None:
    window = WindowTokens(1, ["[CLS]"], np.array([-1]), np.array([False]))
    logits = (np.zeros(1, np.float32), np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="order"):
        list(
            find_answers(
                [Question("a", []), Question("b", [])],
                [window, window._replace(example=0)],
                [logits] * 2,
                AnswerSettings(),
            )
        )
