"""Weights under other names and in other wrappings open; what is something else says what it is and what to do."""

from __future__ import annotations

import json
import shutil
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import bertworks
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import open_checkpoint
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.text.vocab_file import is_cased, words_with_capitals
from tests.checkpoints.builders import GOOGLE_TINY, bundle, entry

CONFIG = BertConfig.from_google_file(GOOGLE_TINY / "bert_config.json")
VOCAB = GOOGLE_TINY.parent / "vocab.txt"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n"


def weights(only: str = "") -> dict[str, torch.Tensor]:
    opened = open_checkpoint(GOOGLE_TINY / "bert_model.ckpt").weights
    return {name: torch.from_numpy(weight.read()) for name, weight in opened.items() if name.startswith(only)}


def renamed(begin: str, *, encoder: bool = False) -> dict[str, torch.Tensor]:
    """The golden weights under names with something before them; the encoder alone without its `bert.`."""
    if encoder:
        return {f"{begin}{name.removeprefix('bert.')}": value for name, value in weights("bert.").items()}
    return {f"{begin}{name}": value for name, value in weights().items()}


def assert_opens(path: Path, *, encoder: bool = False) -> None:
    opened = open_checkpoint(path)
    expected = weights("bert." if encoder else "")
    assert opened.weights.keys() == expected.keys()
    for name, weight in opened.weights.items():
        np.testing.assert_array_equal(weight.read(), expected[name])


def with_files(folder: Path, **changes: Any) -> Path:
    """The golden files around weights, with a configuration."""
    folder.mkdir(exist_ok=True)
    shutil.copy(VOCAB, folder)
    values = {**json.loads(CONFIG.to_json()), **changes}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    "begin", ["module.", "model.", "_orig_mod.", "module._orig_mod.", "_fsdp_wrapped_module.model.", "net.inner."]
)
@pytest.mark.parametrize("encoder", [False, True])
def test_what_stands_before_a_whole_model_is_taken_off(tmp_path: Path, begin: str, encoder: bool) -> None:
    torch.save(renamed(begin, encoder=encoder), tmp_path / "x.pt")
    assert_opens(tmp_path / "x.pt", encoder=encoder)
    save_file(renamed(begin, encoder=encoder), tmp_path / "x.safetensors")
    assert_opens(tmp_path / "x.safetensors", encoder=encoder)


def test_heads_beside_a_wrapped_model_and_parts_of_other_modules(tmp_path: Path) -> None:
    head = {"model.classifier.weight": torch.ones(3, 32), "loss.pooler.dense.weight": torch.ones(2)}
    torch.save({**{f"model.{name}": value for name, value in weights("bert.").items()}, **head}, tmp_path / "x.pt")
    opened = open_checkpoint(tmp_path / "x.pt")
    assert set(opened.weights) - set(weights("bert.")) == {"classifier.weight", "loss.pooler.dense.weight"}
    torch.save({**renamed("a.", encoder=True), **renamed("b.", encoder=True)}, tmp_path / "two.pt")
    with pytest.raises(InputError, match=r"holds 2 models \(a\., b\.\); save one of them"):
        open_checkpoint(tmp_path / "two.pt")
    torch.save({**renamed(""), **renamed("teacher.", encoder=True)}, tmp_path / "and.pt")
    assert weights().keys() <= open_checkpoint(tmp_path / "and.pt").weights.keys()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda values: {"state_dict": values, "epoch": 3, "hyper_parameters": {"lr": 1.0}},
        lambda values: {"model": values, "optimizer": {"state": {}}},
        lambda values: {"model_state_dict": values, "loss": 0.5},
        lambda values: {"module": values, "dp_world_size": 2},
        lambda values: {"model": {"state_dict": values}, "ema": 1},
        lambda values: {"state_dict": {}, "student": values},
    ],
)
@pytest.mark.parametrize("file", ["last.ckpt", "ckpt_8601.pt", "weights.th", "model.bin"])
def test_training_states_of_torch_open_whatever_they_are_called(tmp_path: Path, wrapped: Any, file: str) -> None:
    torch.save(wrapped(renamed("model.")), tmp_path / file)
    assert_opens(tmp_path / file)
    assert_opens(tmp_path)
    assert any(note.startswith("set aside") for note in open_checkpoint(tmp_path).notes)


