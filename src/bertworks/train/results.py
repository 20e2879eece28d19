"""Write what training leaves in its output folder: the model, the results, and what must not change in the run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from bertworks import files
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer
from bertworks.train import resume


def check_writable(output_dir: Path) -> None:
    """Make the output folder, and find out now, not after hours, whether files can be written there.

    Raises:
        InputError: they cannot.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass
    except OSError as error:
        raise InputError(f"--output_dir={output_dir}: cannot be written to ({error.strerror})") from None


def write_model(
    config: BertConfig, tokenizer: Tokenizer | None, architecture: str, folder: Path, weights: Mapping[str, Tensor]
) -> None:
    """Write a model folder that everybody can open, with the weights of a `state_dict`."""
    save_model_folder(folder, config, weights, architecture)
    if tokenizer is not None:
        tokenizer.save(folder, config.longest_sequence)


def write_results(
    output_dir: Path, results: Mapping[str, float], originals: Collection[str], *, as_json: bool = True
) -> None:
    """Print results and write them to eval_results.txt, the original's names first and sorted; and to a JSON file."""
    order = [*sorted(name for name in results if name in originals), *(n for n in results if n not in originals)]
    lines = [f"{name} = {results[name]}" for name in order]
    files.write_text(output_dir / "eval_results.txt", "\n".join(lines) + "\n")
    if as_json:
        ordered = {name: results[name] for name in order}
        files.write_text(output_dir / "eval_results.json", json.dumps(ordered, indent=2) + "\n")
    print(*(f"  {line}" for line in lines), sep="\n")


def steps_done(output_dir: Path) -> int:
    """Return the number of steps of the training in a folder; 0 if there is none."""
    done = resume.steps(output_dir)
    return done[-1][0] if done else 0


def begun_with(model: str | None, init_checkpoint: str | None) -> dict[str, object]:
    """Return the part of a run's identity that says which weights it began with."""
    named = {"--init_checkpoint": init_checkpoint, "--model": model}
    return {flag: files.absolute_unless_name(value) for flag, value in named.items()}


def shape_of(config: BertConfig, flag: str) -> dict[str, object]:
    """Return the part of a run's identity that says what the model is; `flag` is the flag to change."""
    return {f"{flag} ({name})": value for name, value in asdict(config).items() if name != "extra"}
