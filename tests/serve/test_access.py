"""Which pages may ask, and keys that have other letters than English."""

from __future__ import annotations

import pytest

from bertworks.serve.http import Access
from tests.serve.models import Running, serving

FORM = {"content_type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_a_page_of_another_origin_reaches_nothing(sources: dict[str, str], origin: str) -> None:
    with serving({"words": sources["words"]}, allow_changes=True) as running:
        before = running.engine.registry.named("words")
        assert running.ask("POST", "/v1/models/words/reload", origin=origin).status == 403
        assert running.engine.registry.named("words") is before
        refused = running.ask("POST", "/encode", b"texts=no", **FORM, origin=origin)
        assert (refused.status, "see --cors" in refused.json["description"]) == (403, True)
        assert running.ask("GET", "/v1/models", origin=origin).status == 403


def test_the_servers_own_page_and_named_ones_may_ask(server: Running, sources: dict[str, str]) -> None:
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", "localhost"):
        asked = server.ask("POST", "/encode", b"texts=no", **FORM, host=host, origin=f"http://{host}")
        assert asked.status == 200
    with serving({"words": sources["words"]}, Access(cors=["*"])) as running:
        assert running.ask("POST", "/encode", b"texts=no", **FORM, origin="http://any.example").status == 200
    with serving({"words": sources["words"]}, Access(cors=["http://page.example"])) as running:
        assert running.ask("POST", "/encode", b"texts=no", **FORM, origin="http://page.example").status == 200
        assert running.ask("POST", "/encode", b"texts=no", **FORM, origin="http://evil.example").status == 403


def test_a_key_may_have_any_letters(sources: dict[str, str]) -> None:
    with serving({"words": sources["words"]}, Access(api_key="ключ é")) as running:
        asked = running.ask("GET", "/v1/models", authorization="Bearer ключ é".encode())  # type: ignore[arg-type]
        assert asked.status == 200
        asked = running.ask("GET", "/v1/models", authorization="Bearer ключ".encode())  # type: ignore[arg-type]
        assert asked.status == 401
    with serving({"words": sources["words"]}, Access(api_key="é")) as running:
        assert running.ask("GET", "/v1/models", authorization="Bearer é").status == 200