def test_names_of_nvidia(tmp_path: Path) -> None:
    values = {
        name.replace("intermediate.dense", "intermediate.dense_act").replace("pooler.dense", "pooler.dense_act"): value
        for name, value in weights().items()
    }
    values = {name.replace("transform.dense", "transform.dense_act"): value for name, value in values.items()}
    torch.save({"model": values, "optimizer": {}, "files": ["a"]}, tmp_path / "ckpt_1.pt")
    assert_opens(tmp_path / "ckpt_1.pt")


def test_endings_that_lie(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "pytorch_model.bin")
    assert_opens(tmp_path)
    assert_opens(tmp_path / "pytorch_model.bin")
    shutil.copy(GOOGLE_TINY.parent / "mindspore_tiny.ckpt", tmp_path / "epoch-40.model")
    assert open_checkpoint(tmp_path / "epoch-40.model").format == "MindSpore"


def test_an_object_checkpoint_of_tensorflow(tmp_path: Path) -> None:
    layers = CONFIG.num_hidden_layers
    inside = {
        "attention.self.query": "_attention_layer/_query_dense",
        "attention.self.key": "_attention_layer/_key_dense",
        "attention.self.value": "_attention_layer/_value_dense",
        "attention.output.dense": "_attention_output_dense",
        "attention.output.LayerNorm": "_attention_layer_norm",
        "intermediate.dense": "_intermediate_dense",
        "output.dense": "_output_dense",
        "output.LayerNorm": "_output_layer_norm",
    }
    expected = weights("bert.")
    heads = CONFIG.num_attention_heads
    tensors: dict[str, np.ndarray] = {}
    for i, name in enumerate(("word_embeddings", "position_embeddings", "token_type_embeddings")):
        tensors[f"layer_with_weights-{i}/embeddings"] = expected[f"bert.embeddings.{name}.weight"].numpy()
    for ours, theirs in (("weight", "gamma"), ("bias", "beta")):
        tensors[f"layer_with_weights-3/{theirs}"] = expected[f"bert.embeddings.LayerNorm.{ours}"].numpy()
    for ours, theirs in (("weight", "kernel"), ("bias", "bias")):
        tensors[f"layer_with_weights-{4 + layers}/{theirs}"] = expected[f"bert.pooler.dense.{ours}"].numpy().T
    for layer in range(layers):
        for ours, theirs in inside.items():
            begin = f"bert.encoder.layer.{layer}.{ours}"
            weight, bias = expected[f"{begin}.weight"].numpy(), expected[f"{begin}.bias"].numpy()
            if ours.endswith("LayerNorm"):
                parts = {"gamma": weight, "beta": bias}
            elif ".self." in ours:
                parts = {"kernel": weight.T.reshape(len(weight), heads, -1), "bias": bias.reshape(heads, -1)}
            elif ours == "attention.output.dense":
                parts = {"kernel": weight.T.reshape(heads, -1, len(weight)), "bias": bias}
            else:
                parts = {"kernel": weight.T, "bias": bias}
            for leaf, value in parts.items():
                tensors[f"layer_with_weights-{4 + layer}/{theirs}/{leaf}"] = value
    data, entries = b"", {}
    for name, value in sorted(tensors.items()):
        stored = np.ascontiguousarray(value, "<f4").tobytes()
        entries[f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE"] = entry(value.shape, stored, offset=len(data))
        data += stored
    bundle(tmp_path / "bert_model.ckpt", entries)
    (tmp_path / "bert_model.ckpt.data-00000-of-00001").write_bytes(data)
    assert_opens(tmp_path / "bert_model.ckpt", encoder=True)
    bundle(tmp_path / "other.ckpt", {"model/inner/kernel/.ATTRIBUTES/VARIABLE_VALUE": entry((1,), b"\0" * 4)})
    with pytest.raises(InputError, match="object checkpoint of TensorFlow 2 with names of its own"):
        open_checkpoint(tmp_path / "other.ckpt")


# What is something else


@pytest.mark.parametrize(
    "file",
    ["pytorch_model.bin", "model.safetensors", "vocab.txt", "config.json", "tokenizer.json", "mine.ckpt", "x.params"],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_pointers_of_git_lfs_are_told_wherever_they_lie(tmp_path: Path, file: str, zipped: bool) -> None:
    folder = with_files(tmp_path / "model")
    if file in ("vocab.txt", "config.json", "tokenizer.json"):
        save_model_folder(folder, CONFIG, weights())
    (folder / file).write_text(POINTER)
    path = folder
    if zipped:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    with pytest.raises(InputError, match=rf"{file}: is a Git LFS pointer, .*git lfs pull"):
        bertworks.load(path)


def test_pointers_for_a_vocabulary_or_a_configuration_of_a_flag(tmp_path: Path) -> None:
    (tmp_path / "pointer").write_text(POINTER)
    for flags in (
        {"vocab_file": tmp_path / "pointer"},
        {"bert_config_file": tmp_path / "pointer", "vocab_file": VOCAB},
    ):
        with pytest.raises(InputError, match="pointer: is a Git LFS pointer"):
            bertworks.load(GOOGLE_TINY / "bert_model.ckpt", **{"bert_config_file": None, **flags})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(2000), "a Keras file"),
        (b"GGUF" + bytes(2000), "GGUF"),
        (b"\x1f\x8b\x08" + bytes(2000), "gzip"),
        (b"<!DOCTYPE html><html>" + bytes(2000), "a web page"),
        (b"Entry not found", "no such file"),
        (bytes(257) + b"ustar" + bytes(2000), "tar archive"),
        (b"a table" + bytes(99) + bytes.fromhex("57fb808b247547db"), "TensorFlow checkpoint of the first form"),
    ],
)
@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.ckpt", "my.pt"])
def test_files_of_something_else_say_what_they_are(tmp_path: Path, data: bytes, told: str, file: str) -> None:
    (tmp_path / file).write_bytes(data)
    for path in (tmp_path, tmp_path / file):
        with pytest.raises(InputError, match=told):
            open_checkpoint(path)


