"""For all tests: one thread each, and no time limits."""

import os

import pytest

# Before torch is imported: tests run side by side, and small models gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("bertworks", deadline=None)  # machines are busy; a slow example is not a wrong one
settings.load_profile("bertworks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that send signals to their own process: some libraries that later tests load forbid it."""
    items.sort(key=lambda item: item.path.name != "test_signals.py")
