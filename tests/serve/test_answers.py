"""What the server answers is what `load()` computes, alone and under load; and it says what it read."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import bertworks
from bertworks.serve.abilities.explain import affordable
from bertworks.tasks.explain.explanation import Decision
from tests.serve.models import TEXTS, Running

WAYS = ["truncate", "head_tail", "window"]


def probabilities(answer: Any) -> list[list[float]]:
    return [list(one["probabilities"].values()) for one in answer["results"]]


def test_classes_are_those_of_load(server: Running, sources: dict[str, str]) -> None:
    expected = bertworks.load(sources["classifier"]).classify(TEXTS)
    found = server.post("/v1/classify", texts=TEXTS).json
    np.testing.assert_allclose(
        probabilities(found), [list(one.probabilities.values()) for one in expected], rtol=0, atol=1e-6
    )
    assert [one["label"] for one in found["results"]] == [one.label for one in expected]
    pairs = [(TEXTS[0], TEXTS[1]), (TEXTS[2], TEXTS[4])]
    expected = bertworks.load(sources["classifier"]).classify(pairs)
    np.testing.assert_allclose(
        probabilities(server.post("/v1/classify", texts=pairs).json),
        [list(one.probabilities.values()) for one in expected],
        rtol=0,
        atol=1e-6,
    )


def test_long_texts_are_read_as_asked_and_what_was_cut_is_said(server: Running, sources: dict[str, str]) -> None:
    model = bertworks.load(sources["classifier"])
    tokens = len(model.tokenizer.encode(TEXTS[2]))
    read = {}
    for way in WAYS:
        answer = server.post("/v1/classify", texts=[TEXTS[2]], long_text=way)
        read[way] = answer.json["results"][0]
        assert read[way]["tokens"] == tokens > 128
        assert answer.headers["x-tokens-cut"] == str(read[way]["tokens_cut"])
        assert answer.json["long_text"] == way
        assert (
            answer.json["version"]
            == answer.headers["x-model-version"]
            == server.engine.registry.named("classifier").version
        )
    assert [read[way]["tokens_cut"] for way in WAYS] == [tokens - 126, tokens - 126, 0]
    assert [read[way]["windows"] > 1 for way in WAYS] == [False, False, True]
    assert len({read[way]["probabilities"]["positive"] for way in WAYS}) == 3
    refused = server.post("/v1/classify", texts=["no", TEXTS[2]], long_text="error")
    assert refused.status == 422
    assert refused.json["error"]["param"] == "texts[1]"
    assert f"has {tokens} tokens" in refused.json["error"]["message"]


def test_entities_are_those_of_load(server: Running, sources: dict[str, str]) -> None:
    expected = bertworks.load(sources["tagger"]).tag(TEXTS)
    found = server.post("/v1/tag", texts=TEXTS).json["results"]
    for one, own in zip(found, expected, strict=True):
        assert [e | {"score": None} for e in one["entities"]] == [e | {"score": None} for e in own]
        scores = [[e["score"] for e in of] for of in (one["entities"], own)]
        np.testing.assert_allclose(*scores, atol=2e-6)
    assert any(one["entities"] for one in found)
    assert found[2]["windows"] > 1
    cut = server.post("/v1/tag", texts=[TEXTS[2]], long_text="truncate").json["results"][0]
    assert (cut["windows"], cut["tokens_cut"]) == (1, cut["tokens"] - 126)
    assert server.post("/v1/tag", texts=[TEXTS[2]], long_text="error").status == 422
    assert server.post("/v1/tag", texts=[""]).json["results"][0]["entities"] == []


def test_answers_are_those_of_load(server: Running, sources: dict[str, str]) -> None:
    expected = bertworks.load(sources["squad"]).answer("Who wrote?", TEXTS, top_k=4)
    found = server.post("/v1/answer", question="Who wrote?", texts=TEXTS, top_k=4).json
    assert [(a["text"], a["begin"], a["text_number"]) for a in found["answers"]] == [
        (a.text, a.begin, a.document) for a in expected.answers
    ]
    np.testing.assert_allclose(
        [a["probability"] for a in found["answers"]], [a.probability for a in expected.answers], rtol=0, atol=1e-6
    )
    assert found["has_answer"] == expected.has_answer
    assert found["texts"][2]["windows"] > 1
    for one in found["answers"]:
        assert TEXTS[one["text_number"]][one["begin"] : one["end"]] == one["text"]


def test_words_are_those_of_load(server: Running, sources: dict[str, str]) -> None:
    text = "the [MASK] is near the [MASK]"
    expected = bertworks.load(sources["words"]).fill_mask(text, top_k=3)
    (found,) = server.post("/v1/fill_mask", texts=[text], top_k=3).json["results"]
    assert [[word["token"] for word in mask] for mask in found["masks"]] == [[w for w, _ in m] for m in expected]
    np.testing.assert_allclose(
        [[word["probability"] for word in mask] for mask in found["masks"]],
        [[p for _, p in mask] for mask in expected],
        rtol=0,
        atol=1e-6,
    )
    without = server.post("/v1/fill_mask", texts=[text, "no mask"])
    assert (without.status, without.json["error"]["param"]) == (422, "texts[1]")


def test_vectors_are_those_of_load(server: Running, sources: dict[str, str]) -> None:
    expected = bertworks.load(sources["words"]).embed(TEXTS)
    found = server.post("/embed", inputs=TEXTS, model="words", normalize=False, truncate=True).json
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    answer = server.post("/v1/embeddings", input=TEXTS[:2], model="words", encoding_format="base64").json
    raw = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in answer["data"]]
    unit = expected[:2] / np.linalg.norm(expected[:2], axis=1, keepdims=True)
    np.testing.assert_allclose(raw, unit, rtol=0, atol=1e-6)
    assert answer["usage"]["prompt_tokens"] == 9 + 9 + 4


def test_attention_is_that_of_load(server: Running, sources: dict[str, str]) -> None:
    expected = bertworks.load(sources["words"]).attentions("the old man", "a house")
    found = server.post("/v1/attention", text="the old man", text_pair="a house", layer=2, model="words").json
    assert found["tokens"] == expected.tokens
    np.testing.assert_allclose(found["attention"], expected.attentions[2], atol=5.1e-5)
    assert server.post("/v1/attention", text="a", layer=3).json["error"]["param"] == "layer"
    assert server.post("/v1/attention", text="a " * 200).status == 422


@pytest.mark.parametrize(
    ("name", "text", "pair"),
    [
        ("classifier", TEXTS[0], None),
        ("classifier", TEXTS[0], TEXTS[1]),
        ("ranker", TEXTS[4], None),
        ("tagger", f"{TEXTS[4]} {TEXTS[0]}", None),
        ("squad", "Where is the harbour?", TEXTS[4]),
    ],
)
def test_explanations_are_those_of_load(
    server: Running, sources: dict[str, str], name: str, text: str, pair: str | None
) -> None:
    expected = bertworks.load(sources[name]).explain((text, pair) if pair else text)
    body = {"text": text, "model": name, **({"text_pair": pair} if pair else {})}
    answer = server.post("/v1/explain", **body).json
    assert [one["decision"] for one in answer["decisions"]] == [one.decision for one in expected][:10]
    assert answer["decisions_left_out"] == max(0, len(expected) - 10)
    assert answer["decisions"]
    for found, one in zip(answer["decisions"], expected, strict=False):
        assert [(word["text"], word["part"], word["begin"]) for word in found["words"]] == [
            (word.text, word.part, word.begin) for word in one.contributions
        ]
        total = sum(word["value"] for word in found["words"])
        assert total == pytest.approx(found["score"] - found["baseline"], abs=0.01 * max(1, abs(total)))
        assert found["read_whole"] is not one.cut
    assert answer["tokens"] > 0


def test_the_entities_that_are_explained_are_those_that_are_tagged(server: Running) -> None:
    text = " ".join(TEXTS[:2])
    (tagged,) = server.post("/v1/tag", texts=[text], model="tagger").json["results"]
    answer = server.post("/v1/explain", text=text, model="tagger", most_decisions=2).json
    names = [f"{one['type']}: {one['text']}" for one in tagged["entities"]]
    assert [one["decision"] for one in answer["decisions"]] == names[:2]
    assert answer["decisions_left_out"] == max(0, len(names) - 2)


def test_as_many_decisions_are_explained_as_a_request_may_take() -> None:
    found = [Decision(10, lambda most_points: pytest.fail("nothing is computed"))] * 4
    assert [len(affordable(found, 9, tokens)) for tokens in (0, 480, 959, 960, 9999)] == [1, 1, 1, 2, 4]
    assert len(affordable(found, 3, 9999)) == 3
    assert affordable([], 3, 9999) == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"text": "no", "model": "words"}, 400, "model"),
        ({"text": " ", "model": "classifier"}, 422, "text"),
        ({"text": "no", "model": "classifier", "label": "never"}, 422, "label"),
        ({"text": "no", "model": "tagger", "label": "O"}, 422, "label"),
        ({"text": "no", "text_pair": "no", "model": "tagger"}, 422, "text_pair"),
        ({"text": "who", "model": "squad"}, 422, "text_pair"),
        ({"text": "the " * 600, "model": "classifier"}, 422, "text"),
        ({"text": "no", "most_decisions": 0}, 422, "most_decisions"),
    ],
)
def test_what_cannot_be_explained_is_refused(server: Running, body: dict[str, Any], status: int, param: str) -> None:
    answer = server.post("/v1/explain", **body)
    assert (answer.status, answer.json["error"]["param"]) == (status, param)


def test_an_answer_does_not_depend_on_its_neighbours(server: Running) -> None:
    bodies = [("/v1/classify", {"texts": [text], "long_text": "window"}) for text in TEXTS]
    bodies += [("/v1/embeddings", {"input": TEXTS[:2] * 8, "model": "words"})]
    bodies += [("/v1/answer", {"question": "Where?", "texts": TEXTS})]
    alone = [server.post(path, **body).json for path, body in bodies]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: server.post(one[0], **one[1]).json, bodies * 12))
    for number, answer in enumerate(together):
        assert_near(answer, alone[number % len(bodies)])
    assert b"bert_batch_requests_bucket" in server.ask("GET", "/metrics").body


def assert_near(found: Any, expected: Any) -> None:
    """Equal, numbers to 1e-6."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_near(found[name], expected[name])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-6)
    else:
        assert found == expected
