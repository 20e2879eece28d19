"""Work for a Ray cluster: the same pure functions as in local workers, called on the machines of the cluster.

Ray calls a function again whose worker or machine is lost. The results come in the order in which they are asked for,
so what is made of them is the same as with local workers. Each machine needs this package.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from bertworks.errors import InputError, one_line
from bertworks.progress import say

_Result = TypeVar("_Result")

# How often a call may be lost with its worker.
_RETRIES = 20

# How long a cluster may take to answer.
_SECONDS = 20.0


@dataclass(frozen=True)
class WorkEngine:
    """Where work is done: in processes here, or on the Ray cluster at `address` (None: one that is started here)."""

    on_ray: bool = False
    address: str | None = None


HERE = WorkEngine()


class RayPool:
    """Calls functions on a cluster, as a `concurrent.futures.Executor` does in processes."""

    def __init__(self, address: str | None) -> None:
        """Connect to the cluster at `address`, or start one on this machine.

        Raises:
            InputError: Ray is not installed, or there is no cluster.
        """
        try:
            import ray  # noqa: PLC0415  (an extra)
        except ImportError:
            raise InputError('--engine=ray: needs a library: pip install "bertworks[ray]"') from None
        if address and (named := re.fullmatch(r"([\w.-]+):(\d{1,5})", address)):
            _check_reachable(address, named[1], int(named[2]))
        local = {} if address else {"include_dashboard": False}
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error", **local)
        except Exception as error:
            raise InputError(f"--ray_address={address}: no Ray cluster is there ({one_line(error)})") from None
        self._ray = ray
        self._functions: dict[Callable[..., Any], Any] = {}
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        say(f"On a Ray cluster with {self.workers} processors{f' at {address}' if address else ' on this machine'}")

    def put(self, value: object) -> object:
        """Return what stands for a value in calls; it is sent to each machine once."""
        return self._ray.put(value)

    def submit(self, function: Callable[..., _Result], *arguments: object) -> Future[_Result]:
        """Call a function of a module on the cluster."""
        if function not in self._functions:
            self._functions[function] = self._ray.remote(function).options(max_retries=_RETRIES)
        found: Future[_Result] = self._functions[function].remote(*arguments).future()
        return found

    def leave(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._ray.shutdown()


def _check_reachable(address: str, host: str, port: int) -> None:
    """Raise InputError if nobody answers at an address: Ray itself would try for minutes."""
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError as error:
        raise InputError(f"--ray_address={address}: no Ray cluster is there ({error.strerror or error})") from None


@contextmanager
def ray_pool(address: str | None) -> Iterator[RayPool]:
    """A pool that is there while the block runs; see `RayPool`."""
    pool = RayPool(address)
    try:
        yield pool
    finally:
        pool.leave()
