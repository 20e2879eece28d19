"""The inference loop: outputs in order, the same in any batch, taking a little of the input at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertworks.data.batch import PackedBatch
from bertworks.model.bert import Bert
from bertworks.model.device import inference_token_budget
from bertworks.model.heads import PretrainingModel
from bertworks.model.predict import ModelInput, predict
from bertworks.tasks.attentions import plain_forward
from tests.model.conftest import batch_of

CPU = torch.device("cpu")


def examples_of(lengths: list[int], seed: int = 0) -> list[ModelInput]:
    """Random sequences; the i-th has i % 3 rows to read."""
    rng = np.random.default_rng(seed)
    return [
        ModelInput(rng.integers(1, 61, n), rng.integers(0, 2, n), np.sort(rng.choice(n, min(n, i % 3), replace=False)))
        for i, n in enumerate(lengths)
    ]


def echo(batch: PackedBatch) -> torch.Tensor:
    return batch.input_ids


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_every_example_gets_its_own_tokens_rows_and_answer_in_order(lengths: list[int], token_budget: int) -> None:
    examples = examples_of(lengths)
    how = {"device": CPU, "token_budget": token_budget}
    tokens = list(predict(echo, examples, "token", **how))
    rows = list(predict(lambda batch: batch.input_ids[batch.rows], examples, "row", **how))
    firsts = list(predict(lambda batch: batch.input_ids[batch.starts[:-1].long()], examples, "sequence", **how))
    assert [ids.tolist() for ids in tokens] == [one.ids.tolist() for one in examples]
    assert [ids.tolist() for ids in rows] == [one.ids[one.rows].tolist() for one in examples]
    assert [int(first) for first in firsts] == [one.ids[0] for one in examples]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=12), st.integers(1, 400))
def test_alone_and_batched_are_equal(model: PretrainingModel, lengths: list[int], token_budget: int) -> None:
    examples = examples_of(lengths)
    together = list(predict(model.bert, examples, "token", device=CPU, token_budget=token_budget))
    for one, answer in zip(examples, together, strict=True):
        (alone,) = predict(model.bert, [one], "token", device=CPU)
        assert answer.shape == (len(one.ids), 32)
        np.testing.assert_allclose(answer, alone, atol=1e-5, rtol=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 70), st.integers(0, 70)), min_size=1, max_size=8), st.integers(1, 400))
def test_padding_is_answered_about_and_changes_nothing(
    model: PretrainingModel, sizes: list[tuple[int, int]], token_budget: int
) -> None:
    """Its rows are those of the original's padded batches: -10000 is added where a token would look at padding."""
    examples = [
        one._replace(padding=padding)
        for one, (_, padding) in zip(examples_of([n for n, _ in sizes]), sizes, strict=True)
    ]
    answers = list(predict(model.bert, examples, "token", device=CPU, token_budget=token_budget))
    without = predict(model.bert, [one._replace(padding=0) for one in examples], "token", device=CPU)
    assert len(answers) == len(examples)
    for one, answer, real in zip(examples, answers, without, strict=True):
        np.testing.assert_allclose(answer, padded_plainly(model.bert, one), atol=1e-5, rtol=0)
        np.testing.assert_allclose(answer[: len(one.ids)], real, atol=1e-5, rtol=0)


def padded_plainly(bert: Bert, example: ModelInput) -> np.ndarray:
    softmax = torch.softmax
    nowhere = torch.arange(example.length) >= len(example.ids)
    ids, segment_ids = (
        torch.from_numpy(np.pad(numbers, (0, example.padding))) for numbers in (example.ids, example.segment_ids)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "softmax", lambda scores, dim: softmax(scores - 10000.0 * nowhere, dim))
        return plain_forward(bert, ids, segment_ids)[0][-1].numpy()


def test_rows_may_be_all_that_is_computed(model: PretrainingModel) -> None:
    examples = examples_of([20, 3, 90, 1, 33, 40, 2])
    read = predict(lambda batch: model.bert(batch, read=batch.rows), examples, "row", device=CPU, token_budget=100)
    everything = predict(model.bert, examples, "token", device=CPU)
    for one, rows, tokens in zip(examples, read, everything, strict=True):
        assert rows.shape == (len(one.rows), 32)
        np.testing.assert_allclose(rows, tokens[one.rows], atol=1e-5, rtol=0)


def test_batches_keep_to_the_budget_and_end_with_filler_that_no_answer_shows() -> None:
    seen: list[tuple[int, int]] = []

    def compute(batch: PackedBatch) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        assert batch.filler > 0
        seen.append((len(batch), batch.tokens))
        return torch.arange(len(batch))  # none for the filler: allowed too

    answers = predict(compute, examples_of([30, 30, 30, 200, 10, 10]), "sequence", device=CPU, token_budget=64)
    assert [int(answer) for answer in answers] == [0, 1, 0, 0, 0, 1]
    assert seen == [(2, 60), (1, 30), (1, 200), (2, 20)]
    assert not torch.is_inference_mode_enabled()


def test_takes_no_more_of_the_input_than_a_batch() -> None:
    taken = 0

    def endless() -> Iterator[ModelInput]:
        nonlocal taken
        while True:
            taken += 1
            yield ModelInput([1] * 10, [0] * 10)

    answers = predict(echo, endless(), "token", device=CPU, token_budget=100)
    for number in range(1, 1001):
        next(answers)
        assert taken <= number + 10


def test_bfloat16_comes_back_as_float32(model: PretrainingModel) -> None:
    examples = examples_of([9, 40])
    rough = predict(lambda batch: model.bert(batch, dtype=torch.bfloat16), examples, "token", device=CPU)
    for ours, exact in zip(rough, predict(model.bert, examples, "token", device=CPU), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, atol=0.2, rtol=0)


def test_nothing_to_predict() -> None:
    assert list(predict(echo, [], "token", device=CPU)) == []


def test_the_budget_follows_the_device() -> None:
    assert inference_token_budget(CPU) < inference_token_budget(torch.device("cuda"))


@torch.no_grad()
def test_hidden_states_of_chosen_layers_are_computed_without_those_above(model: PretrainingModel) -> None:
    batch = batch_of([20, 3, 90, 33])
    read = torch.tensor([0, 5, 20, 22, 30, 113])
    every = model.bert.hidden_states(batch, range(4))
    torch.testing.assert_close(every[3], model.bert(batch))
    for layers in ([0], [1], [3], [3, 1], [2, 2, 0]):
        for parameter in (p for block in model.bert.encoder.layer[max(layers) :] for p in block.parameters()):
            parameter.fill_(float("nan"))
        for got, number in zip(model.bert.hidden_states(batch, layers), layers, strict=True):
            torch.testing.assert_close(got, every[number])
        for got, number in zip(model.bert.hidden_states(batch, layers, read=read), layers, strict=True):
            torch.testing.assert_close(got, every[number][read], atol=1e-5, rtol=0)
        if max(layers) < 3:
            assert model.bert(batch).isnan().all()
        model.initialise(7)
        every = model.bert.hidden_states(batch, range(4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_answers(model: PretrainingModel) -> None:
    examples = examples_of([20, 3, 90, 1, 33, 40, 2] * 5)
    expected = list(predict(model.bert, examples, "token", device=CPU))
    cuda = torch.device("cuda")
    model.to(cuda)
    found = predict(model.bert, examples, "token", device=cuda, token_budget=100)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
