"""Requests that would take or give too much are refused before the large objects are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bertworks.serve.abilities import answer, tag
from bertworks.serve.protocols import tei_tokens
from tests.serve.models import Running, serving


@pytest.fixture(scope="module")
def small(sources: dict[str, str]) -> Iterator[Running]:
    chosen = {name: sources[name] for name in ("classifier", "words", "squad", "tagger")}
    with serving(chosen, request_tokens=400, numbers=5000) as running:
        yield running


def refused(small: Running, path: str, **body: Any) -> str:
    found = small.post(path, **body)
    assert found.status == 413
    return found.body.decode()


def test_windows_are_counted_before_they_are_made(small: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tag, "encode_parts")
    monkeypatch.delattr(answer, "Texts")
    long = "the man " * 5000
    assert "needs 16,665 tokens; a request may have 400" in refused(
        small, "/v1/classify", texts=["a " * 9999], long_text="window", max_seq_length=5
    )
    assert "at least 10,000 tokens; a request may have 400" in refused(small, "/v1/tag", texts=[long])
    assert "; a request may have 400" in refused(small, "/v1/answer", question="who", texts=[long])
    explained = small.post("/v1/explain", text=long, model="tagger")
    assert (explained.status, "up to 512 are explained" in explained.body.decode()) == (422, True)


def test_windows_that_overlap_are_counted_before_they_become_inputs(
    small: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tag.tagging, "inputs")
    monkeypatch.delattr(answer, "inputs")
    text = "no " * 150
    assert "may have 400" in refused(small, "/v1/tag", texts=[text], max_seq_length=4)
    # The question is read with every window.
    assert "may have 400" in refused(small, "/v1/answer", question="who " * 60, texts=[text])


def test_a_question_is_not_tokenized_for_every_text_if_it_is_far_too_long(small: Running) -> None:
    question = "the " * 700
    assert small.post("/v1/answer", question=question, texts=["no"]).json["question_cut"] is True
    assert "has 700 tokens, too many for 10 texts" in refused(small, "/v1/answer", question=question, texts=["no"] * 10)


def test_words_at_masks_have_a_limit(small: Running) -> None:
    masks = ["[MASK] " * 60] * 2
    assert small.post("/v1/fill_mask", texts=masks, top_k=20).status == 200
    assert "6,000 words and probabilities; it may have 5,000" in refused(small, "/v1/fill_mask", texts=masks, top_k=25)


def test_tokenize_has_the_limit_of_tokens(small: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(one) for one in small.post("/tokenize", inputs=["the " * 198] * 2).json] == [200, 200]
    monkeypatch.delattr(tei_tokens, "_tokens")
    assert "needs 402 tokens; a request may have 400" in refused(
        small, "/tokenize", inputs=["the " * 198, "the " * 200]
    )


def test_vectors_of_tokens_are_counted_as_they_are_computed(small: Running) -> None:
    body = {"inputs": "the man " * 1000, "model": "words"}
    (found,) = small.post("/embed_all", **body, truncate=True).json
    assert len(found) == 128
    assert "8,192 numbers; it may have 5,000" in refused(
        small, "/embed_all", inputs=[body["inputs"]] * 2, model="words", truncate=True
    )
