"""`bert convert_checkpoint`: convert a BERT of any format to a model folder or to a TensorFlow checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bertworks.flags import REQUIRED, CommandFlags, flag

if TYPE_CHECKING:
    from bertworks.checkpoints.convert import Conversion
    from bertworks.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Write a BERT of any format as a model folder (Hugging Face's layout) or as a TensorFlow checkpoint.

    The result is read back and compared with its source. The optimizer's variables are left out.
    """

    src: str = flag(
        REQUIRED,
        "The model, of TensorFlow, Hugging Face, GluonNLP or MindSpore: a name (`bert models` lists them), a folder, a "
        "zip or a file.",
        group="Input",
        path="or name",
        positional=True,
    )
    vocab_file: str | None = flag(
        None, "The vocabulary, if there is none next to the weights.", group="Input", path=True
    )
    bert_config_file: str | None = flag(
        None,
        "The model's configuration in the original's JSON, if there is none next to the weights.",
        group="Input",
        path=True,
    )
    do_lower_case: bool | None = flag(
        None,
        "Whether the model's text is lower-cased; by default as the model says, or True if it does not say.",
        group="Input",
        alias="do_lower",
    )
    hidden_act: Literal["gelu", "gelu_new", "relu", "tanh", "linear"] | None = flag(
        None,
        "Use this activation instead of the model's: gelu is the erf form, gelu_new the tanh form.",
        group="Input",
    )

    dst: str = flag(
        REQUIRED,
        "The folder to write: a new one, an empty one, or one of an earlier conversion.",
        group="Output",
        path="written",
        positional=True,
    )
    format: Literal["huggingface", "tensorflow"] = flag(
        "huggingface",
        "huggingface: config.json and model.safetensors; tensorflow: bert_config.json and bert_model.ckpt.",
        group="Output",
    )
    fp16: bool = flag(
        False, "Store the weights rounded to float16, in half as many bytes (huggingface only).", group="Output"
    )


def main(flags: Flags) -> None:
    """Open, examine, write, and say what came of it."""
    from pathlib import Path

    from bertworks.checkpoints.early import check_there

    check_there(flags.src, "--src")
    from bertworks.checkpoints.contents import contents_of
    from bertworks.checkpoints.convert import convert
    from bertworks.checkpoints.load import open_checkpoint
    from bertworks.checkpoints.resolve import config_for, tokenizer_of
    from bertworks.progress import say

    checkpoint = open_checkpoint(flags.src, "--src")
    config = config_for(checkpoint, flags.bert_config_file, flags.hidden_act)
    tokenizer = None
    if flags.vocab_file or checkpoint.vocabulary:
        tokenizer = tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case)
        if flags.do_lower_case is None and checkpoint.do_lower_case is None:
            say(
                "Warning: the model does not say whether its text is lower-cased; we assume that it is. If not, give "
                "--do_lower_case=False"
            )
    conversion = convert(contents_of(checkpoint, config, tokenizer), Path(flags.dst), flags.format, half=flags.fp16)
    print(conversion)
    for warning in conversion.warnings:
        say(f"Warning: {warning}")
    print(f"\nNext:\n  {_next(conversion, tokenizer)}")


# Architecture -> the original's script that takes it, and our command that uses it.
_USES = {
    "BertModel": ("run_classifier", "extract_features --input_file=input.txt --output_file=features.jsonl"),
    "BertForPreTraining": ("run_pretraining", "fill_mask 'Some [MASK] text.'"),
    "BertForMaskedLM": ("run_pretraining", "fill_mask 'Some [MASK] text.'"),
    "BertForSequenceClassification": (
        "run_classifier",
        "run_classifier --test_file=new.csv --do_predict --output_dir=out",
    ),
    "BertForTokenClassification": ("run_ner", "run_ner --test_file=new.txt --do_predict --output_dir=out"),
    "BertForQuestionAnswering": ("run_squad", "answer 'Who wrote it?' --context_file=text.txt"),
}


def _next(conversion: Conversion, tokenizer: Tokenizer | None) -> str:
    """Return a command that uses the converted model."""
    import shlex

    from bertworks.checkpoints.convert import PREFIX

    folder = shlex.quote(str(conversion.folder))
    script, use = _USES.get(conversion.source.architecture, _USES["BertModel"])
    if conversion.form == "huggingface":
        return f"bert {use} --model={folder}"
    vocabulary = f"{folder}/vocab.txt --do_lower_case={tokenizer.do_lower_case}" if tokenizer else "VOCAB"
    return (
        f"python {script}.py --init_checkpoint={folder}/{PREFIX} --bert_config_file={folder}/bert_config.json"
        f" --vocab_file={vocabulary} ..."
    )
