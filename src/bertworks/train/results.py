"""Write what training leaves in its output folder: the model, the results, and what must not change in the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from bertworks import files
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.config import BertConfig
from bertworks.text.tokenizer import Tokenizer
from bertworks.train import resume


def write_model(
    config: BertConfig,
    tokenizer: Tokenizer | None,
    architecture: str,
    folder: Path,
    weights: Mapping[str, Tensor],
    folded: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = lambda weights: {},
) -> None:
    """Write a model folder that everybody can open, with the weights of a `state_dict`.

    `folded` gives the tensors that are written otherwise than they are trained. They are also kept as they are, for a
    training that continues from this folder.
    """
    written = folded(weights)
    save_model_folder(folder, config, {**weights, **written}, architecture)
    if written:
        save_file({name: weights[name].contiguous().cpu() for name in written}, folder / resume.AS_TRAINED)
    if tokenizer is not None:
        tokenizer.save(folder, config.longest_sequence)


def write_results(
    output_dir: Path,
    results: Mapping[str, float],
    originals: Collection[str],
    *,
    name: str = "eval_results",
    as_json: bool = True,
) -> None:
    """Print results and write them to `name`.txt, the original's names first and sorted; and to a JSON file."""
    order = [*sorted(key for key in results if key in originals), *(key for key in results if key not in originals)]
    lines = [f"{key} = {results[key]}" for key in order]
    files.write_text(output_dir / f"{name}.txt", "\n".join(lines) + "\n")
    if as_json:
        ordered = {key: results[key] for key in order}
        files.write_text(output_dir / f"{name}.json", json.dumps(ordered, indent=2) + "\n")
    print(*(f"  {line}" for line in lines), sep="\n")


def steps_done(output_dir: Path) -> int:
    """Return the number of steps of the training in a folder; 0 if there is none."""
    done = resume.steps(output_dir)
    return done[-1][0] if done else 0


def finish(output_dir: Path, *, keep_model: bool) -> None:
    """Remove what only a training that goes on needs: the optimizer, and other checkpoints than the last.

    `state.json` tells that the training has ended, and with which settings. `keep_model` keeps the last model too.
    """
    found = resume.newest(output_dir)
    if found is None:
        return
    state = {**found.state, "files": {}, "finished": True}
    resume.write_state(found.folder, state)
    for step, folder in resume.steps(output_dir):
        if step < found.step:
            files.remove(folder)
    for path in found.folder.iterdir():
        if path.name == "optimizer.safetensors" or not (keep_model or path.name == "state.json"):
            path.unlink()


def begun_with(model: str | None, init_checkpoint: str | None) -> dict[str, object]:
    """Return the part of a run's identity that says which weights it began with."""
    named = {"--init_checkpoint": init_checkpoint, "--model": model}
    return {flag: files.absolute_unless_name(value) for flag, value in named.items()}


def shape_of(config: BertConfig, flag: str) -> dict[str, object]:
    """Return the part of a run's identity that says what the model is; `flag` is the flag to change."""
    return {f"{flag} ({name})": value for name, value in asdict(config).items() if name != "extra"}
