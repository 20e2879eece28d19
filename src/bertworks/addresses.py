"""Addresses of files elsewhere (`gs://bucket/file`), and the local places that stand for them.

Each address has one place in the cache, and each place one address. So messages, `flags.toml` and the identity of a
run keep the address, whatever machine the run is on. Nothing here uses the network.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from bertworks.errors import InputError

HOME = "BERTWORKS_HOME"

# Addresses that may be read only.
HTTP = ("http", "https")
SCHEMES = ("gs", "s3", "hf", "memory", *HTTP)

# A name may stand in front of an address: `serve --model=NAME=gs://...`.
_ADDRESS = re.compile(r"(?P<name>[\w.-]+=)?(?P<address>(?P<scheme>[a-z][a-z0-9+]*)://.*)", re.DOTALL)

# In the cache a query comes before the name of the file, which keeps its ending.
_QUERY = "?"


def home() -> Path:
    """Return the folder of what is downloaded: BERTWORKS_HOME, or `bertworks` in the user's cache folder."""
    if given := os.environ.get(HOME):
        return Path(given).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "bertworks"


def inputs() -> Path:
    """Return the folder of copies of inputs."""
    return home() / "remote" / "inputs"


def outputs() -> Path:
    """Return the folder in which outputs are made before they are sent."""
    return home() / "remote" / "outputs"


def split(text: str) -> tuple[str, str, str]:
    """Return what stands in front of an address, its scheme, and the address; two times "" where there is none."""
    match = _ADDRESS.fullmatch(text.strip())
    return (match["name"] or "", match["scheme"], match["address"]) if match else ("", "", text)


def of_file(address: str) -> str:
    """Return the path that a `file://` address names.

    Raises:
        InputError: it names another machine.
    """
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise InputError(f"{address}: names a file of another machine; file:// needs three slashes")
    return unquote(parts.path)


def place(root: Path, address: str) -> Path:
    """Return the place of an address below `root`, one of the two folders.

    Raises:
        InputError: it would lie outside, or has a comma, which separates paths.
    """
    scheme, _, rest = address.partition("://")
    query = ""
    if scheme in HTTP:
        rest, _, query = rest.partition("#")[0].partition(_QUERY)
    parts = [part for part in rest.split("/") if part]
    if not parts or any(part in (".", "..") for part in parts) or "\0" in rest:
        raise InputError(f"{address}: not an address of a file; give one such as gs://BUCKET/FOLDER/FILE")
    if "," in rest:
        raise InputError(f"{address}: has a comma, which separates paths; rename it")
    if query:
        parts.insert(-1, _QUERY + quote(query, safe="=&"))
    return root.joinpath(scheme, *parts)


def address_of(path: Path) -> str | None:
    """Return the address that a local place stands for; None of any other path."""
    for root in (inputs(), outputs()):
        if path.is_relative_to(root) and len(parts := path.relative_to(root).parts) > 1:
            query = [part for part in parts[1:] if part.startswith(_QUERY)] if parts[0] in HTTP else []
            plain = "/".join(part for part in parts[1:] if part not in query)
            return f"{parts[0]}://{plain}{_QUERY + unquote(query[0][1:]) if query else ''}"
    return None


def shown(text: str) -> str:
    """Return a message with addresses instead of the places that stand for them."""
    for root in (inputs(), outputs()):
        if (prefix := f"{root}{os.sep}") in text:
            text = re.sub(rf"{re.escape(prefix)}({'|'.join(SCHEMES)})/", r"\1://", text)
    return text
