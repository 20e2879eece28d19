"""Write README.md into a model folder, and keep what a person wrote there.

Ours is what stands between two pairs of lines, one in the front matter and one below. Everything else is kept as it is.
A key that a person gave in the front matter counts; ours of that name is then left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertworks import files
from bertworks.card.facts import facts_of
from bertworks.card.front_matter import as_yaml, front_matter
from bertworks.card.markdown import body
from bertworks.card.record import RECORD
from bertworks.errors import InputError
from bertworks.progress import say

NAME = "README.md"

_BEGIN = "<!-- bertworks: begin. `bert card` renews what follows; what you write above and below is kept. -->"
_END = "<!-- bertworks: end -->"
_YAML_BEGIN, _YAML_END = "# bertworks: begin", "# bertworks: end"
_FENCE = "---"
_KEY = re.compile(r"^([A-Za-z][\w-]*):", re.MULTILINE)


def write_card(folder: Path) -> Path:
    """Write the card of a model folder, or renew it; return its path.

    Raises:
        InputError: see `facts_of`; or a line that marks our part of the card is missing.
    """
    facts, path = facts_of(folder), folder / NAME
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else f"# {facts.name}\n"
        content = merged(before, front_matter(facts), body(facts))
    except ValueError as error:
        raise InputError(f"{path}: {error}; mend it, or move it away and write a new card") from None
    files.write_text(path, content)
    return path


def write_card_of_run(folder: Path) -> None:
    """Write or renew the card at the end of a run, in a folder where something was trained.

    A card that cannot be renewed stays, with a message: a training does not fail for it.
    """
    if (folder / RECORD).is_file() or any(folder.glob(f"seed-*/{RECORD}")):
        try:
            say(f"The card: {write_card(folder)}")
        except InputError as problem:
            say(f"No card: {problem}")


def merged(before: str, head: Mapping[str, Any], text: str) -> str:
    """Return a card with our parts renewed.

    Args:
        before: the card as it is.
        head: our front matter.
        text: our part below it.

    Raises:
        ValueError: one of two lines that mark our part is missing.
    """
    of_front, rest = _split(before.replace("\r\n", "\n"))
    kept = _without(of_front, _YAML_BEGIN, _YAML_END)
    theirs = set(_KEY.findall("\n".join(kept)))
    ours = as_yaml({key: value for key, value in head.items() if key not in theirs})
    above, below = kept
    front = "\n".join(part.strip("\n") for part in (above, f"{_YAML_BEGIN}\n{ours}{_YAML_END}", below) if part.strip())
    above, below = _without(rest, _BEGIN, _END)
    ours = f"{_BEGIN}\n\n{text.replace(_END, '')}\n\n{_END}"
    parts = (above.strip("\n"), ours, below.strip("\n"))
    return f"{_FENCE}\n{front}\n{_FENCE}\n\n" + "\n\n".join(filter(None, parts)) + "\n"


def _split(text: str) -> tuple[str, str]:
    """Return the front matter, without its two lines of dashes, and what follows."""
    if not text.startswith(f"{_FENCE}\n"):
        return "", text
    front, found, rest = text[len(_FENCE) + 1 :].partition(f"\n{_FENCE}\n")
    if not found:
        raise ValueError("its front matter has no end (a line of three dashes)")
    return front, rest


def _without(text: str, begin: str, end: str) -> tuple[str, str]:
    """Return what stands above our part, and what stands below it."""
    above, found, rest = text.partition(begin)
    _, ended, below = rest.partition(end)
    if bool(found) != (end in text) or bool(found) != bool(ended):
        raise ValueError(f"of the two lines that mark our part, {begin[:24]!r} and {end!r}, one is missing")
    return above, below
