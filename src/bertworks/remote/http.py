"""What a web server says of a file, without the file."""

from __future__ import annotations

import urllib.error
import urllib.request

from bertworks.remote.stores import Listed, patiently

_SECONDS = 30.0

# Answers of servers that do not know the question.
_UNKNOWN = (405, 501)


def find(address: str) -> Listed | None:
    """Return a file, or None if the server has none.

    Its version is "" if the server does not say what changes when the file changes; then each run fetches it again.

    Raises:
        InputError: the server refuses, or does not answer.
    """

    def ask() -> Listed:
        request = urllib.request.Request(address, headers={"User-Agent": "bertworks"}, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:
                headers = response.headers
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 410):
                raise FileNotFoundError(address) from None
            if error.code in _UNKNOWN:
                return Listed(address, 0, "")
            raise
        length = headers.get("Content-Length", "")
        version = headers.get("ETag") or headers.get("Last-Modified") or ""
        return Listed(address, int(length) if length.isdigit() else 0, version)

    try:
        return patiently(address, "read", ask)
    except FileNotFoundError:
        return None
