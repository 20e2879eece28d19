"""`bert answer`: find the answers to questions in one text or several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.flag_groups import PRECISION, MachineFlags, ModelFlags, Precision
from bertworks.flags import flag
from bertworks.progress import say

if TYPE_CHECKING:
    from bertworks.tasks.squad.answering import Answered, FoundAnswer

# Characters that are shown on each side of an answer.
_AROUND = 30


@dataclass(frozen=True, kw_only=True)
class Flags(ModelFlags, MachineFlags):
    """Answer questions from texts with a model that `bert run_squad` has trained.

    bert answer "Who wrote it?" --context_file=book.txt --model=FOLDER
    bert answer --input_file=questions.txt --context_file='notes/*.txt' --model=FOLDER --format=jsonl
    """

    shown_first = "question input_file context context_file model top_k format output_file"

    question: str | None = flag(None, "A question; - is standard input.", group="Input", positional=True)
    input_file: str | None = flag(
        None, "A file with one question on each line; - is standard input.", group="Input", path=True
    )
    context: str | None = flag(None, "The text to find the answer in.", group="Input")
    context_file: str | None = flag(
        None,
        "Files to find the answer in, each one text: paths and globs with commas between; - is standard input.",
        group="Input",
        path=True,
    )
    max_seq_length: int | None = flag(
        None, "The longest window, in tokens; by default as in training.", group="Input", lowest=5, alias="max_len"
    )
    doc_stride: int | None = flag(
        None,
        "Tokens from the start of a window to the start of the next; by default as in training.",
        group="Input",
        lowest=1,
    )
    max_query_length: int | None = flag(
        None,
        "The longest question, in tokens; longer ones are cut; by default as in training.",
        group="Input",
        lowest=1,
    )
    n_best_size: int = flag(20, "How many starts and ends to consider in each window.", group="Output", lowest=1)
    max_answer_length: int = flag(30, "The longest answer, in tokens.", group="Output", lowest=1)
    top_k: int = flag(3, "How many answers to give.", group="Output", lowest=1)
    format: Literal["table", "jsonl"] = flag("table", "A table for people, or JSON lines.", group="Output")
    output_file: str | None = flag(
        None, "Write to this file instead of standard output.", group="Output", path="written"
    )

    precision: Precision = flag("fp32", PRECISION, group="Machine")


def main(flags: Flags) -> None:
    """Look at the input, load the model, answer, print or write."""
    from bertworks import files
    from bertworks.checkpoints.early import check_model
    from bertworks.tasks.text_input import check_output

    questions = _questions(flags)
    names, texts = _contexts(flags)
    if flags.output_file is not None:
        check_output(Path(flags.output_file))
        read = (flags.input_file, *(names if flags.context_file else ()))
        files.check_is_no_input(Path(flags.output_file), [Path(name) for name in read if name])
    check_model(flags)
    from bertworks.pretrained import load_model
    from bertworks.tasks.squad.answering import Texts

    pretrained = load_model(flags, flags.precision)
    prepared = Texts(pretrained.tokenizer, texts, names)
    if empty := len(texts) - len(prepared.documents):
        say(f"{empty:,} of {len(texts):,} texts have no words and no answers")
    if pretrained.config.fine_tuned("version_2_with_negative", bool) is False:
        say("The model was trained on questions that all have an answer (SQuAD 1.1): it always gives one")

    def answered(question: str) -> Answered:
        found = pretrained.answer(
            question,
            prepared,
            top_k=flags.top_k,
            max_seq_length=flags.max_seq_length,
            doc_stride=flags.doc_stride,
            max_query_length=flags.max_query_length,
            n_best_size=flags.n_best_size,
            max_answer_length=flags.max_answer_length,
        )
        if found.question_cut:
            say(f"only the beginning of a question is read (--max_query_length): {question!r:.80}")
        return found

    shown = (_shown(answered(question), names, texts, flags.format) for question in questions)
    files.write_or_print(flags.output_file, shown)


def _contexts(flags: Flags) -> tuple[list[str], list[str]]:
    """Return the names of the texts, and the texts."""
    import sys

    from bertworks import files
    from bertworks.tasks.text_input import refuse_empty
    from bertworks.text.text_files import decoded_text

    refuse_empty(flags, "context", "context_file")
    if (flags.context is None) == (flags.context_file is None):
        raise InputError("--context or --context_file: give one of them, the text to find the answer in")
    if flags.context_file is None:
        found = {"--context": flags.context or ""}
    elif _is_standard_input(flags.context_file):
        if flags.question == "-" or (flags.input_file is not None and _is_standard_input(flags.input_file)):
            raise InputError("--input_file and --context_file: only one of them can be standard input")
        found = {"standard input": decoded_text(sys.stdin.buffer.read(), "standard input")}
    else:
        paths = files.expand(flags.context_file, "--context_file")
        if folder := next((path for path in paths if path.is_dir()), None):
            raise InputError(f"--context_file={folder}: is a folder; give its files, such as '{folder}/*.txt'")
        found = {str(path): decoded_text(path.read_bytes(), path) for path in paths}
    if not any(text.strip() for text in found.values()):
        raise InputError(f"{next(iter(found))}: is empty")
    return list(found), list(found.values())


def _is_standard_input(path: str) -> bool:
    return Path(path).name == "-"  # of a file of flags, it has a folder before it


def _questions(flags: Flags) -> Iterable[str]:
    """Yield the questions: from standard input as they come, from a file all at once, so that mistakes show early."""
    import sys

    from bertworks import files
    from bertworks.tasks.text_input import check_is_no_file, refuse_empty

    refuse_empty(flags, "question", "input_file")
    if (flags.question is None) == (flags.input_file is None):
        raise InputError("--question or --input_file: give one of them")
    given = "-" if flags.question == "-" else flags.input_file
    if given is None:
        if not (flags.question or "").strip():
            raise InputError("--question: is empty")
        check_is_no_file(flags.question or "", "--question")
        return [flags.question or ""]
    if _is_standard_input(given):
        return _of_lines(sys.stdin.buffer, "-")
    path = Path(given)
    files.check_is_file(path, "--input_file")
    with path.open("rb") as stream:
        return list(_of_lines(stream, str(path)))


def _of_lines(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield the questions of lines, at least one."""
    from bertworks.text.text_files import decoded_lines

    question = ""
    for question in filter(None, (text.strip() for _, text in decoded_lines(lines, name))):
        yield question
    if not question:
        raise InputError(f"--input_file={name}: has no question; write one on each line")


