"""Folders of sentence-transformers behind the server: poolings, the layers after them, prompts; without their files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import bertworks
from tests.serve.models import TEXTS, golden, serving

KINDS = {
    "several": {"pooling": ("cls", "mean")},
    "root": {"pooling": "mean_sqrt_len_tokens"},
    "max": {"pooling": "max"},
    "dense": {"pooling": "cls", "dense": 12},
    "prompt": {"pooling": "mean", "prompt": "the city : "},
}


def made(folder: Path, pooling: object, dense: int = 0, prompt: str = "") -> None:
    """Write a folder with their library."""
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.models")
    golden("trained.ckpt").save(folder / "bert")
    parts = [modules.Transformer(str(folder / "bert"), max_seq_length=20), modules.Pooling(32, pooling_mode=pooling)]
    if dense:
        torch.manual_seed(3)
        parts += [modules.Dense(32, dense), modules.Normalize()]
    options = {"prompts": {"query": prompt}, "default_prompt_name": "query"} if prompt else {}
    library.SentenceTransformer(modules=parts, device="cpu", **options).save(str(folder / "made"))


def test_vectors_are_those_of_load_also_when_the_folder_is_gone(tmp_path: Path) -> None:
    for name, options in KINDS.items():
        made(tmp_path / name, **options)
    expected = {name: bertworks.load(tmp_path / name / "made").embed(TEXTS) for name in KINDS}
    sources = {name: str(tmp_path / name / "made") for name in KINDS}
    with serving(sources) as running:
        for name in KINDS:
            shutil.rmtree(tmp_path / name)
        for name, vectors in expected.items():
            answer = running.post("/embed", model=name, inputs=TEXTS, truncate=True, normalize=False)
            np.testing.assert_allclose(answer.json, vectors, rtol=0, atol=2e-6)
            assert int(answer.headers["x-tokens-cut"]) > 0
            card = running.ask("GET", f"/v1/models/{name}").json
            assert (card["dimensions"], card["max_tokens"]) == (vectors.shape[1], 20)
        # Prompts have no other names here, and bert-as-service's layer is not for these folders.
        assert running.post("/embed", model="prompt", inputs="a", prompt_name="query").status == 422
        same = running.post("/encode", model="max", texts=TEXTS).json["result"]
        np.testing.assert_allclose(same, expected["max"], rtol=0, atol=2e-6)
        # A long text may be read through windows; their vectors are averaged.
        windows = running.post("/v1/embeddings", model="max", input=TEXTS[2], long_text="window")
        assert (windows.headers["x-tokens-cut"], int(windows.headers["x-windows"]) > 20) == ("0", True)
