"""From a path into a model: what is loaded, what the report says, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bertworks.checkpoints import names
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import check_fits, load_into, open_checkpoint
from bertworks.checkpoints.weights import Checkpoint, Weight
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from tests.checkpoints.builders import GOOGLE_TINY, module_of

CONFIG = BertConfig.from_google_file(GOOGLE_TINY / "bert_config.json")


def golden() -> Checkpoint:
    return open_checkpoint(GOOGLE_TINY / "bert_model.ckpt")


def model_like(checkpoint: Checkpoint, **changes: tuple[int, ...] | None) -> nn.Module:
    """A model with the checkpoint's tensors; `changes` by name with `__` for `.`, None to leave one out."""
    shapes: dict[str, tuple[int, ...] | None] = {name: weight.shape for name, weight in checkpoint.weights.items()}
    shapes |= {name.replace("__", "."): shape for name, shape in changes.items()}
    return module_of({name: shape for name, shape in shapes.items() if shape is not None})


def changed(checkpoint: Checkpoint, arrays: dict[str, np.ndarray | None]) -> Checkpoint:
    """The checkpoint with some weights replaced, added, or (None) left out."""
    weights = {name: weight for name, weight in checkpoint.weights.items() if name not in arrays}
    for name, array in arrays.items():
        if array is not None:
            weights[name] = weight_of(name, array)
    return replace(checkpoint, weights=weights)


def weight_of(name: str, array: np.ndarray) -> Weight:
    return Weight(name, array.shape, lambda out: np.copyto(out, array))


def test_every_tensor_arrives(tmp_path: Path) -> None:
    checkpoint = golden()
    model = model_like(checkpoint)
    report = load_into(model, checkpoint, CONFIG)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.detach(), checkpoint.weights[name].read())
    assert set(report.loaded) == checkpoint.weights.keys()
    assert (report.missing, report.misfits, report.left_over) == ((), {}, ())
    assert str(report).splitlines() == [
        f"Weights from {GOOGLE_TINY / 'bert_model.ckpt'} (TensorFlow)",
        "  model         3 layers, hidden size 32, 4 heads, 900 words, 128 positions; 61,798 parameters",
        "  loaded        62 tensors",
        "  missing       none",
        "  does not fit  none",
        "  left over     none",
        "  activation    tanh form of GELU (gelu_new)",
        "  text          unknown",
        "  notes         62 optimizer slots set aside: */adam_m",
        "                62 optimizer slots set aside: */adam_v",
        "                set aside: global_step",
    ]
    assert report.shown(verbose=True) == str(report)
    assert report.shown(verbose=False) == (
        f"Weights from {GOOGLE_TINY / 'bert_model.ckpt'} (TensorFlow): 3 layers, hidden size 32, 4 heads, 900 words, "
        "128 positions; 61,798 parameters; tanh form of GELU (gelu_new); text unknown"
    )


def test_what_is_odd_is_shown_without_asking() -> None:
    checkpoint = golden()
    head = {"classifier__weight": (2, 32), "cls__predictions__bias": None, "bert__pooler__dense__bias": None}
    usual = load_into(model_like(checkpoint, **head), checkpoint, CONFIG)
    shown = usual.shown(verbose=False)
    assert shown.endswith("; text unknown; drawn at random: classifier")
    assert len(shown.splitlines()) == 1
    for odd in (
        load_into(model_like(checkpoint, cls__other=(3,)), checkpoint, CONFIG),  # drawn at random
        load_into(model_like(checkpoint), changed(checkpoint, {"other": np.zeros(3, np.float32)}), CONFIG),  # left over
    ):
        assert odd.shown(verbose=False) == str(odd)


@pytest.mark.parametrize(("name", "values"), [("bert_model.ckpt", "initial"), ("trained.ckpt", "trained")])
def test_the_pretraining_model_from_the_originals_checkpoint_and_through_a_folder(
    tmp_path: Path, name: str, values: str
) -> None:
    model, again = PretrainingModel(CONFIG), PretrainingModel(CONFIG)
    report = load_into(model, open_checkpoint(GOOGLE_TINY / name), CONFIG)
    assert (report.missing, report.left_over) == ((), ())
    parameters = dict(model.named_parameters())
    with np.load(GOOGLE_TINY / f"{values}_weights.npz") as expected:
        assert len(expected) == len(parameters)
        for stored_name in expected:
            ours = names.to_ours(stored_name.replace("|", "/"), "tensorflow")
            assert ours is not None
            array = expected[stored_name]
            np.testing.assert_array_equal(parameters[ours.name].detach(), array.T if ours.transposed else array)
    save_model_folder(tmp_path, CONFIG, model.state_dict())
    report = load_into(again, open_checkpoint(tmp_path), CONFIG)
    assert (report.missing, report.left_over, report.notes) == ((), (), ())
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in again.state_dict().items())


