"""OpenAI's real client against a server of ours: `python openai_client.py ADDRESS`. It imports nothing of ours."""

from __future__ import annotations

import math
import sys

import openai


def length(vector: list[float]) -> float:
    return math.sqrt(sum(value * value for value in vector))


def refusal(client: openai.OpenAI, kind: type[openai.APIStatusError], wrong: dict) -> openai.APIStatusError:
    """The error that the client raises, of the kind that its users catch."""
    try:
        client.embeddings.create(**wrong)
    except kind as error:
        return error
    raise AssertionError(f"{wrong} was answered")


def main(address: str) -> None:
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)
    models = client.models.list().data
    assert [model.id for model in models] == ["classifier", "words", "squad", "tagger", "ranker"], models
    assert client.models.retrieve("squad").owned_by == "bertworks"

    texts = ["the river is near", "a man", "the old bridge"]
    # The client asks for base64 by itself and decodes it; with `float` the server's numbers come as they are.
    packed = client.embeddings.create(model="words", input=texts)
    plain = client.embeddings.create(model="words", input=texts, encoding_format="float")
    assert [one.index for one in packed.data] == [0, 1, 2]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert abs(length(one.embedding) - 1) < 1e-5
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-6
    assert packed.model == "words"
    assert packed.usage.prompt_tokens == packed.usage.total_tokens > 6
    single = client.embeddings.create(model="words", input=texts[0], dimensions=8)
    assert len(single.data[0].embedding) == 8
    assert abs(length(single.data[0].embedding) - 1) < 1e-5
    ids = client.embeddings.create(model="words", input=[[5, 6, 7], [8]])
    assert len(ids.data) == 2

    long = "the man went home " * 100
    cut = client.embeddings.with_raw_response.create(model="words", input=long, extra_body={"long_text": "truncate"})
    assert int(cut.headers["x-tokens-cut"]) > 0
    assert cut.headers["x-model-version"]
    for wrong, kind, status in (
        ({"model": "nobody", "input": "a"}, openai.NotFoundError, 404),
        ({"model": "words", "input": long}, openai.UnprocessableEntityError, 422),
        ({"model": "words", "input": []}, openai.UnprocessableEntityError, 422),
        ({"model": "words", "input": "a", "dimensions": 10_000}, openai.UnprocessableEntityError, 422),
    ):
        found = refusal(client, kind, wrong)
        assert found.status_code == status
        assert found.body["message"]
        assert found.body["type"] == "invalid_request_error"
    print("openai", openai.__version__, "agrees")


if __name__ == "__main__":
    main(sys.argv[1])
