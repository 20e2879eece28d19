"""What every fine-tuning command shares: its flags, and what they follow where they are not given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bertworks.commands.common import MachineFlags, Precision
from bertworks.commands.flag_checks import check_training
from bertworks.commands.model_flags import ModelFlags
from bertworks.errors import InputError
from bertworks.flags import REQUIRED, RETIRED, describe, flag, was_given

if TYPE_CHECKING:
    from bertworks.config import BertConfig
    from bertworks.datasets.known_task import KnownTask
    from bertworks.train.distributed import World


# `tasks.datasets.names()`, written out because --help imports nothing.
TASK_NAMES = (
    "CoLA, SST-2, MRPC, STS-B, QQP, MNLI, MNLI-mm, QNLI, RTE, WNLI, AX, LCQMC, ChnSentiCorp, TNEWS, AFQMC, CMNLI, "
    "SWAG, CLUENER, CoNLL-2003, MSRA, ChineseNER, XNLI-ar, ..., XNLI-zh"
)


@dataclass(kw_only=True)
class FinetuningFlags(ModelFlags, MachineFlags):
    """The flags of every fine-tuning; names and defaults are the original's where it has them."""

    output_dir: str = flag(
        REQUIRED,
        "Where the model, its results and predictions go; continues there.",
        group="Output",
        path=True,
        alias="save_finetune_checkpoint_path",
    )
    max_seq_length: int = flag(
        128, "Longer texts are cut.", group="Input", lowest=3, alias="max_length max_len seq_length"
    )

    do_train: bool = flag(False, "Train on the training set.", group="What to do")
    do_eval: bool = flag(False, "Evaluate on the dev set.", group="What to do")
    do_predict: bool = flag(False, "Predict the test set.", group="What to do")

    train_batch_size: int = flag(
        32,
        "Examples of a step, whatever the memory.",
        group="Training",
        lowest=1,
        alias="batch_size per_device_train_batch_size",
    )
    learning_rate: float = flag(5e-5, "The peak of the learning rate.", group="Training", lowest=0, alias="lr")
    num_train_epochs: float = flag(
        3.0, "How often every example is seen.", group="Training", lowest=0, alias="epochs num_epochs epoch_num"
    )
    warmup_proportion: float = flag(
        0.1, "The share of the steps that warm up.", group="Training", lowest=0, highest=1, alias="warmup_ratio"
    )
    random_seed: int = flag(
        12345, "Decides fresh weights, order and dropout.", group="Training", lowest=0, alias="seed"
    )
    seeds: str | None = flag(
        None, "Several seeds, such as 1,2,3: trains with each, shows mean and spread, keeps the best.", group="Training"
    )
    optimizer: Literal["adam", "adamw"] = flag(
        "adam", "adam is the original's; adamw corrects.", group="Training", other_names={"bertadam": "adam"}
    )
    weight_decay: float = flag(0.01, "Decay of all but biases and LayerNorm.", group="Training", lowest=0)
    dropout: float | None = flag(None, "Another dropout than the model's.", group="Training", lowest=0, highest=0.9)
    freeze_layers: int = flag(
        0, "Leave the embeddings and so many layers as they are; -1: the embeddings only.", group="Training", lowest=-1
    )
    layerwise_lr_decay: float = flag(
        1.0, "Each layer learns so many times as fast as the one above it.", group="Training", above=0, highest=1
    )
    train_fraction: float = flag(1.0, "Train on a share of the examples.", group="Training", above=0, highest=1)
    gradient_checkpointing: bool = flag(False, "Spend time instead of memory.", group="Training")
    token_budget: int | None = flag(
        None, "Tokens of a micro-batch; by default from the device.", group="Training", lowest=1
    )

    eval_every: str | None = flag(
        None, "Evaluate every so many steps (100) or epochs (0.5); by default every epoch.", group="Evaluation"
    )
    early_stopping: int | None = flag(
        None,
        "Stop after so many evaluations without a better one.",
        group="Evaluation",
        lowest=1,
        alias="early_stop",
    )
    keep: Literal["best", "last"] = flag("best", "Which model the output folder ends with.", group="Evaluation")
    save_checkpoints_steps: int = flag(1000, "Steps between checkpoints.", group="Output", lowest=0, alias="save_steps")
    keep_checkpoint_max: int = flag(1, "Checkpoints to keep.", group="Output", lowest=1, alias="save_total_limit")
    log_every_steps: int = flag(
        10, "Steps between lines of metrics.jsonl.", group="Output", lowest=0, alias="logging_steps log_interval"
    )

    precision: Precision = flag("auto", "Of training: bf16, fp32; auto: what is fast.", group="Machine")
    eval_precision: Precision = flag("fp32", "Of evaluation and prediction.", group="Machine")
    eval_batch_size: int = flag(8, "", group=RETIRED, alias="per_device_eval_batch_size dev_batch_size")
    predict_batch_size: int = flag(8, "", group=RETIRED, alias="test_batch_size")


