"""The pages as files: one each, which loads nothing, under a policy that lets only its own script run."""

from __future__ import annotations

import re

import pytest

from bertworks.serve.page import page
from tests.serve.models import Running


@pytest.mark.parametrize("name", ["index.html", "docs.html"])
def test_a_page_is_one_file(name: str) -> None:
    html = page(name).html.decode()
    assert not re.search(r"(src|href)=\"(?!/|#|data:)", html)
    assert "http://" not in html
    assert "https://" not in html
    scripts, styles = (len(re.findall(f"<{tag}>", html)) for tag in ("script", "style"))
    assert scripts >= 1
    assert page(name).policy.count("'sha256-") == scripts + styles


def test_the_policy_goes_with_the_page(server: Running) -> None:
    answer = server.ask("GET", "/")
    assert answer.headers["content-security-policy"] == page("index.html").policy
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page("index.html").policy
