"""`bert explain`: which words moved the decision of a fine-tuned model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.flag_groups import MachineFlags, ModelFlags
from bertworks.flags import REQUIRED, flag

if TYPE_CHECKING:
    from bertworks.tasks.explain.explanation import Explanation


@dataclass(frozen=True, kw_only=True)
class Flags(ModelFlags, MachineFlags):
    """Say which words moved a model's decision, and by how much: a class, the entities of a text, or an answer.

    bert explain "I loved it, but not the end" --model=reviews
    bert explain "Who wrote it?" --text_pair="It was written by Mary Shelley." --model=squad --html_file=why.html

    The contributions are integrated gradients: they sum up to the difference between the text and the same text with
    every word hidden ([MASK]).
    """

    text: str = flag(REQUIRED, "The text; for a model that answers, the question.", group="Input", positional=True)
    text_pair: str | None = flag(
        None, "The second text of a pair; for a model that answers, the text with the answer.", group="Input"
    )
    label: str | None = flag(None, "Explain this class instead of the one that the model decides for.", group="Input")
    max_seq_length: int | None = flag(
        None, "The longest sequence, in tokens; by default as in the training.", group="Input", lowest=3
    )

    top_k: int = flag(10, "How many words the table shows, the strongest first.", group="Output", lowest=1)
    format: Literal["table", "jsonl"] = flag(
        "table", "A table for people, or a JSON line for each decision.", group="Output"
    )
    output_file: str | None = flag(
        None, "Write to this file instead of standard output.", group="Output", path="written"
    )
    html_file: str | None = flag(None, "Write a page that shows the words in colour.", group="Output", path="written")
    picture_file: str | None = flag(
        None, "Draw the strongest words of the first decision (PNG).", group="Output", path="written"
    )
    attention_file: str | None = flag(
        None, "Draw which words attend to which, for each head of --layer (PNG).", group="Output", path="written"
    )
    layer: int = flag(-1, "The layer of --attention_file: 0 is the first, -1 the last.", group="Output")


def main(flags: Flags) -> None:
    """Load the model, explain, print, write and draw."""
    from bertworks import files
    from bertworks.pretrained import load_model
    from bertworks.tasks.explain.shown import as_html, draw_attentions, draw_explanation

    pretrained = load_model(flags)
    layers = pretrained.config.num_hidden_layers
    if not -layers <= flags.layer < layers:
        raise InputError(
            f"--layer={flags.layer}: the model has layers 0 to {layers - 1}, or -1 (the last) to {-layers}"
        )
    text = (flags.text, flags.text_pair) if flags.text_pair else flags.text
    found = pretrained.explain(text, flags.label, flags.max_seq_length)
    files.write_or_print(flags.output_file, _shown(found, flags))
    if flags.html_file:
        files.write_text(flags.html_file, as_html(found))
    if flags.picture_file and found:
        draw_explanation(Path(flags.picture_file), found[0])
    if flags.attention_file:
        attentions = pretrained.attentions(flags.text, flags.text_pair)
        draw_attentions(Path(flags.attention_file), attentions, flags.layer % layers)


def _shown(explanations: Sequence[Explanation], flags: Flags) -> list[str]:
    """Return one block of lines for each decision."""
    import json

    if flags.format == "jsonl":
        return [json.dumps(one.as_json(), ensure_ascii=False) + "\n" for one in explanations]
    if not explanations:
        return ["The model finds no entity in the text, so there is nothing to explain.\n"]
    blocks = []
    for one in explanations:
        lines = [one.decision, f"  {one.meaning}: {one.score:.3f}; with all words hidden {one.baseline:.3f}"]
        lines += [f"  {word.value:+8.3f}  {word.text}" for word in one.strongest[: flags.top_k]]
        lines.append(f"  All words together: {one.score - one.baseline:+.3f}, exact to {one.error:.2%}")
        if one.cut:
            lines.append("  The model did not read the whole text at once; what it did not read has no part in it.")
        blocks.append("\n".join(lines) + "\n\n")
    return blocks
