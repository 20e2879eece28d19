"""Commands that a command runs, shown as a person would type them."""

from __future__ import annotations

import shlex
from types import ModuleType

from bertworks.flags import parse


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}", flush=True)


def typed(command: ModuleType, *words: str) -> None:
    """Run a command, a module of `bertworks.commands`, as if typed, and show what would be typed."""
    name = command.__name__.rpartition(".")[2]
    print(f"$ bert {name} {shlex.join(words)}", flush=True)
    command.main(parse(command.Flags, words, f"bert {name}"))