def test_archives_that_are_not_torchs(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("model.weights.h5", b"")
    np.savez(tmp_path / "y.npz", a=np.zeros(3))
    (tmp_path / "y.npz").rename(tmp_path / "y.bin")
    for file, told in (("x.pt", "Keras"), ("y.bin", "numpy arrays")):
        with pytest.raises(InputError, match=told):
            open_checkpoint(tmp_path / file)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("tf_model.h5", "Keras weights.*from_tf"),
        ("flax_model.msgpack", "Flax weights.*from_flax"),
        ("adapter_config.json", "an adapter, not a whole model; merge"),
        ("model.onnx", "an ONNX graph"),
    ],
)
def test_folders_without_weights_that_we_read_say_what_they_have(tmp_path: Path, file: str, told: str) -> None:
    with_files(tmp_path)
    (tmp_path / file).write_bytes(b"\x89HDF and so on")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"1234")
    with pytest.raises(InputError, match=told):
        open_checkpoint(tmp_path)


def test_an_object_in_a_pickle_is_named(tmp_path: Path) -> None:
    torch.save({"model": weights(), "args": Fraction(1, 2)}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"never run \(fractions\.Fraction\); .*torch\.save\(model\.state_dict"):
        open_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("begin", "family"), [("roberta.", "a RoBERTa"), ("distilbert.", "a DistilBERT"), ("electra.", "an ELECTRA")]
)
def test_other_families_are_named(tmp_path: Path, begin: str, family: str) -> None:
    torch.save(renamed(begin, encoder=True), tmp_path / "x.pt")
    with pytest.raises(InputError, match=f"weights of {family}, which is not a BERT"):
        open_checkpoint(tmp_path / "x.pt")


def test_a_bare_roberta_without_a_configuration_is_refused(tmp_path: Path) -> None:
    values = {**weights("bert."), "bert.embeddings.token_type_embeddings.weight": torch.zeros(1, 32)}
    torch.save(values, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"as a RoBERTa has.*--bert_config_file"):
        bertworks.load(tmp_path, vocab_file=VOCAB)


def test_weights_of_an_adapter_are_told(tmp_path: Path) -> None:
    lora = {"base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight": torch.zeros(2, 32)}
    save_file(lora, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"an adapter \(merge it"):
        open_checkpoint(tmp_path / "adapter_model.safetensors")


def test_a_folder_of_the_cache_and_a_folder_of_checkpoints(tmp_path: Path) -> None:
    root = tmp_path / "models--a--b"
    for name in ("one", "two"):
        save_model_folder(root / "snapshots" / name, CONFIG, weights())
    with pytest.raises(InputError, match="2 snapshots"):
        open_checkpoint(root)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("two\n")
    assert open_checkpoint(root).path == root / "snapshots" / "two"
    shutil.rmtree(root / "snapshots" / "two")
    assert open_checkpoint(root).path == root / "snapshots" / "one"
    save_model_folder(tmp_path / "run" / "checkpoint-500", CONFIG, weights())
    assert open_checkpoint(tmp_path / "run").path == tmp_path / "run" / "checkpoint-500"
    save_model_folder(tmp_path / "run" / "last", CONFIG, weights())
    with pytest.raises(InputError, match=r"its folders do \(checkpoint-500, last\)"):
        open_checkpoint(tmp_path / "run")


