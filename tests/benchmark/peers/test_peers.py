"""Every contestant that is installed here does the same work with the same result, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.benchmark import inputs
from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.benchmark.plans import subfolder
from tests.commands.runs import FIXTURES

LENGTHS = np.array([9, 30, 17, 24])
LONGEST = 40


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Order]:
    """Make the inputs of a work once, and orders for it."""
    root = tmp_path_factory.mktemp("benchmark")
    text = inputs.read_corpus(str(FIXTURES / "corpus.txt"), root)

    def make(module: str, work: str, setting: str = "best", **changes: Any) -> Order:
        head = {"latency": "encode", "tokenize_cold": "encode", "tokenize_warm": "encode", "shards": "encode"}.get(
            work, work
        )
        folder = root / head
        if not folder.exists():
            place = root / f"model-{head}"
            place.mkdir()
            vocab = str(FIXTURES / "vocab.txt")
            model = inputs.make_model(place, head, text, size="2/32", model=None, vocab_file=vocab, lower=True)
            subfolder(root, head, model)
            inputs.write_batch(folder, model.tokenizer, text.sentences, LENGTHS)
            inputs.write_texts(folder, text.sentences[:12])
        made = Order(
            module=module,
            work=work,
            folder=str(folder),
            setting=setting,
            precision="fp32",
            device="cpu",
            threads=torch.get_num_threads(),
            max_seq_length=LONGEST,
            options={"do_lower_case": "True", "corpus": str(text.path)},
        )
        return replace(made, **changes)

    return make


def prepared(order: Order) -> Prepared:
    made = import_module(f"bertworks.benchmark.peers.{order.module}").prepare(order)
    assert isinstance(made, Prepared)
    return made


def answers(made: Prepared) -> Any:
    return np.asarray(made.answers(), np.float64)


@pytest.mark.parametrize("work", ["pretrain", "classify", "span"])
def test_training_begins_with_equal_results_and_changes_them(work: str, order: Callable[..., Order]) -> None:
    ours = prepared(order("ours", work))
    first = answers(ours)
    for setting in ("best", "defaults"):
        theirs = prepared(order("with_transformers", work, setting))
        np.testing.assert_allclose(answers(theirs), first, atol=2e-6)
        assert theirs.padded_tokens == (4 * LONGEST if setting == "defaults" and work != "pretrain" else 4 * 30)
        theirs.one_pass(0)
        assert theirs.value() == pytest.approx(ours_loss(ours), rel=0.5)
        assert np.abs(answers(theirs) - first).max() > 0
    assert ours.padded_tokens < 4 * 30
    assert "filler" in ours.settings


def ours_loss(ours: Prepared) -> float:
    ours.one_pass(0)
    loss = ours.value()
    assert loss is not None
    return loss


def test_micro_batches_change_no_result(order: Callable[..., Order]) -> None:
    whole, cut = (
        prepared(order("ours", "pretrain")),
        prepared(order("ours", "pretrain", options={"token_budget": "40"})),
    )
    assert "3 micro-batches" in cut.settings
    np.testing.assert_allclose(answers(cut), answers(whole), atol=1e-6)
    whole.one_pass(0)
    cut.one_pass(0)
    np.testing.assert_allclose(answers(cut), answers(whole), atol=1e-5)


def test_prediction_gives_equal_logits(order: Callable[..., Order]) -> None:
    ours, theirs = prepared(order("ours", "predict")), prepared(order("with_transformers", "predict"))
    assert answers(ours).shape == (80,)
    np.testing.assert_allclose(answers(ours), answers(theirs), atol=2e-6)
    ours.one_pass(0)
    theirs.one_pass(0)
    assert (ours.padded_tokens, theirs.padded_tokens) == (80, 120)


@pytest.mark.parametrize("work", ["encode", "latency"])
@pytest.mark.parametrize("module", ["with_transformers", "with_sentence_transformers"])
def test_vectors_are_equal(work: str, module: str, order: Callable[..., Order]) -> None:
    pytest.importorskip(module.removeprefix("with_"))
    ours = prepared(order("ours", work))
    for setting in ("best", "defaults"):
        theirs = prepared(order(module, work, setting))
        np.testing.assert_allclose(answers(theirs), answers(ours), atol=2e-6)
        theirs.one_pass(13)
    ours.one_pass(13)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_an_onnxruntime_without_cuda_does_not_stand_beside_a_gpu(order: Callable[..., Order]) -> None:
    """The library itself only warns, and computes on the CPU."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this one has CUDA")
    with pytest.raises(RuntimeError, match="computes on the CPU only: pip install onnxruntime-gpu"):
        prepared(order("with_onnxruntime", "encode", device="cuda"))