def test_parameters_keep_their_type() -> None:
    checkpoint = golden()
    model = model_like(checkpoint).bfloat16()
    load_into(model, checkpoint)
    stored = torch.from_numpy(checkpoint.weights["bert.pooler.dense.weight"].read())
    assert torch.equal(model.get_parameter("bert.pooler.dense.weight"), stored.bfloat16())


def test_heads_come_and_go_and_the_report_says_so() -> None:
    checkpoint = golden()
    heads = {name: None for name in checkpoint.weights if name.startswith("cls.")}
    model = model_like(checkpoint, **heads, classifier__weight=(3, 32), classifier__bias=(3,))
    report = load_into(model, checkpoint, CONFIG)
    assert report.missing == ("classifier.weight", "classifier.bias")
    assert set(report.left_over) == {
        "cls/predictions/transform/dense/kernel",
        "cls/predictions/transform/dense/bias",
        "cls/predictions/transform/LayerNorm/gamma",
        "cls/predictions/transform/LayerNorm/beta",
        "cls/predictions/output_bias",
        "cls/seq_relationship/output_weights",
        "cls/seq_relationship/output_bias",
    }
    assert "  missing       classifier.weight; freshly initialised" in str(report).splitlines()
    assert "                cls/predictions/transform/dense/kernel; not used" in str(report).splitlines()


def test_a_classifier_of_another_task_is_left_fresh() -> None:
    checkpoint = open_checkpoint(GOOGLE_TINY / "classifier.ckpt")
    classes = checkpoint.weights["classifier.bias"].shape[0]
    report = load_into(model_like(checkpoint, classifier__weight=(7, 32), classifier__bias=(7,)), checkpoint)
    assert report.misfits == {
        "classifier.weight": f"[{classes}, 32] in the checkpoint, [7, 32] in the model",
        "classifier.bias": f"[{classes}] in the checkpoint, [7] in the model",
    }
    assert len(report.loaded) == 55
    assert "  does not fit  classifier." in str(report)


@pytest.mark.parametrize(
    ("name", "shape", "error"),
    [
        ("bert.embeddings.word_embeddings.weight", (1000, 32), "vocab_size is 900 in the checkpoint .* 1,000 in the"),
        ("bert.embeddings.word_embeddings.weight", (500, 32), "--vocab_file and --bert_config_file"),
        ("bert.embeddings.word_embeddings.weight", (900, 48), "hidden_size is 32 in the checkpoint .* 48 in the"),
        ("bert.embeddings.position_embeddings.weight", (64, 32), "max_position_embeddings is 128"),
        ("bert.embeddings.token_type_embeddings.weight", (16, 32), "type_vocab_size is 2"),
        ("bert.encoder.layer.1.intermediate.dense.weight", (128, 32), "intermediate_size is 64"),
        (
            "bert.encoder.layer.1.output.LayerNorm.bias",
            (5,),
            r"hidden_size is 32 in the checkpoint .*layer_1/output/LayerNorm/beta\) and 5",
        ),
        ("bert.encoder.layer.3.output.dense.bias", (32,), "has 3 layers, the model 4"),
        ("bert.encoder.layer.2.output.new.bias", (32,), "has no bert.encoder.layer.2.output.new.bias"),
    ],
)
def test_what_would_train_garbage_is_refused_untouched(name: str, shape: tuple[int, ...], error: str) -> None:
    checkpoint = golden()
    model = model_like(checkpoint, **{name: shape})
    with pytest.raises(InputError, match=error):
        load_into(model, checkpoint)
    assert not any(parameter.any() for parameter in model.parameters())


