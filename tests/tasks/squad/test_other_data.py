"""Other data in SQuAD form, in the layouts of their releases, from the file to windows and to scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertworks.errors import InputError
from bertworks.tasks.squad.documents import SquadExample
from bertworks.tasks.squad.reader import SquadReader, read_gold_answers
from bertworks.tasks.squad.score import evaluate_v1, evaluate_v2
from bertworks.tasks.squad.windows import Windows, WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer

# Of each language: a text, a question, its answer, and which of its places in the text is meant.
SENTENCES = {
    "ar": ("سقط المطر في النهر. بعد المطر فاض النهر.", "ما الذي فاض؟", "النهر", 1),
    "de": ("Die Mühle steht am Bach. Die alte Mühle mahlt nicht mehr.", "Was mahlt nicht mehr?", "Die alte Mühle", 0),
    "el": ("Ο μύλος είναι παλιός.", "Τι είναι παλιό;", "Ο μύλος", 0),
    "en": ("The mill stands by the brook. The old mill is still.", "What is still?", "The old mill", 0),
    "es": ("El molino está cerca del río; el río es ancho.", "¿Qué es ancho?", "el río", 1),
    "hi": ("नदी के पास एक चक्की है। नदी चौड़ी है।", "क्या चौड़ी है?", "नदी", 1),
    "ko": ("방앗간은 개울가에 있다. 방앗간은 낡았다.", "무엇이 낡았는가?", "방앗간", 1),
    "ro": ("Moara este lângă râu.", "Unde este moara?", "lângă râu", 0),
    "ru": ("Мельница стоит у реки. Река широкая.", "Где стоит мельница?", "у реки", 0),
    "th": ("โรงสีอยู่ริมน้ำ โรงสีเก่าแล้ว", "อะไรเก่าแล้ว", "โรงสี", 1),
    "tr": ("Değirmen ırmağın kıyısında.", "Değirmen nerede?", "ırmağın kıyısında", 0),
    "vi": ("Cối xay ở gần suối.", "Cối xay ở đâu?", "gần suối", 0),
    "zh": ("磨坊在河边。河水上涨以后，磨坊停了。", "什么停了？", "磨坊", 1),
    "zh-Hant": ("老李在磨坊工作,後來老李離開磨坊。", "誰離開?", "老李", 1),
}


def place(text: str, answer: str, number: int) -> int:
    """Where an answer begins that stands in a text several times."""
    begin = -1
    for _ in range(number + 1):
        begin = text.index(answer, begin + 1)
    return begin


def asked(language: str, name: str, answers: int = 1, **more: Any) -> dict[str, Any]:
    text, question, answer, number = SENTENCES[language]
    said = {"text": answer, "answer_start": place(text, answer, number), **more}
    return {"id": name, "question": question, "answers": [said] * answers}


def paragraph(language: str, *qas: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"context": SENTENCES[language][0], "qas": list(qas), **more}


def write(folder: Path, content: Any) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def xquad(language: str, answers: int) -> dict[str, Any]:
    question = asked(language, "56beb4343aeaaa14008c925b", answers)
    return {"data": [{"paragraphs": [paragraph(language, question)], "title": "Mills"}], "version": "1.1"}


def korquad(answers: int) -> dict[str, Any]:
    data = [{"paragraphs": [paragraph("ko", asked("ko", "6566495-0-0", answers))], "title": "방앗간"}]
    return {"version": "KorQuAD_v1.0_train", "data": data}


def drcd(answers: int) -> dict[str, Any]:
    inner = paragraph("zh-Hant", asked("zh-Hant", "1-1-1", answers, id="1"), id="1-1")
    return {"version": "1.3", "data": [{"title": "磨坊", "id": "1", "paragraphs": [inner]}]}


def cmrc(answers: int) -> dict[str, Any]:
    inner = paragraph("zh", asked("zh", "TRAIN_1_QUERY_0", answers), id="TRAIN_1")
    return {"version": "v1.0", "data": [{"paragraphs": [inner], "id": "TRAIN_1", "title": "磨坊"}]}


LAYOUTS = [
    *((language, lambda answers, language=language: xquad(language, answers)) for language in SENTENCES),
    ("ko", korquad),
    ("zh-Hant", drcd),
    ("zh", cmrc),
]
IDS = [*(f"xquad-{language}" for language in SENTENCES), "korquad", "drcd", "cmrc2018"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Every character of the sentences is a piece, so that every place is to be told apart."""
    characters = sorted(set("".join(text + question for text, question, _, _ in SENTENCES.values())) - {" "})
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *characters,
        *(f"##{character}" for character in characters),
    ]
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return Tokenizer.from_vocab(path, do_lower_case=False)


