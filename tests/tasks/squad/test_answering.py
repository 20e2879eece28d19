"""Answers from texts: where they stand, how likely they are among all texts, and what windows show of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import bertworks
from bertworks.errors import InputError
from bertworks.model.heads import SpanClassifier
from bertworks.pretrained import Pretrained
from bertworks.tasks.squad import nbest
from bertworks.tasks.squad import task as spans
from bertworks.tasks.squad.answering import Answered, Texts, answer
from bertworks.tasks.squad.documents import Document, SquadExample
from bertworks.tasks.squad.windows import WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer

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
    given = {
        "max_seq_length": 64,
        "doc_stride": 16,
        "max_query_length": 16,
        "top_k": 10_000,
        "allow_overlap": True,
        **more,
    }
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
        assert one.window in windows_in_characters(pretrained, document)


def windows_in_characters(pretrained: Pretrained, document: str) -> set[tuple[int, int]]:
    """What windows of 64 tokens, 16 apart, show of a document, beside the question and the special tokens."""
    room = 64 - 3 - len(pretrained.tokenizer.encode("Who wrote?"))
    spans = pretrained.tokenizer.encode_with_offsets(document).spans.tolist()
    return {(spans[i][0], spans[min(i + room, len(spans)) - 1][1]) for i in range(0, len(spans), 16)}


def test_probabilities_are_shares_among_all_texts_and_no_answer(pretrained: Pretrained) -> None:
    found = ask(pretrained, DOCUMENTS)
    assert sum(one.probability for one in found.answers) + found.no_answer_probability == pytest.approx(1)
    scores = torch.tensor([one.score for one in found.answers], dtype=torch.float64)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    shares = torch.softmax(scores, 0) * (1 - found.no_answer_probability)
    assert [one.probability for one in found.answers] == pytest.approx(shares.tolist())
    without = ask(pretrained, DOCUMENTS, allow_none=False)
    assert without.no_answer_probability is None
    assert [one.probability for one in without.answers] == pytest.approx(torch.softmax(scores, 0).tolist())


def test_several_texts_give_what_each_gives_alone(pretrained: Pretrained) -> None:
    together = ask(pretrained, DOCUMENTS).answers
    alone = [
        {**one, "document": number}
        for number, document in enumerate(DOCUMENTS)
        for one in ask(pretrained, document).answers
    ]
    # By place: scores that are nearly equal may change places in the order with what stands beside a window.
    together, alone = (
        sorted(some, key=lambda one: (one["document"], one["begin"], one["end"])) for some in (together, alone)
    )
    places = ("text", "begin", "end", "document", "window")
    assert [[one[p] for p in places] for one in together] == [[one[p] for p in places] for one in alone]
    assert [one["score"] for one in together] == pytest.approx([one["score"] for one in alone], abs=1e-4)


def test_the_best_answer_is_the_one_that_run_squad_predicts(pretrained: Pretrained) -> None:
    model, tokenizer = pretrained.model, pretrained.tokenizer
    assert isinstance(model, SpanClassifier)
    asked = SquadExample("1", "Who wrote?", Document(LONG))
    blocks = make_windows(tokenizer, [asked], WindowSettings(64, 16, 16), training=False)
    ((_, expected),) = spans.predict_answers(model, tokenizer, blocks, nbest.AnswerSettings())
    (found,) = ask(pretrained, LONG, top_k=1).answers
    assert " ".join(found.text.split()) == expected.prediction
    assert expected.best is not None
    assert found.score == pytest.approx(expected.best.start_logit + expected.best.end_logit)


def test_windows_are_as_in_training_unless_told(pretrained: Pretrained) -> None:
    trained = {"max_seq_length": 48, "doc_stride": 8, "max_query_length": 10}
    found = trained_with(pretrained, trained).answer("Who wrote?", LONG, 5)
    assert found.answers == ask(pretrained, LONG, **trained, top_k=5, allow_overlap=False).answers
    assert found.answers != ask(pretrained, LONG, top_k=5, allow_overlap=False).answers
    # What nothing says is the original's, or less where the model cannot read as much: 128 tokens here.
    assert pretrained.answer("Who wrote?", LONG).answers == (
        ask(
            pretrained, LONG, max_seq_length=128, doc_stride=128, max_query_length=62, top_k=3, allow_overlap=False
        ).answers
    )


def test_windows_leave_nothing_out(pretrained: Pretrained) -> None:
    expected = pretrained.answer("Who wrote?", LONG, doc_stride=1000)
    assert pretrained.answer("Who wrote?", LONG, doc_stride=10**30) == expected
    assert trained_with(pretrained, {"doc_stride": 10**30}).answer("Who wrote?", LONG) == expected


def test_a_small_window_leaves_room_for_the_text(pretrained: Pretrained) -> None:
    found = pretrained.answer("Who wrote that the harbour is the best?", LONG, max_seq_length=20)
    assert len(found.answers) == 3


@pytest.mark.parametrize(
    ("question", "documents", "more", "message"),
    [
        ("who?", [], {}, "documents: there are none"),
        ("who?", "", {}, "document 0: is empty$"),
        ("who?", 5, {}, "documents: must be a text or a list of texts, not 5$"),
        ("who?", None, {}, "documents: must be a text or a list of texts, not None$"),
        ("who?", b"a text", {}, "documents: must be a text or a list of texts, not b'a text'$"),
        ("who?", ["a", 3], {}, "document 1: is not a text but 3$"),
        (5, "a text", {}, "question: is not a text but 5$"),
        ("who?", "a text", {"top_k": "3"}, "top_k=3: must be a whole number"),
        ("who?", ["\x00", " "], {}, "document 0: is empty after tokenization$"),
        ("who?", "a text", {"top_k": 0}, "top_k=0: must be a whole number of at least 1"),
        ("who?", "a text", {"max_answer_length": 0}, "max_answer_length=0: must be a whole number"),
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


# A paragraph without blanks is one word. Each of these makes the original give all of it, wherever its answer is: what
# its tokenizer takes for a blank, what it deletes, what the vocabulary does not have.
CHINESE = "李白在北京，一九九八年的河上有桥，桥上有人。" * 8


@pytest.mark.parametrize("odd", ["\u3000", "\u200b", "鑫", "\u2028"])
def test_answers_in_text_without_blanks_are_their_characters(pretrained: Pretrained, odd: str) -> None:
    document = CHINESE[:40] + odd + CHINESE[40:]
    found = ask(pretrained, document, max_answer_length=10).answers
    assert max(one.end - one.begin for one in found) <= 11
    assert len({(one.begin, one.end) for one in found}) == len(found) > 100
    for one in found:
        assert one.text == document[one.begin : one.end]
        assert one.window in windows_in_characters(pretrained, document)
    # Where a text stands twice, both are found.
    assert len({one.text for one in found}) < len(found)


@given(st.text(st.characters() | st.sampled_from(" \t\n\u3000\u202f\u2028\u200b\u0301\u0316ΣσİéÅ李-aBb"), max_size=30))
def test_tokens_by_words_and_with_offsets_are_the_same(text: str) -> None:
    """So that a window's token has its place in the text."""
    for lower in (True, False):
        tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt", lower)
        document = Document(text)
        aligned = tokenizer.encode_with_offsets(text)
        assert [i for word in document.words for i in tokenizer.encode(word)] == aligned.ids.tolist()


