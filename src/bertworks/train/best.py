"""The best model of a run, which decides when to stop, and which the output folder holds at the end.

OUTPUT_DIR/best/                               a model folder, and
evaluations.json                           the deciding metric at every step that was evaluated
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from bertworks import files
from bertworks.errors import damage_named
from bertworks.train.resume import WriteModel

_EVALUATIONS = "evaluations.json"


class Best:
    """The best evaluation of a run so far; its model is kept in `OUTPUT_DIR/best`.

    Attributes:
        metric: the result that decides. The lowest loss is best, and the highest value of any other metric.
    """

    def __init__(self, output_dir: Path, metric: str, write_model: WriteModel, patience: int | None = None) -> None:
        """Set up; after `patience` evaluations without a better result training should stop (None: never)."""
        self.folder, self.metric = output_dir / "best", metric
        self._write_model, self._patience = write_model, patience
        self._values: dict[int, float] = {}

    @property
    def step(self) -> int | None:
        """The step with the best result, the first of equal results."""
        sign = -1 if "loss" in self.metric else 1
        return max(self._values, key=lambda step: (sign * self._values[step], -step), default=None)

    @property
    def value(self) -> float | None:
        """The best result."""
        return None if self.step is None else self._values[self.step]

    @property
    def should_stop(self) -> bool:
        """Whether the last `patience` evaluations brought no better result."""
        since = sum(step > (self.step or 0) for step in self._values)
        return self._patience is not None and self.step is not None and since >= self._patience

    def begin(self, first_step: int) -> None:
        """Read the results that an earlier process had up to `first_step`."""
        path = self.folder / _EVALUATIONS
        if not first_step or not path.exists():
            self._values = {}
            return
        with damage_named(path, "restore it, or give another --output_dir to train again"):
            found = json.loads(path.read_bytes())
            self._values = {int(step): float(value) for step, value in found.items() if int(step) <= first_step}

    def add(self, step: int, results: Mapping[str, float]) -> None:
        """Record the results of an evaluation."""
        self._values[step] = results[self.metric]

    def writing(self, weights: Mapping[str, Tensor]) -> Callable[[], None]:
        """Return what writes the results so far and, if the last one is the best, the model with these weights."""
        values = {str(number): value for number, value in sorted(self._values.items())}
        text, is_best = json.dumps(values, indent=1) + "\n", self.step == max(self._values, default=None)

        def write() -> None:
            if not is_best:
                files.write_text(self.folder / _EVALUATIONS, text)
                return
            with files.folder_written_whole(self.folder) as folder:
                self._write_model(folder, weights)
                (folder / _EVALUATIONS).write_text(text, encoding="utf-8")

        return write
