"""A server of exported models answers what the model itself answers, to what the certificate of an export allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bertworks
from bertworks.errors import InputError
from bertworks.export.runtime import Runtime
from bertworks.export.write import LIMIT, export
from bertworks.serve.loading import check_runtime, load_model
from bertworks.serve.prepared import of_similar_length
from tests.export.builders import save
from tests.serve.models import TEXTS, Running, serving

SHORT = [TEXTS[0], TEXTS[1], TEXTS[3], TEXTS[4], TEXTS[2][:400]]


# OpenVINO takes longer to write a graph; what a server asks of it is the same for every head.
HEADS: dict[Runtime, tuple[str, ...]] = {
    "onnx": ("classifier", "words", "squad", "tagger", "ranker", "encoder"),
    "openvino": ("classifier", "encoder"),
}


@contextmanager
def served(runtime: Runtime, sources: dict[str, str], folder: Path) -> Iterator[tuple[Running, dict[str, str]]]:
    """A server of exports, and the models that they were exported from."""
    pytest.importorskip("onnxruntime" if runtime == "onnx" else "openvino")
    everything = {**sources, "encoder": str(save(folder / "model", "encoder"))}
    originals = {name: everything[name] for name in HEADS[runtime]}
    for name, source in originals.items():
        export(bertworks.load(source, device="cpu"), folder / name, runtime, "int8" if name == "classifier" else "fp32")
    with serving({name: str(folder / name) for name in originals}, runtime=runtime) as running:
        yield running, originals


@pytest.fixture(scope="module", params=["onnx", "openvino"])
def exported(
    request: pytest.FixtureRequest, sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, dict[str, str]]]:
    with served(request.param, sources, tmp_path_factory.mktemp(request.param)) as found:
        yield found


def test_classes_are_those_of_the_model(exported: tuple[Running, dict[str, str]]) -> None:
    server, sources = exported
    found = server.post("/v1/classify", texts=SHORT, model="classifier").json["results"]
    for one, expected in zip(found, bertworks.load(sources["classifier"]).classify(SHORT), strict=True):
        assert one["probabilities"] == pytest.approx(expected.probabilities, abs=LIMIT)


def test_the_other_heads_answer_as_the_model_does(exported: tuple[Running, dict[str, str]]) -> None:
    server, sources = exported
    if "tagger" not in sources:
        pytest.skip("OpenVINO serves a classifier and an encoder here")
    found = server.post("/v1/tag", texts=TEXTS).json["results"]
    tagged = bertworks.load(sources["tagger"]).tag(TEXTS)
    for one, entities in zip(found, tagged, strict=True):
        assert [(of["type"], of["begin"], of["end"]) for of in one["entities"]] == [
            (of.type, of.begin, of.end) for of in entities
        ]
        assert [of["score"] for of in one["entities"]] == pytest.approx([of.score for of in entities], abs=LIMIT)
    context = " ".join(TEXTS)
    answers = server.post("/v1/answer", question="Where is the harbour?", texts=[context], top_k=1).json["answers"]
    best = bertworks.load(sources["squad"]).answer("Where is the harbour?", context).answers[0]
    assert answers[0]["text"] == best.text
    assert answers[0]["probability"] == pytest.approx(best.probability, abs=LIMIT)
    masked = "The [MASK] is near the old [MASK]."
    words = server.post("/v1/fill_mask", texts=[masked], top_k=3).json["results"][0]["masks"]
    for mask, guesses in zip(words, bertworks.load(sources["words"]).fill_mask(masked, top_k=3), strict=True):
        assert [one["token"] for one in mask] == [guess[0] for guess in guesses]
        assert [one["probability"] for one in mask] == pytest.approx([guess[1] for guess in guesses], abs=LIMIT)


def test_vectors_are_those_of_the_model(exported: tuple[Running, dict[str, str]]) -> None:
    server, sources = exported
    texts = ["the cat sat on the mat", "a house", "the man went to the market"]
    expected = bertworks.load(sources["encoder"]).embed(texts)
    found = server.ask("POST", "/embed", {"inputs": texts, "normalize": False}).json
    np.testing.assert_allclose(found, expected, rtol=0, atol=LIMIT * np.abs(expected).max())


ABILITIES = {
    "classifier": ["classify"],
    "words": ["fill_mask"],
    "squad": ["answer"],
    "tagger": ["tag"],
    "ranker": ["rerank", "classify"],
    "encoder": ["embed"],
}


def test_what_only_the_model_itself_can_is_refused(exported: tuple[Running, dict[str, str]]) -> None:
    server, sources = exported
    can = {model["id"]: model["abilities"] for model in server.ask("GET", "/v1/models").json["data"]}
    assert can == {name: abilities for name, abilities in ABILITIES.items() if name in sources}
    for route, body in (("/v1/explain", {"text": "no"}), ("/v1/attention", {"text": "no"})):
        answer = server.post(route, **body)
        assert (answer.status, answer.json["error"]["param"]) == (400, "model")
        assert "without --runtime" in answer.json["error"]["message"]
    vectors = server.post("/v1/embeddings", input="no", model="classifier")
    assert (vectors.status, "exported with a head" in vectors.json["error"]["message"]) == (400, True)
    assert server.ask("POST", "/tokenize", {"inputs": "a house"}).status == 200
    refused = server.post("/encode", id=1, texts=["a house"])
    assert refused.status == 400
    assert "last layer" in refused.body.decode()


def test_int8_is_another_version(exported: tuple[Running, dict[str, str]]) -> None:
    server, _ = exported
    model = server.engine.registry.named("classifier")
    runtime: Runtime = "onnx" if "onnx" in model.pretrained.checkpoint.format else "openvino"
    small = load_model("auto", "int8", runtime, "small", model.source)
    assert (small.precision, model.precision) == ("int8", "fp32")
    assert small.version != model.version
    assert load_model("auto", "fp32", runtime, "again", model.source).version == model.version


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_folder_without_an_export_says_how_to_make_one(sources: dict[str, str], runtime: Runtime) -> None:
    with pytest.raises(InputError, match=f"bert export MODEL FOLDER --format={runtime} --precision=int8"):
        load_model("cpu", "int8", runtime, "x", sources["words"])


def test_flags_that_an_export_does_not_have() -> None:
    check_runtime("torch", "cuda", "bf16")
    check_runtime("onnx", "auto", "int8")
    with pytest.raises(InputError, match="--device=cuda: --runtime=onnx computes on the CPU"):
        check_runtime("onnx", "cuda", "fp32")
    with pytest.raises(InputError, match="--precision=bf16: --runtime=openvino has fp32 and int8"):
        check_runtime("openvino", "cpu", "bf16")


@given(st.lists(st.integers(1, 512), max_size=60))
def test_groups_have_each_sequence_once_and_little_padding(lengths: list[int]) -> None:
    groups = of_similar_length(lengths)
    assert sorted(number for group in groups for number in group) == list(range(len(lengths)))
    for group in groups:
        own = [lengths[number] for number in group]
        assert len(own) * max(own) <= 1.25 * sum(own)
