"""The flags that several commands share: of the model and of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bertworks.flags import RETIRED, CommandFlags, flag
from bertworks.progress import say

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "int8"]
TrainingPrecision = Literal["auto", "fp32", "bf16", "fp16"]


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
class TrainingMachineFlags(MachineFlags):
    """What training computes in, and what it does when memory is short."""

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