@pytest.mark.filterwarnings("ignore")  # of what the libraries call in others
@pytest.mark.parametrize(("library", "call"), [("onnxruntime", "InferenceSession"), ("openvino", "Core.compile_model")])
def test_defaults_take_no_more_threads_than_the_contest_has(
    library: str, call: str, order: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    """These libraries do not ask OMP_NUM_THREADS."""
    owner: Any = pytest.importorskip(library)
    *path, name = call.split(".")
    for part in path:
        owner = getattr(owner, part)
    real, threads = getattr(owner, name), []

    def watched(*given: Any, **named: Any) -> Any:
        told = given[-1]
        threads.append(told.get("INFERENCE_NUM_THREADS", 0) if isinstance(told, dict) else told.intra_op_num_threads)
        return real(*given, **named)

    monkeypatch.setattr(owner, name, watched)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    few = prepared(order(f"with_{library}", "encode", "defaults", threads=3))
    prepared(order(f"with_{library}", "encode", "defaults", threads=4))
    assert threads == [3, 0]
    assert "3 threads" in few.settings


def test_padding_is_counted(order: Callable[..., Order]) -> None:
    best, default = (prepared(order("with_transformers", "encode", one)) for one in ("best", "defaults"))
    real = prepared(order("ours", "encode")).padded_tokens
    assert real <= best.padded_tokens <= default.padded_tokens


@pytest.mark.parametrize("work", ["tokenize_cold", "tokenize_warm"])
@pytest.mark.parametrize("method", ["encode_batch", "encode_batch_fast"])
def test_ids_are_equal(work: str, method: str, order: Callable[..., Order]) -> None:
    pytest.importorskip("tokenizers")
    found = [
        prepared(order("ours_in_text", work, "bytes")),
        prepared(order("ours_in_text", work, "strings")),
        prepared(order("tokenizers_of_rust", work, f"tokenizers.{method}")),
    ]
    for made in found:
        made.before()
        made.one_pass(0)
    first, *rest = (answers(made) for made in found)
    assert len(first) == 12
    assert all((first == one).all() for one in rest)


@pytest.mark.parametrize("work", ["shards", "records"])
def test_data_is_written_anew_in_every_pass(work: str, order: Callable[..., Order]) -> None:
    made = prepared(replace(order("ours_in_text", "shards"), work=work))
    for number in range(2):
        made.before()
        made.one_pass(number)


@pytest.fixture
def _modules_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins that the original gets in its process would stay in this one."""
    for name in ("tensorflow", "six", "create_pretraining_data", "tokenization"):
        monkeypatch.setitem(sys.modules, name, sys)
        del sys.modules[name]
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.usefixtures("_modules_come_back")
def test_a_missing_library_is_an_import_error(order: Callable[..., Order]) -> None:
    with pytest.raises(ModuleNotFoundError) as missing:
        prepared(order("original", "shards", options={"original": "/nowhere", "corpus": "", "do_lower_case": "True"}))
    assert missing.value.name == "create_pretraining_data"


@pytest.mark.usefixtures("_modules_come_back")
def test_the_originals_functions_run_without_tensorflow(tmp_path: Path, order: Callable[..., Order]) -> None:
    (tmp_path / "tokenization.py").write_text(
        "class FullTokenizer:\n    def __init__(self, **kwargs):\n        self.k = kwargs\n"
    )
    (tmp_path / "create_pretraining_data.py").write_text(
        "import tensorflow as tf\nflags = tf.flags\nflags.DEFINE_string('a', None, '')\nSEEN = []\n"
        "def create_training_instances(*words):\n    SEEN.append(words)\n"
    )
    options = {"original": str(tmp_path), "corpus": "a.txt,b.txt", "do_lower_case": "False"}
    made = prepared(order("original", "shards", "instances", options=options))
    made.one_pass(0)
    ((files, tokenizer, longest, *rest),) = import_module("create_pretraining_data").SEEN
    assert (files, longest, rest[:4]) == (["a.txt", "b.txt"], LONGEST, [1, 0.1, 0.15, 6])
    assert tokenizer.k["do_lower_case"] is False


def test_nothing_of_it_stays_here() -> None:
    assert not hasattr(sys.modules.get("tensorflow"), "flags")
    assert "create_pretraining_data" not in sys.modules
    assert not hasattr(sys.modules.get("six"), "PY3") or hasattr(sys.modules["six"], "moves")
