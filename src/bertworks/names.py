"""Names that a person gives: comparing them, and listing them in messages."""

from __future__ import annotations

from collections.abc import Sequence


def plain_name(name: str) -> str:
    """Return the letters and digits of a name in lower case: names that agree in these mean the same."""
    return "".join(character for character in name.lower() if character.isalnum())


def listed(names: Sequence[str]) -> str:
    """Return the first twenty names (of columns, of labels) in one line, each shortened to 60 characters."""
    shown = [" ".join(name.split())[:60] for name in names[:20]]
    return ", ".join(shown + ["..."] * (len(names) > 20)) or "none"
