"""`bert extract_features`: write the outputs of a model's layers for texts, as the original's script does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bertworks.errors import InputError
from bertworks.flag_groups import PRECISION, MachineFlags, ModelFlags, Precision, numbers_of_layers
from bertworks.flags import REQUIRED, RETIRED, flag


@dataclass(frozen=True, kw_only=True)
class Flags(ModelFlags, MachineFlags):
    """Write the outputs of a model's layers: for every token of every line of a text, or one vector for each line.

    bert extract_features --model=bert-base-uncased --input_file=lines.txt --output_file=vectors.npz --layers=-1 \\
        --pooling=mean
    """

    shown_first = "input_file output_file model layers pooling normalize max_seq_length"

    input_file: str = flag(
        REQUIRED,
        "A file with one text on each line, in UTF-8; `A ||| B` is a pair of texts. Or a table: .csv, .tsv, .json, "
        ".jsonl or .parquet.",
        group="Input",
        path=True,
    )
    text_column: str | None = flag(
        None, "In tables: the column of the text, by name or number (from 0); by default found.", group="Input"
    )
    pair_column: str | None = flag(None, "In tables: the column of the second text; by default found.", group="Input")
    max_seq_length: int = flag(128, "The longest sequence, in tokens; longer ones are cut.", group="Input")

    output_file: str = flag(
        REQUIRED,
        "The file to write: .npz, .npy, .safetensors or .parquet; with any other name JSON lines, as the "
        "original writes them.",
        group="Output",
        path="written",
    )
    layers: str | None = flag(
        None,
        "The layers whose outputs to write: -1 is the last, 0 the first. Arrays hold them side by side. By default "
        "-1,-2,-3,-4, as far as the model has them; with --pooling -1.",
        group="Output",
    )
    pooling: Literal["none", "cls", "mean", "max"] = flag(
        "none",
        "none: a vector for each token; else one vector for each line: that of [CLS], the mean, or the maximum.",
        group="Output",
    )

    normalize: bool = flag(
        False, "With --pooling: give vectors the length 1, so that their products are cosines.", group="Output"
    )

    batch_size: int = flag(
        32,
        "How much to compute at a time: the tokens of this many sequences of --max_seq_length.",
        group="Machine",
        lowest=1,
    )
    precision: Precision = flag("fp32", PRECISION, group="Machine")
    use_one_hot_embeddings: bool = flag(False, "", group=RETIRED)


def main(flags: Flags) -> None:
    """Load the model, compute, write, and say what came of it."""
    import time

    from bertworks.checkpoints.early import check_model
    from bertworks.data.delimited_tables import Reading
    from bertworks.files import check_is_file, check_is_no_input
    from bertworks.tasks.classification.columns import ColumnFlags
    from bertworks.tasks.text_input import TABLES, rows_of_table

    given = None if flags.layers is None else numbers_of_layers(flags.layers)
    source, output = Path(flags.input_file), Path(flags.output_file)
    check_is_file(source, "--input_file")
    check_is_no_input(output, [source])
    if flags.normalize and flags.pooling == "none":
        raise InputError("--normalize: is for one vector a text; give --pooling=mean, cls or max")
    check_model(flags)
    from bertworks.model.device import keep_freed_memory, precision_name
    from bertworks.pretrained import load_model
    from bertworks.progress import progress, say
    from bertworks.tasks.embed.feature_files import check_output, feature_file
    from bertworks.tasks.embed.features import default_layers, extract, normalized

    check_output(output, flags.pooling)
    keep_freed_memory()
    model = load_model(flags, flags.precision)
    layers = given or default_layers(flags.pooling, model.config)
    if given is None:
        say(f"The layers: {','.join(map(str, layers))} (--layers)")
    is_table = source.suffix.lower() in TABLES
    columns = ColumnFlags(text_column=flags.text_column, pair_column=flags.pair_column)
    size = source.stat().st_size / 1e6 if source.is_file() else None
    lines, cut, tokens, start = 0, 0, 0, time.perf_counter()
    with progress("Extracting", size, "MB") as advance:
        found = extract(
            model.model.bert,
            model.tokenizer,
            (row.whole for row in rows_of_table(source, columns, Reading(), pairs=True, say=say))
            if is_table
            else _texts(source, lambda count: advance(count / 1e6)),
            layers=layers,
            pooling=flags.pooling,
            max_seq_length=flags.max_seq_length,
            dtype=model.dtype,
            token_budget=flags.batch_size * flags.max_seq_length,
        )
        with feature_file(
            output,
            layers=layers,
            hidden_size=model.config.hidden_size,
            pooling=flags.pooling,
            tokens=model.tokenizer.tokens,
        ) as add:
            for one in found:
                add(one._replace(values=normalized(one.values)) if flags.normalize else one)
                lines, cut, tokens = lines + 1, cut + one.cut, tokens + len(one.ids)
                if lines % 64 == 0:
                    advance(0, f"{tokens / (time.perf_counter() - start):,.0f} tokens/s")
    seconds = time.perf_counter() - start
    if cut:
        print(f"{cut:,} of {lines:,} lines are longer than --max_seq_length={flags.max_seq_length} tokens and were cut")
    print(
        f"Wrote {lines:,} lines, {tokens:,} tokens, to {output} ({output.stat().st_size / 1e6:,.1f} MB): "
        f"{tokens / seconds:,.0f} tokens/s in {precision_name(model.dtype)} on {model.device}"
    )


def _texts(path: Path, read: Callable[[int], None]) -> Iterator[str | tuple[str, str]]:
    """Yield the lines of a file as the original reads them, never all in memory; `read` is told their bytes.

    Only a line feed ends a line; TensorFlow's reader drops carriage returns wherever they stand. Every line counts, the
    empty ones too. Of several ` ||| ` the last one divides a line.
    """
    from bertworks.text.text_files import decoded_lines

    def counted(line: bytes) -> bytes:
        read(len(line))
        return line

    empty = True
    with path.open("rb") as stream:
        for _, line in decoded_lines(map(counted, stream), path):
            empty = False
            text = line.replace("\r", "").strip()
            first, divided, second = text.rpartition(" ||| ")
            yield (first, second) if divided else text
    if empty:
        raise InputError(f"--input_file={path}: is empty")
