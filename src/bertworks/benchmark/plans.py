"""The contests of each kind of benchmark: the inputs that are made for them, and their amounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertworks.benchmark import choices, inputs, operations
from bertworks.benchmark.contest import Contest, unlike
from bertworks.benchmark.surroundings import Surroundings
from bertworks.config import BertConfig
from bertworks.errors import InputError

DEFAULT_BATCH_SIZE = 32

# Tokens that a text to be served has less than a model reads.
_ROOM = 6

_STEP = "A step is forward and backward with dropout, clipping to a norm of 1, and AdamW; "
_TASKS = {
    "train": "masked words (15 %) and next sentence. Differences are those of the two losses without dropout.",
    "finetune": "a class for each pair of sentences (mrpc), an answer in each window (squad). Differences are those of "
    "the logits without dropout.",
}


def plan(around: Surroundings) -> tuple[list[str], list[Contest]]:
    """Make the inputs; return sentences about them, and the contests."""
    kinds = {"tokenize": _tokenize, "data": _data, "encode": _texts, "latency": _texts, "serve": _serve}
    return kinds.get(around.flags.what, _steps)(around)


def _steps(around: Surroundings) -> tuple[list[str], list[Contest]]:
    flags, contests = around.flags, []
    corpus = inputs.read_corpus(flags.corpus, around.folder)
    models: dict[str, inputs.SharedModel] = {}
    for mix in choices.mixes(flags):
        work = "pretrain" if flags.what == "train" else "classify" if mix == "mrpc" else "span"
        if work not in models:
            models[work] = make_model(around, work, corpus, flags.size)
        longest = longest_of(around, mix, models[work])
        batch = Batch(work=work, mix=mix, count=flags.batch_size or DEFAULT_BATCH_SIZE, longest=longest)
        options = choices.training_options(flags)
        contests.append(step_contest(around, models[work], batch, corpus, options=options))
    model = next(iter(models.values()))
    return [f"{model.name}; text: {corpus.name}. {_STEP}{_TASKS[flags.what]}"], contests


def longest_of(around: Surroundings, mix: str, model: inputs.SharedModel) -> int:
    """Return the most tokens of a sequence.

    Raises:
        InputError: the model has fewer positions.
    """
    positions = model.config.max_position_embeddings
    longest = around.flags.max_seq_length or min(choices.MIXES.get(mix, positions), positions)
    if longest > positions:
        raise InputError(f"--max_seq_length={longest}: {model.name} reads at most {positions} tokens")
    return longest


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The sequences of a step.

    Attributes:
        work: pretrain, classify, span or predict.
        mix: the name of their lengths, or a file of lengths.
        count: of the sequences.
        longest: the most tokens of one.
    """

    work: str
    mix: str
    count: int
    longest: int

    @property
    def name(self) -> str:
        """How a folder and a table call it."""
        return f"{self.work}-{Path(self.mix).name}-{self.count}-{self.longest}"


def step_contest(
    around: Surroundings,
    model: inputs.SharedModel,
    batch: Batch,
    corpus: inputs.SharedText,
    *,
    name: str = "",
    options: dict[str, str] | None = None,
    precisions: Sequence[str] = (),
    best: bool = False,
) -> Contest:
    """Write a batch and return the contest on it; see `Surroundings.entrants` for the rest."""
    folder = subfolder(around.folder, f"{model.folder.name}-{batch.name}", model)
    if batch.mix == "squad" and around.flags.train_file:
        lengths = inputs.squad_lengths(around.flags.train_file, model.tokenizer, batch.count, batch.longest)
    else:
        lengths = inputs.lengths_of(batch.mix, batch.count, batch.longest)
    masked = inputs.write_batch(folder, model.tokenizer, corpus.sentences, lengths)
    tokens = int(lengths.sum())
    count = operations.forward_operations if batch.work == "predict" else operations.training_operations
    return Contest(
        name=name or f"{batch.count} sequences, {Path(batch.mix).name}, mean {tokens / batch.count:.0f} tokens",
        entrants=around.entrants(
            batch.work, folder, batch.longest, model.config, options=options, precisions=precisions, best=best
        ),
        passes=around.passes,
        sequences=batch.count,
        tokens=tokens,
        operations=count(model.config, lengths, masked if batch.work == "pretrain" else 0),
        model=model.size,
        longest=batch.longest,
    )


def make_model(around: Surroundings, work: str, corpus: inputs.SharedText, size: str) -> inputs.SharedModel:
    """Write the folder of the model that all contestants open."""
    flags = around.flags
    folder = around.folder / f"model-{work}-{size.replace('/', '_')}"
    folder.mkdir()
    return inputs.make_model(
        folder,
        work,
        corpus,
        size=size,
        model=flags.model,
        vocab_file=flags.vocab_file,
        lower=flags.do_lower_case,
    )


def subfolder(folder: Path, name: str, model: inputs.SharedModel) -> Path:
    """Make the folder of a contest's inputs, with a link to the model; contests of equal inputs share it."""
    made = folder / name
    if not made.exists():
        made.mkdir()
        (made / "model").symlink_to(model.folder)
    return made


