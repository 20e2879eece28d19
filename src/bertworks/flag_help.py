"""The text of `--help`: the flags that people use, on one screen; `--help=all` shows every flag."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Collection, Sequence
from typing import Any, Literal, Protocol

RETIRED = "Accepted from the original's command lines, without effect"

# A help of no more lines is shown whole.
_SCREEN = 40


class Described(Protocol):
    """What the help needs to know of a flag; see `flags.flag`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> type: ...  # noqa: D102
    @property
    def choices(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def default(self) -> Any: ...  # noqa: D102
    @property
    def help(self) -> str: ...  # noqa: D102
    @property
    def group(self) -> str: ...  # noqa: D102
    @property
    def positional(self) -> bool | Literal["several"]: ...  # noqa: D102
    @property
    def required(self) -> bool: ...  # noqa: D102


def is_asked_for(words: Sequence[str]) -> Literal["", "help", "all"]:
    """Tell whether a command line asks for the help, and for which; `--helpfull` is absl's word for all of it."""
    for word, after in zip(words, [*words[1:], ""], strict=False):
        name, _, value = word.partition("=")
        if name in ("--helpfull", "-helpfull") or (name in ("-h", "--help", "-help") and "all" in (value, after)):
            return "all"
        if name in ("-h", "--help", "-help"):
            return "help"
    return ""


def help_text(
    flags: Sequence[Described],
    own: Collection[str],
    description: str,
    program: str,
    *,
    first: Sequence[str] = (),
    everything: bool = False,
) -> str:
    """Return a description and the flags in groups.

    Args:
        flags: of the command.
        own: the names of those that it does not share with others; they come first.
        description: of the command.
        program: its name, with `bert`.
        first: the names of those that are shown where not all fit on a screen; none shows all.
        everything: whether the retired ones are shown too.
    """
    current = [f for f in flags if f.group != RETIRED]
    more = f"--help=all shows all {len(flags)} flags."
    if everything:
        return _formatted(flags, flags, own, description, program)
    whole = _formatted(flags, current, own, description, program, more if len(flags) > len(current) else "")
    if whole.count("\n") <= _SCREEN or not first:
        return whole
    chosen = [f for f in current if f.name in first or f.required or f.positional]
    return _formatted(flags, chosen, own, description, program, more, brief=True)


def _formatted(
    flags: Sequence[Described],
    shown: Sequence[Described],
    own: Collection[str],
    description: str,
    program: str,
    more: str = "",
    *,
    brief: bool = False,
) -> str:
    """Return the help with the flags that are shown; `brief`: with their first sentences."""
    words = [f"{f.name.upper()} ..." if f.positional == "several" else f.name.upper() for f in flags if f.positional]
    parser = argparse.ArgumentParser(
        prog=program,
        description=inspect.cleandoc(description),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        usage=" ".join([program, *words, "--flag=value ..."]),
        epilog=f"Booleans: --flag, --flag=false or --noflag. --config=FILE reads flags from TOML. {more}".strip(),
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    # What a command shares with others comes last.
    for f in sorted(shown, key=lambda f: (f.group == RETIRED, f.name not in own)):
        if f.group not in groups:
            groups[f.group] = parser.add_argument_group(f.group)
        default = "" if f.default is None else f" (default: {f.default})"
        metavar = "{" + ",".join(f.choices) + "}" if f.choices else f.kind.__name__.upper()
        says = f"{f.help.partition('. ')[0].removesuffix('.')}." if brief else f.help
        text = None if f.group == RETIRED else (says + (" (required)" if f.required else default)).replace("%", "%%")
        groups[f.group].add_argument(f"--{f.name}", metavar=metavar, help=text)
    return parser.format_help()