def _shown(answered: Answered, names: Sequence[str], texts: Sequence[str], form: str) -> str:
    """Return one question with its answers, as lines."""
    import json

    if form == "jsonl":
        answers = [
            {
                "text": one.text,
                "probability": round(one.probability, 6),
                "score": round(one.score, 6),
                "document": names[one.document],
                "begin": one.begin,
                "end": one.end,
                "window": list(one.window),
            }
            for one in answered.answers
        ]
        none = answered.no_answer_probability
        rounded = None if none is None else round(none, 6)
        whole = {**answered, "answers": answers, "no_answer_probability": rounded}
        return json.dumps(whole, ensure_ascii=False) + "\n"
    lines, none = [answered.question], answered.no_answer_probability
    if not answered.has_answer and none is not None:
        lines.append(f"  {none:7.2%}  (no answer) is what the model says; its best guesses:")
    for one in answered.answers:
        where = f"{names[one.document]}, " if len(names) > 1 else ""
        lines.append(f"  {one.probability:7.2%}  {_line(one.text)}")
        lines.append(f"           {where}characters {one.begin}-{one.end}: {_around(one, texts[one.document])}")
    if answered.has_answer and none is not None:
        lines.append(f"  {none:7.2%}  (no answer)")
    return "\n".join(lines) + "\n\n"


def _around(one: FoundAnswer, text: str) -> str:
    """Return an answer with what stands around it, in one line."""
    first, last = max(0, one.begin - _AROUND), one.end + _AROUND
    before = ("…" if first else "") + text[first : one.begin]
    after = text[one.end : last] + ("…" if last < len(text) else "")
    return _line(f"{before}[{text[one.begin : one.end]}]{after}")


def _line(text: str) -> str:
    return " ".join(text.split())
