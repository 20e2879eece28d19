"""Answers from texts: where they stand, how likely they are among all texts, and what windows show of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import bertworks
from bertworks.errors import InputError
from bertworks.model.heads import SpanClassifier
from bertworks.pretrained import Pretrained
from bertworks.tasks.squad import answers, spans
from bertworks.tasks.squad.answering import Answered, answer
from bertworks.tasks.squad.examples import Settings, windows
from bertworks.tasks.squad.reading import Document, Example

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOLDEN = FIXTURES / "google_tiny"

LONG = "The old  observatory in\tMarlow, they say,\nwas abandoned in 1898. " * 12
DOCUMENTS = ["Kemi wrote that the harbour is “the best in Łodny”.", LONG, "\n Ivo didn't own the mill. "]


@pytest.fixture(scope="module")
def pretrained() -> Pretrained:
    return bertworks.load(
        GOLDEN / "squad.ckpt", vocab_file=FIXTURES / "vocab.txt", bert_config_file=GOLDEN / "bert_config.json"
    )


def ask(pretrained: Pretrained, documents: str | list[str], **more: object) -> Answered:
    given = {"max_seq_length": 64, "doc_stride": 16, "max_query_length": 16, "top_k": 1000, **more}
    assert isinstance(pretrained.model, SpanClassifier)
    return answer(pretrained.model, pretrained.tokenizer, "Who wrote?", documents, **given)  # type: ignore[arg-type]


def test_answers_stand_where_they_say(pretrained: Pretrained) -> None:
    found = ask(pretrained, DOCUMENTS).answers
    assert {one.document for one in found} == {0, 1, 2}
    assert len({one.window for one in found if one.document == 1}) > 1
    for one in found:
        document = DOCUMENTS[one.document]
        assert one.text == document[one.begin : one.end] == one.text.strip()
        first, last = one.window
        assert first <= one.begin < one.end <= last
        assert document[first:last].split() == document[first:last].strip().split()
        # A window shows whole words.
        assert not document[first - 1 : first].strip()
        assert not document[last : last + 1].strip()


def test_probabilities_are_shares_among_all_texts_and_no_answer(pretrained: Pretrained) -> None:
    found = ask(pretrained, DOCUMENTS)
    assert sum(one.probability for one in found.answers) + found.no_answer_probability == pytest.approx(1)
    scores = torch.tensor([one.score for one in found.answers], dtype=torch.float64)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    shares = torch.softmax(scores, 0) * (1 - found.no_answer_probability)
    assert [one.probability for one in found.answers] == pytest.approx(shares.tolist())
    without = ask(pretrained, DOCUMENTS, allow_none=False)
    assert without.no_answer_probability == 0
    assert [one.probability for one in without.answers] == pytest.approx(torch.softmax(scores, 0).tolist())


def test_several_texts_give_what_each_gives_alone(pretrained: Pretrained) -> None:
    together = ask(pretrained, DOCUMENTS).answers
    alone = [
        one._replace(document=number)
        for number, document in enumerate(DOCUMENTS)
        for one in ask(pretrained, document).answers
    ]
    alone.sort(key=lambda one: -one.score)
    assert [one[:4] + one.window for one in together] == [one[:4] + one.window for one in alone]
    assert [one.score for one in together] == pytest.approx([one.score for one in alone], abs=1e-4)


def test_the_best_answer_is_the_one_that_run_squad_predicts(pretrained: Pretrained) -> None:
    model, tokenizer = pretrained.model, pretrained.tokenizer
    assert isinstance(model, SpanClassifier)
    asked = Example("1", "Who wrote?", Document(LONG))
    blocks = windows(tokenizer, [asked], Settings(64, 16, 16), training=False)
    ((_, expected),) = spans.predict_answers(model, tokenizer, blocks, answers.Settings())
    (found,) = ask(pretrained, LONG, top_k=1).answers
    assert " ".join(found.text.split()) == expected.prediction
    assert expected.best is not None
    assert found.score == pytest.approx(expected.best.start_logit + expected.best.end_logit)


def test_windows_are_as_in_training_unless_told(pretrained: Pretrained) -> None:
    trained = {"max_seq_length": 48, "doc_stride": 8, "max_query_length": 10}
    config = replace(pretrained.config, extra={**pretrained.config.extra, "fine_tuning": trained})
    model = SpanClassifier(config)
    model.load_state_dict(pretrained.model.state_dict())
    found = replace(pretrained, model=model).answer("Who wrote?", LONG, 5)
    assert found.answers == ask(pretrained, LONG, **trained, top_k=5).answers
    assert found.answers != ask(pretrained, LONG, top_k=5).answers
    # What nothing says is the original's, or less where the model cannot read as much: 128 tokens here.
    assert pretrained.answer("Who wrote?", LONG).answers == (
        ask(pretrained, LONG, max_seq_length=128, doc_stride=128, max_query_length=62, top_k=3).answers
    )


def test_a_small_window_leaves_room_for_the_text(pretrained: Pretrained) -> None:
    found = pretrained.answer("Who wrote that the harbour is the best?", LONG, max_seq_length=20)
    assert len(found.answers) == 3


@pytest.mark.parametrize(
    ("question", "documents", "more", "message"),
    [
        (" \n", "a text", {}, "question: is empty"),
        ("who?", [], {}, "documents: there are none"),
        ("who?", ["a text", " \t"], {}, "document 1: is empty"),
        ("who?", "", {}, "document 0: is empty"),
        ("who?", ["a text", "\x00"], {}, "document 1: nothing is left"),
        ("who?", "a text", {"top_k": 0}, "top_k=0: must be at least 1"),
        ("who?", "a text", {"max_answer_length": 0}, "max_answer_length=0: must be at least 1"),
        ("who?", "a text", {"max_seq_length": 129}, "--max_seq_length=129: the model can read no more than 128 tokens"),
        ("who?", "a text", {"max_seq_length": 3}, "--max_seq_length=3: leaves no room"),
        ("who?", "a text", {"doc_stride": 0}, "--doc_stride=0: must be at least 1"),
    ],
)
def test_what_cannot_be_answered_is_told(
    pretrained: Pretrained, question: str, documents: str | list[str], more: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pretrained.answer(question, documents, **more)  # type: ignore[arg-type]


def test_other_models_name_the_command_that_trains_one(pretrained: Pretrained) -> None:
    other = bertworks.load(
        GOLDEN / "classifier.ckpt", vocab_file=FIXTURES / "vocab.txt", bert_config_file=GOLDEN / "bert_config.json"
    )
    with pytest.raises(InputError, match=r"not a SpanClassifier; fine-tune it first \(bert run_squad\)"):
        other.answer("who?", "a text")
    with pytest.raises(InputError, match=r"is a SpanClassifier, not a TokenClassifier.*bert run_ner"):
        pretrained.tag(["a text"])


def test_a_saved_model_answers_alike_and_opens_in_transformers(pretrained: Pretrained, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pretrained.save(tmp_path)
    assert bertworks.load(tmp_path).answer("Who wrote?", DOCUMENTS) == pretrained.answer("Who wrote?", DOCUMENTS)
    _, report = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
