"""`bert fill_mask`: the words that a pre-trained model predicts at [MASK]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bertworks.flag_groups import TextFlags
from bertworks.flags import flag


@dataclass(frozen=True, kw_only=True)
class Flags(TextFlags):
    """Fill every [MASK] of a text with the words that the model finds most probable.

    bert fill_mask "Paris is the [MASK] of [MASK]." --model=bert-base-uncased
    """

    shown_first = "text input_file model top_k format output_file"

    top_k: int = flag(5, "How many words to give for each [MASK].", group="Output", lowest=1)
    format: Literal["table", "jsonl"] = flag("table", "A table for people, or JSON lines.", group="Output")


def main(flags: Flags) -> None:
    """Look at the input, load the model, fill, print or write."""
    from bertworks import files
    from bertworks.progress import say
    from bertworks.tasks.text_input import source_of

    source = source_of(flags)
    from bertworks.pretrained import load_model
    from bertworks.tasks.fill_mask import fill_mask

    pretrained = load_model(flags, flags.precision)
    model = pretrained.masked_words()
    filled = (
        one
        for block in source.blocks(say)
        for one in fill_mask(
            model, pretrained.tokenizer, [(t.location, t.text) for t in block], flags.top_k, pretrained.dtype
        )
    )
    files.write_or_print(flags.output_file, (_shown(text, guesses, flags.format) for text, guesses in filled))


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
