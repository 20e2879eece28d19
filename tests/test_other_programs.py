"""Folders of other programs in ours, and ours in theirs: the same numbers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertworks
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.pretrained import Pretrained
from tests.commands.runs import run

FIXTURES = Path(__file__).parent / "fixtures"
GOOGLE_TINY = FIXTURES / "google_tiny"
TEXTS = ["the man was here .", "a [MASK] of it", "", "the city , and its long long long long river , was there"]
SAME = {"atol": 2e-5, "rtol": 0}


def golden() -> Pretrained:
    return bertworks.load(
        GOOGLE_TINY / "trained.ckpt",
        vocab_file=FIXTURES / "vocab.txt",
        bert_config_file=GOOGLE_TINY / "bert_config.json",
    )


def with_head(folder: Path, head: Any, architecture: str, labels: list[str], **extra: object) -> Pretrained:
    """A folder of ours with the golden encoder and a head of random weights."""
    whole = golden()
    torch.manual_seed(1)
    config = whole.config.with_labels(labels, **extra)
    model = head(config) if head is SpanClassifier else head(config, len(labels))
    weights = {
        name: whole.model.state_dict().get(name, torch.randn_like(value)) for name, value in model.state_dict().items()
    }
    save_model_folder(folder, config, weights, architecture)
    whole.tokenizer.save(folder, config.longest_sequence)
    return bertworks.load(folder)


# Ours in transformers


def test_their_pipeline_fills_the_mask_in_our_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    golden().save(tmp_path)
    ours = bertworks.load(tmp_path)
    pipeline = transformers.pipeline("fill-mask", model=str(tmp_path), top_k=3)
    for text in ("the [MASK] was .", "[MASK] of the [MASK]"):
        found = pipeline(text)
        expected = ours.fill_mask(text, 3)
        for theirs, mine in zip(found if isinstance(found[0], list) else [found], expected, strict=True):
            assert [guess["token_str"] for guess in theirs] == [word.removeprefix("##") for word, _ in mine] or [
                ours.tokenizer.tokens[guess["token"]] for guess in theirs
            ] == [word for word, _ in mine]
            np.testing.assert_allclose([guess["score"] for guess in theirs], [p for _, p in mine], **SAME)


def test_a_text_is_read_by_us_as_before_it_was_saved(tmp_path: Path) -> None:
    ours = golden()
    ours.tokenizer.save(tmp_path)
    ours.save(tmp_path)
    assert ours.tokenizer.split_special_tokens
    assert bertworks.load(tmp_path).tokenizer.encode("a [SEP] b") == ours.tokenizer.encode("a [SEP] b")


def test_their_pipelines_compute_what_our_folders_do(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    texts = [text for text in TEXTS if text and "[MASK]" not in text]

    def pipeline(task: str, folder: str, **options: Any) -> Any:
        return transformers.pipeline(task, model=str(tmp_path / folder), **options)

    ours = with_head(tmp_path / "classes", SequenceClassifier, "BertForSequenceClassification", ["x", "y", "z"])
    for mine, theirs in zip(
        ours.classify(texts), pipeline("text-classification", "classes", top_k=None)(texts), strict=True
    ):
        assert mine.label == theirs[0]["label"]
        for entry in theirs:
            assert mine.probabilities[entry["label"]] == pytest.approx(entry["score"], abs=2e-5)
    for name, head, architecture, labels in (
        ("tags", TokenClassifier, "BertForTokenClassification", ["O", "B-P", "I-P", "B-Q"]),
        ("spans", SpanClassifier, "BertForQuestionAnswering", ["a", "b"]),
    ):
        ours = with_head(tmp_path / name, head, architecture, labels)
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / name)
        model = getattr(transformers, architecture).from_pretrained(tmp_path / name).eval()
        for text in texts:
            inputs = tokenizer(text, return_tensors="pt")
            ids = inputs["input_ids"][0].numpy()
            with torch.no_grad():
                found = model(**inputs)
                batch = pack(ids, np.zeros_like(ids), np.array([len(ids)]))
                (hidden,) = ours.model.bert.hidden_states(batch, [ours.config.num_hidden_layers])
                mine = (ours.model.classifier if name == "tags" else ours.model.qa_outputs)(hidden)
            theirs = found.logits[0] if name == "tags" else torch.stack([found.start_logits, found.end_logits], -1)[0]
            np.testing.assert_allclose(mine, theirs, atol=1e-4, rtol=0)
            assert ids.tolist() == ours.tokenizer.encode_pair(text).ids
    assert len(pipeline("token-classification", "tags", ignore_labels=[])(texts[0])) == len(
        ours.tokenizer.encode(texts[0])
    )
    golden().save(tmp_path / "plain")
    features = pipeline("feature-extraction", "plain")(texts)
    for text, rows in zip(texts, features, strict=True):
        np.testing.assert_allclose(np.mean(rows[0], 0), bertworks.load(tmp_path / "plain").embed([text])[0], **SAME)


# Theirs in ours


def test_one_output_is_a_number(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    ours = with_head(tmp_path, SequenceClassifier, "BertForSequenceClassification", ["LABEL_0"])
    pipeline = transformers.pipeline("text-classification", model=str(tmp_path), function_to_apply="none")
    texts = [TEXTS[0], TEXTS[-1]]
    expected = [entry["score"] for entry in pipeline(texts)]
    np.testing.assert_allclose([found.label for found in ours.classify(texts)], expected, **SAME)
    # The command says the same, whether the folder names its one output or not.
    (tmp_path / "test.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in texts))
    for name, extra in (("named", {}), ("bare", {"id2label": None, "label2id": None})):
        values = json.loads((tmp_path / "config.json").read_text())
        values = {key: value for key, value in {**values, **extra}.items() if value is not None}
        (tmp_path / "config.json").write_text(json.dumps(values))
        files = [f"--model={tmp_path}", f"--test_file={tmp_path / 'test.csv'}", f"--output_dir={tmp_path / name}"]
        assert run("run_classifier", *files, "--do_predict") == 0
        header, *rows = (tmp_path / name / "predictions.tsv").read_text().splitlines()
        assert header == "id\ttext\tprediction"
        np.testing.assert_allclose([float(row.split("\t")[2]) for row in rows], expected, atol=1e-4, rtol=0)


def test_added_tokens_stay_through_fine_tuning_conversion_and_pre_training(tmp_path: Path) -> None:
    whole = golden()
    tokens = [f"[E{i}]" for i in range(12)]
    config = replace(whole.config, vocab_size=912)
    weights = dict(whole.model.state_dict())
    for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
        weights[name] = torch.cat([weights[name], torch.randn(12, *weights[name].shape[1:])])
    save_model_folder(tmp_path / "model", config, weights)
    whole.tokenizer.save(tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    added = {token: 900 + i for i, token in enumerate(tokens)}
    (tmp_path / "model" / "added_tokens.json").write_text(json.dumps(added))
    ours = bertworks.load(tmp_path / "model")
    assert ours.config.vocab_size == ours.tokenizer.vocab_size == 912
    assert run("convert_checkpoint", str(tmp_path / "model"), str(tmp_path / "again")) == 0
    np.testing.assert_array_equal(bertworks.load(tmp_path / "again").embed(["a [E3]"]), ours.embed(["a [E3]"]))
    (tmp_path / "train.csv").write_text("text,label\n" + "a [E1] b,x\nthe [E2] man,y\n" * 4)
    train = [
        f"--model={tmp_path / 'again'}",
        f"--train_file={tmp_path / 'train.csv'}",
        "--num_train_epochs=1",
        "--train_batch_size=4",
    ]
    assert run("run_classifier", *train, "--do_train", f"--output_dir={tmp_path / 'tuned'}") == 0
    assert bertworks.load(tmp_path / "tuned").tokenizer.tokenize("a [E3]b") == ["a", "[E3]", "b"]
    # Records of the plain vocabulary fit the model with more tokens.
    vocab = tmp_path / "model" / "vocab.txt"
    text = [f"--input_file={FIXTURES / 'corpus.txt'}", f"--vocab_file={vocab}", f"--output_dir={tmp_path / 'shards'}"]
    assert run("create_pretraining_data", *text) == 0
    steps = ["--num_train_steps=1", "--num_warmup_steps=0", "--train_batch_size=2", "--do_train"]
    data = [f"--input_file={tmp_path / 'shards'}", f"--model={tmp_path / 'model'}", f"--output_dir={tmp_path / 'more'}"]
    assert run("run_pretraining", *data, *steps) == 0


@pytest.mark.parametrize("layout", ["new", "old"])
@pytest.mark.parametrize(
    "what",
    [
        "cls",
        "mean",
        "max",
        "mean_sqrt_len_tokens",
        "weightedmean",
        "lasttoken",
        "several",
        "dense",
        "prompt",
        "plain",
    ],
)
def test_sentence_transformers_folders_are_followed(tmp_path: Path, what: str, layout: str) -> None:
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.models")
    golden().save(tmp_path / "bert")
    longest = None if what == "plain" else 8
    transformer = modules.Transformer(str(tmp_path / "bert"), **({"max_seq_length": longest} if longest else {}))
    mode = {"several": ("cls", "mean"), "dense": "cls", "prompt": "mean", "plain": "mean"}.get(what, what)
    parts = [transformer, modules.Pooling(32, pooling_mode=mode)]
    if what == "dense":
        torch.manual_seed(3)
        parts += [modules.Dense(32, 12), modules.Normalize()]
    options = {"prompts": {"query": "the city : "}, "default_prompt_name": "query"} if what == "prompt" else {}
    library.SentenceTransformer(modules=parts, device="cpu", **options).save(str(tmp_path / "made"))
    if layout == "old":
        aged(tmp_path / "made", longest, mode)
    expected = library.SentenceTransformer(str(tmp_path / "made"), device="cpu").encode(TEXTS)
    ours = bertworks.load(tmp_path / "made")
    np.testing.assert_allclose(ours.embed(TEXTS), expected, atol=1e-4, rtol=1e-4)
    assert any("a folder of sentence-transformers" in note for note in ours.report.notes)
    assert ours.embed(TEXTS, pooling="max").shape == (len(TEXTS), 32)
    # What we save is opened by both, and gives the same without an argument.
    ours.save(tmp_path / "saved")
    again = bertworks.load(tmp_path / "saved")
    np.testing.assert_allclose(again.embed(TEXTS), ours.embed(TEXTS), atol=1e-6, rtol=0)
    theirs = library.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(theirs.encode(TEXTS), expected, atol=1e-4, rtol=1e-4)
    assert theirs.prompts.get("query", "") == options.get("prompts", {}).get("query", "")


def aged(folder: Path, longest: int | None, mode: str | tuple[str, ...]) -> None:
    """Give a folder the layout of the first versions: the BERT in a folder of its own, poolings as flags."""
    inner = folder / "0_Transformer"
    inner.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.name not in ("modules.json", "config_sentence_transformers.json"):
            file.rename(inner / file.name)
    values = {"max_seq_length": longest, "do_lower_case": False} if longest else {}
    (inner / "sentence_bert_config.json").write_text(json.dumps(values))
    listed = json.loads((folder / "modules.json").read_text())
    for module in listed:
        module["type"] = f"sentence_transformers.models.{module['type'].rpartition('.')[2]}"
    listed[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(listed))
    names = {
        "cls": "cls_token",
        "mean": "mean_tokens",
        "max": "max_tokens",
        "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "weightedmean": "weightedmean_tokens",
        "lasttoken": "lasttoken",
    }
    modes = (mode,) if isinstance(mode, str) else mode
    flags = {f"pooling_mode_{flag}": name in modes for name, flag in names.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **flags}))


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        ([("Transformer", ""), ("Pooling", "1"), ("WeightedLayerPooling", "2")], "module WeightedLayerPooling"),
        ([("Transformer", "")], "wants no pooling"),
        ([("Transformer", ""), ("Pooling", "other")], "pooling attention"),
        ([("CLIPModel", "")], "begins with a CLIPModel"),
        ([("Transformer", "../other")], "not a folder in this one"),
    ],
)
def test_what_sentence_transformers_has_and_we_do_not_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], modules: list[tuple[str, str]], told: str
) -> None:
    golden().save(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"pooling_mode": "attention"}')
    (tmp_path / "modules.json").write_text(json.dumps([{"type": f"a.{kind}", "path": path} for kind, path in modules]))
    with pytest.raises(InputError, match=told):
        bertworks.load(tmp_path).embed(TEXTS)
    if modules[0] == ("Transformer", ""):
        assert bertworks.load(tmp_path).embed(TEXTS, pooling="cls").shape == (len(TEXTS), 32)
        bertworks.load(tmp_path).save(tmp_path / "saved")
        assert "saved: not written, because it is not computed here: " in capsys.readouterr().err
        assert not (tmp_path / "saved" / "modules.json").exists()


def test_a_zip_with_a_folder_of_sentence_transformers(tmp_path: Path) -> None:
    golden().save(tmp_path / "st" / "0_Transformer")
    (tmp_path / "st" / "1_Pooling").mkdir()
    (tmp_path / "st" / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    modules = [{"type": "a.Transformer", "path": "0_Transformer"}, {"type": "a.Pooling", "path": "1_Pooling"}]
    (tmp_path / "st" / "modules.json").write_text(json.dumps(modules))
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "st")
    expected = bertworks.load(tmp_path / "st").embed(TEXTS)
    np.testing.assert_array_equal(bertworks.load(tmp_path / "packed.zip/st").embed(TEXTS), expected)
    np.testing.assert_allclose(expected, golden().embed(TEXTS, pooling="cls"), **SAME)


def test_what_a_conversion_leaves_out_of_a_folder_of_sentence_transformers_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden().save(tmp_path / "st")
    (tmp_path / "st" / "1_Pooling").mkdir()
    (tmp_path / "st" / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    modules = [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1_Pooling"}]
    (tmp_path / "st" / "modules.json").write_text(json.dumps(modules))
    assert run("convert_checkpoint", str(tmp_path / "st"), str(tmp_path / "made")) == 0
    output = capsys.readouterr()
    told = (
        f"how {tmp_path / 'st'} makes vectors of texts is not written: a folder of sentence-transformers: cls pooling"
    )
    assert told in output.out + output.err
