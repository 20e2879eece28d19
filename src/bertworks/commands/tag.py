"""`bert tag`: the entities of texts, by a model that run_ner has trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bertworks.flag_groups import TextFlags
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.tasks.ner.tag import Entity
    from bertworks.tasks.text_input import GivenText


@dataclass(frozen=True, kw_only=True)
class Flags(TextFlags):
    """Find the entities of texts with a model that `bert run_ner` has trained. Texts may be long.

    bert tag "Marta Olsen sails to Porto." --model=FOLDER
    bert tag --input_file='notes/*.txt' --model=FOLDER --format=jsonl --output_file=entities.jsonl
    """

    shown_first = "text input_file model format output_file"

    unit: Literal["word", "character"] | None = flag(
        None, "What the model tags; by default as in its training, else words.", group="Input"
    )
    max_seq_length: int | None = flag(
        None, "The longest window, in tokens; by default as in training.", group="Input", lowest=3, alias="max_len"
    )
    format: Literal["table", "jsonl"] = flag("table", "A table for people, or JSON lines.", group="Output")


def main(flags: Flags) -> None:
    """Look at the input, load the model, tag, print or write."""
    from bertworks import files
    from bertworks.progress import say
    from bertworks.tasks.text_input import source_of

    source = source_of(flags)
    from bertworks.flag_groups import warn_of_retired
    from bertworks.pretrained import load_model

    pretrained = load_model(flags, flags.device, flags.precision, verbose=flags.verbose)
    warn_of_retired(flags, pretrained.device)
    shown = (
        _shown(text, entities, flags.format)
        for block in source.blocks(say)
        for text, entities in zip(
            block, pretrained.tag([text.text for text in block], flags.unit, flags.max_seq_length), strict=True
        )
    )
    files.write_or_print(flags.output_file, shown)


def _shown(text: GivenText, entities: Sequence[Entity], form: str) -> str:
    """Return a text with its entities, as lines."""
    import json

    if form == "jsonl":
        return json.dumps({**text.values, "entities": entities}, ensure_ascii=False) + "\n"
    lines = [text.text]
    width = max((len(one.type) for one in entities), default=0)
    for one in entities:
        shown = " ".join(one.text.split())
        lines.append(f"  {one.type:<{width}}  {one.score:7.2%}  {shown}  (characters {one.begin}-{one.end})")
    return "\n".join(lines) + "\n\n"
