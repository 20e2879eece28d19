"""POST `/` and `/models/NAME`: what the model does best, with or without `parameters`, of which none is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.serve.models import TEXTS, Running

MASKED = ["the [MASK] is old", "a [MASK] near the [MASK]"]


def ask(server: Running, name: str, inputs: Any, **parameters: Any) -> Any:
    found = server.ask("POST", f"/models/{name}", {"inputs": inputs, "parameters": parameters or None})
    assert found.status == 200, found.body
    return found.json


@pytest.mark.parametrize(
    ("name", "inputs", "parameters", "field"),
    [
        ("words", "the man", {"nonsense": 3}, "nonsense"),
        ("words", "a [MASK]", {"targets": ["house"]}, "targets"),
        ("words", "a [MASK]", {"top_k": 51}, "top_k"),
        ("squad", "the man", {"top_k": 3}, "top_k"),
        ("squad", "the man", {"normalize": "no"}, "normalize"),
        ("squad", {"question": "who", "context": "the man"}, {"doc_stride": 3}, "doc_stride"),
        ("tagger", "the man", {"aggregation_strategy": "none"}, "aggregation_strategy"),
        ("tagger", ["the man"], {"stride": 3}, "stride"),
        ("classifier", "the man", {"function_to_apply": "sigmoid"}, "function_to_apply"),
        ("ranker", "the man", {"function_to_apply": "softmax"}, "function_to_apply"),
        ("classifier", [["the man"]], {"nonsense": 3}, "nonsense"),
        ("words", {"source_sentence": "a", "sentences": ["a"]}, {"nonsense": 3}, "nonsense"),
    ],
)
def test_a_parameter_that_is_not_known_here_is_refused(
    server: Running, name: str, inputs: Any, parameters: dict[str, Any], field: str
) -> None:
    found = server.ask("POST", f"/models/{name}", {"inputs": inputs, "parameters": parameters})
    assert (found.status, found.json["error"].partition(":")[0]) == (422, f"`parameters.{field}`")


def test_parameters_of_ranks_are_not_dropped(server: Running) -> None:
    body = {"query": "a", "texts": ["b", "the man"]}
    found = server.ask("POST", "/models/ranker", {**body, "parameters": {"return_text": True}}).json
    assert {one["text"] for one in found} == {"b", "the man"}
    refused = server.ask("POST", "/models/ranker", {**body, "parameters": {"top_k": 1}})
    assert "parameters.top_k" in refused.json["error"]


def test_known_parameters_are_those_of_the_routes(server: Running) -> None:
    as_it_is, unit = (ask(server, "squad", TEXTS[0], normalize=normalize) for normalize in (False, True))
    assert as_it_is == server.post("/embed", inputs=TEXTS[0], normalize=False, model="squad").json
    assert unit == server.post("/embed", inputs=TEXTS[0], model="squad").json
    assert np.linalg.norm(as_it_is) != pytest.approx(1)
    assert len(ask(server, "squad", TEXTS[2], truncate=True, dimensions=8)[0]) == 8
    raw = server.post("/predict", inputs=TEXTS[0], raw_scores=True).json
    assert ask(server, "classifier", TEXTS[0], function_to_apply="none") == [raw]
    (plain,) = ask(server, "classifier", TEXTS[0], function_to_apply="softmax", nonsense=None)
    assert plain == server.post("/predict", inputs=TEXTS[0]).json
    assert ask(server, "classifier", TEXTS[0], top_k=1) == [plain[:1]]
    assert ask(server, "classifier", [[TEXTS[0]]], top_k=1) == [plain[:1]]
    assert len(ask(server, "classifier", TEXTS[2], truncate=True)[0]) == 2
    question = {"question": "Who wrote?", "context": TEXTS[1]}
    short = ask(server, "squad", question, max_answer_len=1, top_k=9)
    longest = server.post("/v1/answer", question="Who wrote?", texts=[TEXTS[1]], top_k=9, max_answer_length=1).json
    assert [one["answer"] for one in short if one["answer"]] == [one["text"] for one in longest["answers"]]
    assert ask(server, "tagger", TEXTS[0], aggregation_strategy="simple") == ask(server, "tagger", TEXTS[0])


def test_a_tagger_gives_entities_however_it_is_asked(server: Running) -> None:
    results = server.post("/v1/tag", texts=TEXTS).json["results"]
    several = ask(server, "tagger", TEXTS)
    assert [[one["word"] for one in of] for of in several] == [[e["text"] for e in of["entities"]] for of in results]
    assert [one["word"] for one in several[0]] == [one["word"] for one in ask(server, "tagger", TEXTS[0])]
    refused = server.ask("POST", "/models/tagger", {"inputs": [1, 2]})
    assert (refused.status, refused.json["error"]) == (422, "`inputs[0]`: give a text")


def test_texts_with_masks_get_words_and_others_vectors(server: Running) -> None:
    one, two = ask(server, "words", MASKED)
    assert [word["sequence"] for word in one] == [word["sequence"] for word in ask(server, "words", MASKED[0])]
    assert [len(words) for words in two] == [5, 5]
    assert len(ask(server, "words", MASKED, top_k=2)[0]) == 2
    assert ask(server, "words", TEXTS[:2]) == server.post("/embed", inputs=TEXTS[:2], model="words").json
    assert len(ask(server, "words", [5, 6])[0]) == 32
    refused = server.ask("POST", "/models/words", {"inputs": [MASKED[0], "no mask"]})
    assert (refused.status, refused.json["error"].partition(":")[0]) == (422, "`inputs[1]`")