@dataclass(kw_only=True)
class TaskFlags(FinetuningFlags):
    """The flags that say where the data are, of a task known by name or your own."""

    task_name: str | None = flag(None, f"A task known by name (docs/tasks.md): {TASK_NAMES}.", group="Input")
    data_dir: str | None = flag(None, "The folder with its files as released.", group="Input", path=True)
    train_file: str | None = flag(
        None, "Your own data, to train on.", group="Input", path=True, alias="train_data_file_path"
    )
    dev_file: str | None = flag(
        None, "To evaluate on.", group="Input", path=True, alias="validation_file eval_data_file_path"
    )
    test_file: str | None = flag(None, "To predict.", group="Input", path=True)
    on_bad_row: Literal["error", "skip"] = flag("error", "What to do with a row that cannot be used.", group="Input")


def needed_splits(flags: FinetuningFlags) -> list[str]:
    """Which of train, dev and test the flags ask for.

    Raises:
        InputError: none; or the flags of training contradict each other.
    """
    check_training(flags)
    needed = {"train": flags.do_train, "dev": flags.do_eval, "test": flags.do_predict}
    if not any(needed.values()):
        raise InputError("give at least one of --do_train, --do_eval and --do_predict")
    return [split for split, needs in needed.items() if needs]


# How texts become sequences: what a trained model remembers of the flags.
_REMEMBERED = (
    *("max_seq_length", "long_text", "doc_stride", "max_query_length"),
    *("version_2_with_negative", "null_score_diff_threshold", "tighten_by_characters"),
)


def follow_training(flags: FinetuningFlags, config: BertConfig) -> None:
    """Where nothing is trained, read texts as the model was trained to, but for the flags that were given."""
    if flags.do_train:
        return
    known = describe(type(flags))
    for name in _REMEMBERED:
        if name not in known or was_given(flags, name):
            continue
        if (value := config.fine_tuned(name, known[name].kind)) is not None:
            setattr(flags, name, known[name].convert(str(value), f"config.json: fine_tuning: {name}"))


def follow_task(flags: FinetuningFlags, task: KnownTask | None, config: BertConfig, world: World) -> None:
    """Where a task known by name is trained, train as its table says, but for the flags that were given; say so."""
    if task is None or not flags.do_train or not task.settings.applied:
        return
    published = task.settings.flags
    published["max_seq_length"] = min(published["max_seq_length"], config.max_position_embeddings)
    new = {name: value for name, value in published.items() if not was_given(flags, name)}
    for name, value in new.items():
        setattr(flags, name, value)
    if new:
        said = " ".join(f"--{name}={value:g}" for name, value in new.items())
        world.say(f"{task.name}: trained as published ({task.settings.source}): {said}")


def remembering(flags: FinetuningFlags, config: BertConfig, **more: object) -> BertConfig:
    """The configuration with what `follow_training`, and prediction in Python, read from it."""
    names = {name: getattr(flags, name) for name in _REMEMBERED if getattr(flags, name, None) is not None}
    return replace(config, extra={**config.extra, "fine_tuning": {**names, **more}})
