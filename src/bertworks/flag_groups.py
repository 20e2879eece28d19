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

Precision = Literal["auto", "fp32", "bf16", "int8"]
TrainingPrecision = Literal["auto", "fp32", "bf16", "fp16"]

# The help of the precision of what is computed without training.
PRECISION = (
    "What to compute in: fp32, bf16, int8 (products of 8-bit integers, on CPU only), or auto: bf16 if the hardware "
    "multiplies it natively."
)


@dataclass(frozen=True, kw_only=True)
class MachineFlags(CommandFlags):
    """The device, and the TPU flags of the original, which are accepted and have no effect."""

    device: str = flag(
        "auto",
        "The device: cpu, cuda, cuda:N, or auto: CUDA if there is one, else the CPU.",
        group="Machine",
        alias="gpu gpus cuda",
        bare="cuda",
        other_names={"true": "cuda", "false": "cpu", "-1": "cpu", **{str(n): f"cuda:{n}" for n in range(16)}},
    )
    verbose: bool = flag(False, "Show what happened to every tensor of the model.", group="Machine")
    use_tpu: bool = flag(False, "", group=RETIRED)
    tpu_name: str | None = flag(None, "", group=RETIRED)
    tpu_zone: str | None = flag(None, "", group=RETIRED)
    gcp_project: str | None = flag(None, "", group=RETIRED)
    master: str | None = flag(None, "", group=RETIRED)
    num_tpu_cores: int = flag(8, "", group=RETIRED)
    iterations_per_loop: int = flag(1000, "", group=RETIRED)


@dataclass(frozen=True, kw_only=True)
class TrainingMachineFlags(MachineFlags):
    """What training computes in, what it does when memory is short, and how its processes work together."""

    precision: TrainingPrecision = flag(
        "auto",
        "What training computes in: bf16, fp32, fp16 (scales its loss; for GPUs without bf16), or auto: bf16 if the "
        "hardware multiplies it natively.",
        group="Machine",
    )
    gradient_checkpointing: bool = flag(
        False,
        "Compute each block again in the backward pass: a third more work, a fraction of the memory.",
        group="Machine",
    )
    optimizer_bits: Literal["32", "8"] = flag(
        "32", "Bits of the optimizer's moments of large matrices: 8 takes a quarter of their memory.", group="Machine"
    )
    compile: bool = flag(
        False,
        "On CUDA, compile the blocks: faster steps after a first one that takes a minute or more.",
        group="Machine",
    )
    deterministic: bool = flag(
        False,
        "On CUDA, use only kernels that give the same bits each time, which are slower. On CPU bits are always equal.",
        group="Machine",
    )
    token_budget: int | None = flag(
        None,
        "The most tokens in a micro-batch; by default by the memory that is free at the first start. Results differ by "
        "rounding only.",
        group="Machine",
        lowest=1,
    )
    process_timeout: float = flag(
        1800.0,
        "Seconds that a process waits for another one, which then counts as lost (several processes only).",
        group="Machine",
        above=0,
        highest=1e6,
    )
    fsdp: bool = flag(
        False,
        "Several processes: each keeps a part of the optimizer's states and of the weights (torch's FSDP2).",
        group="Machine",
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


def check_sharing(flags: TrainingMachineFlags) -> None:
    """Refuse what processes that share out the optimizer's states cannot do.

    Raises:
        InputError: `--optimizer_bits=8` beside `--fsdp`.
    """
    if flags.fsdp and flags.optimizer_bits != "32":
        raise InputError(f"--optimizer_bits={flags.optimizer_bits}: not with --fsdp; leave one of them out")


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


def input_bytes(flags: CommandFlags) -> int:
    """Return the size of the files of data among `input_files`, without those of models."""
    kinds = describe(type(flags))
    return sum(file.stat().st_size for name, file in input_files(flags) if kinds[name].path != "or name")


# Flags of training that change nothing in what a run leaves.
NO_SETTINGS = ("verbose", "process_timeout", "save_in_background", "plan", "plan_steps", "fsdp")


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
        None,
        "The vocabulary, if there is none next to the weights: a file, a folder, a zip, or the name of a model.",
        group="Model",
        path="or name",
        alias="vocab_file_path",
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


@dataclass(frozen=True, kw_only=True)
class TextFlags(ModelFlags, MachineFlags):
    """The texts that a model is used on, from the command line, files or standard input; and where the results go."""

    text: str | None = flag(None, "A text; - is standard input.", group="Input", positional=True)
    input_file: str | None = flag(
        None,
        "Files of texts, paths and globs with commas between: one text on each line, or tables (.csv, .tsv, .json, "
        ".jsonl, .parquet); - is standard input.",
        group="Input",
        path=True,
    )
    text_column: str | None = flag(
        None, "In tables: the column of the text, by name or number (from 0); by default found.", group="Input"
    )
    encoding: str | None = flag(
        None,
        "The encoding of files, such as utf-8, cp1252, gb18030; by default UTF-8, or what a byte order mark says.",
        group="Input",
    )
    separator: str | None = flag(
        None, "In tables: what separates the fields, a character, or tab; by default found.", group="Input"
    )
    output_file: str | None = flag(
        None, "Write to this file instead of standard output.", group="Output", path="written"
    )
    precision: Precision = flag("fp32", PRECISION, group="Machine")


def numbers_of_layers(text: str) -> tuple[int, ...]:
    """Return the numbers of a comma-separated list."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise InputError(f"--layers={text}: give numbers such as -1,-2,-3,-4") from None