def _texts(around: Surroundings) -> tuple[list[str], list[Contest]]:
    flags, contests = around.flags, []
    corpus = inputs.read_corpus(flags.corpus, around.folder)
    model = make_model(around, "encode", corpus, flags.size)
    for mix in choices.mixes(flags):
        longest = longest_of(around, mix, model)
        # A pass of latency is one text, so no more of them are measured than a turn has passes.
        count = min(flags.texts, around.passes) if flags.what == "latency" else flags.texts
        texts = inputs.choose_texts(mix, corpus.sentences, count, model.tokenizer, longest)
        folder, lengths = _written(around, mix, model, texts, longest)
        tokens, in_a_pass = int(lengths.sum()), 1 if flags.what == "latency" else len(texts)
        contests.append(
            Contest(
                name=f"{len(texts)} texts, {mix}, mean {tokens / len(texts):.0f} tokens",
                entrants=around.entrants(flags.what, folder, longest, model.config),
                passes=around.passes if flags.what == "encode" else min(around.passes, len(texts)),
                sequences=in_a_pass,
                tokens=round(tokens * in_a_pass / len(texts)),
                operations=operations.forward_operations(model.config, lengths) if flags.what == "encode" else 0.0,
                model=model.size,
                longest=longest,
            )
        )
    about = "A vector is the mean over a text's tokens in the last layer. Differences are those of vectors of length 1."
    return [f"{model.name}; text: {corpus.name}. {about}"], contests


def _written(
    around: Surroundings, mix: str, model: inputs.SharedModel, texts: Sequence[str], longest: int
) -> tuple[Path, inputs.Ints]:
    """Write the texts of a mix; return their folder and the tokens of each."""
    folder = subfolder(around.folder, mix, model)
    inputs.write_texts(folder, texts)
    return folder, inputs.token_lengths(texts, model.tokenizer, longest)


def _serve(around: Surroundings) -> tuple[list[str], list[Contest]]:
    flags, contests = around.flags, []
    corpus = inputs.read_corpus(flags.corpus, around.folder)
    model = make_model(around, "encode", corpus, flags.size)
    for mix in choices.mixes(flags):
        # Some servers refuse longer texts, and others cut them; the room is for servers that count otherwise.
        longest = longest_of(around, mix, model) - _ROOM
        texts = inputs.choose_texts(mix, corpus.sentences, flags.texts, model.tokenizer, longest)
        texts = [inputs.cut_words(text, model.tokenizer, longest) for text in texts]
        folder, lengths = _written(around, mix, model, texts, longest)
        tokens = int(lengths.sum())
        contests += [
            Contest(
                name=f"{len(texts)} texts, {mix}, mean {tokens / len(texts):.0f} tokens, {clients} at once",
                entrants=around.entrants("serve", folder, longest, model.config, options={"clients": str(clients)}),
                passes=around.passes,
                sequences=len(texts),
                tokens=tokens,
                model=model.size,
                longest=longest,
            )
            for clients in choices.clients(flags)
        ]
    about = (
        "A request has one text. Latencies are those of all requests; memory is that of the server. Differences are "
        "those of vectors of length 1."
    )
    return [f"{model.name}; text: {corpus.name}. {about}"], contests


def _tokenize(around: Surroundings) -> tuple[list[str], list[Contest]]:
    corpus, model, megabytes = _plain_text(around)
    contests = []
    for work, name in (("tokenize_cold", "cold: nothing remembered"), ("tokenize_warm", "warm: after a first pass")):
        folder = subfolder(around.folder, work, model)
        inputs.write_texts(folder, corpus.sentences)
        options = {"do_lower_case": str(around.flags.do_lower_case)}
        contests.append(
            Contest(
                name=name,
                entrants=around.entrants(work, folder, 0, clock="processor", options=options),
                passes=around.passes,
                clock="processor",
                sequences=len(corpus.sentences),
                megabytes=megabytes,
                difference=unlike,
            )
        )
    about = f"Text: {corpus.name}, {megabytes:.1f} MB, {len(corpus.sentences):,} lines. Per second of processor time."
    return [about], contests


def _data(around: Surroundings) -> tuple[list[str], list[Contest]]:
    flags = around.flags
    corpus, model, megabytes = _plain_text(around)
    longest = flags.max_seq_length or 128
    options = {"do_lower_case": str(flags.do_lower_case), "corpus": str(corpus.path), "original": flags.original or ""}
    contest = Contest(
        name=f"{megabytes:.1f} MB, sequences of {longest}",
        entrants=around.entrants(
            "data", subfolder(around.folder, "data", model), longest, clock="processor", options=options
        ),
        passes=around.passes,
        clock="processor",
        megabytes=megabytes,
    )
    return [f"Text: {corpus.name}. One pass over the text (dupe_factor 1), per second of processor time."], [contest]


def _plain_text(around: Surroundings) -> tuple[inputs.SharedText, inputs.SharedModel, float]:
    """Return the text, a folder with its vocabulary and no model, and the text's megabytes."""
    flags = around.flags
    corpus = inputs.read_corpus(flags.corpus, around.folder)
    tokenizer = inputs.make_tokenizer(corpus, flags.vocab_file, flags.do_lower_case)
    folder = around.folder / "vocabulary"
    folder.mkdir()
    tokenizer.save(folder)
    model = inputs.SharedModel("", "", folder, BertConfig(vocab_size=tokenizer.vocab_size), tokenizer)
    return corpus, model, corpus.path.stat().st_size / 1e6