def test_fewer_layers_are_taken_with_the_rest_left_over() -> None:
    checkpoint = golden()
    top = {
        name: None for name in checkpoint.weights if name.startswith(("bert.encoder.layer.1", "bert.encoder.layer.2"))
    }
    report = load_into(model_like(checkpoint, **top), checkpoint)
    assert len(report.left_over) == len(top) == 32
    assert "bert/encoder/layer_#/attention/self/query/kernel (2 layers); not used" in str(report)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"vocab_size": 10**9}, "vocab_size is 900 in the checkpoint"),
        ({"num_hidden_layers": 10**6}, "has 3 layers, the model 1000000"),
        ({"intermediate_size": 10**8}, "intermediate_size is 64 in the checkpoint"),
        ({"max_position_embeddings": 10**9}, "max_position_embeddings is 128 in the checkpoint"),
    ],
)
def test_a_lying_configuration_is_found_out_before_a_model_is_built(change: dict[str, int], error: str) -> None:
    with pytest.raises(InputError, match=error):
        check_fits(golden(), replace(CONFIG, **change))
    check_fits(golden(), replace(CONFIG, num_hidden_layers=2))


def test_heads_of_attention_and_activation_are_compared() -> None:
    checkpoint = golden()
    with pytest.raises(InputError, match="4 attention heads, the model has 8"):
        load_into(model_like(checkpoint), checkpoint, replace(CONFIG, num_attention_heads=8))
    other = replace(CONFIG, hidden_act="gelu", layer_norm_eps=1e-5)
    report = load_into(model_like(checkpoint), checkpoint, other)
    assert report.notes[-2:] == (
        "trained with hidden_act gelu_new, the model computes gelu",
        "trained with layer_norm_eps 1e-12, the model has 1e-05",
    )


def test_a_padded_vocabulary_is_trimmed_with_a_note() -> None:
    words = "bert.embeddings.word_embeddings.weight"
    model = model_like(golden(), **{words: (897, 32), "cls.predictions.bias": (897,)})
    checkpoint = changed(
        golden(),
        {
            words: np.arange(904 * 32, dtype=np.float32).reshape(904, 32),
            "cls.predictions.bias": np.ones(904, np.float32),
        },
    )
    report = load_into(model, checkpoint)
    np.testing.assert_array_equal(model.get_parameter(words).detach(), checkpoint.weights[words].read()[:897])
    assert f"{words} is padded: 904 rows, of which 897 are used" in report.notes
    for rows in (901, 1056):  # no multiple of 8; more than a padding
        bad = changed(checkpoint, {words: np.ones((rows, 32), np.float32)})
        with pytest.raises(InputError, match=f"vocab_size is {rows:,}"):
            load_into(model, bad)


def test_tied_copies_must_be_copies() -> None:
    words = golden().weights["bert.embeddings.word_embeddings.weight"].read()
    copy = changed(golden(), {"cls.predictions.decoder.weight": words.copy()})
    assert load_into(model_like(golden()), copy).left_over == ()
    other = changed(golden(), {"cls.predictions.decoder.weight": words + 1})
    with pytest.raises(InputError, match="an output embedding of its own"):
        load_into(model_like(golden()), other)


def test_a_model_of_another_kind_says_which_names_it_has() -> None:
    other = replace(golden(), weights={f"lstm.{i}": weight_of(f"lstm.{i}", np.ones(1, np.float32)) for i in range(5)})
    with pytest.raises(InputError, match=r"no weights of a BERT; it has lstm\.0, lstm\.1, lstm\.2 and 2 more"):
        load_into(model_like(golden()), other)


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--init_checkpoint=.*/gone: no checkpoint is there"):
        open_checkpoint(tmp_path / "gone", "--init_checkpoint")
    with pytest.raises(InputError, match=r"--model=.*: holds no model's weights"):
        open_checkpoint(tmp_path, "--model")
    (tmp_path / "bert_model.ckpt.data-00000-of-00001").write_bytes(b"x")
    with pytest.raises(InputError, match=r"bert_model\.ckpt\.index is missing"):
        open_checkpoint(tmp_path / "bert_model.ckpt")


def test_damage_found_while_loading_is_an_error(tmp_path: Path) -> None:
    for file in GOOGLE_TINY.glob("classifier.ckpt.*"):
        shutil.copy(file, tmp_path)
    data = tmp_path / "classifier.ckpt.data-00000-of-00001"
    data.write_bytes(bytes(data.stat().st_size))
    checkpoint = open_checkpoint(tmp_path)
    with pytest.raises(InputError, match="is damaged"):
        load_into(model_like(checkpoint), checkpoint)
