"""The flags that all fine-tunings share, and the checks that need nothing but the flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.flag_groups import ModelFlags, Precision, TrainingMachineFlags, check_sharing
from bertworks.flags import REQUIRED, RETIRED, describe, flag

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask

# `registry.task_names()` by the command that trains them, written out because --help imports nothing.
TASK_NAMES = (
    "CoLA, SST-2, MRPC, STS-B, QQP, MNLI, MNLI-mm, QNLI, RTE, WNLI, AX, LCQMC, ChnSentiCorp, TNEWS, AFQMC, CMNLI, "
    "XNLI-ar, ..., XNLI-zh"
)
TAG_TASK_NAMES = "CLUENER, CoNLL-2003, MSRA, ChineseNER"


@dataclass(frozen=True, kw_only=True)
class FinetuningFlags(ModelFlags, TrainingMachineFlags):
    """The flags of every fine-tuning; names and defaults are the original's where it has them."""

    output_dir: str = flag(
        REQUIRED,
        "The folder for the model, its results and its predictions. An interrupted training there continues.",
        group="Output",
        path="written folder",
        alias="save_finetune_checkpoint_path",
    )
    max_seq_length: int = flag(
        128,
        "The longest sequence, in tokens; longer texts are cut.",
        group="Input",
        lowest=3,
        alias="max_length max_len seq_length",
        remembered=True,
    )

    do_train: bool = flag(False, "Train on the training set.", group="What to do")
    do_eval: bool = flag(False, "Evaluate on the dev set.", group="What to do")
    do_predict: bool = flag(False, "Predict the test set.", group="What to do")

    train_batch_size: int = flag(
        32,
        "Examples in each training step, however many of them fit into memory at a time.",
        group="Training",
        lowest=1,
        alias="batch_size per_device_train_batch_size",
    )
    learning_rate: float = flag(5e-5, "The peak of the learning rate.", group="Training", lowest=0, alias="lr")
    num_train_epochs: float = flag(
        3.0, "How many times to train on each example.", group="Training", lowest=0, alias="epochs num_epochs epoch_num"
    )
    warmup_proportion: float = flag(
        0.1,
        "The share of the steps in which the learning rate rises to its peak.",
        group="Training",
        lowest=0,
        highest=1,
        alias="warmup_ratio",
    )
    random_seed: int = flag(
        12345,
        "The seed of new weights, of the order of the examples and of dropout.",
        group="Training",
        lowest=0,
        alias="seed",
    )
    seeds: str | None = flag(
        None,
        "Several seeds, such as 1,2,3: train with each, show the mean and the spread, keep the best model.",
        group="Training",
    )
    optimizer: Literal["adam", "adamw"] = flag(
        "adam",
        "adam is the original's, without bias correction; adamw has it.",
        group="Training",
        other_names={"bertadam": "adam"},
    )
    weight_decay: float = flag(0.01, "Decay of all weights but biases and LayerNorm.", group="Training", lowest=0)
    dropout: float | None = flag(
        None, "Train with this dropout instead of the model's.", group="Training", lowest=0, highest=0.9
    )
    freeze_layers: int = flag(
        0,
        "Do not train the embeddings and the lowest layers, this many; -1: only the embeddings; 0: train everything.",
        group="Training",
        lowest=-1,
    )
    layerwise_lr_decay: float = flag(
        1.0,
        "The learning rate of a layer as a share of that of the layer above it.",
        group="Training",
        above=0,
        highest=1,
    )
    train_fraction: float = flag(1.0, "Train on this share of the examples.", group="Training", above=0, highest=1)

    eval_every: str | None = flag(
        None, "Evaluate after this many steps (100) or epochs (0.5); by default after every epoch.", group="Evaluation"
    )
    early_stopping: int | None = flag(
        None,
        "Stop after this many evaluations in a row without a better one.",
        group="Evaluation",
        lowest=1,
        alias="early_stop",
    )
    keep: Literal["best", "last"] = flag(
        "best", "The model that the output folder holds at the end.", group="Evaluation"
    )
    save_checkpoints_steps: int = flag(1000, "Steps between checkpoints.", group="Output", lowest=0, alias="save_steps")
    keep_checkpoint_max: int = flag(
        1, "How many checkpoints to keep.", group="Output", lowest=1, alias="save_total_limit"
    )
    log_every_steps: int = flag(
        10, "Steps between lines of metrics.jsonl.", group="Output", lowest=0, alias="logging_steps log_interval"
    )

    eval_precision: Precision = flag(
        "fp32", "What evaluation and prediction compute in; int8 on CPU only.", group="Machine"
    )
    eval_batch_size: int = flag(8, "", group=RETIRED, alias="per_device_eval_batch_size dev_batch_size")
    predict_batch_size: int = flag(8, "", group=RETIRED, alias="test_batch_size")


