"""The folder that an export writes: whole or not at all, with what belongs beside the graph and a certificate."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import bertworks
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.errors import InputError
from bertworks.export.measure import Measure
from bertworks.export.runtime import Runtime
from bertworks.export.write import LIMIT, export
from bertworks.files import sha256
from tests.export.builders import CLASSES, TAGS, add_sentences, load, save


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_has_hugging_faces_layout(tmp_path: Path) -> None:
    beside = {"config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "parity.json", "parity.md"}
    pretrained = load(tmp_path / "model", "multi")
    export(pretrained, tmp_path / "onnx", "onnx", "int8")
    assert files_of(tmp_path / "onnx") == beside | {"onnx/model.onnx", "onnx/model_quantized.onnx"}
    export(pretrained, tmp_path / "openvino", "openvino")
    assert files_of(tmp_path / "openvino") == beside | {"openvino_model.xml", "openvino_model.bin"}
    config = json.loads((tmp_path / "onnx" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert list(config["id2label"].values()) == list(CLASSES)
    assert config["problem_type"] == "multi_label_classification"


def test_the_folder_of_sentence_transformers(tmp_path: Path) -> None:
    pretrained = bertworks.load(add_sentences(save(tmp_path / "model", "encoder"), ("mean_tokens",), dense=True))
    export(pretrained, tmp_path / "export", "onnx")
    sentences = {
        *("modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"),
        *("sentence_bert_config.json", "config_sentence_transformers.json"),
    }
    assert sentences < files_of(tmp_path / "export")
    export(pretrained, tmp_path / "openvino", "openvino")
    assert "openvino/openvino_model.xml" in files_of(tmp_path / "openvino")


def test_weights_beyond_a_file_lie_in_a_second_one(tmp_path: Path) -> None:
    pretrained = load(tmp_path / "model", "words")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bertworks.export.graph.MOST_BYTES", 150_000)
        export(pretrained, tmp_path / "onnx", "onnx", "int8")
        export(pretrained, tmp_path / "openvino", "openvino")
    names = {path.name for path in (tmp_path / "onnx" / "onnx").iterdir()}
    assert names == {"model.onnx", "model.onnx_data", "model_quantized.onnx"}
    config = json.loads((tmp_path / "onnx" / "config.json").read_text())
    assert config["transformers.js_config"] == {"use_external_data_format": {"model.onnx": 1}}
    assert not list((tmp_path / "openvino").glob("*onnx*"))


def test_thresholds_and_other_settings_travel(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "answers")
    config = json.loads((folder / "config.json").read_text())
    config["fine_tuning"] = {"max_seq_length": 60, "null_score_diff_threshold": -1.5}
    (folder / "config.json").write_text(json.dumps(config))
    export(bertworks.load(folder), tmp_path / "export", "onnx")
    written = json.loads((tmp_path / "export" / "config.json").read_text())
    assert written["fine_tuning"] == config["fine_tuning"]
    assert json.loads((tmp_path / "export" / "tokenizer_config.json").read_text())["model_max_length"] == 60


def test_scores_of_transitions_stand_in_the_configuration(tmp_path: Path) -> None:
    pretrained = load(tmp_path / "model", "crf")
    written = export(pretrained, tmp_path / "export", "onnx")
    (note,) = written.certificate.notes
    assert "best path (Viterbi) is found outside of the graph" in note
    scores = json.loads((tmp_path / "export" / "config.json").read_text())["crf"]
    assert np.shape(scores["transitions"]) == (len(TAGS), len(TAGS))
    assert note in (tmp_path / "export" / "parity.md").read_text()


def test_the_certificate_says_what_was_compared(tmp_path: Path) -> None:
    written = export(load(tmp_path / "model", "words"), tmp_path / "export", "onnx", "int8")
    values = json.loads((tmp_path / "export" / "parity.json").read_text())
    assert set(values["errors"]) == {"onnx/model.onnx", "onnx/model_quantized.onnx"}
    logits = values["errors"]["onnx/model.onnx"]["logits"]
    tokens = sum(map(sum, values["shapes"]))
    assert logits["values"] == tokens * 900
    assert logits["same_best"] == logits["rows"] == tokens
    assert logits["mean"] < logits["largest"] < 1e-5
    assert values["limit"] == LIMIT
    assert values["libraries"]["onnxruntime"] in values["computed_by"]
    for name, of in values["files"].items():
        assert of["sha256"] == sha256(tmp_path / "export" / name)
    assert set(values["files"]) == files_of(tmp_path / "export") - {"parity.json", "parity.md"}
    page = (tmp_path / "export" / "parity.md").read_text()
    for file, of in written.certificate.errors.items():
        for output, error in of.items():
            assert f"| {file} | {output} | {error.largest:.2g} |" in page


def test_the_hash_is_of_the_weights(tmp_path: Path) -> None:
    pretrained = load(tmp_path / "model", "single")
    first = export(pretrained, tmp_path / "a", "onnx").certificate.weights
    assert export(pretrained, tmp_path / "b", "openvino").certificate.weights == first
    with torch.no_grad():
        pretrained.model.bert.embeddings.LayerNorm.bias[0] += 1
    assert export(pretrained, tmp_path / "b", "openvino").certificate.weights != first


def test_an_earlier_export_is_replaced_whole(tmp_path: Path) -> None:
    pretrained, folder = load(tmp_path / "model", "single"), tmp_path / "export"
    folder.mkdir()
    assert not export(pretrained, folder, "onnx", "int8").replaced
    assert export(pretrained, folder, "openvino").replaced
    assert "onnx/model.onnx" not in files_of(folder)


def test_folders_that_are_not_free(tmp_path: Path) -> None:
    pretrained, folder = load(tmp_path / "model", "single"), tmp_path / "export"
    export(pretrained, folder, "onnx")
    (folder / "onnx" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds onnx/mine.txt, which no earlier export wrote; give a new or an empty"):
        export(pretrained, folder, "onnx")
    with pytest.raises(InputError, match=r"is where the model is that is to be exported"):
        export(pretrained, tmp_path / "model", "onnx")
    with pytest.raises(InputError, match=r"is where the model is that is to be exported"):
        export(pretrained, tmp_path, "onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"is a file"):
        export(pretrained, tmp_path / "file", "onnx")
    other = tmp_path / "other"
    other.mkdir()
    (other / "parity.json").write_text("[1]")
    (other / "model.safetensors").write_text("mine")
    with pytest.raises(InputError, match=r"holds model.safetensors, which no earlier export wrote"):
        export(pretrained, other, "onnx")


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    pretrained = load(tmp_path / "model", "single")
    with torch.no_grad():
        pretrained.model.bert.embeddings.LayerNorm.bias[3] = torch.nan
    with pytest.raises(InputError, match=r"embeddings.LayerNorm.bias has 1 numbers of 32 that are infinite"):
        export(pretrained, tmp_path / "export", "onnx")
    assert not (tmp_path / "export").exists()


def test_a_head_whose_pooler_is_missing(tmp_path: Path) -> None:
    whole = load(tmp_path / "whole", "single")
    weights = {name: value for name, value in whole.model.state_dict().items() if "pooler" not in name}
    save_model_folder(tmp_path / "model", whole.config, weights, "BertForSequenceClassification")
    whole.tokenizer.save(tmp_path / "model")
    with pytest.raises(InputError, match=r"has a classifier but no pooler"):
        export(bertworks.load(tmp_path / "model"), tmp_path / "export", "onnx")


def test_heads_that_were_drawn_at_random_are_no_outputs(tmp_path: Path) -> None:
    whole = load(tmp_path / "whole", "words")
    weights = {
        name: value
        for name, value in whole.model.state_dict().items()
        if "pooler" not in name and "seq_relationship" not in name
    }
    save_model_folder(tmp_path / "model", whole.config, weights, "BertForMaskedLM")
    whole.tokenizer.save(tmp_path / "model")
    (outputs,) = export(bertworks.load(tmp_path / "model"), tmp_path / "export", "onnx").certificate.errors.values()
    assert set(outputs) == {"logits"}


def test_modules_that_we_do_not_know(tmp_path: Path) -> None:
    folder = add_sentences(save(tmp_path / "model", "encoder"))
    modules = folder / "modules.json"
    modules.write_text(modules.read_text().replace("models.Normalize", "models.LSTM"))
    with pytest.raises(InputError, match=r"wants a module LSTM, which cannot be exported"):
        export(bertworks.load(tmp_path / "model"), tmp_path / "export", "onnx")


@contextmanager
def small_disk() -> Iterator[None]:
    """Let files have 100,000 bytes; writing more is an error, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, form: Runtime) -> None:
    pretrained = load(tmp_path / "model", "words")
    with small_disk(), pytest.raises(OSError, match=r"File too large"):
        export(pretrained, tmp_path / "export", form)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_metric_that_falls_too_far(tmp_path: Path) -> None:
    pretrained, folder = load(tmp_path / "model", "single"), tmp_path / "export"

    def of(model: bertworks.pretrained.Pretrained) -> dict[str, float]:
        return {"accuracy": 0.90 if model.checkpoint.weights else 0.88, "loss_like": 0.5}

    measure = Measure("dev.csv", "0" * 64, of)
    with pytest.raises(InputError) as refused:
        export(pretrained, folder, "onnx", measure=measure)
    assert str(refused.value) == (
        "--max_metric_drop=0.005: accuracy is 0.9000 in torch and 0.8800 in onnx/model.onnx; allow more, or export in "
        "float32 only; nothing was written"
    )
    assert not folder.exists()
    export(pretrained, folder, "onnx", measure=measure, max_metric_drop=0.021)
    values = json.loads((folder / "parity.json").read_text())
    assert values["metrics"]["torch"]["accuracy"] == 0.9
    assert "| onnx/model.onnx | 0.8800 | 0.5000 |" in (folder / "parity.md").read_text()


def test_a_graph_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    """The weights change between the graph and the comparison."""
    pretrained = load(tmp_path / "model", "single")
    from bertworks.export import write

    original = write.session

    def changed(*words: object) -> object:
        with torch.no_grad():
            pretrained.model.bert.encoder.layer[1].output.dense.bias[0] += 0.1
        return original(*words)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "session", changed)
        with pytest.raises(InputError, match=r"logits differs from ours by .*, which rounding does not explain"):
            export(pretrained, tmp_path / "export", "onnx")
    assert not (tmp_path / "export").exists()


def test_a_missing_library(tmp_path: Path) -> None:
    import sys

    pretrained = load(tmp_path / "model", "single")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "openvino", None)
        with pytest.raises(InputError, match=r"openvino is not installed; pip install .bertworks\[export\]"):
            export(pretrained, tmp_path / "export", "openvino")
    assert not (tmp_path / "export").exists()
