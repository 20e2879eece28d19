"""`bert fill_mask`: the words that a pre-trained model predicts at [MASK]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bertworks.errors import InputError
from bertworks.flag_groups import MachineFlags, ModelFlags, Precision
from bertworks.flags import flag


@dataclass(frozen=True, kw_only=True)
class Flags(ModelFlags, MachineFlags):
    """Fill every [MASK] of a text with the words that the model finds most probable.

    bert fill_mask "Paris is the [MASK] of [MASK]." --model=bert-base-uncased
    """

    text: str | None = flag(None, "A text.", group="Input", positional=True)
    input_file: str | None = flag(None, "A file with one text on each line.", group="Input", path=True)

    top_k: int = flag(5, "How many words to give for each [MASK].", group="Output", lowest=1)
    format: Literal["table", "jsonl"] = flag("table", "A table for people, or JSON lines.", group="Output")
    output_file: str | None = flag(None, "Write to this file instead of standard output.", group="Output", path=True)

    precision: Precision = flag(
        "fp32",
        "What to compute in: fp32, bf16, int8 (products of 8-bit integers, on CPU only), or auto: bf16 if the "
        "hardware multiplies it natively.",
        group="Machine",
    )


def main(flags: Flags) -> None:
    """Load the model, fill, print or write."""
    from bertworks import files
    from bertworks.flag_groups import warn_of_retired
    from bertworks.pretrained import load_model
    from bertworks.tasks.fill_mask import fill_mask

    if (flags.text is None) == (flags.input_file is None):
        raise InputError("--text or --input_file: give one of them")
    pretrained = load_model(flags, flags.device, flags.precision)
    warn_of_retired(flags, pretrained.device)
    model = pretrained.masked_words()
    filled = fill_mask(model, pretrained.tokenizer, _texts(flags), flags.top_k, pretrained.dtype)
    files.write_or_print(flags.output_file, (_shown(text, guesses, flags.format) for text, guesses in filled))


def _texts(flags: Flags) -> Iterator[tuple[str, str]]:
    """Yield where each text is from, and the text; never all in memory."""
    from bertworks.text.lines import decoded_lines

    if flags.input_file is None:
        yield "--text", flags.text or ""
        return
    path = Path(flags.input_file)
    with path.open("rb") as stream:
        yield from ((location, text.strip()) for location, text in decoded_lines(stream, path) if text.strip())


def _shown(text: str, guesses: Sequence[Sequence[tuple[str, float]]], form: str) -> str:
    """Return one text with what fills it, as lines."""
    import json

    if form == "jsonl":
        masks = [[{"token": word, "probability": round(p, 6)} for word, p in one] for one in guesses]
        return json.dumps({"text": text, "masks": masks}, ensure_ascii=False) + "\n"
    lines = [text]
    for number, one in enumerate(guesses, 1):
        width = max(len(word) for word, _ in one)
        for rank, (word, probability) in enumerate(one):
            title = f"[MASK] {number}" if rank == 0 else ""
            lines.append(f"  {title:<10}  {word:<{width}}  {probability:7.2%}")
    return "\n".join(lines) + "\n\n"
