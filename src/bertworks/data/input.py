"""Pre-training input: shards or the original's record files, as a source of instances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bertworks import files
from bertworks.data.corpus import names_shards, open_corpus
from bertworks.data.corpus_report import remarks
from bertworks.data.examples import TFRecordSource
from bertworks.data.instances import InstanceSource, show_instances
from bertworks.data.masking import MaskableWords
from bertworks.data.record_settings import RecordSettings, read_settings, without_settings_files
from bertworks.data.shards import VocabularyIdentity
from bertworks.data.stream import Drawing, ShardSource
from bertworks.errors import InputError
from bertworks.text.basic import drops_accents
from bertworks.text.tokenizer import Tokenizer

_NO_VOCABULARY = "The model folder will have no vocabulary, because these records do not hold theirs (--vocab_file)"


@dataclass(frozen=True)
class PretrainingInput:
    """Instances, the tokenizer of their ids, and what a person should know.

    Attributes:
        tokenizer: None for record files without --vocab_file.
        remarks: what of the text is lost or teaches nothing, what is guessed and what is ignored, a line each.
    """

    source: InstanceSource
    tokenizer: Tokenizer | None
    remarks: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The size of the vocabulary, for a line about the run; "" if there is none."""
        return "" if self.tokenizer is None else f", {self.tokenizer.vocab_size:,} words"

    @property
    def counts(self) -> dict[str, int]:
        """What the input holds -> how many."""
        if not isinstance(self.source, ShardSource):
            return {"records": len(self.source)} if isinstance(self.source, TFRecordSource) else {}
        corpus = self.source.corpus
        return {"documents": corpus.documents, "sentences": corpus.sentences, "tokens": corpus.tokens}

    @property
    def hash(self) -> str:
        """A hash of the contents, without what is drawn from them."""
        return str(self.source.identity()["input_file"]).rpartition(" ")[2]

    def shown(self, first: int, count: int) -> str:
        """Return `count` instances as text, from number `first`.

        Raises:
            InputError: they come without a vocabulary.
        """
        if self.tokenizer is None:
            raise InputError("--show_step: give --vocab_file too; these records have no vocabulary")
        return show_instances(self.source.instances(first, first + count), self.tokenizer.tokens, first)


