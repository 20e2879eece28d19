"""Tensors of which each process has a part (`sharding.py`), and whole ones, as saving and loading see them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bertworks.train.contact import exchange

_WHOLE = (Tensor, nn.Parameter)


def full(tensor: Tensor) -> Tensor:
    """Return a tensor of which this process has a part, whole; any other as it is. All processes must call it."""
    if type(tensor) in _WHOLE:
        return tensor
    from torch.distributed.tensor import DTensor  # noqa: PLC0415  (takes seconds)

    assert isinstance(tensor, DTensor)
    with exchange():
        whole: Tensor = tensor.full_tensor()
    return whole


def all_full(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Gather tensors one after the other; only who keeps them needs memory for all."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = full(tensor.detach())
        if keep:
            found[name] = whole
    return found


def fill(tensor: Tensor, whole: Tensor) -> None:
    """Copy a whole tensor into one of which this process may have a part only."""
    if type(tensor) not in _WHOLE:
        from torch.distributed.tensor import DTensor, distribute_tensor  # noqa: PLC0415  (takes seconds)

        assert isinstance(tensor, DTensor)
        own = distribute_tensor(whole.to(tensor.device), tensor.device_mesh, tensor.placements, src_data_rank=None)
        tensor.to_local().copy_(own.to_local())
    else:
        tensor.copy_(whole)
