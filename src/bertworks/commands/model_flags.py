"""The flags that say which model a command uses, and loading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bertworks.commands.common import Precision
from bertworks.flags import flag
from bertworks.progress import say

if TYPE_CHECKING:
    from bertworks.pretrained import Pretrained


@dataclass(kw_only=True)
class ModelFlags:
    """One flag for everyone, or the original's three."""

    model: str | None = flag(
        None,
        "The model: a name (`bert models` lists them), a folder, a zip, or a file, of TensorFlow, Hugging Face, "
        "GluonNLP or MindSpore.",
        group="Model",
        path="or name",
        alias="model_name_or_path",
    )
    vocab_file: str | None = flag(
        None, "The vocabulary, where none lies beside the weights.", group="Model", path=True, alias="vocab_file_path"
    )
    bert_config_file: str | None = flag(
        None, "The model's numbers in the original's JSON, where none lie beside the weights.", group="Model", path=True
    )
    init_checkpoint: str | None = flag(
        None,
        "The original's way to name the weights: --model, but no hub name.",
        group="Model",
        path="or name",
        alias="load_pretrain_checkpoint_path pretrained_bert_parameters",
    )
    do_lower_case: bool | None = flag(
        None,
        "Lower-case the text; by default what the model tells of itself, or else True.",
        group="Model",
        alias="do_lower",
    )
    hidden_act: Literal["gelu", "gelu_new", "relu", "tanh", "linear"] | None = flag(
        None, "Another activation than the model's: gelu is the erf form, gelu_new the tanh form.", group="Model"
    )


def load_model(flags: ModelFlags, device: str, precision: Precision = "fp32") -> Pretrained:
    """Load what the flags say, and say what was loaded.

    Raises:
        InputError: flags that contradict each other, or a model that cannot be loaded.
    """
    from bertworks.checkpoints.resolve import named_checkpoint
    from bertworks.pretrained import load

    pretrained = load(
        named_checkpoint(flags.model, flags.init_checkpoint),
        device=device,
        precision=precision,
        do_lower_case=flags.do_lower_case,
        hidden_act=flags.hidden_act,
        vocab_file=flags.vocab_file,
        bert_config_file=flags.bert_config_file,
    )
    say(str(pretrained.report))
    return pretrained
