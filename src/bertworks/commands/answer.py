"""`bert answer`: what a text, or several, say in answer to a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.commands.common import MachineFlags, Precision
from bertworks.commands.model_flags import ModelFlags
from bertworks.errors import InputError
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.tasks.squad.answering import Answered, Found

# Characters that are shown on each side of an answer.
_AROUND = 30


@dataclass(kw_only=True)
class Flags(ModelFlags, MachineFlags):
    """Answer questions from texts with a model that `bert run_squad` has trained.

    bert answer "Who wrote it?" --context_file=book.txt --model=FOLDER
    bert answer --input_file=questions.txt --context_file='notes/*.txt' --model=FOLDER --format=jsonl
    """

    question: str | None = flag(None, "One question.", group="Input", positional=True)
    input_file: str | None = flag(None, "Many questions, one a line; - is standard input.", group="Input", path=True)
    context: str | None = flag(None, "The text that has the answer.", group="Input")
    context_file: str | None = flag(
        None, "Files, each one text: paths and globs with commas between.", group="Input", path=True
    )
    max_seq_length: int | None = flag(
        None, "Tokens of a window; by default as in training.", group="Input", lowest=5, alias="max_len"
    )
    doc_stride: int | None = flag(None, "Tokens between windows; by default as in training.", group="Input", lowest=1)
    max_answer_length: int = flag(30, "The longest answer, in tokens.", group="Output", lowest=1)
    top_k: int = flag(3, "How many answers to give.", group="Output", lowest=1)
    format: Literal["table", "jsonl"] = flag("table", "A table for people, or JSON lines.", group="Output")
    output_file: str | None = flag(None, "Write there instead of to standard output.", group="Output", path=True)

    precision: Precision = flag("fp32", "fp32, bf16, or auto: bf16 where the hardware has it.", group="Machine")


def main(flags: Flags) -> None:
    """Load the model, answer, print or write."""
    import sys

    from bertworks import files
    from bertworks.commands.common import warn_of_retired
    from bertworks.commands.model_flags import load_model

    if (flags.question is None) == (flags.input_file is None):
        raise InputError("--question or --input_file: give one of them")
    names, texts = _contexts(flags)
    pretrained = load_model(flags, flags.device, flags.precision)
    warn_of_retired(flags, pretrained.device)
    shown = (
        _shown(
            question,
            pretrained.answer(
                question,
                texts,
                top_k=flags.top_k,
                max_seq_length=flags.max_seq_length,
                doc_stride=flags.doc_stride,
                max_answer_length=flags.max_answer_length,
            ),
            names,
            texts,
            flags.format,
        )
        for question in _questions(flags)
    )
    if flags.output_file is None:
        for block in shown:
            sys.stdout.write(block)
            sys.stdout.flush()
        return
    with files.written_whole(flags.output_file) as stream:
        for block in shown:
            stream.write(block.encode())


def _contexts(flags: Flags) -> tuple[list[str], list[str]]:
    """What the texts are called, and the texts."""
    from bertworks import files

    if (flags.context is None) == (flags.context_file is None):
        raise InputError("--context or --context_file: give one of them, the text that has the answer")
    if flags.context_file is None:
        found = {"--context": flags.context or ""}
    else:
        found = {str(path): _text(path) for path in files.expand(flags.context_file, "--context_file")}
    for name, text in found.items():
        if not text.strip():
            raise InputError(f"{name}: is empty")
    return list(found), list(found.values())


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start + 1} is not valid UTF-8; convert the file to UTF-8") from None


def _questions(flags: Flags) -> Iterator[str]:
    """The questions; those of a file, or of standard input, as they come."""
    import sys

    if flags.input_file is None:
        if not (flags.question or "").strip():
            raise InputError("--question: is empty")
        yield flags.question or ""
        return
    from_terminal = Path(flags.input_file).name == "-"
    with sys.stdin.buffer if from_terminal else Path(flags.input_file).open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                question = line.decode().strip()
            except UnicodeDecodeError:
                raise InputError(f"{flags.input_file}, line {number}: is not valid UTF-8; mend --input_file") from None
            if question:
                yield question


def _shown(question: str, answered: Answered, names: Sequence[str], texts: Sequence[str], form: str) -> str:
    """One question with its answers, as lines."""
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
        whole = {
            "question": question,
            "answers": answers,
            "no_answer_probability": round(answered.no_answer_probability, 6),
        }
        return json.dumps(whole, ensure_ascii=False) + "\n"
    lines = [question]
    for one in answered.answers:
        where = f"{names[one.document]}, " if len(names) > 1 else ""
        lines.append(f"  {one.probability:7.2%}  {_line(one.text)}")
        lines.append(f"           {where}characters {one.begin}-{one.end}: {_around(one, texts[one.document])}")
    lines.append(f"  {answered.no_answer_probability:7.2%}  (no answer)")
    return "\n".join(lines) + "\n\n"


def _around(one: Found, text: str) -> str:
    """An answer with what stands around it, in one line."""
    first, last = max(0, one.begin - _AROUND), one.end + _AROUND
    before = ("…" if first else "") + text[first : one.begin]
    after = text[one.end : last] + ("…" if last < len(text) else "")
    return _line(f"{before}[{text[one.begin : one.end]}]{after}")


def _line(text: str) -> str:
    return " ".join(text.split())
