"""`bert classify`: the classes, or the number, of texts, by a model that run_classifier has trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bertworks.flag_groups import TextFlags
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.tasks.classification.classify import Classified
    from bertworks.tasks.text_input import GivenText

# How many classes of a text a person is shown.
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Flags(TextFlags):
    """Classify texts with a model that `bert run_classifier` has trained.

    bert classify "The lift is out of order." --model=FOLDER
    bert classify --input_file=mails.csv --model=FOLDER --format=jsonl --output_file=classes.jsonl
    """

    shown_first = "text text_pair input_file model format output_file top_k"

    text_pair: str | None = flag(
        None, "The second text, for a model of pairs; in a file of lines: `A ||| B`.", group="Input"
    )
    pair_column: str | None = flag(None, "In tables: the column of the second text; by default found.", group="Input")
    max_seq_length: int | None = flag(
        None, "The longest sequence, in tokens; by default as in training.", group="Input", lowest=3, alias="max_len"
    )
    top_k: int | None = flag(
        None,
        f"How many classes to give, the most probable first; by default {_SHOWN} in a table, all in JSON.",
        group="Output",
        lowest=1,
    )
    format: Literal["table", "jsonl"] = flag("table", "A table for people, or JSON lines.", group="Output")


def main(flags: Flags) -> None:
    """Look at the input, load the model, classify, print or write."""
    from collections.abc import Iterator

    from bertworks import files
    from bertworks.progress import say
    from bertworks.tasks.classification.columns import ColumnFlags
    from bertworks.tasks.text_input import source_of
    from bertworks.tasks.texts import LengthCount, how_long_texts_are_read, sequence_length

    source = source_of(flags, pair=flags.text_pair, pair_column=flags.pair_column, pairs=True)
    from bertworks.pretrained import load_model

    pretrained = load_model(flags, flags.precision)
    source = replace(source, columns=source.columns.or_remembered(pretrained.config))

    remembered = ColumnFlags().or_remembered(pretrained.config)
    of_single = remembered.text_column is not None and remembered.pair_column is None

    counted = LengthCount(pretrained.tokenizer, sequence_length(pretrained.config, flags.max_seq_length))

    def shown() -> Iterator[str]:
        empty, pair = 0, None
        for block in source.blocks(say):
            if of_single and pair is None and (pair := next((text for text in block if text.pair), None)):
                say(
                    f"{pair.location}: is a pair of texts, and the model was trained on single texts; it reads both as "
                    'one; to give one text: --text_column in tables, no " ||| " in lines, no --text_pair'
                )
            texts = [text.whole for text in block]
            counted.add(texts)
            found = pretrained.classify(texts, flags.max_seq_length)
            empty += sum(one.label is None for one in found)
            for text, one in zip(block, found, strict=True):
                yield _shown(text, one, flags)
        for remark in counted.remarks(how_long_texts_are_read(pretrained.config, counted.max_seq_length)[0]):
            say(remark)
        if empty:
            say("1 text is empty and has no label" if empty == 1 else f"{empty:,} texts are empty and have no label")

    files.write_or_print(flags.output_file, shown())


def _shown(text: GivenText, found: Classified, flags: Flags) -> str:
    """Return a text with its classes, as lines."""
    import json

    best = sorted(found.probabilities.items(), key=lambda item: -item[1])
    if flags.format == "jsonl":
        several = dict(best[: flags.top_k]) if flags.top_k else found.probabilities
        probabilities = {name: round(probability, 6) for name, probability in several.items()}
        return (
            json.dumps({**text.values, "label": found.label, "probabilities": probabilities}, ensure_ascii=False) + "\n"
        )
    label = ", ".join(found.label) if isinstance(found.label, tuple) else found.label
    lines = [" ||| ".join(filter(None, (text.text, text.pair))), f"  {'(empty text)' if label is None else label}"]
    if isinstance(label, float):
        lines[-1] = f"  {label:.6g}"
    width = max(map(len, found.probabilities), default=0)
    lines += [f"    {name:<{width}}  {probability:7.2%}" for name, probability in best[: flags.top_k or _SHOWN]]
    return "\n".join(lines) + "\n\n"
