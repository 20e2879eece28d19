"""One server of small models for all tests that change nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serve.models import Running, make_models, serving


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name -> folder."""
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def server(sources: dict[str, str]) -> Iterator[Running]:
    with serving(sources) as running:
        yield running
