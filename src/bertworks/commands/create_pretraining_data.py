"""`bert create_pretraining_data`: text to token shards, or to the original's TFRecord instances, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.flags import REQUIRED, CommandFlags, flag

if TYPE_CHECKING:
    from bertworks.data.corpus import Corpus
    from bertworks.data.corpus_report import CorpusCounts
    from bertworks.text.tokenizer import Tokenizer

_RECORDS = "Instances (--output_file and --show; with shards they are chosen at training time)"


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Turn text into data for run_pretraining. The text has one sentence on each line, a blank line between documents.

    --output_dir writes token shards. They are small and tokenized once; run_pretraining draws instances of any length
    from them, with new masks in every epoch. --output_file writes the original's TFRecord files of instances.
    """

    shown_first = "input_file vocab_file do_lower_case output_dir output_file num_workers show"

    input_file: str = flag(
        REQUIRED,
        "Text files: .txt, .jsonl, each also .gz, .bz2 or .xz; a comma-separated list, globs too.",
        group="Input",
        path=True,
    )
    vocab_file: str | None = flag(
        None, "The vocabulary: a file, a folder, a zip, or the name of a model.", group="Input", path="or name"
    )
    model: str | None = flag(
        None,
        "The model that will be trained further, instead of --vocab_file: its vocabulary, and its rules for text.",
        group="Input",
        path="or name",
    )
    do_lower_case: bool = flag(
        True,
        "Lower-case the text: True for uncased vocabularies; with --model by default as the model says.",
        group="Input",
        alias="do_lower",
    )
    strip_accents: bool | None = flag(
        None, "Whether to drop accents; by default if text is lower-cased.", group="Input"
    )
    max_input_chars_per_word: int = flag(
        200, "Longer words become [UNK]; raise it for scripts without blanks.", group="Input", lowest=1
    )
    text_field: str = flag("text", "The field of a JSON line that holds a document's text.", group="Input")

    output_dir: str | None = flag(None, "Folder for token shards.", group="Output", path="written folder")
    output_file: str | None = flag(
        None, "TFRecord file, or a comma-separated list: instances go to each in turn.", group="Output", path="written"
    )
    show: int = flag(0, "Print this many instances for a person to read.", group="Output", lowest=0)

    truncate_segments: float = flag(
        0.0, "Noise: cut this share of the sentences at a random length (the original's README advises 0.02)."
    )
    num_workers: int = flag(0, "Processes that tokenize; 0: as many as there are processors and work for, at most 8.")
    engine: Literal["local", "ray"] = flag(
        "local",
        "Where text is tokenized: in processes here, or on a Ray cluster; the shards are the same.",
    )
    ray_address: str | None = flag(
        None, "With --engine=ray: the cluster, such as auto or ray://HOST:10001; by default one on this machine."
    )
    random_seed: int = flag(12345, "The seed of all random choices.", lowest=0)
    num_shards: int = flag(
        1, "Several commands, each with its --shard_index, write --output_dir together: this many.", lowest=1
    )
    shard_index: int = flag(0, "Which of them this one is, from 0: $SLURM_ARRAY_TASK_ID, for example.", lowest=0)

    max_seq_length: int = flag(128, "The longest instance, in tokens.", group=_RECORDS)
    max_predictions_per_seq: int = flag(20, "The most words to predict in an instance.", group=_RECORDS)
    dupe_factor: int = flag(10, "Passes over the text, each masked in its own way.", group=_RECORDS, lowest=1)
    masked_lm_prob: float = flag(0.15, "The share of words to predict.", group=_RECORDS)
    short_seq_prob: float = flag(0.1, "The share of documents cut into shorter instances.", group=_RECORDS)
    do_whole_word_mask: bool = flag(False, "Mask all pieces of a word together.", group=_RECORDS)


