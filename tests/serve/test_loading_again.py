"""Models that are loaded again while other things happen."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bertworks.serve.models import ServedModel
from bertworks.serve.run import _reload
from tests.serve.models import Running, serving


class Gate:
    """Loads models when it is opened, and counts how many are loaded at a time."""

    def __init__(self, running: Running) -> None:
        self._load = running.engine.registry.load
        self.entered, self.go = threading.Event(), threading.Event()
        self.now = self.most = self.all = 0
        running.engine.registry.load = self.load

    def load(self, name: str, source: str) -> ServedModel:
        self.now, self.all = self.now + 1, self.all + 1
        self.most = max(self.most, self.now)
        self.entered.set()
        assert self.go.wait(10)
        found = self._load(name, source)
        self.now -= 1
        return found


def test_a_model_that_is_deleted_during_its_reload_stays_deleted(sources: dict[str, str]) -> None:
    with serving({"words": sources["words"]}, allow_changes=True) as running, ThreadPoolExecutor(1) as pool:
        gate = Gate(running)
        reloaded = pool.submit(running.ask, "POST", "/v1/models/words/reload")
        assert gate.entered.wait(10)
        assert running.ask("DELETE", "/v1/models/words").status == 200
        gate.go.set()
        assert (reloaded.result().status, "unloaded meanwhile" in reloaded.result().body.decode()) == (404, True)
        assert running.ask("GET", "/v1/models").json["data"] == []


def test_reloads_take_their_time_one_after_the_other(sources: dict[str, str]) -> None:
    with (
        serving({"words": sources["words"]}, allow_changes=True, request_seconds=0.1) as running,
        ThreadPoolExecutor(3) as pool,
    ):
        gate = Gate(running)
        asked = [pool.submit(running.ask, "POST", "/v1/models/words/reload") for _ in range(3)]
        assert gate.entered.wait(10)
        threading.Event().wait(0.3)  # longer than an answer may take
        gate.go.set()
        assert [one.result().status for one in asked] == [200] * 3
        assert (gate.all, gate.most) == (3, 1)


def test_a_signal_loads_the_other_models_where_one_fails(
    sources: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({name: sources[name] for name in ("words", "classifier")}) as running:
        registry = running.engine.registry
        old, load = registry.named("classifier"), registry.load

        def failing(name: str, source: str) -> ServedModel:
            if name == "words":
                raise OSError("Stale file handle")
            return load(name, source)

        registry.load = failing
        asyncio.run(_reload(running.engine))
        assert registry.named("classifier") is not old
    said = capsys.readouterr().err
    assert "words: stays as it is, because it cannot be loaded again: Stale file handle" in said
    assert f"classifier: loaded again from {Path(sources['classifier'])}" in said
