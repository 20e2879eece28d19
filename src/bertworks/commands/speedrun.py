"""`bert speedrun`: from text to the best BERT that a given time allows, by the commands that a person would type."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bertworks import files
from bertworks.errors import InputError
from bertworks.flags import REQUIRED, CommandFlags, flag, parse
from bertworks.typed import title, typed

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask

# On a GPU: a BERT-Base as in published runs of hours (batches of 4,096 of 128 tokens). On CPU the ledger's row decides.
_ON_GPU = {"size": "base", "train_batch_size": 4096, "max_seq_length": 128}


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """From text to a BERT in a given time, with its plan first and its GLUE scores last.

    A vocabulary, shards, pre-training with --recipe=auto, and a fine-tuning with several seeds on every GLUE task that
    --glue_dir holds. Everything is recorded in OUTPUT_DIR/speedrun.json. If it was killed, run it again: every step
    continues where it stopped.
    """

    input_file: str = flag(REQUIRED, "Text files, as create_pretraining_data takes them.", group="Input", path=True)
    eval_input_file: str | None = flag(
        None,
        "Held-out text files; by default the evaluation is on --input_file, and says so.",
        group="Input",
        path=True,
    )
    vocab_file: str | None = flag(None, "The vocabulary; by default one is learned.", group="Input", path=True)
    vocab_size: int = flag(30522, "How many pieces a learned vocabulary has.", group="Input", lowest=200)
    output_dir: str = flag("speedrun", "The folder for everything.", group="Output", path="written folder")
    max_hours: float = flag(1.0, "The hours of pre-training.", group="Training", above=0)
    device: str = flag("auto", "The device: cpu, cuda, cuda:N, or auto.", group="Training")
    size: str | None = flag(
        None, "The model: a name or layers/hidden; by default base on a GPU, else as the ledger says.", group="Training"
    )
    train_batch_size: int | None = flag(
        None, "Instances of a step; by default 4096 on a GPU, else as the ledger says.", group="Training", lowest=1
    )
    max_seq_length: int | None = flag(
        None, "The longest instance; by default 128 on a GPU, else as the ledger says.", group="Training", lowest=5
    )
    random_seed: int = flag(12345, "The seed of pre-training.", group="Training", lowest=0)
    num_workers: int = flag(1, "Processes that prepare the data.", group="Training", lowest=1)
    glue_dir: str | None = flag(
        None, "A folder of GLUE's tasks (CoLA, MRPC, ...); without it nothing is fine-tuned.", group="GLUE", path=True
    )
    seeds: str = flag("1,2,3,4,5", "Seeds of each fine-tuning.", group="GLUE")
    num_train_epochs: float = flag(3.0, "Epochs of each fine-tuning.", group="GLUE", above=0)
    price_per_hour: float | None = flag(
        None, "What an hour of the machine costs, for the plan.", group="Plan", lowest=0
    )
    plan: bool = flag(False, "Prepare the data, measure a few steps, print the plan, and stop.", group="Plan")


def main(flags: Flags) -> None:
    """Run all steps."""
    _check(flags)
    from bertworks.commands import create_pretraining_data, learn_vocab, run_pretraining
    from bertworks.model.device import choose_device

    output, device = Path(flags.output_dir), choose_device(flags.device)
    vocab = Path(flags.vocab_file or output / "vocab.txt")
    if not flags.vocab_file:
        title("1. Learn a vocabulary")
        words = (f"--input_file={flags.input_file}", f"--output_file={vocab}", f"--vocab_size={flags.vocab_size}")
        typed(learn_vocab, *words)
    title("2. Write token shards")
    texts = {"shards": flags.input_file} | ({"eval_shards": flags.eval_input_file} if flags.eval_input_file else {})
    for folder, text in texts.items():
        words = (f"--input_file={text}", f"--vocab_file={vocab}", f"--output_dir={output / folder}")
        typed(create_pretraining_data, *words, f"--num_workers={flags.num_workers}")
    title("3. Plan")
    if not flags.eval_input_file:
        print("No --eval_input_file: the evaluation is on the text of the training.")
    pretraining = _pretraining(flags, output, device.type == "cuda")
    try:
        typed(run_pretraining, *pretraining, "--plan")
    except SystemExit as planned:
        if planned.code:
            raise
    for name, text in _plan(flags).items():
        print(f"  {name:<22} {text}")
    if flags.plan:
        return
    title("4. Pre-train")
    typed(run_pretraining, *pretraining)
    title("5. GLUE")
    scores = _glue(flags, output)
    results = [line.split(" = ") for line in (output / "model" / "eval_results.txt").read_text().splitlines()]
    record = {
        "plan": {**_plan(flags), **json.loads((output / "model" / "recipe.json").read_text(encoding="utf-8"))},
        "pretraining": {name: float(value) for name, value in results},
        "glue": scores,
        "command": [
            f"--{name}={value}" for name, value in vars(flags).items() if name != "given" and value is not None
        ],
    }
    files.write_text(output / "speedrun.json", json.dumps(record, indent=1) + "\n")
    title(f"The model: {output / 'model'}; all of the run: {output / 'speedrun.json'}")


def _check(flags: Flags) -> None:
    """Refuse now what a later step would refuse after hours of pre-training.

    Raises:
        InputError: a file or a folder is not there, --glue_dir holds no task, or --seeds are no numbers.
    """
    from bertworks.commands import run_classifier
    from bertworks.datasets.registry import locate_split
    from bertworks.finetuning.flags import seeds_of

    files.expand(flags.input_file, "--input_file")
    if flags.eval_input_file:
        files.expand(flags.eval_input_file, "--eval_input_file")
    if flags.vocab_file and not Path(flags.vocab_file).is_file():
        raise InputError(f"--vocab_file={flags.vocab_file}: no such file")
    if flags.glue_dir and not Path(flags.glue_dir).is_dir():
        raise InputError(f"--glue_dir={flags.glue_dir}: no such folder")
    found = _glue_tasks(flags)
    if flags.glue_dir and not found:
        raise InputError(
            f"--glue_dir={flags.glue_dir}: has no folder of a task, such as MRPC; give GLUE's, or leave it out"
        )
    for folder, task in found.items():
        try:
            for split in ("train", "dev"):
                locate_split(task, folder, split)
        except InputError as missing:
            raise InputError(f"--glue_dir={flags.glue_dir}: {missing}") from None
    words = [f"--seeds={flags.seeds}", f"--output_dir={flags.output_dir}"]
    seeds_of(parse(run_classifier.Flags, words, "bert speedrun"))
    # Last, because it makes the folder.
    files.check_writable(Path(flags.output_dir))


def _glue_tasks(flags: Flags) -> dict[Path, KnownTask]:
    """Return the folders of --glue_dir that bear the name of a task that can be trained and evaluated, and the tasks.

    GLUE's diagnostic set, AX, has no training set. A folder of data may hold other kinds of tasks too.
    """
    from bertworks.datasets.registry import split_names, tasks

    known = {
        task.name: task
        for task in tasks()
        if task.kind in ("single", "regression") and split_names(task, "train") and split_names(task, "dev")
    }
    folders = sorted(Path(flags.glue_dir).iterdir()) if flags.glue_dir else []
    return {folder: known[folder.name] for folder in folders if folder.name in known}


def _pretraining(flags: Flags, output: Path, on_gpu: bool) -> list[str]:
    """Return the command line of the pre-training."""
    usual = _ON_GPU if on_gpu else {}
    shape = {name: getattr(flags, name) or usual.get(name) for name in _ON_GPU}
    evaluated = [f"--eval_input_file={output / 'eval_shards'}"] if flags.eval_input_file else []
    return [
        *(f"--input_file={output / 'shards'}", *evaluated, f"--output_dir={output / 'model'}"),
        *("--do_train", "--do_eval", "--recipe=auto", f"--max_hours={flags.max_hours:g}"),
        *(f"--device={flags.device}", f"--random_seed={flags.random_seed}"),
        *(f"--{name}={value}" for name, value in shape.items() if value is not None),
    ]


def _plan(flags: Flags) -> dict[str, str]:
    """Return what the plan of the training does not have: its hours, its price and its score."""
    price = f"{flags.max_hours * flags.price_per_hour:.2f}" if flags.price_per_hour else "not known (--price_per_hour)"
    return {
        "hours": f"{flags.max_hours:g} of pre-training; data and GLUE are not counted",
        "price": price,
        "score": "not measured for this recipe; others reach 79.6 on GLUE's dev sets in 9 A100-hours (MosaicBERT-Base)",
    }


def _glue(flags: Flags, output: Path) -> dict[str, object]:
    """Fine-tune on every task of --glue_dir; return task -> its metric, its value for each seed, and their mean."""
    from bertworks.commands import run_classifier

    found: dict[str, object] = {}
    for folder in _glue_tasks(flags):
        target = output / "glue" / folder.name
        words = (f"--task_name={folder.name}", f"--data_dir={folder}", f"--model={output / 'model'}")
        more = (f"--output_dir={target}", f"--seeds={flags.seeds}", f"--num_train_epochs={flags.num_train_epochs:g}")
        typed(run_classifier, *words, *more, "--do_train", "--do_eval", f"--device={flags.device}")
        found[folder.name] = json.loads((target / "seeds.json").read_text(encoding="utf-8"))
    if not found:
        print("Nothing to fine-tune on: give --glue_dir, a folder with GLUE's tasks.")
    return found