def main(flags: Flags) -> None:
    """Write the shards, then the instances."""
    import shutil

    from bertworks import files
    from bertworks.data.example_writer import write_examples
    from bertworks.data.instances import show_instances
    from bertworks.data.masking import MaskableWords
    from bertworks.data.prepare import MadeOtherwiseError, Part, is_finished, write_corpus
    from bertworks.data.record_settings import RecordSettings, write_settings
    from bertworks.data.stream import Drawing, ShardSource
    from bertworks.flags import to_toml
    from bertworks.on_ray import WorkEngine

    outputs = [Path(name.strip()) for name in (flags.output_file or "").split(",") if name.strip()]
    _check(flags, outputs)
    inputs = files.expand(flags.input_file, "--input_file")
    for output in outputs:
        files.check_is_no_input(output, inputs)
    drawing = Drawing(
        max_seq_length=flags.max_seq_length,
        max_predictions_per_seq=flags.max_predictions_per_seq,
        masked_lm_prob=flags.masked_lm_prob,
        short_seq_prob=flags.short_seq_prob,
        do_whole_word_mask=flags.do_whole_word_mask,
        random_seed=flags.random_seed,
    )
    tokenizer = _tokenizer(flags)
    with _shard_folder(flags.output_dir, outputs) as folder:
        write = partial(
            write_corpus,
            inputs,
            folder,
            tokenizer,
            text_field=flags.text_field,
            truncate_segments=flags.truncate_segments,
            random_seed=flags.random_seed,
            num_workers=flags.num_workers,
            part=Part(flags.shard_index, flags.num_shards),
            engine=WorkEngine(flags.engine == "ray", flags.ray_address),
        )
        try:
            corpus = write()
        except MadeOtherwiseError:
            if flags.output_dir:
                raise
            shutil.rmtree(folder)  # left by a killed run on other text; nobody asked to keep it
            corpus = write()
        if flags.output_dir:
            of_all = replace(flags, shard_index=0, num_shards=1)
            files.write_text(folder / "flags.toml", to_toml(of_all, "create_pretraining_data"))
            print(
                f"Wrote {corpus.documents:,} documents, {corpus.sentences:,} sentences, {corpus.tokens:,} tokens "
                f"in {len(corpus.shards)} shards to {folder}"
            )
        if flags.num_shards > 1:
            state = "is finished" if is_finished(folder) else "waits for other parts"
            print(f"This is part {flags.shard_index} of {flags.num_shards}; {folder} {state}")
            return
        counts = corpus.counts()
        if counts:
            _say_what_is_lost(flags, counts, corpus, tokenizer)
        source = ShardSource(corpus, MaskableWords.of(tokenizer.tokens, tokenizer.vocab_file), drawing)
        if outputs:
            count = source.before(flags.dupe_factor)
            write_examples(
                source,
                count,
                outputs,
                max_seq_length=flags.max_seq_length,
                max_predictions_per_seq=flags.max_predictions_per_seq,
            )
            settings = RecordSettings(corpus.vocabulary, flags.max_seq_length, counts)
            write_settings(settings, outputs)
            print(f"Wrote {count:,} total instances to {', '.join(map(str, outputs))}")
        if flags.show:
            print(show_instances(source.instances(0, flags.show), tokenizer.tokens), end="")


def _tokenizer(flags: Flags) -> Tokenizer:
    """Return the tokenizer of --vocab_file, or of --model as far as flags do not say otherwise."""
    from bertworks.checkpoints.early import vocabulary
    from bertworks.errors import InputError
    from bertworks.progress import say
    from bertworks.text.tokenizer import Tokenizer

    if bool(flags.vocab_file) == bool(flags.model):
        raise InputError("--vocab_file or --model: give one of them; each says what the vocabulary is")
    if flags.model is None:
        return Tokenizer.from_vocab(
            vocabulary(flags.vocab_file) or "",
            flags.do_lower_case,
            strip_accents=flags.strip_accents,
            max_input_chars_per_word=flags.max_input_chars_per_word,
        )
    from bertworks.checkpoints.load import open_checkpoint
    from bertworks.checkpoints.resolve import tokenizer_of

    checkpoint = open_checkpoint(flags.model, "--model")
    said = ("strip_accents", "max_input_chars_per_word")
    rules = {name: getattr(flags, name) for name in said if flags.was_given(name)}
    checkpoint = replace(checkpoint, text_rules=replace(checkpoint.text_rules, **rules))
    found = tokenizer_of(checkpoint, None, flags.do_lower_case if flags.was_given("do_lower_case") else None)
    if found.added:
        say(f"{len(found.added):,} tokens that were added to the vocabulary are cut into words like other text")
    say(f"The vocabulary of {found.vocab_file}; text is {'lower-cased' if found.do_lower_case else 'kept as it is'}")
    return found


def _check(flags: Flags, outputs: Sequence[Path]) -> None:
    """Refuse flags that contradict each other."""
    from bertworks.errors import InputError

    if not (outputs or flags.output_dir or flags.show):
        raise InputError("give --output_dir=FOLDER for token shards, --output_file=FILE for TFRecords, or both")
    if len(set(outputs)) < len(outputs):
        raise InputError(f"--output_file={flags.output_file}: names a file twice")
    if flags.shard_index >= flags.num_shards:
        raise InputError(f"--shard_index={flags.shard_index}: must be below --num_shards={flags.num_shards}")
    if flags.num_shards > 1 and (outputs or flags.show or not flags.output_dir):
        raise InputError(f"--num_shards={flags.num_shards}: is for --output_dir alone; instances need all shards")


def _say_what_is_lost(flags: Flags, counts: CorpusCounts, corpus: Corpus, tokenizer: Tokenizer) -> None:
    """Say what of the text is lost or teaches nothing."""
    from bertworks.data.corpus_report import remarks
    from bertworks.progress import say

    for remark in remarks(counts, tokenizer, flags.max_seq_length):
        say(remark)
    if left_out := counts.tokens - corpus.tokens:
        share = left_out / counts.tokens
        say(f"--truncate_segments={flags.truncate_segments} left out {share:.2%} of the tokens")


@contextmanager
def _shard_folder(output_dir: str | None, outputs: Sequence[Path]) -> Iterator[Path]:
    """Provide the folder for the shards: the one asked for, or one that is gone when the records are written.

    The latter lies beside the records, and stays when a run is killed or fails after its first shard, so that the next
    one goes on.
    """
    import shutil
    import tempfile

    from bertworks.data.corpus import INDEX
    from bertworks.errors import InputError

    if output_dir:
        yield Path(output_dir)
        return
    if not outputs:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    folder = outputs[0].with_name(f".{outputs[0].name}.shards")
    try:
        yield folder
    except InputError:
        if (folder / INDEX).exists():  # all text is there, and there is too little of it
            shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
