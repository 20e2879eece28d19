"""`bert run_multiple_choice`: choose the right one of several endings of a text (SWAG)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.finetuning.flags import FinetuningFlags
from bertworks.flags import REQUIRED, flag

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask
    from bertworks.finetuning.run import ReadJob
    from bertworks.job import Job, Setup


@dataclass(frozen=True, kw_only=True)
class Flags(FinetuningFlags):
    """Train, evaluate and use a model that chooses the right one of several endings of a text.

    bert run_multiple_choice --data_dir=swag --model=bert-base-uncased --output_dir=out --do_train --do_eval
    """

    shown_first = (
        "model output_dir do_train do_eval do_predict max_seq_length train_batch_size learning_rate "
        "num_train_epochs task_name data_dir"
    )

    task_name: str = flag("SWAG", "A task known by name.", group="Input")
    data_dir: str = flag(REQUIRED, "The folder with the task's files, as they were released.", group="Input", path=True)
    on_bad_row: Literal["error", "skip"] = flag("error", "What to do with a row that cannot be used.", group="Input")


def main(flags: Flags) -> None:
    """Run the command."""
    read = reader(flags)  # what is wrong with the flags is known before torch is imported
    from bertworks.finetuning.run import run

    run(flags, *read)


def reader(flags: Flags) -> tuple[ReadJob[Flags], KnownTask | None]:
    """Return what reads the data of these flags, and the task if it is known by name; refuse flags that clash."""
    from bertworks.datasets.registry import find_task
    from bertworks.finetuning.early import check_task

    task = find_task(flags.task_name)
    if task.kind != "choice":
        raise InputError(f"--task_name={task.name}: has no choices; use bert run_classifier")
    check_task(flags, task, flags.data_dir, {})
    from bertworks.data.bad_rows import BadRows
    from bertworks.tasks.classification.job import classification_job
    from bertworks.tasks.known_tasks import of_known_task

    def read(settings: Flags, setup: Setup) -> Job:
        bad = BadRows(settings.on_bad_row)
        problem = of_known_task(task, Path(settings.data_dir), setup.splits, bad)
        for line in bad.summary():
            setup.say(line)
        return classification_job(problem, setup)

    return read, task
