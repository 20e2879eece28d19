"""`bert run_squad`: answers to questions, as places in a text; SQuAD 1.1 and 2.0 and every file in their form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.commands.common import in_world
from bertworks.commands.finetuning import FinetuningFlags, follow_training, needed_splits, remembering
from bertworks.commands.squad_answers import ARCHITECTURE, Asked, answer_all, finds_threshold
from bertworks.commands.starting import Job, adapted, fingerprint, prepare, share, starting_checkpoint, write_model
from bertworks.commands.training import show_learning_curves, steps_in, train
from bertworks.errors import InputError
from bertworks.flags import RETIRED, flag

if TYPE_CHECKING:
    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.tasks.squad import examples
    from bertworks.tasks.squad.task import Spans
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World


@dataclass(kw_only=True)
class Flags(FinetuningFlags):
    """Train a model that answers questions from a text, and predict answers.

    SQuAD 1.1:  bert run_squad --model=bert-base-uncased --train_file=train-v1.1.json --predict_file=dev-v1.1.json
                --do_train --do_predict --train_batch_size=12 --learning_rate=3e-5 --num_train_epochs=2 --output_dir=out
    SQuAD 2.0:  the same with its files and --version_2_with_negative; the best threshold is found on the dev set
    Use it:     bert answer --model=out --question="Who ...?" --context_file=text.txt
    """

    train_file: str | None = flag(
        None,
        "To train on: .json in SQuAD form, or the original's .tf_record.",
        group="Input",
        path=True,
        alias="train_data_file_path",
    )
    predict_file: str | None = flag(
        None,
        "To answer, .json in SQuAD form; scored where it has answers.",
        group="Input",
        path=True,
        alias="validation_file dev_file eval_json_path",
    )
    predict_record_file: str | None = flag(
        None,
        "The windows of --predict_file as the original's eval.tf_record; checked against it.",
        group="Input",
        path=True,
        alias="eval_data_file_path",
    )
    max_seq_length: int = flag(
        384,
        "Tokens of a window: the question and as much of the text as fits.",
        group="Input",
        lowest=5,
        alias="max_length max_len seq_length",
    )
    doc_stride: int = flag(128, "How many tokens further on the next window begins.", group="Input", lowest=1)
    max_query_length: int = flag(64, "Longer questions are cut.", group="Input", lowest=0)
    version_2_with_negative: bool = flag(
        False, "Questions may have no answer, as in SQuAD 2.0.", group="Input", alias="version_2"
    )
    tighten_by_characters: bool = flag(
        False,
        "Find an answer's tokens by its characters, not in the words it touches, and predict characters, not words: "
        "for text without blanks, as Chinese.",
        group="Input",
    )
    on_bad_row: Literal["error", "skip"] = flag(
        "skip", "What to do with a question whose answer is not where the file says.", group="Input"
    )
    do_eval: bool = flag(False, "Score --predict_file while training too, and keep the best model.", group="What to do")
    do_predict: bool = flag(False, "Answer the questions of --predict_file.", group="What to do")
    n_best_size: int = flag(20, "Answers of nbest_predictions.json.", group="Answers", lowest=1)
    max_answer_length: int = flag(30, "The longest answer, in tokens.", group="Answers", lowest=1)
    null_score_diff_threshold: float = flag(
        0.0,
        "Of 2.0: no answer where its score is so much above that of the best answer.",
        group="Answers",
        alias="null_score_thresh",
    )
    predict_padding: bool = flag(
        True,
        "Fill windows up to --max_seq_length in prediction: padding's logits take places among the n best, as in the "
        "original. Without it the n best of some questions differ, in about half the time.",
        group="Answers",
    )
    verbose_logging: bool = flag(False, "", group=RETIRED)


def main(flags: Flags) -> None:
    """Run the command."""
    needed_splits(flags)
    if flags.do_train and not flags.train_file:
        raise InputError("--train_file: must be given with --do_train")
    if (flags.do_eval or flags.do_predict) and not flags.predict_file:
        raise InputError("--predict_file: must be given with --do_predict and --do_eval")
    if Path(flags.predict_file or "").suffix in (".tf_record", ".tfrecord"):
        raise InputError(
            f"--predict_file={flags.predict_file}: give the questions in SQuAD form (.json); their windows go to "
            "--predict_record_file"
        )
    in_world(flags, partial(_run, flags))


def _run(flags: Flags, world: World) -> None:
    from bertworks.checkpoints.resolve import config_for, tokenizer_of
    from bertworks.tasks.squad import examples

    checkpoint = starting_checkpoint(flags, Path(flags.output_dir))
    config = config_for(checkpoint, flags.bert_config_file, flags.hidden_act)
    follow_training(flags, config)
    config = remembering(flags, adapted(flags, config))
    tokenizer = tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case)
    windows = examples.Settings(
        max_seq_length=flags.max_seq_length,
        doc_stride=flags.doc_stride,
        max_query_length=flags.max_query_length,
        tighten_by_characters=flags.tighten_by_characters,
    )
    asked = Asked.of(flags, tokenizer, windows) if flags.do_eval or flags.do_predict else None
    questions, settings = _settings(flags, tokenizer, windows, asked, world)
    if flags.do_train:
        steps_in(flags, questions)
    make = partial(_job, flags, questions, settings, config, checkpoint, tokenizer, world)
    job = train(flags, make, world) if flags.do_train else make(flags.random_seed)
    if not world.is_main:
        return
    if flags.do_train:
        show_learning_curves(flags, [_metric(flags), "exact_match"])
    if asked is not None:
        answer_all(flags, asked, job, settings.eval_precision)


def _metric(flags: Flags) -> str:
    """What decides which model is best: F1, at the threshold that the answers will have."""
    return "best_f1" if finds_threshold(flags) else "f1"


def _settings(
    flags: Flags, tokenizer: Tokenizer, windows: examples.Settings, asked: Asked | None, world: World
) -> tuple[int, Spans]:
    """How many questions are trained on, and the settings with their windows."""
    from bertworks.model.device import choose_precision
    from bertworks.tasks.squad.task import Dev, Spans

    questions, train = _training_windows(flags, tokenizer, windows, world) if flags.do_train else (0, None)
    dev = None
    if flags.do_eval and asked and asked.gold:
        dev = Dev(
            blocks=asked.blocks,
            gold=asked.gold,
            answers=asked.settings,
            tokenizer=tokenizer,
            padded_to=flags.max_seq_length if flags.predict_padding else None,
        )
    return questions, Spans(
        train=train,
        dev=dev,
        train_batch_size=flags.train_batch_size,
        random_seed=flags.random_seed,
        precision=choose_precision(flags.precision, world.device),
        eval_precision=choose_precision(flags.eval_precision, world.device),
    )


def _training_windows(
    flags: Flags, tokenizer: Tokenizer, settings: examples.Settings, world: World
) -> tuple[int, examples.Windows]:
    """How many questions the training file has, and their windows."""
    from bertworks.data.bad_rows import BadRows
    from bertworks.data.labelled_records import record_files
    from bertworks.tasks.squad.examples import Windows
    from bertworks.tasks.squad.examples import windows as windows_of
    from bertworks.tasks.squad.reading import Reading
    from bertworks.tasks.squad.record_files import read_train_records

    if records := record_files({"train": flags.train_file}):
        if flags.train_fraction < 1:
            raise InputError("--train_fraction: is for --train_file in SQuAD form, not for record files")
        read_windows = read_train_records(records["train"], tokenizer, settings.max_seq_length)
        world.say(f"{len(read_windows):,} windows, each of which counts as a question")
        return len(read_windows), read_windows
    path = Path(flags.train_file or "")
    reading = Reading(path, True, flags.version_2_with_negative, BadRows(flags.on_bad_row))
    read = reading.examples()
    if flags.train_fraction < 1:
        read = iter(share(list(read), flags.train_fraction, flags.random_seed))
    blocks = list(windows_of(tokenizer, read, settings, training=True))
    questions, windows = sum(len(block) for block, _ in blocks), Windows.joined([made for _, made in blocks])
    outside = int(((windows.positions == 0).all(1) & ~windows.is_impossible).sum())
    world.say(
        f"{questions:,} questions, {len(windows):,} windows of {len(windows.sequences.ids) / len(windows):.0f} tokens "
        f"on average, {outside:,} of them without the whole answer"
    )
    for line in [*reading.notes, *reading.bad.summary()]:
        world.say(line)
    if windows.questions_cut:
        longer = f"--max_query_length={settings.max_query_length}"
        world.say(f"{windows.questions_cut:,} questions are longer than {longer} and were cut")
    return questions, windows


def _job(
    flags: Flags,
    questions: int,
    settings: Spans,
    config: BertConfig,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    world: World,
    seed: int,
) -> Job:
    """A model with a fresh or a stored head, and its task."""
    from bertworks.model.heads import SpanClassifier
    from bertworks.tasks.squad import task as spans

    model = SpanClassifier(config)
    prepare(flags, model, checkpoint, config, seed, world)
    same = ("doc_stride", "max_query_length", "version_2_with_negative", "tighten_by_characters")
    return Job(
        model=model,
        config=config,
        task=spans.task(replace(settings, random_seed=seed)),
        # As in the original, an epoch's steps are counted by questions, not by windows.
        examples=questions,
        metric=f"eval_{_metric(flags)}" if settings.dev else None,
        identity={
            "the questions of --train_file": questions,
            **{f"--{name}": getattr(flags, name) for name in same},
            "--vocab_file": tokenizer.sha256[:16],
        },
        write_model=partial(write_model, model, config, ARCHITECTURE, tokenizer),
        training_data=_hash(settings.train) if settings.train else None,
    )


def _hash(windows: examples.Windows) -> str:
    """Tells one training set from another."""
    sequences = windows.sequences
    return fingerprint(sequences.ids, sequences.starts, sequences.first, windows.positions, windows.is_impossible)
