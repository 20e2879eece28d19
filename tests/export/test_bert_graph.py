"""The graph computes what our network computes, for every head, activation, shape and length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bertworks
from bertworks.errors import InputError
from bertworks.export.graph import Graph
from bertworks.export.layers import activate
from bertworks.export.parity import batches, shapes
from bertworks.export.runtime import Runtime, session
from bertworks.export.write import export
from tests.export.builders import CONFIG, KINDS, add_sentences, load, save

FP32 = 1e-5


def errors(folder: Path, pretrained: bertworks.pretrained.Pretrained, form: Runtime) -> dict[str, float]:
    (found,) = export(pretrained, folder, form).certificate.errors.values()
    return {name: error.largest for name, error in found.items()}


@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_head_has_our_values(tmp_path: Path, kind: str, form: Runtime) -> None:
    found = errors(tmp_path / "export", load(tmp_path / "model", kind), form)
    expected = {
        "encoder": {"last_hidden_state", "pooler_output"},
        "words": {"logits", "seq_relationship_logits"},
        "answers": {"start_logits", "end_logits"},
    }
    assert set(found) == expected.get(kind, {"logits"})
    assert max(found.values()) < FP32, found


@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "tanh", "linear"])
def test_every_activation_has_our_values(tmp_path: Path, activation: str, form: Runtime) -> None:
    pretrained = load(tmp_path / "model", "words", hidden_act=activation)
    assert max(errors(tmp_path / "export", pretrained, form).values()) < FP32


def test_both_gelus_are_exported_as_what_they_are(tmp_path: Path) -> None:
    ids = np.arange(5, 25)[None]
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    found = []
    for activation in ("gelu", "gelu_new"):
        pretrained = load(tmp_path / activation, "encoder", hidden_act=activation)
        export(pretrained, tmp_path / f"{activation}.export", "onnx")
        found.append(session(tmp_path / f"{activation}.export", "onnx").run(inputs)["last_hidden_state"])
    assert np.abs(found[0] - found[1]).max() > 10 * FP32


@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize(
    "poolings",
    [
        ("mean_tokens",),
        ("cls_token",),
        ("max_tokens",),
        ("weightedmean_tokens",),
        ("lasttoken",),
        ("mean_sqrt_len_tokens", "max_tokens", "cls_token"),
    ],
)
def test_pooled_vectors_are_an_output(tmp_path: Path, poolings: tuple[str, ...], form: Runtime) -> None:
    add_sentences(save(tmp_path / "model", "encoder"), poolings, dense=len(poolings) > 1)
    pretrained = bertworks.load(tmp_path / "model", device="cpu")
    found = errors(tmp_path / "export", pretrained, form)
    assert set(found) == {"last_hidden_state", "sentence_embedding"}
    assert max(found.values()) < FP32
    texts = ["the cat sat", "a much longer text about the house and the garden"]
    pairs = [pretrained.tokenizer.encode_pair(text, max_seq_length=40).ids for text in texts]
    width = max(map(len, pairs)) + 3
    ids = np.array([[*pair, *[0] * (width - len(pair))] for pair in pairs])
    mask = np.array([[1] * len(pair) + [0] * (width - len(pair)) for pair in pairs])
    opened = session(tmp_path / "export", form)
    vectors = opened.run({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
    np.testing.assert_allclose(vectors["sentence_embedding"], pretrained.embed(texts), atol=FP32, rtol=0)


def test_sizes_of_a_model_without_segments_and_with_one_head(tmp_path: Path) -> None:
    pretrained = load(tmp_path / "model", "tokens", type_vocab_size=1, num_attention_heads=1, num_hidden_layers=1)
    assert max(errors(tmp_path / "export", pretrained, "onnx").values()) < FP32


def test_what_is_compared_has_one_token_and_all_positions() -> None:
    lengths = shapes(CONFIG)
    assert [1] in lengths
    assert [CONFIG.max_position_embeddings] in lengths
    assert len({len(batch) for batch in batches(CONFIG)}) > 3
    for batch in batches(CONFIG):
        assert batch.input_ids.max() < CONFIG.vocab_size
    assert len({int(i) for batch in batches(CONFIG) for i in batch.input_ids}) > CONFIG.vocab_size // 4


def test_padding_alone_gives_numbers(tmp_path: Path) -> None:
    """A row of padding only, as some programs send to fill a batch, must not make the others wrong."""
    export(load(tmp_path / "model", "single"), tmp_path / "export", "onnx")
    opened = session(tmp_path / "export", "onnx")
    ids = np.array([[5, 6, 7], [5, 6, 7]])
    mask = np.array([[1, 1, 1], [0, 0, 0]])
    both = opened.run({"input_ids": ids, "attention_mask": mask, "token_type_ids": 0 * ids})["logits"]
    alone = opened.run({"input_ids": ids[:1], "attention_mask": mask[:1], "token_type_ids": 0 * ids[:1]})["logits"]
    assert np.isfinite(both).all()
    np.testing.assert_allclose(both[:1], alone, atol=1e-6)


def test_large_weights_lie_in_a_second_file(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    from bertworks.export.bert_graph import build
    from bertworks.export.heads import head_of, weights_of

    pretrained = load(tmp_path / "model", "single")
    graph = build(pretrained.config, weights_of(pretrained), head_of(pretrained))
    inputs = {"input_ids": np.array([[5, 6]]), "attention_mask": np.ones((1, 2), int), "token_type_ids": [[0, 1]]}
    found = []
    for name, largest in (("one", 1 << 30), ("two", 1000)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "model.onnx"
        files = graph.graph.write(path, graph.inputs, graph.outputs, "", largest=largest)
        assert [file.name for file in files] == ["model.onnx", "model.onnx_data"][: len(files)]
        found.append(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)[0])
    assert len(files) == 2
    np.testing.assert_array_equal(*found)
    stored = {tensor.name for tensor in onnx.load(path, load_external_data=False).graph.initializer}
    assert "bert.encoder.layer.1.attention.self.query.weight" in stored


def test_an_activation_without_an_onnx_form() -> None:
    with pytest.raises(InputError, match="the activation 'mish' has no ONNX form"):
        activate(Graph(), "x", "mish")
