"""`bert learn_vocab`: a WordPiece vocabulary from plain text, in the layout of the released files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bertworks.flags import REQUIRED, CommandFlags, flag

if TYPE_CHECKING:
    from bertworks.text.word_counts import WordCounts


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Learn a WordPiece vocabulary from text.

    The text is split into words as in the original. Then the pair of pieces that occurs most often becomes a piece,
    again and again. The file has the layout of the released vocabularies: [PAD], [unused0] ..., [UNK], [CLS], [SEP],
    [MASK], then the characters, then the pieces in the order they were learned. The result depends only on the text
    and these flags.
    """

    input_file: str = flag(
        REQUIRED,
        "Text files: .txt, .jsonl, each also .gz, .bz2 or .xz; a comma-separated list, globs too.",
        group="Input",
        path=True,
    )
    do_lower_case: bool = flag(
        True, "Lower-case the text: True for uncased vocabularies.", group="Input", alias="do_lower"
    )
    strip_accents: bool | None = flag(
        None, "Whether to drop accents; by default if text is lower-cased.", group="Input"
    )
    max_input_chars_per_word: int = flag(
        200, "Longer words become [UNK]; raise it for scripts without blanks.", group="Input", lowest=1
    )
    text_field: str = flag("text", "The field of a JSON line that holds a document's text.", group="Input")

    output_file: str = flag(
        REQUIRED, "The vocabulary file to write, with one piece on each line.", group="Output", path="written"
    )
    vocab_size: int = flag(30522, "How many pieces the vocabulary has, with its special tokens.", group="Output")
    unused_tokens: int = flag(
        99, "How many tokens [unusedN] to reserve for words of your own.", group="Output", highest=1_000_000
    )
    min_frequency: int = flag(2, "How often two pieces must occur next to each other to become one.", group="Output")
    alphabet_limit: int | None = flag(
        None,
        "The most characters to keep; by default 1,000, or more if 1,000 cover less than 99.95% of the text.",
        group="Output",
    )

    num_workers: int = flag(1, "Processes that count words; the result does not depend on it.")
    engine: Literal["local", "ray"] = flag(
        "local",
        "Where words are counted: in processes here, or on a Ray cluster; the vocabulary is the same.",
    )
    ray_address: str | None = flag(
        None, "With --engine=ray: the cluster, such as auto or ray://HOST:10001; by default one on this machine."
    )


def main(flags: Flags) -> None:
    """Count words, learn, write, and say what came of it."""
    import time
    from pathlib import Path

    from bertworks import files
    from bertworks.errors import InputError
    from bertworks.on_ray import WorkEngine
    from bertworks.progress import progress
    from bertworks.text.vocab_file import write_vocab
    from bertworks.text.vocabulary import learn_vocabulary
    from bertworks.text.word_counts import count_words

    for name, lowest in (("unused_tokens", 0), ("min_frequency", 1), ("alphabet_limit", 1), ("num_workers", 1)):
        value = getattr(flags, name)
        if value is not None and value < lowest:
            raise InputError(f"--{name}={value}: must be at least {lowest}")
    if Path(flags.output_file).is_dir():
        raise InputError(f"--output_file={flags.output_file}: is a folder; give a file such as vocab.txt in it")
    paths = files.expand(flags.input_file, "--input_file")
    files.check_is_no_input(Path(flags.output_file), paths)
    files.check_writable(Path(flags.output_file).parent, "--output_file")
    start = time.perf_counter()
    with progress("Counting words", sum(path.stat().st_size for path in paths) / 1e6, "MB") as advance:
        words = count_words(
            paths,
            do_lower_case=flags.do_lower_case,
            strip_accents=flags.strip_accents,
            max_input_chars_per_word=flags.max_input_chars_per_word,
            num_workers=flags.num_workers,
            text_field=flags.text_field,
            engine=WorkEngine(flags.engine == "ray", flags.ray_address),
            progress=lambda done: advance(done / 1e6),
        )
    if words.long_words and not words.counts:
        longest = flags.max_input_chars_per_word
        raise InputError(f"--max_input_chars_per_word={longest}: every word is longer and so [UNK]; raise it")
    if not words.counts:
        raise InputError(f"--input_file={flags.input_file}: has no words to learn from")
    counted = time.perf_counter()
    with progress("Learning pieces", flags.vocab_size, "pieces") as advance:
        vocabulary = learn_vocabulary(
            words.counts,
            flags.vocab_size,
            min_frequency=flags.min_frequency,
            alphabet_limit=flags.alphabet_limit,
            unused_tokens=flags.unused_tokens,
            progress=advance,
        )
    learned = time.perf_counter()
    write_vocab(flags.output_file, vocabulary)
    print(f"Counted {words.counts.total():,} words, {len(words.counts):,} distinct, in {counted - start:.1f} s")
    print(f"Wrote {len(vocabulary):,} pieces, learned in {learned - counted:.1f} s, to {flags.output_file}")
    print("\n".join(_remarks(flags, words, vocabulary)))
    print(f"\nNext:\n  {_next(flags)}")


def _next(flags: Flags) -> str:
    """Return the command that uses the vocabulary, with the flags that decide how text becomes words."""
    same = ("do_lower_case", "strip_accents", "max_input_chars_per_word", "text_field")
    words = ["bert", "create_pretraining_data", f"--input_file={flags.input_file}", f"--vocab_file={flags.output_file}"]
    words += [f"--{name}={getattr(flags, name)}" for name in same if getattr(flags, name) != getattr(Flags, name)]
    return " ".join(map(shlex.quote, [*words, "--output_dir=shards"]))


def _remarks(flags: Flags, words: WordCounts, vocabulary: Sequence[str]) -> list[str]:
    """Say how well the vocabulary fits the text that it was learned from."""
    from bertworks.text.vocabulary import tokens_per_word

    mean = tokens_per_word(words.counts, vocabulary, flags.max_input_chars_per_word)
    remarks = [f"On this text a word has {mean:.3f} tokens on average"]
    if words.long_words:
        remarks.append(
            f"{words.long_words:,} words of more than {flags.max_input_chars_per_word} characters, "
            f"{words.long_characters / words.characters:.1%} of the text, are left out and are [UNK]; set them apart "
            "with blanks, or raise --max_input_chars_per_word"
        )
    if len(vocabulary) < flags.vocab_size:
        remarks.append(
            f"These are fewer than --vocab_size={flags.vocab_size}: no other pair of pieces occurs "
            f"{flags.min_frequency} times (--min_frequency)"
        )
    alphabet = {piece for piece in vocabulary if len(piece) == 1}
    outside = sum(count for word, count in words.counts.items() if not alphabet.issuperset(word))
    if outside:
        share = outside / words.counts.total()
        remarks.append(
            f"{outside:,} words ({share:.3%}) have a character outside the alphabet of {len(alphabet):,} and are "
            "[UNK]; --alphabet_limit keeps more"
        )
    return remarks
