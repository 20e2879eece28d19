"""`bert embed`: one vector for each text, as JSON lines or as an array."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.flag_groups import TextFlags, numbers_of_layers
from bertworks.flags import flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from bertworks.tasks.text_input import GivenText

# Files that hold arrays; others hold JSON lines.
_ARRAYS = (".npy", ".npz", ".safetensors", ".parquet")


@dataclass(frozen=True, kw_only=True)
class Flags(TextFlags):
    """Compute one vector for each text: as a folder of sentence-transformers says, or the mean of the last layer.

    bert embed "A text." --model=bert-base-uncased
    bert embed --input_file=texts.csv --model=FOLDER --normalize --output_file=vectors.npy
    """

    shown_first = "text input_file model pooling normalize output_file"

    max_seq_length: int | None = flag(
        None, "The longest sequence, in tokens; by default as the model says.", group="Input", lowest=3, alias="max_len"
    )
    layers: str = flag("-1", "The layers whose outputs are joined: -1 is the last, 0 the first.", group="Output")
    pooling: Literal["cls", "mean", "max"] | None = flag(
        None,
        "The vector of [CLS], the mean or the maximum; by default as the model says, else the mean.",
        group="Output",
    )
    normalize: bool = flag(False, "Give vectors the length 1, so that their products are cosines.", group="Output")


def main(flags: Flags) -> None:
    """Look at the input, load the model, compute, print or write."""
    import json

    from bertworks import files
    from bertworks.progress import say
    from bertworks.tasks.text_input import source_of

    source, output = source_of(flags), Path(flags.output_file or "")
    layers = numbers_of_layers(flags.layers)
    from bertworks.pretrained import load_model
    from bertworks.tasks.embed.feature_files import check_output, vector_file
    from bertworks.tasks.embed.sentences import longest_sentence, rules_followed, with_prompt
    from bertworks.tasks.texts import LengthCount

    if output.suffix in _ARRAYS:
        check_output(output, "mean")
    pretrained = load_model(flags, flags.precision)
    rules = rules_followed(pretrained.checkpoint.sentences, layers, flags.pooling)
    counted = LengthCount(pretrained.tokenizer, longest_sentence(rules, pretrained.config, flags.max_seq_length))

    def embedded() -> Iterator[tuple[list[GivenText], NDArray[np.float32]]]:
        for block in filter(None, source.blocks(say)):
            texts = [given.text for given in block]
            counted.add([with_prompt(rules, text) for text in texts] if rules else texts)
            yield block, pretrained.embed(texts, layers, flags.pooling, flags.max_seq_length, flags.normalize)
        for remark in counted.remarks():
            say(remark)

    blocks = embedded()
    if output.suffix in _ARRAYS:
        count = vector_file(output, (([text.text for text in block], vectors) for block, vectors in blocks))
        print(f"Wrote {count:,} vectors to {output}")
        return

    def lines() -> Iterator[str]:
        for block, vectors in blocks:
            for text, vector in zip(block, vectors, strict=True):
                values = [round(float(number), 6) for number in vector]
                yield json.dumps({**text.values, "vector": values}, ensure_ascii=False) + "\n"

    files.write_or_print(flags.output_file, lines())
