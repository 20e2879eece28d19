"""A dataclass of flags -> a command line. Every command's flags are the fields of one flat, frozen dataclass.

    @dataclass(frozen=True, kw_only=True)
    class Flags(CommandFlags):
        '''What the command does.'''
        input_file: str = flag(REQUIRED, "Text files.", group="Input", path=True)

The words are first brought to `--name=value` by one function, `normalise`, so that all spellings people know from the
original (absl) and from other tools mean the same. Values come from the defaults, then `--config=FILE.toml`, then the
command line. Nothing here imports more than the standard library.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from bertworks import flag_help
from bertworks.errors import InputError
from bertworks.files import absolute, absolute_unless_name

REQUIRED: Any = object()
RETIRED = flag_help.RETIRED
PathKind = Literal["or name", "written", "written folder"]

# No number of a command line is larger; it also keeps infinity and what is not a number out.
_LARGEST = 1e18

_TRUE, _FALSE = {"true", "1", "yes", "t", "y"}, {"false", "0", "no", "f", "n"}

FlagsType = TypeVar("FlagsType", bound="CommandFlags")


@dataclass(frozen=True, kw_only=True)
class CommandFlags:
    """The base of every command's flags.

    Attributes:
        given: the flags that have their value from the command line or a file; None of flags made in Python, where
            every flag counts as given.
        shown_first: the flags that `--help` shows where not all fit on a screen, with blanks between; those that are
            required are always shown.
        own: the flags that no other command has, which come first; by default those of the class itself.
    """

    shown_first: ClassVar[str] = ""
    own: ClassVar[Collection[str]] = ()
    given: frozenset[str] | None = dataclasses.field(default=None, repr=False, compare=False)

    def was_given(self, name: str) -> bool:
        """Tell whether a person gave this flag."""
        return self.given is None or name in self.given


def flag(
    default: Any,
    help: str,
    *,
    group: str = "General",
    path: bool | PathKind = False,
    alias: str | tuple[str, ...] = "",
    lowest: float | None = None,
    highest: float | None = None,
    above: float | None = None,
    positional: bool | Literal["several"] = False,
    other_names: Mapping[str, str] | None = None,
    remembered: bool = False,
    bare: str = "",
    listed: bool = False,
) -> Any:
    """Return a dataclass field that is a flag.

    Args:
        default: the default value, or REQUIRED.
        help: what `--help` says.
        group: the heading under which `--help` shows it; RETIRED for flags that are accepted and ignored.
        path: whether it names files or folders (comma lists and globs too); `flags.toml` keeps these absolute. `or
            name`: it may also be a name, which stays as it is. `written`, `written folder`: the command makes it.
        alias: other spellings, with blanks between or as a tuple.
        lowest, highest: the lowest and the highest number that make sense.
        above: what a number must be greater than, where it may be as near as one likes.
        positional: whether a word without a flag may give it; such words go to these flags in their order. `several`:
            all that are left go there, with commas between.
        other_names: what a value is called elsewhere -> what it is called here.
        remembered: whether a trained model keeps the value in its config.json, for evaluation and prediction.
        bare: what an alias means that stands without a value.
        listed: whether it may have several values, with commas between, which are a tuple; one stays itself.
    """
    metadata: dict[str, Any] = {"help": help, "group": group, "path": path}
    metadata |= {"lowest": lowest, "highest": highest, "above": above}
    metadata |= {"positional": positional, "remembered": remembered, "bare": bare, "listed": listed}
    metadata["aliases"] = tuple(alias.split() if isinstance(alias, str) else alias)
    metadata["other_names"] = dict(other_names or {})
    return dataclasses.field(default=dataclasses.MISSING if default is REQUIRED else default, metadata=metadata)


@dataclass(frozen=True)
class _Flag:
    """One flag as the parser sees it."""

    name: str
    kind: type
    choices: tuple[str, ...]
    optional: bool
    default: Any
    help: str
    group: str
    path: bool | PathKind
    aliases: tuple[str, ...]
    lowest: float | None
    highest: float | None
    above: float | None
    positional: bool | Literal["several"]
    other_names: Mapping[str, str]
    remembered: bool
    bare: str
    listed: bool

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    def convert(self, text: str, source: str) -> Any:
        """Return the value that `text` means; `source` begins the error message."""
        if self.listed and "," in text:
            return tuple(self.convert(part.strip(), source) for part in text.split(","))
        if self.kind is bool:
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise InputError(f"{source}: {text!r} is not true or false")
        if self.optional and text in ("", "None"):
            return None
        if not self.path and any("\ud800" <= character <= "\udfff" for character in text):
            # So Python gives the bytes of a command line that are not UTF-8; a path may have such.
            raise InputError(f"{source}: has bytes that are not UTF-8; give them in UTF-8, or in a file")
        text = self.other_names.get(text, text)
        if self.choices and text not in self.choices:
            raise InputError(f"{source}: {text!r} is not one of {', '.join(self.choices)}")
        try:
            value = self.kind(text)
        except ValueError:
            raise InputError(f"{source}: {text!r} is not a {'whole ' * (self.kind is int)}number") from None
        if self.kind is not str and (bound := self._broken_bound(value)):
            raise InputError(f"{source}: {text} must be {bound}")
        return value

    def _broken_bound(self, value: float) -> str:
        """Say what a number must be and is not; "" if the number is right."""
        highest = _LARGEST if self.highest is None else self.highest
        if value < (lowest := -_LARGEST if self.lowest is None else self.lowest):
            return f"at least {lowest:g}"
        if self.above is not None and value <= self.above:
            return f"above {self.above:g}"
        # Written so that what is not a number, which no comparison holds for, is caught too.
        return "" if value <= highest else f"at most {highest:g}"


def describe(flags_class: type) -> dict[str, _Flag]:
    """Return the flags of a dataclass by name, in order."""
    hints, flags = typing.get_type_hints(flags_class), {}
    for field in (field for field in dataclasses.fields(flags_class) if field.metadata):
        hint = hints[field.name]
        parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        optional = type(None) in parts
        (hint,) = (part for part in parts if part is not type(None) and typing.get_origin(part) is not tuple)
        choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
        kind = str if choices else hint
        flags[field.name] = _Flag(field.name, kind, choices, optional, field.default, **field.metadata)
    return flags


@dataclass(frozen=True, kw_only=True)
class _ConfigFlag(CommandFlags):
    """The flag that every command has, in addition to its own flags."""

    config: str = flag("", "A file of flags.", path=True)


def normalise(words: Sequence[str], flags: dict[str, _Flag]) -> list[tuple[str, str]]:
    """Bring a command line to (name, value) pairs.

    Dashes or underscores; one or two leading dashes; `--name=value` or `--name value` (the value may begin with a
    minus); booleans as `--do_train`, `--do_train=true`, `--do_train True`, `--nodo_train`, `--no_do_train`. No
    abbreviations: what is not a flag is an error that names the nearest one. A word without a flag goes to the first
    positional flag that has no value yet.
    """
    by_name = {name: f for f in flags.values() for name in (f.name, *f.aliases)}
    positional = [f.name for f in flags.values() if f.positional is True]
    several = next((f.name for f in flags.values() if f.positional == "several"), None)
    pairs: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        is_value = word == "-" or not word.startswith("-")  # "-" is standard input
        if is_value and (free := [name for name in positional if name not in dict(pairs)]):
            pairs.append((free[0], word))
            continue
        if is_value and several:
            others = [value for name, value in pairs if name == several]
            pairs = [pair for pair in pairs if pair[0] != several] + [(several, ",".join([*others, word]))]
            continue
        if not word.startswith("-") or word.strip("-") == "":
            raise InputError(f"{word!r} is not a flag; flags look like --name=value")
        spelled, has_value, value = word.lstrip("-").partition("=")
        name = spelled.replace("-", "_")
        found = by_name.get(name)
        if found is None and not has_value and name.startswith("no"):
            negated = by_name.get(name[2:]) or by_name.get(name[3:] if name.startswith("no_") else "")
            if negated is not None and negated.kind is bool:
                pairs.append((negated.name, "false"))
                continue
        if found is None:
            near = difflib.get_close_matches(name, by_name, 1, 0.6)
            raise InputError(f"--{spelled}: no such flag" + (f"; did you mean --{near[0]}?" if near else ""))
        if not has_value:
            if found.kind is bool:
                value = rest.pop(0) if rest and rest[0].lower() in _TRUE | _FALSE else "true"
            elif found.bare and name != found.name and (not rest or rest[0].startswith("--")):
                value = found.bare
            elif rest:
                value = rest.pop(0)
            else:
                raise InputError(f"--{spelled}: needs a value")
        pairs.append((found.name, value))
    return pairs


def parse(flags_class: type[FlagsType], words: Sequence[str], program: str) -> FlagsType:
    """Return a value of `flags_class` from a command line; prints the help and exits where it is asked for.

    Raises:
        InputError: an unknown flag, a value of the wrong type, a required flag that is missing, a bad --config file.
    """
    flags = describe(flags_class)
    if asked := flag_help.is_asked_for(words):
        print(help_text(flags_class, program, everything=asked == "all"), end="")
        raise SystemExit(0)
    values: dict[str, Any] = {}
    pairs = normalise(words, {**flags, **describe(_ConfigFlag)})
    for path in (value for name, value in pairs if name == "config"):
        values.update(_from_toml(path, flags))
    for name, text in pairs:
        if name != "config":
            values[name] = flags[name].convert(text, f"--{name}")
    if missing := [f"--{f.name}" for f in flags.values() if f.required and f.name not in values]:
        raise InputError(f"{', '.join(missing)}: must be given; see {program} --help")
    return flags_class(**values, given=frozenset(values))


def _from_toml(path: str, flags: dict[str, _Flag]) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as stream:
            given = tomllib.load(stream)
    except FileNotFoundError:
        raise InputError(f"--config={path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from None
    if unknown := next((name for name in given if name not in flags), None):
        near = difflib.get_close_matches(unknown, flags, 1, 0.6)
        raise InputError(f"{path}: {unknown} is not a flag" + (f"; did you mean {near[0]}?" if near else ""))
    texts = {name: ",".join(map(str, v)) if isinstance(v, list) else str(v) for name, v in given.items()}
    return {name: flags[name].convert(text, f"{path}: {name}") for name, text in texts.items()}


def recorded(flags: CommandFlags, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the value of every flag that has an effect, by name, without those named in `without`."""
    names = (f.name for f in describe(type(flags)).values() if f.group != RETIRED and f.name not in without)
    return {name: getattr(flags, name) for name in names}


def to_toml(flags: CommandFlags, command: str) -> str:
    """Return the resolved flags as a file for `--config`; paths are absolute, retired and unset flags left out."""
    lines = [f"# bert {command} --config=THIS_FILE repeats this run."]
    for f in describe(type(flags)).values():
        value = getattr(flags, f.name)
        if value is None or f.group == RETIRED:
            continue
        if f.path and isinstance(value, str):
            of_part = absolute_unless_name if f.path == "or name" else absolute
            value = ",".join(filter(None, map(of_part, value.split(","))))
        # JSON's strings, numbers and booleans are TOML's.
        lines.append(f"{f.name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def help_text(flags_class: type[CommandFlags], program: str, *, everything: bool = False) -> str:
    """Return the text of `--help`, or of `--help=all`."""
    flags, own = list(describe(flags_class).values()), flags_class.own or flags_class.__annotations__
    return flag_help.help_text(
        flags, own, flags_class.__doc__ or "", program, first=flags_class.shown_first.split(), everything=everything
    )