@dataclass(frozen=True, kw_only=True)
class TaskFlags(FinetuningFlags):
    """The flags that say where the data are, of a task known by name or your own."""

    task_name: str | None = flag(None, f"A task known by name (docs/tasks.md): {TASK_NAMES}.", group="Input")
    data_dir: str | None = flag(
        None, "The folder with the task's files, as they were released.", group="Input", path=True
    )
    train_file: str | None = flag(
        None, "Your own data, to train on.", group="Input", path=True, alias="train_data_file_path"
    )
    dev_file: str | None = flag(
        None, "Your own data, to evaluate on.", group="Input", path=True, alias="validation_file eval_data_file_path"
    )
    test_file: str | None = flag(None, "Your own data, to predict.", group="Input", path=True)
    on_bad_row: Literal["error", "skip"] = flag("error", "What to do with a row that cannot be used.", group="Input")

    @property
    def files(self) -> dict[str, str]:
        """The files that are given, by split; of record files, paths and globs with commas between."""
        given = {"train": self.train_file, "dev": self.dev_file, "test": self.test_file}
        return {split: file for split, file in given.items() if file}

    def known_task(self, *, tags: bool) -> KnownTask | None:
        """Return the task that --task_name names, if it is given.

        Args:
            tags: whether the command wants a task of tags.

        Raises:
            InputError: there is no such task, or it is one of another kind; other flags say where its data are, or
                none does.
        """
        from bertworks.datasets.registry import find_task  # noqa: PLC0415  (--help imports nothing)

        if not self.task_name:
            return None
        if self.files:
            raise InputError(
                f"--task_name and --{next(iter(self.files))}_file: give one of them; each says where the data are"
            )
        task = find_task(self.task_name)
        if tags and task.kind != "tags":
            raise InputError(f"--task_name={task.name}: has no tags; use bert run_classifier")
        if task.kind == "tags" and not tags:
            raise InputError(f"--task_name={task.name}: tags words; use bert run_ner")
        if not self.data_dir:
            raise InputError(f"--data_dir: must be given; it is the folder with the files of {task.name}")
        return task


def wanted_splits(flags: FinetuningFlags) -> list[str]:
    """Return those of train, dev and test that the flags ask for.

    Raises:
        InputError: they ask for none; or the flags of training contradict each other.
    """
    check_training(flags)
    wanted = {"train": flags.do_train, "dev": flags.do_eval, "test": flags.do_predict}
    if not any(wanted.values()):
        raise InputError("give at least one of --do_train, --do_eval and --do_predict")
    return [split for split, asked in wanted.items() if asked]


# More steps lie between no evaluations.
_MOST_STEPS = 1e18


def check_training(flags: FinetuningFlags) -> None:
    """Refuse flags of training that mean nothing, or contradict each other.

    Raises:
        InputError: names the flag.
    """
    if not flags.do_train:
        if flags.plan:
            raise InputError("--plan: is the plan of a training; give --do_train too")
        return
    check_sharing(flags)
    steps_between(flags.eval_every, 1.0)
    if flags.seeds is not None:
        seeds_of(flags)
    for name in ("seeds", "early_stopping"):
        if getattr(flags, name) is not None and not flags.do_eval:
            raise InputError(f"--{name}: needs a dev set to compare on; give --do_eval")
    if flags.early_stopping is not None and flags.keep == "last":
        raise InputError("--early_stopping and --keep=last: the last model is not the best one; leave out --keep=last")


def seeds_of(flags: FinetuningFlags) -> list[int]:
    """Return the seeds of `--seeds`, each once.

    Raises:
        InputError: they are not whole numbers as `--random_seed` takes them.
    """
    assert flags.seeds is not None
    seed = describe(type(flags))["random_seed"]
    try:
        seeds = [seed.convert(part, "") for part in flags.seeds.split(",")]
    except InputError as problem:
        reason = str(problem).removeprefix(": ")
        raise InputError(f"--seeds={flags.seeds}: {reason}; give numbers with commas between, such as 1,2,3") from None
    return list(dict.fromkeys(seeds))


def steps_between(every: str | None, steps_of_epoch: float) -> int:
    """Return the number of steps between evaluations. `--eval_every` gives steps, or epochs if it has a decimal point.

    Raises:
        InputError: it is no such number, or not above 0.
    """
    if every is None:
        return max(1, round(steps_of_epoch))
    try:
        number = float(every) if "." in every else int(every)
    except ValueError:
        number = 0
    if not 0 < number < _MOST_STEPS:
        raise InputError(f"--eval_every={every}: give steps, such as 100, or epochs, such as 0.5")
    return max(1, round(steps_of_epoch * number)) if isinstance(number, float) else number
