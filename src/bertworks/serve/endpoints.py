"""What a route is: one table of them serves requests and writes the OpenAPI page, so the two cannot differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.reading import TextCounts
from bertworks.serve.refusals import Reason, Refusal


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        content: becomes JSON; bytes stay as they are.
        model: that gave it; the headers name it and its version.
        counts: of all texts, for the headers.
        media_type: of bytes.
        more_headers: of a page.
    """

    content: Any
    model: ServedModel | None = None
    counts: TextCounts | None = None
    media_type: str = "application/json"
    more_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """What every answer says of a model and its reading, also in protocols whose bodies have no room for it."""
        found = dict(self.more_headers)
        if self.model:
            # A name may have any characters; a header may not.
            found["x-model"] = self.model.name.encode("ascii", "backslashreplace").decode()
            found["x-model-version"] = self.model.version
        if self.counts:
            found["x-tokens"] = str(self.counts.tokens)
            found["x-tokens-cut"] = str(self.counts.tokens_cut)
            found["x-windows"] = str(self.counts.windows)
        return found


def reply_of(prepared: PreparedRequest[Any], content: Any) -> Reply:
    """Return an answer that a model computed."""
    return Reply(content, prepared.model, TextCounts.total(prepared.counts))


def check_size(size: int, what: str, most: int) -> None:
    """Check how large an answer will be, before it is computed.

    Args:
        size: how many numbers, or as large things, it has.
        what: they are.
        most: `Limits.numbers`.

    Raises:
        Refusal: they are more.
    """
    if size > most:
        raise Refusal("too_large", f"the answer has {size:,} {what}; it may have {most:,}")


@dataclass(frozen=True)
class Protocol:
    """A family of routes whose refusals look alike.

    Attributes:
        error: the type of the body of a refusal.
        refuse: makes it.
    """

    name: str
    description: str
    error: type
    refuse: Callable[[Refusal], Any]


# The engine, the decoded body or None, the part of the path that varies -> the answer.
Handler = Callable[[Engine, Any, str], Awaitable[Reply]]


@dataclass(frozen=True)
class Endpoint:
    """One route.

    Attributes:
        path: `{model}` stands for the part that varies.
        body: the type of the JSON that is sent; None where nothing is.
        answer: the type of the JSON that is answered; `bytes` for other answers; None for what OpenAPI does not show.
        refusals: why it may refuse, beside the reasons that all routes of its kind have.
        public: whether it answers without a key.
        form: whether the body may also be that of an HTML form.
        timed: whether its answer may take no longer than `Limits.request_seconds`.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    protocol: Protocol
    handler: Handler
    body: Any = None
    answer: Any = bytes
    refusals: Sequence[Reason] = ()
    public: bool = False
    form: bool = False
    timed: bool = True
    media_type: str = "application/json"
