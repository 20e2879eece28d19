"""Answering a file of questions, as `run_squad` does once its model is trained: answers, scores, files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bertworks import files
from bertworks.commands.starting import Job
from bertworks.commands.training import steps_of, write_results
from bertworks.errors import InputError
from bertworks.flags import was_given
from bertworks.progress import progress, say

if TYPE_CHECKING:
    import torch

    from bertworks.commands.run_squad import Flags
    from bertworks.tasks.squad import answers, examples
    from bertworks.tasks.squad.score import Gold
    from bertworks.tasks.squad.task import Block
    from bertworks.text.tokenizer import Tokenizer


ARCHITECTURE = "BertForQuestionAnswering"


@dataclass(frozen=True)
class Asked:
    """The questions to answer.

    Attributes:
        path: their file.
        count: how many.
        gold: their right answers; None where the file does not have them all.
        tokenizer: what their windows are made with.
        settings: how answers are chosen.
        blocks: reads them and makes their windows, each time anew.
        notes: what the last reading found odd.
    """

    path: Path
    count: int
    gold: Gold | None
    tokenizer: Tokenizer
    settings: answers.Settings
    blocks: Callable[[], Iterator[Block]]
    notes: list[str]

    @classmethod
    def of(cls, flags: Flags, tokenizer: Tokenizer, windows: examples.Settings) -> Asked:
        """As the flags say.

        Raises:
            InputError: the file is not in SQuAD form; it is to be scored, and answers are missing.
        """
        from bertworks.data.labelled_records import record_files
        from bertworks.tasks.squad.answers import Settings
        from bertworks.tasks.squad.examples import windows as windows_of
        from bertworks.tasks.squad.reading import Reading, paragraphs
        from bertworks.tasks.squad.record_files import checked
        from bertworks.tasks.squad.score_files import read_data_set

        path, version_2 = Path(flags.predict_file or ""), flags.version_2_with_negative
        count, has_answers = 0, True
        for paragraph in paragraphs(path):
            for qa in paragraph.questions.values():
                count += 1
                has_answers = has_answers and bool(qa.get("answers") or (version_2 and "answers" in qa))
        if flags.do_eval and not has_answers:
            mend = "leave --do_eval out" if version_2 else "set --version_2_with_negative, or leave --do_eval out"
            raise InputError(f"--predict_file: {path} has questions without an answer; {mend}")
        records = record_files({"predict_record": flags.predict_record_file}).get("predict_record")
        if flags.predict_record_file and not records:
            raise InputError(f"--predict_record_file={flags.predict_record_file}: its name ends with .tf_record")

        notes: list[str] = []

        def blocks() -> Iterator[Block]:
            notes.clear()
            reading = Reading(path, False, version_2, notes=notes)
            made = windows_of(tokenizer, reading.examples(), windows, training=False)
            return checked(made, records, tokenizer) if records else made

        return cls(
            path=path,
            count=count,
            gold=read_data_set(path).gold if has_answers else None,
            tokenizer=tokenizer,
            settings=Settings(
                n_best_size=flags.n_best_size,
                max_answer_length=flags.max_answer_length,
                do_lower_case=tokenizer.do_lower_case,
                strip_accents=tokenizer.strip_accents,
                version_2_with_negative=version_2,
                null_score_diff_threshold=flags.null_score_diff_threshold,
                by_characters=flags.tighten_by_characters,
            ),
            blocks=blocks,
            notes=notes,
        )


def finds_threshold(flags: Flags) -> bool:
    """Whether the training of a model of version 2 ends with the search for its threshold."""
    return flags.do_train and flags.version_2_with_negative and not was_given(flags, "null_score_diff_threshold")


def answer_all(flags: Flags, asked: Asked, job: Job, dtype: torch.dtype) -> None:
    """Answer the questions; score the answers where the right ones are known; write the files that are asked for."""
    from bertworks.tasks.squad.answer_files import write_answers
    from bertworks.tasks.squad.answers import Question
    from bertworks.tasks.squad.task import best_threshold, judge, predictions_at

    output_dir, settings = Path(flags.output_dir), asked.settings
    found = _answered(flags, asked, job, dtype)
    results: Mapping[str, float] = {}
    if asked.gold:
        results = judge(asked.gold, found, settings)
        if finds_threshold(flags):
            settings = replace(settings, null_score_diff_threshold=best_threshold(results, found))
            results = judge(asked.gold, found, settings)
            _remember(output_dir, job, settings)
    if flags.do_predict:
        predictions = {name: answer.prediction for name, answer in found.items()}
        if settings.version_2_with_negative:
            predictions = predictions_at(found, settings.null_score_diff_threshold)
        written = write_answers(
            output_dir,
            [Question(name, ()) for name in found],
            [answer._replace(prediction=predictions[name]) for name, answer in found.items()],
            settings.version_2_with_negative,
        )
        print(f"The answers: {', '.join(map(str, written))}")
    if results:
        print(f"***** Eval results ({flags.eval_precision}) *****")
        write_results(output_dir, steps_of(output_dir), results, ("eval_exact_match", "eval_f1"))
    else:
        print(f"{asked.path}: does not have the answers to all questions, so nothing is scored")


def _answered(flags: Flags, asked: Asked, job: Job, dtype: torch.dtype) -> dict[str, answers.Answer]:
    """Question id -> answer, in the file's order; their number is shown as they come."""
    from bertworks.tasks.squad.task import predict_answers

    tokens, cut, start = 0, 0, time.perf_counter()

    def counted() -> Iterator[Block]:
        nonlocal tokens, cut
        for block in asked.blocks():
            yield block
            tokens += len(block[1].sequences.ids)
            cut += block[1].questions_cut

    found = {}
    with progress("answering", asked.count, "questions") as advance:
        for example, answer in predict_answers(
            job.model,  # type: ignore[arg-type]
            asked.tokenizer,
            counted(),
            asked.settings,
            padded_to=flags.max_seq_length if flags.predict_padding else None,
            dtype=dtype,
        ):
            found[example.id] = answer
            advance(1)
    seconds = time.perf_counter() - start
    for line in asked.notes:
        say(line)
    if cut:
        say(f"{cut:,} questions are longer than --max_query_length={flags.max_query_length} and were cut")
    print(f"Answered {len(found):,} questions in {seconds:.0f} s, {tokens / seconds:,.0f} tokens/s without padding")
    return found


def _remember(output_dir: Path, job: Job, settings: answers.Settings) -> None:
    """Write the threshold that was found into the model's configuration, for predictions to come."""
    threshold = settings.null_score_diff_threshold
    remembered = {**job.config.fine_tuning, "null_score_diff_threshold": threshold}
    config = replace(job.config, extra={**job.config.extra, "fine_tuning": remembered})
    files.write_text(output_dir / "config.json", config.to_json(ARCHITECTURE))
    print(
        f"The best threshold on no answer's lead: {threshold:.4f}; the answers are those at it, and config.json has it"
    )
