"""`Result`: what a model says of a text, as a value for programs and for files."""

from __future__ import annotations

from typing import Any


class Result(dict[str, Any]):
    """A dict whose keys can also be read as attributes. `json.dumps` writes it as it is.

    A subclass names its keys by annotations; all values are plain Python.
    """

    def __getattr__(self, name: str) -> Any:
        """Return the value of a key."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}, only {', '.join(self)}") from None
