"""Compiled blocks: one graph for all blocks and lengths; where there is no compiler, a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.model import bert, compiling
from bertworks.model.bert import Bert
from bertworks.model.compiling import compile_blocks

CONFIG = BertConfig(
    vocab_size=100,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=64,
    hidden_act="gelu_new",
)
META = torch.device("meta")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    bert.compiled_block.cache_clear()
    yield
    torch._dynamo.reset()
    bert.compiled_block.cache_clear()


class Graphs:
    """A backend that counts graphs and compiles nothing."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.backend = aot_autograd(fw_compiler=self.keep("forward"), bw_compiler=self.keep("backward"))

    def keep(self, name: str) -> Callable[..., Any]:
        def compiler(graph: Any, inputs: Sequence[Any]) -> Any:
            self.names.append(name)
            return make_boxed_func(graph.forward)

        return compiler


def batch_of(lengths: list[int]) -> PackedBatch:
    ids = np.zeros(sum(lengths), np.int64)
    batch = pack(ids, ids, np.array(lengths), rows=np.arange(2, len(ids), 7))
    tensors = {name: value.to(META) for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return replace(batch, **tensors)


@pytest.mark.filterwarnings("ignore")  # the compiler warns of itself
def test_one_graph_for_all_blocks_and_lengths_and_one_for_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without values take the way of a GPU."""
    graphs, compiled = Graphs(), bert.compiled_block
    monkeypatch.setattr(bert, "compiled_block", lambda: compiled(graphs.backend))
    with META:
        model = Bert(CONFIG)
    model.compiled = True
    for step, lengths in enumerate(([20, 30], [100, 7, 11], [300], [9] * 20)):
        batch = batch_of(lengths)
        model(batch, dtype=torch.bfloat16, dropout=step, read=batch.rows).sum().backward()
        assert sorted(graphs.names) == ["backward"] * 2 + ["forward"] * 2


def test_without_a_compiler_a_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Bert(CONFIG)
    assert "on CUDA only" in compile_blocks(model, torch.device("cpu"))
    monkeypatch.setattr(compiling, "find_spec", lambda _: None)
    assert "pip install triton" in compile_blocks(model, torch.device("cuda"))
    assert not model.compiled
    monkeypatch.setattr(compiling, "find_spec", lambda _: object())
    assert "a minute" in compile_blocks(model, torch.device("cuda"))
    assert model.compiled
