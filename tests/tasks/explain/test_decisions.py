"""Contributions of words: they sum up to the difference, belong to the right characters, and change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.heads import SequenceClassifier
from bertworks.tasks.explain.explanation import Explanation
from bertworks.tasks.explain.gradients import TOLERANCE, with_words
from bertworks.text.tokenizer import Tokenizer
from tests.export.builders import CLASSES, VOCAB, load

TEXT = "The cat sat on the mat, and the man went home."
PAIR = ("who sat on the mat ?", "in the old town the cat sat on the mat and the man went home")


def check(found: Explanation) -> None:
    """The promise: contributions sum up to the difference of the scores within one per cent."""
    total = sum(word.value for word in found.contributions)
    difference = found.score - found.baseline
    assert abs(total - difference) <= TOLERANCE * max(abs(difference), TOLERANCE)
    assert found.error <= TOLERANCE
    for word in found.contributions:
        assert found.texts[word.part][word.begin : word.end] == word.text
        assert np.isfinite(word.value)
    places = [(word.part, word.begin) for word in found.contributions]
    assert places == sorted(places)


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
@pytest.mark.parametrize("text", [TEXT, PAIR])
def test_classes(tmp_path: Path, kind: str, text: str | tuple[str, str]) -> None:
    (found,) = load(tmp_path, kind).explain(text)
    check(found)
    assert found.texts == ((text,) if isinstance(text, str) else text)
    assert {word.part for word in found.contributions} == set(range(len(found.texts)))
    assert any(abs(word.value) > 1e-3 for word in found.contributions)


def test_the_score_is_the_log_odds_of_the_predicted_class(tmp_path: Path) -> None:
    pretrained = load(tmp_path, "single")
    (predicted,) = pretrained.classify([TEXT])
    (found,) = pretrained.explain(TEXT)
    assert found.decision == f"class: {predicted.label}"
    probability = predicted.probabilities[str(predicted.label)]
    assert found.score == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)
    for label in CLASSES:
        (other,) = pretrained.explain(TEXT, label)
        check(other)
        assert other.decision == f"class: {label}"
    with pytest.raises(InputError, match="--label=never: the classes are no, maybe"):
        pretrained.explain(TEXT, "never")


@pytest.mark.parametrize("kind", ["tokens", "crf"])
def test_entities(tmp_path: Path, kind: str) -> None:
    pretrained = load(tmp_path, kind)
    if kind == "crf":
        with torch.no_grad():
            for scores in pretrained.model.crf.parameters():  # type: ignore[union-attr]
                scores.zero_()
    entities = pretrained.tag([TEXT])[0]
    found = pretrained.explain(TEXT)
    assert [one.decision for one in found] == [f"{entity.type}: {entity.text}" for entity in entities]
    assert found
    for one in found:
        check(one)
        assert len(one.contributions) == 13  # the words, with the comma and the full stop


@pytest.mark.parametrize(
    ("remembered", "max_seq_length"),
    [({"sentences": True}, None), ({}, 12), ({"long_text": "window", "doc_stride": 3}, 10), ({"sentences": True}, 9)],
)
def test_entities_are_those_that_are_tagged(
    tmp_path: Path, remembered: dict[str, object], max_seq_length: int | None
) -> None:
    """Sentence by sentence where the model was trained so, and long texts through windows."""
    pretrained = load(tmp_path, "tokens", extra={"fine_tuning": remembered})
    text = f"{TEXT} Then the old cat went to the town. It sat there, and the man sat there too."
    entities = pretrained.tag([text], max_seq_length=max_seq_length)[0]
    found = pretrained.explain(text, max_seq_length=max_seq_length)
    assert [one.decision for one in found] == [f"{entity.type}: {entity.text}" for entity in entities]
    assert len(found) > 1
    for one, entity in zip(found, entities, strict=True):
        check(one)
        assert one.cut
        read = [(word.begin, word.end) for word in one.contributions]
        assert any(begin <= entity.begin < end for begin, end in read)


def test_an_entity_in_several_windows_is_explained_by_all_of_them(tmp_path: Path) -> None:
    pretrained = load(tmp_path, "tokens")
    labels = list(pretrained.config.labels or ())
    with torch.no_grad():
        pretrained.model.classifier.bias[labels.index("I-LOC")] += 50  # type: ignore[union-attr]
    (found,) = pretrained.explain(TEXT, max_seq_length=6)
    check(found)
    assert found.decision == f"LOC: {TEXT}"
    assert not found.cut
    assert len(found.contributions) == 13
    (whole,) = pretrained.explain(TEXT)
    assert found.score != pytest.approx(whole.score)


def test_answers(tmp_path: Path) -> None:
    pretrained = load(tmp_path, "answers")
    (found,) = pretrained.explain(PAIR)
    check(found)
    best = pretrained.answer(*PAIR).answers[0]
    assert found.decision == f"answer: {best.text}"
    assert found.score < 0
    assert not found.cut


def test_an_answer_in_a_window_of_a_long_text(tmp_path: Path) -> None:
    pretrained = load(tmp_path, "answers")
    document = " ".join([PAIR[1]] * 8)
    (found,) = pretrained.explain((PAIR[0], document), max_seq_length=40)
    check(found)
    assert found.cut
    best = pretrained.answer(PAIR[0], document, max_seq_length=40).answers[0]
    second = [word for word in found.contributions if word.part == 1]
    assert best.window[0] <= second[0].begin <= best.begin
    assert best.end <= second[-1].end <= best.window[1]


def test_a_long_question_is_cut_as_it_is_for_the_answer(tmp_path: Path) -> None:
    pieces = len(Tokenizer.from_vocab(VOCAB).encode("who sat on the mat"))
    pretrained = load(tmp_path, "answers", extra={"fine_tuning": {"max_query_length": pieces}})
    question = " ".join([PAIR[0]] * 3)
    assert pretrained.answer(question, PAIR[1]).question_cut
    (found,) = pretrained.explain((question, PAIR[1]))
    check(found)
    assert found.cut
    assert "".join(word.text for word in found.contributions if word.part == 0) == "whosatonthemat"
    (short,) = pretrained.explain(("who sat on the mat", PAIR[1]))
    assert (found.decision, found.score) == (short.decision, pytest.approx(short.score))


def test_a_text_that_is_cut(tmp_path: Path) -> None:
    (found,) = load(tmp_path, "single").explain(" ".join([TEXT] * 10), max_seq_length=20)
    check(found)
    assert found.cut
    assert len(found.contributions) <= 18


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
@pytest.mark.parametrize("pair", [False, True])
def test_a_long_text_is_read_through_windows_as_in_training(tmp_path: Path, kind: str, pair: bool) -> None:
    pretrained = load(tmp_path, kind, extra={"fine_tuning": {"long_text": "window", "doc_stride": 5}})
    long = " ".join([TEXT, PAIR[1], "then the old cat went home"])
    text = (PAIR[0], long) if pair else long
    longest = 24 if pair else 16
    (found,) = pretrained.explain(text, max_seq_length=longest)
    check(found)
    assert not found.cut
    assert "".join(word.text for word in found.contributions if word.part == pair) == long.replace(" ", "")
    (predicted,) = pretrained.classify([text], max_seq_length=longest)
    if kind == "regression":
        assert found.score == pytest.approx(predicted.label, abs=1e-5)
    elif kind == "single":
        assert found.decision == f"class: {predicted.label}"
        probability = predicted.probabilities[str(predicted.label)]
        assert found.score == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)
    (whole,) = pretrained.explain(text)
    assert found.score != pytest.approx(whole.score)


def test_the_middle_of_a_long_text_contributes_nothing_where_it_was_cut(tmp_path: Path) -> None:
    pretrained = load(tmp_path, "single", extra={"fine_tuning": {"long_text": "head_tail"}})
    text = f"man {'cat ' * 30}mattress"  # the last word is of several pieces, of which the first few are cut off
    (found,) = pretrained.explain(text, max_seq_length=5)
    check(found)
    assert found.cut
    words = [word.text for word in found.contributions]
    assert len(words) == 2
    assert "man".startswith(words[0])
    assert "mattress".endswith(words[1])
    (predicted,) = pretrained.classify([text], max_seq_length=5)
    assert found.decision == f"class: {predicted.label}"


def test_a_word_that_decides_is_found(tmp_path: Path) -> None:
    """A model that reads one word only gives it everything."""
    pretrained = load(tmp_path, "single")
    tokenizer, model = pretrained.tokenizer, pretrained.model
    with torch.no_grad():
        table = model.bert.embeddings.word_embeddings.weight
        table[:] = table[tokenizer.mask_id]  # all words look like [MASK]
        table[tokenizer.vocab["the"], ::2] += 1
    (found,) = pretrained.explain(TEXT)
    check(found)
    assert [word.text for word in found.contributions if word.value] == ["The", "the", "the"]


def test_the_model_is_left_as_it_is(tmp_path: Path) -> None:
    pretrained = load(tmp_path, "single")
    before = {name: value.clone() for name, value in pretrained.model.state_dict().items()}
    pretrained.explain(TEXT)
    after = pretrained.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in pretrained.model.parameters())


def test_given_words_are_computed_as_looked_up_words_are(tmp_path: Path) -> None:
    model = load(tmp_path, "single").model
    assert isinstance(model, SequenceClassifier)
    batch = pack(np.array([5, 6, 7, 8]), np.array([0, 0, 1, 1]), np.array([3, 1]))
    words = model.bert.embeddings.word_embeddings.weight[batch.input_ids]
    with torch.no_grad():
        torch.testing.assert_close(with_words(model, words)(batch), model(batch), atol=1e-6, rtol=0)


def test_numbers_are_json(tmp_path: Path) -> None:
    (found,) = load(tmp_path, "single").explain(TEXT)
    values = json.loads(json.dumps(found.as_json()))
    assert values["contributions"][1]["text"] == "cat"
    assert set(values) >= {"decision", "meaning", "score", "baseline", "error", "points", "cut", "texts"}


def test_what_cannot_be_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="decides nothing that can be explained"):
        load(tmp_path / "words", "words").explain(TEXT)
    with pytest.raises(InputError, match="give a question and a document"):
        load(tmp_path / "answers", "answers").explain(TEXT)
    tagger = load(tmp_path / "tokens", "tokens")
    with pytest.raises(InputError, match="give one text to a model that tags"):
        tagger.explain(PAIR)
    with pytest.raises(InputError, match="--label=x: is for models that classify"):
        tagger.explain(TEXT, "x")
    classifier = load(tmp_path / "single", "single")
    for nothing in ("", "  ", "\u200b"):
        with pytest.raises(InputError, match="the text is empty"):
            classifier.explain(nothing)