def open_input(
    patterns: str,
    flag: str,
    drawing: Drawing,
    *,
    vocab_file: Path | str | None = None,
    do_lower_case: bool | None = None,
    strip_accents: bool | None = None,
    records_tokenizer: Tokenizer | None = None,
    casing_is_known: bool = False,
    vocab_size: int | None = None,
    type_vocab_size: int = 2,
    shuffled: bool = True,
    counts_file: Path | None = None,
    keeps_counts: bool = True,
) -> PretrainingInput:
    """Open shard folders, shard files or record files.

    Args:
        patterns: comma-separated paths and globs, given by the flag `flag`.
        drawing: how instances are drawn from shards. For record files only the two lengths and the seed matter.
        vocab_file: a file that must hold the vocabulary of the shards.
        do_lower_case, strip_accents: what a person says of the text; None is nothing. Input that tells must agree.
        records_tokenizer: the vocabulary of record files, with settings for files that do not tell theirs.
        casing_is_known: whether the casing of that tokenizer is more than a guess.
        vocab_size: the model's number of ids, if known: no record may hold a higher id.
        type_vocab_size: the model's number of segments.
        shuffled: whether records come in a new order every epoch, or in the order of the files.
        counts_file, keeps_counts: the file of a ShardSource's counts, and whether it writes them there.

    Raises:
        InputError: a file is missing, damaged, or of another vocabulary or casing; record files are of pairs, and pairs
            are not wanted.
    """
    asked = {"do_lower_case": do_lower_case, "strip_accents": strip_accents}
    if not names_shards(patterns, flag):
        paths = without_settings_files(files.expand(patterns, flag))
        if not drawing.next_sentence:
            raise InputError(f"--next_sentence=False: {paths[0]} holds pairs of texts; give {flag} a folder of shards")
        records = TFRecordSource(
            paths,
            seed=drawing.random_seed if shuffled else None,
            max_seq_length=drawing.max_seq_length,
            max_predictions_per_seq=drawing.max_predictions_per_seq or drawing.max_seq_length,
            vocab_size=vocab_size,
            type_vocab_size=type_vocab_size,
        )
        settings = read_settings(paths, flag)
        if settings is None:
            tokenizer, said = records_tokenizer, _guesses(records_tokenizer, casing_is_known)
        else:
            _check(settings.vocabulary, asked, paths[0])
            tokenizer, said = _as_told(settings, records_tokenizer, paths[0])
        return PretrainingInput(records, tokenizer, (*said, *_without_effect(drawing)))
    corpus = open_corpus(patterns, flag)
    if vocab_file is None and corpus.vocab_file is None:
        raise InputError(f"{flag}: there is no vocab.txt in the folder of {corpus.shards[0].path}; give --vocab_file")
    _check(corpus.vocabulary, asked, corpus.shards[0].path)
    tokenizer = corpus.vocabulary.tokenizer(Tokenizer.from_vocab(vocab_file or corpus.vocab_file or ""))
    if tokenizer.sha256 != corpus.vocabulary.sha256:
        raise InputError(
            f"--vocab_file={vocab_file}: not the vocabulary that {corpus.shards[0].path} was made with; "
            "leave the flag out, or make the shards again"
        )
    words = MaskableWords.of(tokenizer.tokens, str(vocab_file or corpus.vocab_file))
    counts = corpus.counts()
    said = remarks(counts, tokenizer, drawing.max_seq_length, drawing.next_sentence) if counts else []
    return PretrainingInput(ShardSource(corpus, words, drawing, counts_file, keeps_counts), tokenizer, tuple(said))


def _as_told(settings: RecordSettings, tokenizer: Tokenizer | None, path: Path) -> tuple[Tokenizer | None, list[str]]:
    """Return the tokenizer that made record files, over the vocabulary of `tokenizer`, and remarks on their text."""
    if tokenizer is None:
        return None, [_NO_VOCABULARY]
    if tokenizer.sha256 != settings.vocabulary.sha256:
        raise InputError(f"--vocab_file: {tokenizer.vocab_file} is not the vocabulary that {path} was made with")
    made = settings.vocabulary.tokenizer(tokenizer)
    return made, remarks(settings.counts, made, settings.max_seq_length) if settings.counts else []


def _guesses(tokenizer: Tokenizer | None, casing_is_known: bool) -> list[str]:
    """Say what is taken for granted of record files that tell nothing."""
    if tokenizer is None:
        return [_NO_VOCABULARY]
    if casing_is_known:
        return []
    lower = tokenizer.do_lower_case
    accents = "without" if drops_accents(lower, tokenizer.strip_accents) else "with"
    return [
        "Nothing tells how the text of these records was tokenized: the model is written for "
        f"{'lower-cased' if lower else 'cased'} text {accents} accents (--do_lower_case, --strip_accents)"
    ]


def _without_effect(drawing: Drawing) -> list[str]:
    """Name the flags that record files, which are drawn and masked already, make useless."""
    names = ("masked_lm_prob", "short_seq_prob", "do_whole_word_mask", "mean_span_length", "mask_all")
    useless = [f"--{name}" for name in names if getattr(drawing, name) != getattr(Drawing, name)]
    return [f"{', '.join(useless)}: no effect, because records are drawn and masked already"] if useless else []


def _check(made_with: VocabularyIdentity, asked: dict[str, bool | None], path: Path) -> None:
    """Compare what a person says of the text with what the input tells."""
    lower = made_with.do_lower_case
    told = {"do_lower_case": lower, "strip_accents": drops_accents(lower, made_with.strip_accents)}
    for name, value in asked.items():
        made = told[name]
        if value is not None and value != made:
            raise InputError(
                f"--{name}={value}: {path} was made with {made}; leave the flag out, or make the input again"
            )
