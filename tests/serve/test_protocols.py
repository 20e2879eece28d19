"""Three protocols: Hugging Face's real client, and the shapes that the documents of the others show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from huggingface_hub import InferenceClient

import bertworks
from tests.serve.models import TEXTS, Running

LABELS = {"negative", "positive"}


def test_hugging_faces_client_finds_every_head(server: Running, sources: dict[str, str]) -> None:
    client = {name: InferenceClient(f"{server.url}/models/{name}") for name in sources}
    found = client["classifier"].text_classification(TEXTS[0])
    assert {one.label for one in found} == LABELS
    assert found[0].score >= found[1].score
    expected = bertworks.load(sources["words"]).embed(TEXTS[:2])
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(client["words"].feature_extraction(TEXTS[0]), unit[:1], atol=1e-6)
    cosines = client["words"].sentence_similarity(TEXTS[0], other_sentences=[TEXTS[1], TEXTS[0]])
    np.testing.assert_allclose(cosines, [unit[0] @ unit[1], 1], atol=1e-6)
    words = bertworks.load(sources["words"])
    ((word, probability), *_) = words.fill_mask("the [MASK] is old")[0]
    best, *rest = client["words"].fill_mask("the [MASK] is old", top_k=3)
    assert (best.token_str, best.token, best.sequence) == (word, words.tokenizer.vocab[word], f"the {word} is old")
    assert best.score == pytest.approx(probability, abs=1e-6)
    assert len(rest) == 2
    answer = client["squad"].question_answering(question="Who wrote?", context=TEXTS[1])
    assert TEXTS[1][answer.start : answer.end] == answer.answer
    entities = client["tagger"].token_classification(TEXTS[0])
    assert [TEXTS[0][e.start : e.end] for e in entities] == [e.word for e in entities]


def test_the_first_model_answers_at_the_root(server: Running) -> None:
    found = InferenceClient(server.url).text_classification(TEXTS[0])
    assert {one.label for one in found} == LABELS
    flat = server.post("/", inputs=TEXTS[0]).json
    assert {one["label"] for one in flat} == LABELS
    ranks = server.post("/", query="a", texts=["b", "the man"], model="ranker").json
    assert {one["index"] for one in ranks} == {0, 1}


def test_predictions_are_sorted_and_their_form_follows_the_input(server: Running, sources: dict[str, str]) -> None:
    single = server.post("/predict", inputs=TEXTS[0]).json
    (expected,) = bertworks.load(sources["classifier"]).classify([TEXTS[0]])
    assert [one["label"] for one in single] == sorted(LABELS, key=lambda label: -expected.probabilities[label])
    assert server.post("/predict", inputs=[TEXTS[0]]).json == single
    batch = server.post("/predict", inputs=[[TEXTS[0]], [TEXTS[0], TEXTS[1]]]).json
    assert [one["label"] for one in batch[0]] == [one["label"] for one in single]
    assert sum(one["score"] for one in batch[1]) == pytest.approx(1)
    raw = server.post("/predict", inputs=TEXTS[0], raw_scores=True).json
    values = np.exp([one["score"] for one in raw])
    np.testing.assert_allclose(values / values.sum(), [one["score"] for one in single], rtol=1e-5)
    assert server.post("/predict", inputs=TEXTS[2]).status == 422
    left, right = (
        server.post("/predict", inputs=TEXTS[2], truncate=True, truncation_direction=side) for side in ("left", "Right")
    )
    assert left.headers["x-tokens-cut"] == right.headers["x-tokens-cut"] != "0"
    assert left.json != right.json


def test_ranks_are_sigmoids_in_order(server: Running, sources: dict[str, str]) -> None:
    texts = ["the bridge", "Kemi", "old harbour near the town"]
    numbers = [one.label for one in bertworks.load(sources["ranker"]).classify([("where?", text) for text in texts])]
    found = server.post("/rerank", query="where?", texts=texts, return_text=True).json
    assert [one["index"] for one in found] == np.argsort([-number for number in numbers]).tolist()
    for one in found:
        assert one["score"] == pytest.approx(1 / (1 + math.exp(-numbers[one["index"]])), abs=1e-6)
        assert one["text"] == texts[one["index"]]
    assert "text" not in server.post("/rerank", query="where?", texts=texts).json[0]


def test_tokens_have_their_bytes_and_come_back_as_text(server: Running) -> None:
    text = "Kemi é the harbour \U0001f600"
    (tokens,) = server.post("/tokenize", inputs=text).json
    assert (tokens[0]["text"], tokens[0]["start"], tokens[-1]["special"]) == ("[CLS]", None, True)
    encoded = text.encode()
    for one in tokens[1:-1]:
        assert encoded[one["start"] : one["stop"]].decode() == one["text"]
    ids = [one["id"] for one in tokens]
    assert server.post("/decode", ids=ids).json[0].startswith("kemi")
    assert server.post("/decode", ids=[ids], skip_special_tokens=False).json[0].startswith("[CLS]")


def test_vectors_of_tokens_and_of_ids(server: Running, sources: dict[str, str]) -> None:
    hidden = bertworks.load(sources["words"]).attentions("the man").hidden_states[-1]
    (found,) = server.post("/embed_all", inputs="the man", model="words").json
    np.testing.assert_allclose(found, hidden, atol=1e-5)
    ids = [one["id"] for one in server.post("/tokenize", inputs="the man", model="words").json[0][1:-1]]
    by_text = server.post("/embed", inputs="the man", model="words").json
    assert server.post("/embed", inputs=ids, model="words").json == by_text
    assert server.post("/embed", inputs=[ids, ids], model="words").json == by_text * 2
    short = server.post("/embed", inputs="the man", dimensions=8, model="words").json[0]
    assert np.linalg.norm(short) == pytest.approx(1)
    assert len(short) == 8


def test_the_root_of_info_and_health(server: Running) -> None:
    info = server.ask("GET", "/info").json
    assert info["model_type"]["classifier"]["id2label"] == {"0": "negative", "1": "positive"}
    assert info["model_dtype"] == "float32"
    health = server.ask("GET", "/health")
    assert (health.status, health.body) == (200, b"")
    cards = server.ask("GET", "/v1/models").json["data"]
    assert [card["id"] for card in cards] == ["classifier", "words", "squad", "tagger", "ranker"]
    assert server.ask("GET", "/v1/models/squad").json == cards[2]
    assert server.ask("GET", "/v1/models/nobody").status == 404


def test_bert_as_service_gives_the_last_layer_but_one(server: Running, sources: dict[str, str]) -> None:
    expected = bertworks.load(sources["words"]).embed(TEXTS, layers=[-2])
    answer = server.post("/encode", id=7, texts=TEXTS, model="words")
    assert (answer.json["id"], answer.json["status"]) == (7, 200)
    assert answer.json["result"] == answer.json["results"]
    np.testing.assert_allclose(answer.json["result"], expected, rtol=0, atol=2e-6)
    assert int(answer.headers["x-tokens-cut"]) > 0
    form = server.ask("POST", "/encode", b"id=7&model=words&texts=no", content_type="application/x-www-form-urlencoded")
    np.testing.assert_allclose(form.json["result"][0], expected[3], atol=1e-5)
    blank = server.ask(
        "POST", "/encode", b"id=7&model=&texts=&texts=no", content_type="application/x-www-form-urlencoded"
    )
    assert blank.json["result"] == server.post("/encode", texts=["", "no"]).json["result"]
    tokens = [["the", "nonsense_word"]]
    assert server.post("/encode", texts=tokens, is_tokenized=True, model="words").status == 200
    pair = server.post("/encode", texts=["the man ||| a house"], model="words")
    assert pair.headers["x-tokens"] == str(len(bertworks.load(sources["words"]).tokenizer.encode("the man a house")))
    for page in ("/status/server", "/status/client"):
        assert server.ask("GET", page).json["status"] == 200
