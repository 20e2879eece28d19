"""Why a request gets no answer: a status, one sentence, and the field to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import msgspec

from bertworks.errors import InputError, one_line

# What a refusal is called in the answer, and its HTTP status.
Reason = Literal[
    "invalid",
    "malformed",
    "empty",
    "unable",
    "unauthorized",
    "forbidden",
    "not_found",
    "method",
    "slow",
    "too_large",
    "media_type",
    "overloaded",
    "failed",
    "unhealthy",
    "late",
]
STATUS: dict[Reason, int] = {
    "malformed": 400,
    "empty": 400,
    "unable": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method": 405,
    "slow": 408,
    "too_large": 413,
    "media_type": 415,
    "invalid": 422,
    "overloaded": 429,
    "failed": 500,
    "unhealthy": 503,
    "late": 504,
}


# How the decoder tells of a field that a body does not have.
_UNKNOWN = re.compile(r"(?:unknown|required) field `(\w+)`")


class Refusal(Exception):  # noqa: N818  (the field's other word, error, is what broke here)
    """A request that gets no answer.

    Attributes:
        reason: the kind of refusal, which decides the status.
        field: the part of the body to change, such as `texts[3]`; empty where there is none.
        retry_after: the seconds after which the same request may be answered; 0 where that is not known.
    """

    def __init__(self, reason: Reason, message: str, field: str = "", retry_after: int = 0) -> None:
        """Make a refusal from one sentence."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.reason]


def invalid(error: msgspec.ValidationError, fields: Sequence[str] = ()) -> Refusal:
    """Return the refusal of a body that does not fit its type, with the field; `fields` are those of the body."""
    message, _, where = str(error).partition(" - at `$")
    unknown = _UNKNOWN.search(message)
    field = ".".join(filter(None, (where.strip("`."), unknown[1] if unknown else "")))
    if unknown and not where and fields:
        message += f"; the fields are {', '.join(fields)}"
    return Refusal("invalid", message, field)


@contextmanager
def refusing(field: str) -> Iterator[None]:
    """Turn bad input that is found inside the block into a refusal that names the field."""
    try:
        yield
    except InputError as error:
        raise Refusal("invalid", one_line(error), field) from None
