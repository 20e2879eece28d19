"""`bert export`: write a model for ONNX Runtime, OpenVINO and the programs that build on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bertworks.errors import InputError
from bertworks.flag_groups import ModelFlags
from bertworks.flags import REQUIRED, flag

if TYPE_CHECKING:
    from bertworks.export.measure import Measure
    from bertworks.export.write import Export
    from bertworks.job import Job
    from bertworks.pretrained import Pretrained


@dataclass(frozen=True, kw_only=True)
class Flags(ModelFlags):
    """Write a model of any format as an ONNX or OpenVINO graph, in the folder layout of Hugging Face.

    bert export MODEL FOLDER
    bert export MODEL FOLDER --format=openvino
    bert export MODEL FOLDER --precision=int8 --data=dev.csv

    FOLDER/parity.md says how far every output is from the model's own. What computes something else is refused.
    """

    model: str | None = flag(
        None,
        "The model, of TensorFlow, Hugging Face, GluonNLP or MindSpore: a name (`bert models` lists them), a folder, a "
        "zip or a file.",
        group="Model",
        path="or name",
        alias="model_name_or_path",
        positional=True,
    )
    folder: str = flag(
        REQUIRED,
        "The folder to write: a new one, an empty one, or one of an earlier export, which is replaced.",
        group="Output",
        path="written folder",
        positional=True,
    )
    format: Literal["onnx", "openvino"] = flag(
        "onnx", "onnx: onnx/model.onnx; openvino: openvino_model.xml and .bin.", group="Output"
    )
    precision: Literal["fp32", "int8"] = flag(
        "fp32",
        "int8: write a second file with weights as int8, a quarter of the size, which no processor computes wrongly "
        "(onnx/model_quantized.onnx, openvino_model_qint8_quantized.xml).",
        group="Output",
    )
    data: str | None = flag(
        None,
        "Labelled data to measure the model and the export on: what run_classifier, run_ner and run_squad evaluate on; "
        "for a model of vectors, pairs of texts with a score.",
        group="Check",
        path=True,
    )
    task_name: str | None = flag(None, "The task known by name, if --data is the folder of one.", group="Check")
    on_bad_row: Literal["error", "skip"] = flag(
        "error", "What to do with a row of --data that cannot be used.", group="Check"
    )
    max_metric_drop: float = flag(
        0.005,
        "Refuse the export if the metric falls by more than this; 0.005 is half a point.",
        group="Check",
        lowest=0,
    )


def main(flags: Flags) -> None:
    """Load, export, and say what came of it."""
    from bertworks.export.write import export
    from bertworks.pretrained import load_model

    if flags.task_name and not flags.data:
        raise InputError("--task_name: names the task of --data, which is missing")
    pretrained = load_model(flags)
    written = export(
        pretrained,
        Path(flags.folder),
        flags.format,
        flags.precision,
        _measure(flags, pretrained),
        flags.max_metric_drop,
    )
    _tell(written)


def _tell(written: Export) -> None:
    """Print what was written, and how far it is from the model."""
    certificate = written.certificate
    if written.replaced:
        print(f"Replaced the earlier export in {written.folder}")
    for name, size in written.files.items():
        print(f"{written.folder / name} ({size / 1e6:,.1f} MB)")
        for output, error in certificate.errors[name].items():
            print(f"  {output}: at most {error.largest:.2g} from torch, {error.mean:.2g} on average")
        if name in certificate.metrics:
            ours = certificate.metrics["torch"]
            for metric, value in certificate.metrics[name].items():
                print(f"  {metric} on {certificate.data}: {value:.4f}, {ours[metric]:.4f} in torch")
    if len(written.files) > 1 and not certificate.metrics:
        print("What int8 costs on a task is measured with --data")
    for note in certificate.notes:
        print(f"Note: {note}")
    if written.left_over:
        from bertworks.names import listed

        print(f"Not exported: {listed(written.left_over)}")
    print(f"The certificate: {written.folder / 'parity.md'}")


def _measure(flags: Flags, pretrained: Pretrained) -> Measure | None:
    """Return what measures the model and its export on `--data`."""
    from bertworks.commands import run_classifier, run_multiple_choice, run_ner, run_squad
    from bertworks.data.bad_rows import BadRows
    from bertworks.export.measure import measure_of_job, measure_of_pairs
    from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
    from bertworks.progress import say

    if flags.data is None:
        return None
    data = Path(flags.data)
    if not data.exists():
        raise InputError(f"--data={data}: no such file or folder")
    known = {"task_name": flags.task_name, "data_dir": flags.data}
    given = known if flags.task_name else {"dev_file": flags.data}
    match pretrained.model:
        case SequenceClassifier() if pretrained.checkpoint.architecture == "BertForMultipleChoice":
            job = _job(flags, pretrained, run_multiple_choice, known if flags.task_name else {"data_dir": flags.data})
        case SequenceClassifier():
            job = _job(flags, pretrained, run_classifier, given)
        case TokenClassifier():
            job = _job(flags, pretrained, run_ner, given)
        case SpanClassifier():
            job = _job(flags, pretrained, run_squad, {"predict_file": flags.data})
        case _ if pretrained.checkpoint.sentences:
            bad = BadRows(flags.on_bad_row)
            measure = measure_of_pairs(data, bad)
            for line in bad.summary():
                say(line)
            return measure
        case _:
            raise InputError(
                f"--data={data}: {pretrained.checkpoint.path} has no task to measure; fine-tune it, or leave --data out"
            )
    return measure_of_job(job, data)


def _job(flags: Flags, pretrained: Pretrained, command: Any, data: Mapping[str, str | None]) -> Job:
    """Return the evaluation of a fine-tuned model, as the command that trained it does it."""
    from bertworks.finetuning.run import evaluation_job

    names = ("model", "init_checkpoint", "vocab_file", "bert_config_file", "do_lower_case", "hidden_act")
    given = {name: value for name in names if (value := getattr(flags, name)) is not None}
    given |= {**data, "output_dir": ".", "do_eval": True, "eval_precision": "fp32", "on_bad_row": flags.on_bad_row}
    if "max_seq_length" not in pretrained.config.fine_tuning:
        given["max_seq_length"] = min(command.Flags.max_seq_length, pretrained.config.max_position_embeddings)
    made = command.Flags(**given, given=frozenset(given))
    read, task = command.reader(made)
    return evaluation_job(made, read, task, pretrained.checkpoint, pretrained.device)
