"""An exported folder, opened, does what the model does that it was exported from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bertworks
from bertworks.errors import InputError
from bertworks.export import session
from bertworks.export.opened import open_export
from bertworks.export.runtime import Runtime
from bertworks.export.write import export
from bertworks.pretrained import Pretrained
from tests.export.builders import VOCAB, add_sentences, load, save

TEXTS = ["the cat sat on the mat", "a house", "the man and the woman went to the market in the old town"]


@pytest.fixture(params=["onnx", "openvino"])
def form(request: pytest.FixtureRequest) -> Runtime:
    return request.param  # type: ignore[no-any-return]


def opened(pretrained: Pretrained, folder: Path, form: Runtime) -> Pretrained:
    export(pretrained, folder, form)
    return open_export(folder, form)


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_classes(tmp_path: Path, kind: str, form: Runtime) -> None:
    pretrained = load(tmp_path / "model", kind)
    again = opened(pretrained, tmp_path / "export", form)
    for ours, theirs in zip(pretrained.classify(TEXTS), again.classify(TEXTS), strict=True):
        assert theirs.label == pytest.approx(ours.label, abs=1e-5) if kind == "regression" else ours.label
        assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-5)


def test_classes_without_names_get_numbers(tmp_path: Path) -> None:
    tiny = VOCAB.parent / "google_tiny"
    pretrained = bertworks.load(
        tiny / "classifier.ckpt", vocab_file=VOCAB, bert_config_file=tiny / "bert_config.json", device="cpu"
    )
    assert pretrained.config.labels is None
    again = opened(pretrained, tmp_path / "export", "onnx")
    assert again.config.labels == ("LABEL_0", "LABEL_1")
    for ours, theirs in zip(pretrained.classify(TEXTS), again.classify(TEXTS), strict=True):
        assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-5)


@pytest.mark.parametrize("kind", ["tokens", "crf"])
def test_tags(tmp_path: Path, kind: str, form: Runtime) -> None:
    pretrained = load(tmp_path / "model", kind)
    found = opened(pretrained, tmp_path / "export", form).tag(TEXTS)
    assert found == pretrained.tag(TEXTS)
    assert any(found) or kind == "crf"


def test_gradients_are_not_exported(tmp_path: Path, form: Runtime) -> None:
    again = opened(load(tmp_path / "model", "single"), tmp_path / "export", form)
    with pytest.raises(InputError, match="an exported model has no gradients; explain the model that it was exported"):
        again.explain("the cat sat")


def test_answers(tmp_path: Path, form: Runtime) -> None:
    pretrained = load(tmp_path / "model", "answers")
    ours, theirs = (
        model.answer("who sat ?", TEXTS, max_seq_length=40)
        for model in (pretrained, opened(pretrained, tmp_path / "export", form))
    )
    assert [best.text for best in ours.answers] == [best.text for best in theirs.answers]


def test_words(tmp_path: Path, form: Runtime) -> None:
    pretrained = load(tmp_path / "model", "words")
    (ours,), (theirs,) = (
        model.fill_mask("the [MASK] sat on the mat", 5)
        for model in (pretrained, opened(pretrained, tmp_path / "export", form))
    )
    assert [word for word, _ in ours] == [word for word, _ in theirs]
    assert [p for _, p in ours] == pytest.approx([p for _, p in theirs], abs=1e-5)


def test_vectors(tmp_path: Path, form: Runtime) -> None:
    pretrained = bertworks.load(add_sentences(save(tmp_path / "model", "encoder"), ("mean_tokens",), dense=True))
    again = opened(pretrained, tmp_path / "export", form)
    np.testing.assert_allclose(again.embed(TEXTS), pretrained.embed(TEXTS), atol=1e-5)
    assert again.checkpoint.sentences is not None
    with pytest.raises(InputError, match="an exported model gives its last layer only"):
        again.embed(TEXTS, layers=(-2,))


@pytest.mark.parametrize(
    "pooling", ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
)
def test_vectors_are_pooled_as_the_model_does(tmp_path: Path, pooling: str) -> None:
    folder = add_sentences(save(tmp_path / "model", "encoder"), (pooling,))
    says = {"prompts": {"query": "the ", "passage": "a "}, "default_prompt_name": None, "similarity_fn_name": "dot"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(says))
    pretrained = bertworks.load(folder)
    again = opened(pretrained, tmp_path / "export", "onnx")
    np.testing.assert_allclose(again.embed(TEXTS), pretrained.embed(TEXTS), atol=1e-5)
    assert json.loads((tmp_path / "export" / "config_sentence_transformers.json").read_text()) == says


def test_vectors_of_a_model_that_also_has_a_head(tmp_path: Path, form: Runtime) -> None:
    pretrained = bertworks.load(add_sentences(save(tmp_path / "model", "words")))
    again = opened(pretrained, tmp_path / "export", form)
    np.testing.assert_allclose(again.embed(TEXTS), pretrained.embed(TEXTS), atol=1e-5)
    assert again.fill_mask("the [MASK] sat")[0][0][0] == pretrained.fill_mask("the [MASK] sat")[0][0][0]


@pytest.mark.parametrize("kind", ["words", "tokens", "answers", "single"])
def test_a_head_alone_gives_no_vectors(tmp_path: Path, kind: str) -> None:
    again = opened(load(tmp_path / "model", kind), tmp_path / "export", "onnx")
    with pytest.raises(InputError, match="gives the outputs of its head, and no vectors; embed with the model that it"):
        again.embed(TEXTS)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("single", {"architectures": None}, "architectures is '', which no export has"),
        ("single", {"architectures": ["BertModel"]}, "has no output last_hidden_state, which BertModel in config.json"),
        ("single", {"id2label": {"0": "a"}, "label2id": {"a": 0}}, "logits has 3 numbers a row, config.json says 1"),
        ("encoder", {"vocab_size": 5}, "the vocabulary beside it has 900 words, the model only 5; export again"),
        ("crf", {"crf": [1]}, "config.json: crf does not have the scores of"),
    ],
)
def test_files_that_do_not_fit_the_graph(
    tmp_path: Path, kind: str, changes: dict[str, object], message: str, form: Runtime
) -> None:
    export(load(tmp_path / "model", kind), tmp_path / "export", form)
    path = tmp_path / "export" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        open_export(tmp_path / "export", form)


def test_folders_that_are_no_exports(tmp_path: Path) -> None:
    pretrained = load(tmp_path / "model", "single")
    with pytest.raises(InputError, match=r"holds no onnx/model.onnx; write it with bert export MODEL FOLDER"):
        session(tmp_path / "model", "onnx")
    export(pretrained, tmp_path / "export", "onnx")
    with pytest.raises(InputError, match=r"holds no onnx/model_quantized.onnx; .* --precision=int8"):
        session(tmp_path / "export", "onnx", "int8")
    with pytest.raises(InputError, match=r"--runtime=tensorrt: give one of onnx, openvino"):
        session(tmp_path / "export", "tensorrt")  # type: ignore[arg-type]
    file = tmp_path / "export" / "onnx" / "model.onnx"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"model.onnx: ONNX Runtime cannot read it"):
        session(tmp_path / "export", "onnx")
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "openvino_model.xml").write_text("<net")
    with pytest.raises(InputError, match=r"openvino_model.xml: openvino cannot read it"):
        session(tmp_path / "openvino", "openvino")