# What is wrong inside


def test_an_output_embedding_of_its_own_leaves_the_features(tmp_path: Path) -> None:
    folder = with_files(tmp_path, tie_word_embeddings=False)
    decoder = torch.randn(CONFIG.vocab_size, CONFIG.hidden_size)
    torch.save({**weights(), "cls.predictions.decoder.weight": decoder}, folder / "pytorch_model.bin")
    ours = bertworks.load(folder)
    expected = bertworks.load(
        GOOGLE_TINY / "bert_model.ckpt", vocab_file=VOCAB, bert_config_file=GOOGLE_TINY / "bert_config.json"
    )
    np.testing.assert_array_equal(ours.embed(["a b"]), expected.embed(["a b"]))
    assert any("an output embedding that is no copy" in note for note in ours.report.notes)
    with pytest.raises(InputError, match="no head for masked words"):
        ours.fill_mask("a [MASK]")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_told_with_their_name(tmp_path: Path, value: float) -> None:
    values = weights()
    values["bert.encoder.layer.1.output.dense.bias"][3] = value
    save_model_folder(with_files(tmp_path), CONFIG, values)
    with pytest.raises(InputError, match=r"encoder\.layer\.1\.output\.dense\.bias has values that are no numbers"):
        bertworks.load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_norm_eps": float("nan")},
        {"layer_norm_eps": float("inf")},
        {"initializer_range": float("nan")},
        {"initializer_range": float("inf")},
        {"initializer_range": -1.0},
        {"hidden_dropout_prob": float("nan")},
        {"attention_probs_dropout_prob": float("inf")},
        {"num_hidden_layers": 10**9},
        {"hidden_size": 10**12, "num_attention_heads": 1},
        {"hidden_size": 10**200, "num_attention_heads": 1},
        {"vocab_size": 10**15},
    ],
)
def test_configurations_that_no_model_has(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 100, **changes}))
    with pytest.raises(InputError, match=rf"config\.json: .*{next(iter(changes))}"):
        BertConfig.from_huggingface_file(tmp_path / "config.json")


def test_a_vocabulary_with_capitals_is_one_of_a_cased_model(tmp_path: Path) -> None:
    lines = VOCAB.read_text().splitlines()
    assert not is_cased(lines)
    capitals = [line.capitalize() if i > 400 else line for i, line in enumerate(lines)]
    folder = with_files(tmp_path)
    save_model_folder(folder, CONFIG, weights())
    (folder / "vocab.txt").write_text("\n".join(capitals) + "\n")
    ours = bertworks.load(folder)
    assert not ours.tokenizer.do_lower_case
    assert any(
        f"{words_with_capitals(capitals)} words of the vocabulary have capitals" in note for note in ours.report.notes
    )
    lowered = bertworks.load(folder, do_lower_case=True)
    assert lowered.tokenizer.do_lower_case
    assert any("never met" in note for note in lowered.report.notes)


def test_a_head_under_another_name_is_named(tmp_path: Path) -> None:
    folder = with_files(tmp_path)
    torch.save({**renamed("bert.", encoder=True), "linear.weight": torch.ones(3, 32)}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"if linear\.weight is its head, rename it to classifier\.weight"):
        bertworks.load(folder).classify(["a"])


def test_settings_without_effect_are_told_and_pruned_heads_refused(tmp_path: Path) -> None:
    theirs = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
    folder = with_files(tmp_path, classifier_dropout=0.3, auto_map={"a": "b"}, sentence_transformers=theirs)
    torch.save(weights(), folder / "pytorch_model.bin")
    (folder / "adapter_config.json").write_text("{}")
    notes = open_checkpoint(folder).notes
    assert any("classifier_dropout 0.3 has no effect" in note for note in notes)
    assert any("own code is not run" in note for note in notes)
    assert any("ends with torch.nn.modules.activation.Sigmoid" in note for note in notes)
    assert any("adapter beside the weights is not applied" in note for note in notes)
    with_files(tmp_path, pruned_heads={"0": [1]})
    with pytest.raises(InputError, match="pruned_heads is"):
        open_checkpoint(folder)