def made_of(tokenizer: Tokenizer, read: list[SquadExample], **more: Any) -> Windows:
    settings = WindowSettings(max_seq_length=100, max_query_length=40, **more)
    ((_, made),) = make_windows(tokenizer, read, settings, training=True)
    return made


def characters_of(tokenizer: Tokenizer, example: SquadExample, made: Windows) -> tuple[int, int]:
    """The characters of the document that the marked tokens are."""
    first, last = (made.positions[0] - made.sequences.first[0]).tolist()
    spans = tokenizer.encode_with_offsets(example.document.text).spans
    return int(spans[first][0]), int(spans[last][1])


@pytest.mark.parametrize(("language", "layout"), LAYOUTS, ids=IDS)
def test_an_answer_for_training_is_found_where_it_is(
    tmp_path: Path, tokenizer: Tokenizer, language: str, layout: Any
) -> None:
    text, _, answer, number = SENTENCES[language]
    reading = SquadReader(write(tmp_path, layout(1)), training=True)
    (example,) = reading.examples()
    assert reading.notes == reading.bad.notes == []
    begin = place(text, answer, number)
    made = made_of(tokenizer, [example], tighten_by_characters=True)
    assert characters_of(tokenizer, example, made) == (begin, begin + len(answer))
    # The original looks for its tokens in the words that it touches: without blanks, that is the first place.
    word = text.rfind(" ", 0, begin) + 1
    made = made_of(tokenizer, [example])
    first = text.index(answer, word)
    assert characters_of(tokenizer, example, made) == (first, first + len(answer))
    assert (first == begin) == (language not in {"zh", "zh-Hant"})


@pytest.mark.parametrize(("language", "layout"), LAYOUTS, ids=IDS)
def test_several_answers_are_for_scoring(tmp_path: Path, language: str, layout: Any) -> None:
    path = write(tmp_path, layout(3))
    with pytest.raises(InputError, match="has 3 answers; training wants one for each question"):
        list(SquadReader(path, training=True).examples())
    (example,) = SquadReader(path, training=False).examples()
    data = read_gold_answers(path)
    assert not data.is_version_2
    assert data.gold == {example.id: [SENTENCES[language][2]] * 3}
    assert evaluate_v1(data.gold, {example.id: SENTENCES[language][2]}) == {"exact_match": 100.0, "f1": 100.0}
    assert evaluate_v1(data.gold, {example.id: "?"}) == {"exact_match": 0.0, "f1": 0.0}


def test_plausible_answers_are_none(tmp_path: Path, tokenizer: Tokenizer) -> None:
    question = asked("en", "q")
    question |= {"plausible_answers": question.pop("answers"), "answers": [], "is_impossible": True}
    content = {"version": "v2.0", "data": [{"title": "Mills", "paragraphs": [paragraph("en", question)]}]}
    path = write(tmp_path, content)
    (example,) = SquadReader(path, training=True, version_2_with_negative=True).examples()
    assert example.answer is None
    made = made_of(tokenizer, [example])
    assert made.positions.tolist() == [[0, 0]]
    assert made.is_impossible.tolist() == [True]
    data = read_gold_answers(path)
    assert data.is_version_2
    assert evaluate_v2(data.gold, {"q": "the old mill"})["exact"] == 0.0
    assert evaluate_v2(data.gold, {"q": ""})["exact"] == 100.0


def test_answers_that_are_not_in_the_text_are_left_out(tmp_path: Path) -> None:
    """CMRC 2018 has them; their place is -1."""
    content = cmrc(1)
    lost = {"id": "TRAIN_1_QUERY_1", "question": "什么？", "answers": [{"text": "水磨", "answer_start": -1}]}
    content["data"][0]["paragraphs"][0]["qas"].append(lost)
    path = write(tmp_path, content)
    reading = SquadReader(path, training=True)
    assert [example.id for example in reading.examples()] == ["TRAIN_1_QUERY_0"]
    (note,) = reading.bad.notes
    assert note.endswith(
        "question 'TRAIN_1_QUERY_1': answer_start is -1, which says that the answer is not in the context"
    )
    assert len(read_gold_answers(path).gold) == 2


@pytest.mark.parametrize("training", [True, False])
def test_the_flat_form_of_cmrc_is_refused_with_what_to_take_instead(tmp_path: Path, training: bool) -> None:
    text, question, answer, _ = SENTENCES["zh"]
    query = {"query_id": "TRIAL_1_QUERY_0", "query_text": question, "answers": [answer]}
    flat = [{"context_id": "TRIAL_1", "context_text": text, "qas": [query], "title": "磨坊"}]
    for content in (flat, {"version": "1.0", "data": flat}):
        path = write(tmp_path, content)
        for read in (
            lambda path=path: list(SquadReader(path, training).examples()),
            lambda path=path: read_gold_answers(path),
        ):
            with pytest.raises(InputError, match="article 1: is in CMRC 2018's own form; give the file of the same"):
                read()
