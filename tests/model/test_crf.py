"""The random field against the sum over all paths, one by one."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bertworks.model.crf import LinearChainCRF


@st.composite
def cases(draw: st.DrawFn) -> tuple[LinearChainCRF, Tensor, Tensor, np.ndarray]:
    """A field, emissions, tags and lengths, in float64."""
    classes = draw(st.integers(1, 4))
    lengths = np.array(draw(st.lists(st.integers(0, 4), min_size=0, max_size=4)), np.int64)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 30)))
    crf = LinearChainCRF(classes).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    words = int(lengths.sum())
    emissions = torch.randn(words, classes, generator=generator, dtype=torch.float64)
    return crf, emissions, torch.randint(classes, (words,), generator=generator), lengths


def path_score(
    crf: LinearChainCRF, emissions: Tensor, path: tuple[int, ...], edges: tuple[bool, bool] = (True, True)
) -> Tensor:
    """As the head of the file defines it."""
    if not path:
        return torch.zeros((), dtype=emissions.dtype)
    found = edges[0] * crf.start_transitions[path[0]] + edges[1] * crf.end_transitions[path[-1]]
    found = found + sum(emissions[i, tag] for i, tag in enumerate(path))
    return found + sum(crf.transitions[a, b] for a, b in pairwise(path))


def all_paths(
    crf: LinearChainCRF, emissions: Tensor, edges: tuple[bool, bool] = (True, True)
) -> dict[tuple[int, ...], Tensor]:
    return {
        path: path_score(crf, emissions, path, edges)
        for path in product(range(len(crf.start_transitions)), repeat=len(emissions))
    }


def split(rows: Tensor, lengths: np.ndarray) -> list[Tensor]:
    return list(rows.split(lengths.tolist()))


@given(cases())
def test_the_likelihood_is_the_share_of_all_paths(case: tuple[LinearChainCRF, Tensor, Tensor, np.ndarray]) -> None:
    crf, emissions, tags, lengths = case
    expected = [
        path_score(crf, own, tuple(right.tolist())) - torch.stack(list(all_paths(crf, own).values())).logsumexp(0)
        for own, right in zip(split(emissions, lengths), split(tags, lengths), strict=True)
    ]
    found = crf.log_likelihood(emissions, tags, lengths)
    assert found.shape == (len(lengths),)
    torch.testing.assert_close(found, torch.stack(expected) if expected else found)


@given(cases(), st.data())
def test_windows_have_a_start_and_an_end_where_their_sentence_does(
    case: tuple[LinearChainCRF, Tensor, Tensor, np.ndarray], data: st.DataObject
) -> None:
    crf, emissions, tags, lengths = case
    edges = [data.draw(st.tuples(st.booleans(), st.booleans())) for _ in lengths]
    expected = [
        path_score(crf, own, tuple(right.tolist()), edge)
        - torch.stack(list(all_paths(crf, own, edge).values())).logsumexp(0)
        for own, right, edge in zip(split(emissions, lengths), split(tags, lengths), edges, strict=True)
    ]
    found = crf.log_likelihood(emissions, tags, lengths, np.array(edges, np.bool_).reshape(-1, 2))
    torch.testing.assert_close(found, torch.stack(expected) if expected else found)


@given(cases())
def test_viterbi_finds_the_best_path(case: tuple[LinearChainCRF, Tensor, Tensor, np.ndarray]) -> None:
    crf, emissions, _, lengths = case
    found = split(crf.viterbi(emissions, lengths), lengths)
    for own, tags in zip(split(emissions, lengths), found, strict=True):
        paths = all_paths(crf, own)
        assert tuple(tags.tolist()) == max(paths, key=lambda path: float(paths[path].detach()))


@given(cases(), st.data())
def test_viterbi_within_what_is_allowed(
    case: tuple[LinearChainCRF, Tensor, Tensor, np.ndarray], data: st.DataObject
) -> None:
    crf, emissions, _, lengths = case
    classes = len(crf.start_transitions)
    flags = st.lists(st.booleans(), min_size=classes, max_size=classes)
    start, end = torch.tensor(data.draw(flags)), torch.tensor(data.draw(flags))
    moves = torch.tensor(data.draw(st.lists(flags, min_size=classes, max_size=classes)))
    found = split(crf.viterbi(emissions, lengths, (start, moves, end)), lengths)
    for own, tags in zip(split(emissions, lengths), found, strict=True):
        paths = {
            path: value
            for path, value in all_paths(crf, own).items()
            if not path or not (start[path[0]] or end[path[-1]] or any(moves[a, b] for a, b in pairwise(path)))
        }
        if paths:
            assert tuple(tags.tolist()) == max(paths, key=lambda path: float(paths[path].detach()))


def test_gradients() -> None:
    torch.manual_seed(0)
    crf = LinearChainCRF(3).double()
    lengths = np.array([3, 0, 1, 4])
    tags = torch.randint(3, (8,))
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((8, 3), (3, 3), (3,), (3,))]

    def likelihood(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
        parameters = {"transitions": transitions, "start_transitions": start, "end_transitions": end}
        return torch.func.functional_call(
            _Likelihood(crf), {f"crf.{n}": p for n, p in parameters.items()}, (emissions,)
        )

    class _Likelihood(torch.nn.Module):
        def __init__(self, crf: LinearChainCRF) -> None:
            super().__init__()
            self.crf = crf

        def forward(self, emissions: Tensor) -> Tensor:
            return self.crf.log_likelihood(emissions, tags, lengths)

    assert torch.autograd.gradcheck(likelihood, inputs)


def test_a_batch_is_its_sequences_one_by_one_and_filler_is_nothing() -> None:
    torch.manual_seed(0)
    crf = LinearChainCRF(5)
    torch.nn.init.normal_(crf.transitions)
    lengths = np.array([7, 1, 0, 30, 7])
    emissions, tags = torch.randn(45, 5), torch.randint(5, (45,))
    together = crf.log_likelihood(emissions, tags, lengths)
    alone = [
        crf.log_likelihood(own, right, np.array([len(own)]))
        for own, right in zip(split(emissions, lengths), split(tags, lengths), strict=True)
    ]
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.cat(alone))
    filled = torch.cat([emissions, torch.full((3, 5), torch.nan)])
    assert torch.equal(crf.log_likelihood(filled, torch.cat([tags, tags[:3]]), lengths), together)
    assert torch.equal(crf.viterbi(filled, lengths), crf.viterbi(emissions, lengths))


def test_long_sequences_stay_finite() -> None:
    crf = LinearChainCRF(4)
    torch.manual_seed(0)
    emissions, lengths = 100 * torch.randn(512, 4, requires_grad=True), np.array([512])
    likelihood = crf.log_likelihood(emissions, emissions.argmax(1), lengths)
    likelihood.sum().backward()
    assert likelihood.isfinite().all()
    assert crf.transitions.grad is not None
    assert crf.transitions.grad.isfinite().all()


def test_without_transitions_it_is_a_softmax_for_each_word() -> None:
    torch.manual_seed(0)
    crf, emissions, tags = LinearChainCRF(6), torch.randn(9, 6), torch.randint(6, (9,))
    expected = -torch.nn.functional.cross_entropy(emissions, tags, reduction="sum")
    torch.testing.assert_close(crf.log_likelihood(emissions, tags, np.array([4, 5])).sum(), expected)
    assert torch.equal(crf.viterbi(emissions, np.array([4, 5])), emissions.argmax(1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_emissions_in_few_bits_are_summed_in_float32(dtype: torch.dtype) -> None:
    crf = LinearChainCRF(3)
    emissions, tags, lengths = torch.randn(6, 3).to(dtype), torch.randint(3, (6,)), np.array([6])
    found = crf.log_likelihood(emissions, tags, lengths)
    assert found.dtype == torch.float32
    assert torch.equal(found, crf.log_likelihood(emissions.float(), tags, lengths))
    assert sorted(crf.state_dict()) == ["end_transitions", "start_transitions", "transitions"]


@given(cases())
def test_marginals_are_sums_over_paths(case: tuple[LinearChainCRF, Tensor, Tensor, np.ndarray]) -> None:
    crf, emissions, _, lengths = case
    found = split(crf.marginals(emissions, lengths), lengths)
    for own, marginals in zip(split(emissions, lengths), found, strict=True):
        scores = all_paths(crf, own)
        shares = torch.softmax(torch.stack(list(scores.values())), 0)
        expected = torch.zeros_like(own)
        for path, share in zip(scores, shares, strict=True):
            for word, tag in enumerate(path):
                expected[word, tag] += share
        torch.testing.assert_close(marginals, expected)
