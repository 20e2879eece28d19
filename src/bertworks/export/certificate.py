"""The certificate of an export: what was compared, with what result, as JSON and as a page to read."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bertworks.export.parity import OutputError
from bertworks.files import sha256, write_text

CERTIFICATE = "parity.json"
PAGE = "parity.md"

_LIBRARIES = ("bertworks", "torch", "numpy", "onnx", "onnxruntime", "openvino")


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What was found out about the files of an export.

    Attributes:
        model: the name of what was exported.
        weights: a hash of its weights.
        architecture: Hugging Face's class.
        computed_by: the program that computed the exported model, with its version.
        errors: file -> output -> its differences from ours.
        shapes: the lengths of the sequences of each batch that was compared.
        limit: the largest difference allowed to float32, as a share of the largest value.
        data, data_sha256: what the metrics are of; None where nothing was measured.
        metrics: "torch" or a file -> the metrics by name.
        max_metric_drop: how far a metric may fall.
        notes: what the graph leaves out, a line each.
    """

    model: str
    weights: str
    architecture: str
    computed_by: str
    errors: Mapping[str, Mapping[str, OutputError]]
    shapes: Sequence[Sequence[int]]
    limit: float
    data: str | None
    data_sha256: str | None
    metrics: Mapping[str, Mapping[str, float]]
    max_metric_drop: float
    notes: Sequence[str]

    def write(self, folder: Path) -> None:
        """Write both files into the folder, whose other files are listed in them with their hashes."""
        files = {
            path.relative_to(folder).as_posix(): {"sha256": sha256(path), "bytes": path.stat().st_size}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        libraries = {name: found for name in _LIBRARIES if (found := _version(name))}
        values: dict[str, Any] = {
            **{key: value for key, value in asdict(self).items() if key != "errors"},
            "errors": {
                file: {
                    name: {**asdict(error), "mean": error.mean, "relative": error.relative}
                    for name, error in of.items()
                }
                for file, of in self.errors.items()
            },
            "python": platform.python_version(),
            "machine": platform.machine(),
            "libraries": libraries,
            "files": files,
        }
        write_text(folder / CERTIFICATE, json.dumps(values, indent=2) + "\n")
        write_text(folder / PAGE, self._page(files, libraries))

    def _page(self, files: Mapping[str, Mapping[str, Any]], libraries: Mapping[str, str]) -> str:
        tokens, batches = sum(map(sum, self.shapes)), len(self.shapes)
        longest = max((max(lengths) for lengths in self.shapes), default=0)
        lines = [
            f"# Parity of {self.model}",
            "",
            f"{self.architecture}, exported by bertworks. Every output was compared with that of the "
            f"original weights computed by torch in float32: {batches} batches of sequences of 1 to {longest} tokens, "
            f"{tokens:,} tokens in all, computed by {self.computed_by}.",
            "",
            *_table(
                ("file", "output", "largest difference", "mean difference", "largest value", "same best"),
                [
                    (file, name, f"{e.largest:.2g}", f"{e.mean:.2g}", f"{e.largest_value:.3g}", _share(e))
                    for file, of in self.errors.items()
                    for name, e in of.items()
                ],
            ),
            "",
            f"A float32 file is refused if a difference is above {self.limit:g} of the largest value. Same best: the "
            "share of rows whose largest number is the same one. The tokens are spread over the vocabulary and make no "
            "text, on which int8 is further off than on text.",
            "",
        ]
        if self.metrics:
            names = list(next(iter(self.metrics.values())))
            lines += [
                f"## On {self.data}",
                "",
                *_table(
                    ("computed", *names),
                    [(file, *(f"{of[name]:.4f}" for name in names)) for file, of in self.metrics.items()],
                ),
                "",
                f"A file is refused if a metric falls by more than {self.max_metric_drop:g}.",
                "",
            ]
        lines += [f"- {note}" for note in self.notes] + [""] * bool(self.notes)
        lines += [
            "## Files",
            "",
            *_table(
                ("file", "bytes", "SHA-256"),
                [(name, f"{values['bytes']:,}", str(values["sha256"])) for name, values in files.items()],
            ),
            "",
            f"Weights: SHA-256 {self.weights}. Libraries: {_listed(libraries)}; Python {platform.python_version()}, "
            f"{platform.machine()}. The same numbers for programs are in {CERTIFICATE}.",
            "",
        ]
        return "\n".join(lines)


def _listed(libraries: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in libraries.items())


def _share(error: OutputError) -> str:
    return f"{error.same_best / error.rows:.2%}" if error.rows else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of Markdown."""
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except Exception:  # not installed
        return None
