"""`bert run_squad`: answer questions with parts of a text; SQuAD 1.1 and 2.0 and every file in their form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.finetuning.flags import FinetuningFlags
from bertworks.flags import RETIRED, flag

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask
    from bertworks.finetuning.run import ReadJob
    from bertworks.job import Job, Setup


@dataclass(frozen=True, kw_only=True)
class Flags(FinetuningFlags):
    """Train a model that answers questions from a text, and predict answers to a file of questions.

    SQuAD 1.1:  bert run_squad --model=bert-base-uncased --train_file=train-v1.1.json --predict_file=dev-v1.1.json
                --do_train --do_predict --train_batch_size=12 --learning_rate=3e-5 --num_train_epochs=2 --output_dir=out
    SQuAD 2.0:  the same with its files and --version_2_with_negative; the best threshold is found on the dev set
    Use it:     bert answer --model=out --question="Who ...?" --context_file=text.txt
    """

    shown_first = (
        "model output_dir do_train do_eval do_predict max_seq_length train_batch_size learning_rate "
        "num_train_epochs train_file predict_file version_2_with_negative doc_stride"
    )

    train_file: str | None = flag(
        None,
        "The questions to train on: .json in SQuAD form, or the original's .tf_record.",
        group="Input",
        path=True,
        alias="train_data_file_path",
    )
    predict_file: str | None = flag(
        None,
        "The questions to answer: .json in SQuAD form. If it has their answers, the predictions are scored.",
        group="Input",
        path=True,
        alias="validation_file dev_file eval_json_path",
    )
    predict_record_file: str | None = flag(
        None,
        "The windows of --predict_file as the original's eval.tf_record; they must be those of its questions.",
        group="Input",
        path=True,
        alias="eval_data_file_path",
    )
    max_seq_length: int = flag(
        384,
        "The longest window, in tokens: the question and as much of the text as fits.",
        group="Input",
        lowest=5,
        alias="max_length max_len seq_length",
        remembered=True,
    )
    doc_stride: int = flag(
        128, "Tokens from the start of a window to the start of the next.", group="Input", lowest=1, remembered=True
    )
    max_query_length: int = flag(
        64, "The longest question, in tokens; longer ones are cut.", group="Input", lowest=0, remembered=True
    )
    version_2_with_negative: bool = flag(
        False, "Questions may have no answer, as in SQuAD 2.0.", group="Input", alias="version_2", remembered=True
    )
    tighten_by_characters: bool = flag(
        False,
        "For text without blanks, such as Chinese: find the tokens of an answer by its characters, not by "
        "the words that it touches, and predict characters, not words.",
        group="Input",
        remembered=True,
    )
    on_bad_row: Literal["error", "skip"] = flag(
        "skip", "What to do with a question whose answer is not where the file says.", group="Input"
    )
    do_eval: bool = flag(
        False, "Score --predict_file also during training, and keep the best model.", group="What to do"
    )
    do_predict: bool = flag(False, "Answer the questions of --predict_file.", group="What to do")
    n_best_size: int = flag(
        20, "How many answers nbest_predictions.json has for each question.", group="Answers", lowest=1
    )
    max_answer_length: int = flag(30, "The longest answer, in tokens.", group="Answers", lowest=1)
    null_score_diff_threshold: float = flag(
        0.0,
        "For SQuAD 2.0: predict no answer if its score exceeds that of the best answer by more than this.",
        group="Answers",
        alias="null_score_thresh",
        remembered=True,
    )
    predict_padding: bool = flag(
        True,
        "Fill windows with padding up to --max_seq_length in prediction, because the original counts the "
        "logits of padding among the n best. Without it prediction takes about half the time, and the n "
        "best of some questions differ.",
        group="Answers",
    )
    verbose_logging: bool = flag(False, "", group=RETIRED)


def main(flags: Flags) -> None:
    """Run the command."""
    read = reader(flags)  # what is wrong with the flags is known before torch is imported
    from bertworks.finetuning.run import run

    run(flags, *read)


def reader(flags: Flags) -> tuple[ReadJob[Flags], KnownTask | None]:
    """Return what reads the data of these flags, and the task if it is known by name; refuse flags that clash."""
    from bertworks.finetuning.early import check

    if flags.do_train and not flags.train_file:
        raise InputError("--train_file: must be given with --do_train")
    if (flags.do_eval or flags.do_predict) and not flags.predict_file:
        raise InputError("--predict_file: must be given with --do_predict and --do_eval")
    if Path(flags.predict_file or "").suffix in (".tf_record", ".tfrecord"):
        raise InputError(
            f"--predict_file={flags.predict_file}: give the questions in SQuAD form (.json); their windows go to "
            "--predict_record_file"
        )
    train = flags.train_file if flags.do_train else None
    check(flags, {"train_file": train, "predict_file": flags.predict_file})
    from bertworks.tasks.squad.job import SquadOptions, squad_job
    from bertworks.tasks.squad.windows import WindowSettings

    def read(settings: Flags, setup: Setup) -> Job:
        finds_threshold = settings.do_train and not settings.was_given("null_score_diff_threshold")
        options = SquadOptions(
            train_file=settings.train_file,
            predict_file=settings.predict_file,
            predict_record_file=settings.predict_record_file,
            windows=WindowSettings(
                max_seq_length=settings.max_seq_length,
                doc_stride=settings.doc_stride,
                max_query_length=settings.max_query_length,
                tighten_by_characters=settings.tighten_by_characters,
            ),
            version_2_with_negative=settings.version_2_with_negative,
            null_score_diff_threshold=None if finds_threshold else settings.null_score_diff_threshold,
            n_best_size=settings.n_best_size,
            max_answer_length=settings.max_answer_length,
            padded_to=settings.max_seq_length if settings.predict_padding else None,
            on_bad_row=settings.on_bad_row,
        )
        return squad_job(options, setup)

    return read, None
