"""SQuAD as the driver of fine-tuning takes it: windows to train on, questions to answer, and what is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from bertworks import files
from bertworks.card.record import Amount
from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import record_files
from bertworks.errors import InputError
from bertworks.job import Evaluation, Job, Setup, fingerprint
from bertworks.model.heads import SpanClassifier
from bertworks.progress import Advance, progress
from bertworks.tasks.squad import task
from bertworks.tasks.squad.answer_files import write_answers
from bertworks.tasks.squad.nbest import AnswerSettings, NbestAnswers, Question
from bertworks.tasks.squad.paragraphs import paragraphs
from bertworks.tasks.squad.reader import SquadReader, read_gold_answers
from bertworks.tasks.squad.record_files import check_records, read_train_records
from bertworks.tasks.squad.score import Gold
from bertworks.tasks.squad.task import DevQuestions, QuestionAnswering
from bertworks.tasks.squad.windows import ExampleWindows, Windows, WindowSettings, make_windows

ARCHITECTURE = "BertForQuestionAnswering"


@dataclass(frozen=True, kw_only=True)
class SquadOptions:
    """The settings that only SQuAD has.

    Attributes:
        train_file: in SQuAD form, or the original's record files.
        predict_record_file: their windows in the original's record files, to be checked against.
        null_score_diff_threshold: how far the score of no answer must exceed the best answer's, so that no answer is
            predicted; None if training finds the best threshold.
        padded_to: the tokens up to which windows are filled with padding in prediction; None leaves padding out.
        on_bad_row: what to do with a question whose answer is not where the file says.
    """

    train_file: str | None
    predict_file: str | None
    predict_record_file: str | None
    windows: WindowSettings
    version_2_with_negative: bool
    null_score_diff_threshold: float | None
    n_best_size: int
    max_answer_length: int
    padded_to: int | None
    on_bad_row: Literal["error", "skip"]


@dataclass(frozen=True)
class QuestionFile:
    """The questions to answer.

    Attributes:
        gold: their right answers; None where the file does not have them all.
        read: reads them and makes their windows; each call reads them again.
        notes: what the last reading found odd.
    """

    path: Path
    count: int
    gold: Gold | None
    read: Callable[[], Iterator[ExampleWindows]]
    notes: list[str]


def squad_job(options: SquadOptions, setup: Setup) -> Job:
    """Make the job of answering questions.

    Raises:
        InputError: a file is not in SQuAD form; or it is to be scored, and answers are missing.
    """
    question_file = _questions(options, setup) if options.predict_file and set(setup.splits) & {"dev", "test"} else None
    answers = AnswerSettings(
        n_best_size=options.n_best_size,
        max_answer_length=options.max_answer_length,
        do_lower_case=setup.tokenizer.do_lower_case,
        strip_accents=setup.tokenizer.strip_accents,
        version_2_with_negative=options.version_2_with_negative,
        null_score_diff_threshold=options.null_score_diff_threshold or 0.0,
        by_characters=options.windows.tighten_by_characters,
    )
    questions, train = _training_windows(options, setup) if setup.trains else (0, None)
    dev = None
    if "dev" in setup.splits and question_file and question_file.gold:
        dev = DevQuestions(
            blocks=question_file.read,
            gold=question_file.gold,
            answers=answers,
            tokenizer=setup.tokenizer,
            padded_to=options.padded_to,
        )
    settings = QuestionAnswering(
        train=train,
        dev=dev,
        train_batch_size=setup.train_batch_size,
        random_seed=setup.random_seed,
        precision=setup.precision,
        eval_precision=setup.eval_precision,
        processes=setup.processes,
    )
    return Job(
        config=setup.config,
        architecture=ARCHITECTURE,
        network=lambda: SpanClassifier(setup.config),
        head="of answers",
        task=lambda seed: task.task(replace(settings, random_seed=seed)),
        # As in the original, an epoch's steps are counted by questions, not by windows.
        examples=questions,
        # F1 decides, at the threshold that the answers will have.
        metrics=("best_f1" if _finds_threshold(options, setup) else "f1", "exact_match"),
        has_dev=dev is not None,
        identity={
            "the questions of --train_file": questions,
            "--doc_stride": options.windows.doc_stride,
            "--max_query_length": options.windows.max_query_length,
            "--version_2_with_negative": options.version_2_with_negative,
            "--tighten_by_characters": options.windows.tighten_by_characters,
            "--vocab_file": setup.tokenizer.sha256[:16],
        },
        training_data=_fingerprint(train) if train else None,
        results=partial(_results, options, setup, question_file, answers),
        amounts=_amounts(questions, train, question_file, setup.splits),
    )


def _finds_threshold(options: SquadOptions, setup: Setup) -> bool:
    """Tell whether training a model of version 2 ends with the search for its threshold."""
    return setup.trains and options.version_2_with_negative and options.null_score_diff_threshold is None


def _questions(options: SquadOptions, setup: Setup) -> QuestionFile:
    path, version_2 = Path(options.predict_file or ""), options.version_2_with_negative
    count, has_answers = 0, True
    for paragraph in paragraphs(path):
        for qa in paragraph.questions.values():
            count += 1
            has_answers = has_answers and bool(qa.get("answers") or (version_2 and "answers" in qa))
    if "dev" in setup.splits and not has_answers:
        fix = "leave --do_eval out" if version_2 else "set --version_2_with_negative, or leave --do_eval out"
        raise InputError(f"--predict_file: {path} has questions without an answer; {fix}")
    records = record_files({"predict_record": options.predict_record_file}).get("predict_record")
    if options.predict_record_file and not records:
        raise InputError(f"--predict_record_file={options.predict_record_file}: its name ends with .tf_record")
    notes: list[str] = []

    def read() -> Iterator[ExampleWindows]:
        notes.clear()
        reader = SquadReader(path, False, version_2, notes=notes)
        made = make_windows(setup.tokenizer, reader.examples(), options.windows, training=False)
        return check_records(made, records, setup.tokenizer) if records else made

    return QuestionFile(path, count, read_gold_answers(path).gold if has_answers else None, read, notes)


def _training_windows(options: SquadOptions, setup: Setup) -> tuple[int, Windows]:
    """Return the number of questions in the training file, and their windows."""
    if records := record_files({"train": options.train_file}):
        if setup.train_fraction < 1:
            raise InputError("--train_fraction: is for --train_file in SQuAD form, not for record files")
        stored = read_train_records(records["train"], setup.tokenizer, options.windows.max_seq_length)
        setup.say(f"{len(stored):,} windows, each of which counts as a question")
        return len(stored), stored
    path = Path(options.train_file or "")
    reader = SquadReader(path, True, options.version_2_with_negative, BadRows(options.on_bad_row))
    examples = reader.examples()
    if setup.train_fraction < 1:
        examples = iter(setup.share(list(examples)))
    blocks = list(make_windows(setup.tokenizer, examples, options.windows, training=True))
    questions, windows = sum(len(block) for block, _ in blocks), Windows.joined([made for _, made in blocks])
    outside = int(((windows.positions == 0).all(1) & ~windows.is_impossible).sum())
    setup.say(
        f"{questions:,} questions, {len(windows):,} windows of {len(windows.sequences.ids) / len(windows):.0f} tokens "
        f"on average, {outside:,} of them without the whole answer"
    )
    for line in [*reader.notes, *reader.bad.summary()]:
        setup.say(line)
    if windows.questions_cut:
        setup.say(_cut_questions(windows.questions_cut, options))
    return questions, windows


def _amounts(
    questions: int, train: Windows | None, asked: QuestionFile | None, splits: Sequence[str]
) -> dict[str, Amount]:
    """Return how much data each split has."""
    found = {"dev" if "dev" in splits else "test": Amount({"questions": asked.count})} if asked else {}
    if train:
        made = {"questions": questions, "windows": len(train)}
        found = {"train": Amount(made, train.questions_cut, questions, "questions"), **found}
    return found


def _cut_questions(count: int, options: SquadOptions) -> str:
    return f"{count:,} questions are longer than --max_query_length={options.windows.max_query_length} and were cut"


def _fingerprint(windows: Windows) -> str:
    sequences = windows.sequences
    return fingerprint(sequences.ids, sequences.starts, sequences.first, windows.positions, windows.is_impossible)


def _results(
    options: SquadOptions,
    setup: Setup,
    question_file: QuestionFile | None,
    answers: AnswerSettings,
    network: SpanClassifier,
) -> Iterator[str | Evaluation]:
    """Answer the questions, score the answers where the right ones are known, write the files that are asked for."""
    if question_file is None:
        return
    found, line = _answered(options, setup, question_file, answers, network)
    yield line
    if not setup.processes.is_main:
        return
    results = task.judge(question_file.gold, found, answers) if question_file.gold else {}
    if question_file.gold and _finds_threshold(options, setup):
        threshold = task.best_threshold(results, found)
        answers = replace(answers, null_score_diff_threshold=threshold)
        results = task.judge(question_file.gold, found, answers)
        remembered = setup.config.with_fine_tuning({**setup.config.fine_tuning, "null_score_diff_threshold": threshold})
        files.write_text(setup.output_dir / "config.json", remembered.to_json(ARCHITECTURE))
        yield (
            f"The best --null_score_diff_threshold: {threshold:.4f}; the answers are written at this threshold, and "
            "config.json remembers it"
        )
    if "test" in setup.splits:
        predictions = {name: answer.prediction for name, answer in found.items()}
        if answers.version_2_with_negative:
            predictions = task.predictions_at(found, answers.null_score_diff_threshold)
        written = write_answers(
            setup.output_dir,
            [Question(name, ()) for name in found],
            [answer._replace(prediction=predictions[name]) for name, answer in found.items()],
            answers.version_2_with_negative,
        )
        yield f"The answers: {', '.join(map(str, written))}"
    if results:
        yield Evaluation(results, originals=("eval_exact_match", "eval_f1"))
    else:
        yield f"{question_file.path}: does not have the answers to all questions, so nothing is scored"


def _progress(question_file: QuestionFile, setup: Setup) -> AbstractContextManager[Advance]:
    """Show progress in the main process."""
    if setup.processes.is_main:
        return progress("answering", question_file.count, "questions")
    return nullcontext(lambda amount: None)


def _answered(
    options: SquadOptions, setup: Setup, question_file: QuestionFile, answers: AnswerSettings, network: SpanClassifier
) -> tuple[dict[str, NbestAnswers], str]:
    """Give question id -> its answers, in the file's order, and a line about the work; show progress."""
    tokens, padding, cut, start = 0, 0, 0, time.perf_counter()

    def counted() -> Iterator[ExampleWindows]:
        nonlocal tokens, padding, cut
        for block in question_file.read():
            yield block
            tokens += len(block[1].sequences.ids)
            padding += (options.padded_to or 0) * len(block[1])
            cut += block[1].questions_cut

    found = {}
    with _progress(question_file, setup) as advance:
        for example, answer in task.predict_answers(
            network,
            setup.tokenizer,
            counted(),
            answers,
            padded_to=options.padded_to,
            dtype=setup.eval_precision,
            processes=setup.processes,
        ):
            found[example.id] = answer
            advance(1)
    seconds = time.perf_counter() - start
    for line in question_file.notes:
        setup.say(line)
    if cut:
        setup.say(_cut_questions(cut, options))
    line = f"Answered {len(found):,} questions in {seconds:.0f} s, {tokens / seconds:,.0f} tokens/s without padding"
    if padding > tokens:
        # Padding takes places among the n best of the original, so they are the same only with it.
        line += (
            f"; {padding - tokens:,} tokens of padding were computed too, for the original's n best answers "
            "(--predict_padding=False leaves them out)"
        )
    return found, line
