"""The page at `/` and the page of the routes: files without a build step, put together into one HTML file each."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_STYLE = re.compile(r'<link rel="stylesheet" href="([a-z_]+\.css)">')
_SCRIPT = re.compile(r'<script src="([a-z_]+\.js)"></script>')


@dataclass(frozen=True)
class Page:
    """A page that needs no other file.

    Attributes:
        policy: the header that keeps it from loading or sending anything elsewhere.
    """

    html: bytes
    policy: str


@cache
def page(name: str) -> Page:
    """Return a page with its styles and scripts inside."""
    text = (_FOLDER / name).read_text(encoding="utf-8")
    hashes: dict[str, list[str]] = {"script": [], "style": []}

    def inlined(kind: str, found: re.Match[str]) -> str:
        content = "\n" + (_FOLDER / found[1]).read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
        return f"<{kind}>{content}</{kind}>"

    text = _STYLE.sub(lambda found: inlined("style", found), text)
    text = _SCRIPT.sub(lambda found: inlined("script", found), text)
    allowed = "; ".join(f"{kind}-src {' '.join(found)}" for kind, found in hashes.items())
    policy = f"default-src 'none'; {allowed}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    return Page(text.encode(), f"{policy}; frame-ancestors 'none'")
