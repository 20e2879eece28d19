"""The best evaluation of a run, its model kept beside the newest one; and when to stop hoping for a better one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from bertworks import files

_EVALUATIONS = "evaluations.json"


class Best:
    """Keeps `OUTPUT_DIR/best`: a model folder, and in `evaluations.json` the metric at every step that was evaluated.

    Attributes:
        folder: where.
        metric: the result that decides; of losses the lowest is best, of all else the highest.
    """

    def __init__(
        self, output_dir: Path, metric: str, write_model: Callable[[Path], None], patience: int | None = None
    ) -> None:
        """`patience` is after how many evaluations without a better one `enough` is true; None is never."""
        self.folder, self.metric = output_dir / "best", metric
        self._write_model, self._patience = write_model, patience
        self._values: dict[int, float] = {}

    @property
    def step(self) -> int | None:
        """The step with the best result, the first of equal ones."""
        sign = -1 if "loss" in self.metric else 1
        return max(self._values, key=lambda step: (sign * self._values[step], -step), default=None)

    @property
    def value(self) -> float | None:
        """The best result."""
        return None if self.step is None else self._values[self.step]

    @property
    def enough(self) -> bool:
        """Whether the last evaluations brought nothing better."""
        since = sum(step > (self.step or 0) for step in self._values)
        return self._patience is not None and self.step is not None and since >= self._patience

    def begin(self, first_step: int) -> None:
        """Go on from what an earlier process found up to `first_step`."""
        path = self.folder / _EVALUATIONS
        found = json.loads(path.read_text(encoding="utf-8")) if first_step and path.exists() else {}
        self._values = {int(step): value for step, value in found.items() if int(step) <= first_step}

    def add(self, step: int, results: Mapping[str, float]) -> None:
        """Take note of an evaluation; the model is written if it is the best so far."""
        self._values[step] = results[self.metric]
        text = json.dumps({str(at): value for at, value in sorted(self._values.items())}, indent=1) + "\n"
        if self.step != step:
            files.write_text(self.folder / _EVALUATIONS, text)
            return
        with files.folder_written_whole(self.folder) as folder:
            self._write_model(folder)
            (folder / _EVALUATIONS).write_text(text, encoding="utf-8")
