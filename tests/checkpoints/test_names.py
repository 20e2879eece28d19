"""The table of names, against itself and against the names that real checkpoints have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.checkpoints import names
from bertworks.checkpoints.formats.tensorflow import TensorFlowCheckpoint
from bertworks.checkpoints.storage import FolderStorage
from tests.checkpoints.builders import GOOGLE_TINY

OURS = (
    "bert.embeddings.word_embeddings.weight",
    "bert.encoder.layer.#.attention.self.value.weight",
    "bert.encoder.layer.#.attention.output.LayerNorm.bias",
    "bert.encoder.layer.#.intermediate.dense.weight",
    "bert.pooler.dense.bias",
    "cls.predictions.bias",
)


@pytest.mark.parametrize("family", ["tensorflow", "mindspore", "gluonnlp"])
@given(name=st.sampled_from(OURS), layer=st.integers(0, 999))
def test_there_and_back(family: names.Family, name: str, layer: int) -> None:
    name = name.replace("#", str(layer))
    there = names.from_ours(name, family)
    assert there is not None
    assert names.to_ours(there.name, family) == names.Counterpart(name, there.transposed)


@pytest.mark.parametrize(
    ("family", "theirs", "ours"),
    [
        ("tensorflow", "bert/encoder/layer_11/output/dense/kernel", "bert.encoder.layer.11.output.dense.weight"),
        ("tensorflow", "bert/encoder/layer_3/output/LayerNorm/gamma", "bert.encoder.layer.3.output.LayerNorm.weight"),
        ("tensorflow", "cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
        ("tensorflow", "bert/embeddings/layer_normalization/beta", "bert.embeddings.LayerNorm.bias"),
        (
            "tensorflow",
            "bert/encoder/layer_0/output/layer_normalization_2/gamma",
            "bert.encoder.layer.0.output.LayerNorm.weight",
        ),
        ("tensorflow", "output_weights", "classifier.weight"),
        ("tensorflow", "cls/squad/output_bias", "qa_outputs.bias"),
        (
            "mindspore",
            "bert.bert.bert_encoder.layers.2.attention.attention.key_layer.weight",
            "bert.encoder.layer.2.attention.self.key.weight",
        ),
        ("mindspore", "bert.cls1.layernorm.gamma", "cls.predictions.transform.LayerNorm.weight"),
        ("gluonnlp", "encoder.transformer_cells.7.ffn.ffn_1.bias", "bert.encoder.layer.7.intermediate.dense.bias"),
        ("gluonnlp", "encoder.position_weight", "bert.embeddings.position_embeddings.weight"),
        ("mindspore", "bert.dense_1.weight", "classifier.weight"),
        ("mindspore", "bert.dense1.bias", "qa_outputs.bias"),
        ("gluonnlp", "classifier.1.bias", "classifier.bias"),
        ("gluonnlp", "span_classifier.weight", "qa_outputs.weight"),
    ],
)
def test_known_names(family: names.Family, theirs: str, ours: str) -> None:
    transposed = family == "tensorflow" and theirs.endswith("/kernel")
    assert names.to_ours(theirs, family) == names.Counterpart(ours, transposed)


@pytest.mark.parametrize("checkpoint", ["bert_model.ckpt", "classifier.ckpt", "squad.ckpt"])
def test_tensorflow_names_come_back_as_they_were(checkpoint: str) -> None:
    stored = TensorFlowCheckpoint(FolderStorage(GOOGLE_TINY), checkpoint).entries
    weights = [name for name in stored if not name.endswith(("/adam_m", "/adam_v")) and name != "global_step"]
    assert len(weights) == {"bert_model.ckpt": 62, "classifier.ckpt": 57, "squad.ckpt": 57}[checkpoint]
    for name in weights:
        ours = names.to_ours(name, "tensorflow")
        assert ours is not None
        assert names.from_ours(ours.name, "tensorflow") == names.Counterpart(name, ours.transposed)
        assert ours.transposed == name.endswith("/kernel")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "bert/encoder/layer_#/output/dense/kernel",
        "bert/encoder/layer_01/output/dense/kernel",
        "bert/encoder/layer_٣/output/dense/kernel",
        "bert/encoder/layer_0/output/dense/kernel/adam_m",
        f"bert/encoder/layer_{'9' * 5000}/output/dense/kernel",
        "electra/embeddings/word_embeddings",
    ],
)
def test_other_names_are_nobody_s(name: str) -> None:
    assert names.to_ours(name, "tensorflow") is None


@pytest.mark.parametrize(
    ("stored", "ours"),
    [
        ("embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight"),
        ("module.bert.encoder.layer.0.output.LayerNorm.beta", "bert.encoder.layer.0.output.LayerNorm.bias"),
        ("cls.predictions.bias", "cls.predictions.bias"),
        ("classifier.weight", "classifier.weight"),
        ("crf.transitions", "crf.transitions"),
    ],
)
def test_torch_names(stored: str, ours: str) -> None:
    assert names.from_torch([stored]) == {stored: ours}
