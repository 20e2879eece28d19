"""Muon against a plain implementation, and against the library's."""

import pytest
import torch

from bertworks.config import BertConfig
from bertworks.model.heads import PretrainingModel
from bertworks.train import optimizer as optimizers
from bertworks.train.muon import orthogonalised
from bertworks.train.rules import UpdateRules, group_of

SHAPES = [(6, 6), (12, 5), (5, 12), (1, 7)]


def plain(matrix: torch.Tensor) -> torch.Tensor:
    """The polynomial of the published code, applied to the singular values."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s) @ v


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_go_through_the_published_polynomial(shape) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    found = orthogonalised(matrices, torch.float32)
    torch.testing.assert_close(found, torch.stack([plain(m) for m in matrices]).float(), rtol=0, atol=2e-4)


def test_zero_stays_zero() -> None:
    assert torch.equal(orthogonalised(torch.zeros(1, 4, 4), torch.float32), torch.zeros(1, 4, 4))


def small(seed: int = 0) -> PretrainingModel:
    model = PretrainingModel(BertConfig.from_size("2/32", 50))
    model.initialise(seed)
    return model


def set_gradients(model: PretrainingModel, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


def test_matrices_move_as_by_the_librarys_muon_and_the_rest_as_by_adamw(monkeypatch) -> None:
    library = getattr(torch.optim, "Muon", None)
    if library is None:
        pytest.skip("this torch has no Muon")
    monkeypatch.setattr("bertworks.train.muon.choose_precision", lambda *_, **__: torch.bfloat16)
    ours, theirs, adamw = small(), small(), small()
    rules = UpdateRules(matrix_rate=20.0, group_decay={"matrices": 0.1})
    optimizer = optimizers.build(ours, "muon", 0.01, rules=rules)
    rest = optimizers.build(adamw, "adamw", 0.01)
    is_matrix = {name: group_of(name) == "matrices" for name, _ in ours.named_parameters()}
    matrices = [p for name, p in theirs.named_parameters() if is_matrix[name]]
    muon = library(matrices, lr=0.02, weight_decay=0.1, momentum=0.95)
    for step in range(4):
        for model in (ours, theirs, adamw):
            set_gradients(model, step)
        for built in (optimizer, rest):
            optimizers.set_learning_rate(built, 1e-3)
            built.step()
        muon.step()
    before = dict(small().named_parameters())
    expected = {True: dict(theirs.named_parameters()), False: dict(adamw.named_parameters())}
    for name, p in ours.named_parameters():
        assert not torch.equal(p, before[name])
        atol = 2e-3 if is_matrix[name] else 0.0  # bfloat16 against 4 moves of 0.02 along each direction
        torch.testing.assert_close(p, expected[is_matrix[name]][name], rtol=0, atol=atol)


def test_a_matrix_has_one_state() -> None:
    model = small()
    names = optimizers.state_tensors(optimizers.build(model, "muon"), model)
    of_query = [name for name in names if name.endswith("layer.0.attention.self.query.weight")]
    assert of_query == ["momentum.bert.encoder.layer.0.attention.self.query.weight"]
    assert "exp_avg.bert.embeddings.word_embeddings.weight" in names
