"""A strict reader of rows in TOML: every `[[kind]]` table becomes a dataclass, and an error names the file and line.

A table with `for_each`, a list of tables, stands for one row for each of its entries. The keys of an entry replace
`{key}` in all texts of the row; where they are keys of the row, they are added to it.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bertworks.datasets.schema import Row
from bertworks.errors import InputError, one_line
from bertworks.names import plain_name

_DESCRIPTIONS = {str: "a text", int: "an integer", float: "a number", bool: "true or false"}


_Row = TypeVar("_Row", bound=Row)


def read_rows(text: str, file: str, kind: str, row_type: type[_Row], **shared: type) -> tuple[_Row, ...]:
    """Read the rows of a TOML file.

    Args:
        text: the content of the file.
        file: its name, for errors.
        kind: the name of the tables: `[[kind]]`.
        shared: dataclasses of values that rows share: with `settings=PublishedSettings`, a row's `settings = "x"` takes
            the table `[settings.x]`.

    Raises:
        InputError: the text is not TOML, a key is unknown or missing, a value has the wrong type, or two rows have a
            name in common.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: not TOML: {one_line(error)}") from None
    if unknown := next((key for key in document if key != kind and key not in shared), None):
        location = _location(text, file, rf"\[*\s*{re.escape(unknown)}\b")
        raise InputError(f"{location}: unknown table {unknown!r}; known are {', '.join([kind, *shared])}")
    tables = document.get(kind, [])
    if not isinstance(tables, list):
        raise InputError(f"{file}: {kind} is not a list of tables; write [[{kind}]] above each")
    values = {key: _shared_values(document.get(key, {}), text, file, key, of) for key, of in shared.items()}
    rows: list[_Row] = []
    by_name: dict[str, _Row] = {}
    for number, table in enumerate(tables):
        location = _location(text, file, rf"\[\[\s*{kind}\s*\]\]", number)
        for given in _each(table, row_type, location):
            context = f"{location}: {given.get('name', kind)}"
            for key in shared.keys() & given.keys():
                # A row may also have values of its own, as a table.
                if isinstance(given[key], str):
                    if given[key] not in values[key]:
                        known = ", ".join(values[key]) or "none"
                        raise InputError(f"{context}: {key}: no {given[key]!r}; known are {known}")
                    given[key] = values[key][given[key]]
            row = _built(row_type, given, context)
            rows.append(row)
            for name in (row.name, *row.aliases):
                other = by_name.setdefault(plain_name(name), row)
                if other is not row:
                    raise InputError(f"{context}: {name} is a name of {other.name} too; give each {kind} its own names")
    return tuple(rows)


def _shared_values(tables: Any, text: str, file: str, key: str, value_type: type) -> dict[str, Any]:
    """Read the tables `[key.NAME]` by their names."""
    if not isinstance(tables, dict):
        raise InputError(f"{file}: {key} is not a table; write [{key}.NAME] above each")
    values = {}
    for name, table in tables.items():
        location = _location(text, file, rf"\[\s*{key}\s*\.\s*[\"']?{re.escape(name)}\b")
        values[name] = _built(value_type, table, f"{location}: {key}.{name}")
    return values


def _location(text: str, file: str, header: str, number: int = 0) -> str:
    """Return the file and the line that begins with a pattern: of such lines the one with this number, from 0."""
    found = list(re.finditer(rf"^[ \t]*{header}", text, re.MULTILINE))
    return f"{file}, line {text.count(chr(10), 0, found[number].start()) + 1}" if number < len(found) else file


def _each(table: Any, row_type: type, location: str) -> list[dict[str, Any]]:
    """Return the rows that a table stands for: itself, or one for each entry of `for_each`."""
    if not isinstance(table, dict):
        raise InputError(f"{location}: {table!r:.60} is not a table")
    if "for_each" not in table:
        return [dict(table)]
    template = {key: value for key, value in table.items() if key != "for_each"}
    entries = table["for_each"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{location}: for_each is not a list of tables")
    rows = []
    for entry in entries:
        added = {key: value for key, value in entry.items() if key in _fields(row_type)}
        if unused := next((key for key in entry if key not in added and f"{{{key}}}" not in str(template)), None):
            raise InputError(f"{location}: for_each: unknown key {unused!r}; no text of the row has {{{unused}}}")
        rows.append({**_filled(template, entry), **added})
    return rows


def _filled(value: Any, entry: Mapping[str, Any]) -> Any:
    """Return a value of TOML with every `{key}` replaced in its texts."""
    if isinstance(value, str):
        for key, text in entry.items():
            value = value.replace(f"{{{key}}}", str(text))
    elif isinstance(value, list):
        value = [_filled(item, entry) for item in value]
    elif isinstance(value, dict):
        value = {_filled(key, entry): _filled(item, entry) for key, item in value.items()}
    return value


@cache
def _fields(row_type: type) -> dict[str, tuple[Any, bool]]:
    """Return the type of every key of a dataclass, and whether it must be given."""
    types, absent = get_type_hints(row_type), dataclasses.MISSING
    return {
        field.name: (types[field.name], field.default is absent and field.default_factory is absent)
        for field in dataclasses.fields(row_type)
    }


def _built(row_type: Any, table: object, context: str) -> Any:
    """Make a dataclass of a table; `context` begins the message of an error."""
    if not isinstance(table, dict):
        raise InputError(f"{context}: {table!r:.60} is not a table")
    fields = _fields(row_type)
    if unknown := next((key for key in table if key not in fields), None):
        raise InputError(f"{context}: unknown key {unknown!r}; known are {', '.join(fields)}")
    if missing := next((key for key, (_, needed) in fields.items() if needed and key not in table), None):
        raise InputError(f"{context}: has no {missing}; add it")
    return row_type(**{key: _converted(fields[key][0], value, f"{context}: {key}") for key, value in table.items()})


def _converted(kind: Any, value: Any, context: str) -> Any:
    """Return a value of TOML as the type of its field."""
    is_union = get_origin(kind) in (Union, UnionType)
    kinds = [argument for argument in get_args(kind) if argument is not NoneType] if is_union else [kind]
    for candidate in kinds:
        if (converted := _as_type(candidate, value, context)) is not None:
            return converted
    raise InputError(f"{context}: {value!r:.60} is not {' or '.join(map(_description, kinds))}")


def _as_type(kind: Any, value: Any, context: str) -> Any:
    """Return a value of TOML as a type; None if it has another. TOML itself has no None."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        # A shared value is a dataclass already.
        return value if isinstance(value, kind) else _built(kind, value, context)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            numbered = enumerate(zip(kinds, value, strict=True), 1)
            return tuple(_converted(of, item, f"{context}, number {number}") for number, (of, item) in numbered)
    if origin is Mapping and isinstance(value, dict):
        return {key: _converted(arguments[1], item, f"{context}: {key}") for key, item in value.items()}
    if origin is Literal:
        return value if value in arguments else None
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else None


def _description(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(arguments)}"
    if origin is tuple:
        return "a list" if arguments[-1] is Ellipsis else f"a list of {len(arguments)}"
    return "a table" if origin is Mapping else _DESCRIPTIONS[kind]
