"""The flags that several commands share: of the model and of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks import files
from bertworks.errors import InputError
from bertworks.flags import RETIRED, CommandFlags, describe, flag
from bertworks.progress import say

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class MachineFlags(CommandFlags):
    """The device, and the TPU flags of the original, which are accepted and have no effect."""

    device: str = flag(
        "auto", "The device: cpu, cuda, cuda:N, or auto: CUDA if there is one, else the CPU.", group="Machine"
    )
    use_tpu: bool = flag(False, "", group=RETIRED)
    tpu_name: str | None = flag(None, "", group=RETIRED)
    tpu_zone: str | None = flag(None, "", group=RETIRED)
    gcp_project: str | None = flag(None, "", group=RETIRED)
    master: str | None = flag(None, "", group=RETIRED)
    num_tpu_cores: int = flag(8, "", group=RETIRED)
    iterations_per_loop: int = flag(1000, "", group=RETIRED)


@dataclass(frozen=True, kw_only=True)
class ProcessFlags(MachineFlags):
    """The flags of commands that several processes run together."""

    process_timeout: float = flag(
        1800.0,
        "Seconds that a process waits for another one, which then counts as lost (several processes only).",
        group="Machine",
        above=0,
        highest=1e6,
    )
    plan: bool = flag(
        False, "Say what the training would take, memory, time and disk, and do not train.", group="What to do"
    )
    plan_steps: int = flag(
        0,
        "With --plan: take this many steps to measure the speed, and throw away what they learn.",
        group="What to do",
        lowest=0,
    )
    save_in_background: bool = flag(
        True,
        "Write checkpoints while training goes on; this takes host memory for a copy: 12 bytes a parameter.",
        group="Machine",
    )


def input_files(flags: CommandFlags) -> Iterator[tuple[str, Path]]:
    """Give the files that flags name, each with its flag, also those in folders; not those of the output."""
    for name, described in describe(type(flags)).items():
        value = getattr(flags, name)
        if not described.path or not isinstance(value, str) or name == "output_dir":
            continue
        try:
            paths = files.expand(value, name)
        except InputError:  # a name, or a mistake that the command will tell
            continue
        for path in paths:
            inside = sorted(path.rglob("*")) if path.is_dir() else [path]
            yield from ((name, file) for file in inside if file.is_file())


# Those of them that change nothing in what a run leaves.
NO_SETTINGS = ("process_timeout", "save_in_background", "plan", "plan_steps")


def warn_of_retired(flags: MachineFlags, device: torch.device) -> None:
    """Say which device is used if the command line asks for a TPU."""
    if flags.use_tpu or flags.tpu_name or flags.master:
        say(f"There is no TPU support: the TPU flags are ignored and {device} is used.")


@dataclass(frozen=True, kw_only=True)
class ModelFlags(CommandFlags):
    """One flag for everyone, or the original's three."""

    model: str | None = flag(
        None,
        "The model: a name (`bert models` lists them), a folder, a zip or a file, of TensorFlow, Hugging "
        "Face, GluonNLP or MindSpore.",
        group="Model",
        path="or name",
        alias="model_name_or_path",
    )
    vocab_file: str | None = flag(
        None, "The vocabulary, if there is none next to the weights.", group="Model", path=True, alias="vocab_file_path"
    )
    bert_config_file: str | None = flag(
        None,
        "The model's configuration in the original's JSON, if there is none next to the weights.",
        group="Model",
        path=True,
    )
    init_checkpoint: str | None = flag(
        None,
        "The weights, by the original's flag: as --model, but not a name of the Hugging Face hub.",
        group="Model",
        path="or name",
        alias="load_pretrain_checkpoint_path pretrained_bert_parameters",
    )
    do_lower_case: bool | None = flag(
        None,
        "Whether to lower-case the text; by default as the model says, or True if it does not say.",
        group="Model",
        alias="do_lower",
    )
    hidden_act: Literal["gelu", "gelu_new", "relu", "tanh", "linear"] | None = flag(
        None, "Use this activation instead of the model's: gelu is the erf form, gelu_new the tanh form.", group="Model"
    )