def test_texts_are_prepared_once(pretrained: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Texts(pretrained.tokenizer, DOCUMENTS)
    expected = pretrained.answer("Who wrote?", DOCUMENTS)
    monkeypatch.delattr(Tokenizer, "encode_with_offsets")
    assert pretrained.answer("Who wrote?", texts) == expected == pretrained.answer("Who wrote?", texts)


def trained_with(pretrained: Pretrained, trained: object) -> Pretrained:
    """The same model, said to have been fine-tuned with other flags."""
    config = replace(pretrained.config, extra={**pretrained.config.extra, "fine_tuning": trained})
    model = SpanClassifier(config)
    model.load_state_dict(pretrained.model.state_dict())
    return replace(pretrained, model=model, config=config)


def test_no_answer_is_by_the_threshold_of_the_training(pretrained: Pretrained) -> None:
    plain = pretrained.answer("Who wrote?", DOCUMENTS, allow_none=True)
    # From the probabilities: how far no answer is above the best one.
    lead = math.log(plain.no_answer_probability / plain.answers[0].probability)
    assert plain.has_answer == (lead <= 0)
    for threshold, has_answer in ((lead + 0.01, True), (lead - 0.01, False), (math.ceil(lead), True)):
        version_2 = {"version_2_with_negative": True, "null_score_diff_threshold": threshold}
        found = trained_with(pretrained, version_2).answer("Who wrote?", DOCUMENTS)
        assert found == {**plain, "has_answer": has_answer}
    # SQuAD 1.1 knows no questions without answer.
    version_1 = {"version_2_with_negative": False, "null_score_diff_threshold": lead - 0.01}
    found = trained_with(pretrained, version_1).answer("Who wrote?", DOCUMENTS)
    assert found.has_answer
    assert found.no_answer_probability is None
    assert not trained_with(pretrained, version_1).answer("Who wrote?", DOCUMENTS, allow_none=True).has_answer
    assert trained_with(pretrained, {}).answer("Who wrote?", DOCUMENTS) == plain


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ({"max_seq_length": "abc"}, "max_seq_length is 'abc', not a whole number"),
        ({"max_seq_length": 64.5}, "max_seq_length is 64.5, not a whole number"),
        ({"max_seq_length": None}, "max_seq_length is None, not a whole number"),
        ({"doc_stride": True}, "doc_stride is True, not a whole number"),
        ({"max_query_length": -1}, "max_query_length is -1, not a whole number"),
        ({"null_score_diff_threshold": math.nan}, "null_score_diff_threshold is nan, not a number"),
        ({"version_2_with_negative": 1}, "version_2_with_negative is 1, not true or false"),
        ([384], "is \\[384\\], not an object"),
        (None, "is None, not an object"),
    ],
)
def test_odd_settings_of_the_training_are_told(pretrained: Pretrained, trained: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^config.json: fine_tuning:? {message}"):
        trained_with(pretrained, trained).answer("Who wrote?", DOCUMENTS)


def test_the_best_answers_share_no_character(pretrained: Pretrained) -> None:
    every, apart = ask(pretrained, DOCUMENTS).answers, ask(pretrained, DOCUMENTS, allow_overlap=False).answers
    assert len(apart) < len(every)
    assert apart[0] == every[0]
    taken: set[tuple[int, int]] = set()
    for one in apart:
        places = {(one.document, place) for place in range(one.begin, one.end)}
        assert not places & taken
        taken |= places
    assert [one for one in every if one in apart] == apart


def test_many_questions_and_empty_ones(pretrained: Pretrained) -> None:
    first, empty, last = pretrained.answer(["Who wrote?", " ", "what was the old ?"], DOCUMENTS)
    assert [first, last] == [pretrained.answer(one, DOCUMENTS) for one in ("Who wrote?", "what was the old ?")]
    assert (empty.answers, empty.has_answer) == ([], False)
    # An empty text has no answers; the numbers of the others stay.
    among = pretrained.answer("Who wrote?", ["", *DOCUMENTS, "\x00"])
    assert [{**one, "document": one.document - 1} for one in among.answers] == first.answers


def test_answers_are_json(pretrained: Pretrained) -> None:
    found = pretrained.answer("Who wrote?", DOCUMENTS)
    again = json.loads(json.dumps(found))
    assert again["question"] == "Who wrote?"
    assert again["answers"][0]["text"] == found.answers[0].text
    with pytest.raises(AttributeError, match="FoundAnswer has no 'length'"):
        _ = found.answers[0].length


def test_long_questions_are_cut_and_said_to_be(pretrained: Pretrained) -> None:
    whole = pretrained.answer("Who wrote it ?", LONG, max_query_length=4)
    cut = pretrained.answer("Who wrote it ? the", LONG, max_query_length=4)
    assert (whole.question_cut, cut.question_cut) == (False, True)
    assert cut.answers == whole.answers


def test_more_starts_and_ends_are_looked_at_where_told(pretrained: Pretrained) -> None:
    fewer, more = (pretrained.answer("Who wrote?", LONG, 1, n_best_size=size) for size in (1, 20))
    assert more.answers[0].probability < fewer.answers[0].probability


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
