"""`bert run_multiple_choice`: which of several ways to go on is right (SWAG)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.commands.classifying import run
from bertworks.commands.finetuning import FinetuningFlags, needed_splits
from bertworks.errors import InputError
from bertworks.flags import REQUIRED, flag

if TYPE_CHECKING:
    from bertworks.config import BertConfig
    from bertworks.tasks.classification.problem import Problem
    from bertworks.train.distributed import World


@dataclass(kw_only=True)
class Flags(FinetuningFlags):
    """Train, evaluate and use a model that chooses between ways to go on.

    bert run_multiple_choice --data_dir=swag --model=bert-base-uncased --output_dir=out --do_train --do_eval
    """

    task_name: str = flag("SWAG", "A task known by name.", group="Input")
    data_dir: str = flag(REQUIRED, "The folder with its files as released.", group="Input", path=True)
    on_bad_row: Literal["error", "skip"] = flag("error", "What to do with a row that cannot be used.", group="Input")


def main(flags: Flags) -> None:
    """Run the command."""
    run(flags, partial(_problem, flags))


def _problem(flags: Flags, config: BertConfig, world: World) -> Problem:
    """The data, as far as they are needed."""
    from bertworks.data.bad_rows import BadRows
    from bertworks.tasks import known_tasks as datasets
    from bertworks.tasks.classification import problem

    task = datasets.find(flags.task_name)
    if task.kind != "choice":
        raise InputError(f"--task_name={task.name}: has no choices; use bert run_classifier")
    bad = BadRows(flags.on_bad_row)
    found = problem.of_known_task(task, Path(flags.data_dir), needed_splits(flags), bad)
    for line in bad.summary():
        world.say(line)
    return found
