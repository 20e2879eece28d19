"""What a contestant's process is asked to prepare, and what it prepares. Nothing here needs more than Python."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process is to prepare.

    Attributes:
        module: of this package, which knows the library.
        work: pretrain, classify, span, predict, encode, latency, serve, tokenize_cold, tokenize_warm, shards or
            records.
        folder: the shared inputs: `model/`, `batch.npz`, `texts.json`, whatever the work needs.
        setting: best or defaults, or another that the module knows.
        precision: fp32, bf16 or int8.
        device: cpu, cuda or cuda:N.
        threads: the threads to compute with.
        max_seq_length: longer texts are cut; what pads to a fixed length pads to this.
        product: rows, inputs and outputs of the network's largest matrix product.
        options: what only one work or one peer needs, by name.
    """

    module: str
    work: str
    folder: str
    setting: str
    precision: str
    device: str
    threads: int
    max_seq_length: int
    product: tuple[int, int, int] = (1024, 768, 3072)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> Path:
        """The model's folder."""
        return Path(self.folder) / "model"

    @property
    def limit(self) -> int:
        """The threads that a library with settings of its own must be told; 0 where it may take all processors."""
        return self.threads if self.threads < (os.cpu_count() or 1) else 0

    def texts(self) -> list[str]:
        """Return the texts to encode."""
        texts: list[str] = json.loads((Path(self.folder) / "texts.json").read_text(encoding="utf-8"))
        return texts

    def to_json(self) -> str:
        """Return the order as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Order:
        """Read what `to_json` gave."""
        values = json.loads(line)
        return cls(**{**values, "product": tuple(values["product"])})


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Work that is ready to be measured.

    Attributes:
        version: of the library, as the table shows it.
        settings: how it is set, in a few words for the table.
        one_pass: does the work once; it gets the number of the pass. What it returns is not used.
        answers: computes what the work gives, as an array or a list of rows, to be compared with ours.
        before: called before each pass, and not measured.
        padded_tokens: what it computes in a pass, padding included; 0 if that is not known.
        precision: what it computes in; "" is what was ordered.
        value: gives a number to report of the passes since it was last called: their loss.
        latencies: gives the seconds of each request of the last pass, where a pass has requests.
        memory: gives the most bytes that were in use, where another process computes; 0 if the system does not tell.
        close: ends what was started.
    """

    version: str
    settings: str
    one_pass: Callable[[int], object]
    answers: Callable[[], Any]
    before: Callable[[], object] = lambda: None
    padded_tokens: int = 0
    precision: str = ""
    value: Callable[[], float | None] = lambda: None
    latencies: Callable[[], list[float]] = list
    memory: Callable[[], int] | None = None
    close: Callable[[], object] = lambda: None
