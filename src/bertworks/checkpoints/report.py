"""What became of every tensor when weights were loaded, as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bertworks.checkpoints import names

_ACTIVATIONS = {"gelu_new": "tanh form of GELU (gelu_new)", "gelu": "erf form of GELU (gelu)"}
_CASINGS = {True: "lower-cased (uncased model)", False: "as it is (cased model)", None: "unknown"}


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor; `str(report)` is a table for people.

    Attributes:
        source: what was opened.
        loaded: names of the model's tensors that got a stored value.
        missing: those that the checkpoint does not have; they keep their fresh initial values.
        misfits: those that it has in another shape, with both shapes; they keep their fresh values too.
        left_over: stored names that the model has no place for.
        shape: the model's numbers, as a person would say them.
        hidden_act: the activation that the model computes, in Hugging Face's words; None if unknown.
        do_lower_case: whether its vocabulary wants lower-cased text; None if unknown.
        notes: what else a person should know, one line each.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    misfits: dict[str, str] = field(default_factory=dict)
    left_over: tuple[str, ...] = ()
    shape: str = ""
    hidden_act: str | None = None
    do_lower_case: bool | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The table."""
        rows = [
            ("model", [self.shape] if self.shape else []),
            ("loaded", [f"{len(self.loaded)} tensors"]),
            ("missing", grouped(self.missing, "freshly initialised")),
            ("does not fit", [f"{name}: {why}; freshly initialised" for name, why in self.misfits.items()]),
            ("left over", grouped(self.left_over, "not used")),
            ("activation", [_ACTIVATIONS.get(self.hidden_act or "unknown", self.hidden_act or "unknown")]),
            ("text", [_CASINGS[self.do_lower_case]]),
            ("notes", list(self.notes)),
        ]
        lines = [f"Weights from {self.source}"]
        for title, entries in rows:
            for i, entry in enumerate(entries or ["none"]):
                lines.append(f"  {title if i == 0 else '':<14}{entry}")
        return "\n".join(lines)


def grouped(tensors: Iterable[str], remark: str) -> list[str]:
    """Lines about tensors; those with the same place in every layer are one line."""
    groups = Counter(names.any_layer(name) for name in tensors)
    return [f"{name}{f' ({count} layers)' if count > 1 else ''}; {remark}" for name, count in groups.items()]


def some(tensors: Iterable[str]) -> str:
    """The first few names, for a message."""
    listed = sorted(tensors)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "") if listed else "none"
