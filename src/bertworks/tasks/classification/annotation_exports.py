"""What annotation tools write around a text and its class.

prodigy        a column `answer`, which accepts, rejects or ignores what the row says; `accept` has the chosen options
Label Studio   {"choices": ["a", "b"]} where a row has several classes (JSON-MIN), or the same as a text (CSV)
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from bertworks.data.tables import Table
from bertworks.errors import InputError

_ANSWER = "answer"
_ANSWERS = frozenset(["accept", "reject", "ignore"])


def answer_column(table: Table, used: Collection[str]) -> str | None:
    """Return the column that says whether a row was accepted; None if a file has none, or `used` has it."""
    if _ANSWER not in table.columns or _ANSWER in used:
        return None
    answers = [record.values.get(_ANSWER) for record in table.sample()]
    values = {str(answer) for answer in answers if answer is not None}
    return _ANSWER if "accept" in values <= _ANSWERS else None


def is_refused(answer: object) -> bool:
    """Tell whether an annotator rejected or ignored a row."""
    return answer in ("reject", "ignore")


def without_choices(label: Any) -> Any:
    """Return the list of the classes that Label Studio calls choices; any other label as it is."""
    if isinstance(label, str) and label.startswith('{"choices":'):
        try:
            label = json.loads(label)
        except ValueError:
            return label
    if isinstance(label, dict) and label.keys() == {"choices"} and isinstance(label["choices"], list):
        return label["choices"]
    return label


def refuse_tasks(table: Table) -> None:
    """Refuse Label Studio's whole JSON, where texts and classes lie in objects.

    Raises:
        InputError: the file is such.
    """
    if {"data", "annotations"} <= set(table.columns) and all(
        isinstance(record.values.get("data"), dict) for record in table.sample()
    ):
        raise InputError(
            f"{table.path}: is Label Studio's JSON, whose texts and labels lie in objects; export it as JSON-MIN or CSV"
        )
