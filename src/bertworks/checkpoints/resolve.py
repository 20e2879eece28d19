"""Which model, configuration, vocabulary and casing are used: what a person gave, or else what the checkpoint tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bertworks.checkpoints import names
from bertworks.checkpoints.load import check_fits, open_checkpoint
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import ACTIVATIONS, BertConfig
from bertworks.errors import InputError
from bertworks.text.basic import drops_accents
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import is_cased, read_vocab, words_with_capitals

# What to do instead of a vocabulary that is longer than the model's.
ADD_WORDS = "; words are added to a trained model in place of the [unusedN] lines of its vocab.txt, which keep its size"


def named_checkpoint(model: str | None, init_checkpoint: str | None) -> Checkpoint:
    """Open the weights that `--model` or `--init_checkpoint` names.

    Raises:
        InputError: both are given, neither is, or there is nothing to open.
    """
    if model and init_checkpoint:
        raise InputError("--model and --init_checkpoint: give one of them; each says which weights to use")
    if not (named := model or init_checkpoint):
        raise InputError("--model: must be given (or --init_checkpoint with --bert_config_file and --vocab_file)")
    return open_checkpoint(named, "--model" if model else "--init_checkpoint")


def config_for(checkpoint: Checkpoint, bert_config_file: Path | str | None, hidden_act: str | None) -> BertConfig:
    """Return the configuration in `bert_config_file`, or that of the checkpoint; with `hidden_act`, where it is given.

    Raises:
        InputError: nothing tells the configuration, or there is no such activation.
    """
    config = BertConfig.from_google_file(bert_config_file) if bert_config_file else config_of(checkpoint)
    if hidden_act is None:
        return config
    if hidden_act not in ACTIVATIONS:
        raise InputError(f"--hidden_act={hidden_act}: is none of {', '.join(ACTIVATIONS)}")
    return replace(config, hidden_act=hidden_act)


def config_of(checkpoint: Checkpoint) -> BertConfig:
    """Return the configuration stored with a checkpoint, or what the shapes of its tensors tell.

    Shapes tell all but the number of attention heads. Every released model has one head for 64 of its hidden size.

    Raises:
        InputError: a tensor that would tell is missing, or 64 does not divide the hidden size.
    """
    if checkpoint.config:
        return checkpoint.config

    def shape(name: str) -> tuple[int, int]:
        weight = checkpoint.weights.get(name)
        if weight is None or len(weight.shape) != 2:
            raise InputError(
                f"{checkpoint.path}: no weights of a BERT (no {name}); it has {names.some(checkpoint.weights)}"
            )
        return weight.shape[0], weight.shape[1]

    words, hidden = shape("bert.embeddings.word_embeddings.weight")
    if shape("bert.embeddings.token_type_embeddings.weight")[0] == 1:
        raise InputError(
            f"{checkpoint.path}: no configuration lies beside it, and it has one segment (type_vocab_size 1), as a "
            "RoBERTa has, whose positions are others; if it is a BERT, give --bert_config_file"
        )
    if hidden % 64:
        raise InputError(
            f"{checkpoint.path}: no configuration lies beside it, and a hidden size of {hidden} does not tell the "
            "number of attention heads; give --bert_config_file"
        )
    return BertConfig(
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=max(1, names.count_layers(checkpoint.weights)),
        num_attention_heads=hidden // 64,
        intermediate_size=shape("bert.encoder.layer.0.intermediate.dense.weight")[0],
        max_position_embeddings=shape("bert.embeddings.position_embeddings.weight")[0],
        type_vocab_size=shape("bert.embeddings.token_type_embeddings.weight")[0],
        hidden_act=checkpoint.hidden_act or "gelu",
    )


def tokenizer_of(checkpoint: Checkpoint, vocab_file: Path | str | None, do_lower_case: bool | None) -> Tokenizer:
    """Return a tokenizer with the vocabulary in `vocab_file`, or with that of the checkpoint and what was added to it.

    Raises:
        InputError: there is no vocabulary, its rules are not BERT's, or `do_lower_case` contradicts the checkpoint.
    """
    own = checkpoint.vocabulary
    is_own = own is not None and vocab_file and Path(vocab_file).resolve() == own.path.resolve()
    # Where the rules are not BERT's, a person who names the model's own file asks for the original's rules.
    if vocab_file and (not is_own or checkpoint.text_rules.refusal):
        lower = casing_of(checkpoint, do_lower_case, read_vocab(vocab_file))
        return Tokenizer.from_vocab(vocab_file, lower, **checkpoint.text_rules.arguments())
    if own is None:
        raise InputError(f"{checkpoint.path}: no vocabulary lies beside it; give --vocab_file")
    lower = casing_of(checkpoint, do_lower_case, () if checkpoint.text_rules.refusal else own.read())
    return own.tokenizer(lower, checkpoint.text_rules)


def tokenizer_or_none(
    checkpoint: Checkpoint | None,
    vocab_file: Path | str | None,
    do_lower_case: bool | None,
    strip_accents: bool | None = None,
) -> Tokenizer | None:
    """Return a tokenizer with the vocabulary in `vocab_file`, or with that of the checkpoint; None without either.

    Raises:
        InputError: `do_lower_case` contradicts the checkpoint.
    """
    if checkpoint is None:
        return (
            None
            if not vocab_file
            else Tokenizer.from_vocab(vocab_file, do_lower_case is not False, strip_accents=strip_accents)
        )
    if not (vocab_file or checkpoint.vocabulary):
        return None
    if strip_accents is not None:
        checkpoint = replace(checkpoint, text_rules=replace(checkpoint.text_rules, strip_accents=strip_accents))
    return tokenizer_of(checkpoint, vocab_file, do_lower_case)


def casing_of(checkpoint: Checkpoint | None, do_lower_case: bool | None, tokens: Sequence[str] = ()) -> bool:
    """Tell whether to lower-case text: as `do_lower_case` or the checkpoint says, else whether no token has capitals.

    Raises:
        InputError: the two contradict each other (the original's `validate_case_matches_checkpoint`).
    """
    stored = checkpoint.do_lower_case if checkpoint else None
    if do_lower_case is None:
        return stored if stored is not None else not (tokens and is_cased(tokens))
    if checkpoint and stored is not None and stored != do_lower_case:
        kind = "uncased" if stored else "cased"
        raise InputError(
            f"--do_lower_case={do_lower_case}: {checkpoint.path} is of a model that was trained on {kind} text; leave "
            f"the flag out or give --do_lower_case={stored} (if that is wrong, fix tokenizer_config.json or the "
            "folder's name)"
        )
    return do_lower_case


def guesses(
    checkpoint: Checkpoint,
    config: BertConfig,
    tokenizer: Tokenizer,
    bert_config_file: Path | str | None,
    do_lower_case: bool | None,
) -> Iterator[str]:
    """Yield notes on what was guessed because neither the two flags nor the checkpoint told it."""
    if not bert_config_file and checkpoint.config is None:
        yield f"no configuration lies beside it; {config.num_attention_heads} attention heads are taken for granted"
    capitals = words_with_capitals(tokenizer.tokens)
    if do_lower_case is None and checkpoint.do_lower_case is None and not tokenizer.do_lower_case:
        yield (
            f"nothing tells the casing, but {capitals:,} words of the vocabulary have capitals, so text is kept as it "
            "is; give --do_lower_case=True to lower-case it"
        )
    elif do_lower_case is None and checkpoint.do_lower_case is None:
        yield "nothing tells the casing, so text is lower-cased; give --do_lower_case=False for a cased model"
    elif tokenizer.do_lower_case and is_cased(tokenizer.tokens):
        yield f"text is lower-cased, so {capitals:,} words of the vocabulary, which have capitals, are never met"
    if tokenizer.vocab_size < config.vocab_size:
        yield (
            f"the vocabulary has {tokenizer.vocab_size:,} words, the model {config.vocab_size:,}: is it the one that "
            "it came with?"
        )


@dataclass(frozen=True)
class StartingPoint:
    """Weights and shape, as far as the flags alone tell.

    Attributes:
        checkpoint: weights to begin with; None for fresh ones.
        config: the model's shape; None where `size` waits for the vocabulary.
    """

    checkpoint: Checkpoint | None
    config: BertConfig | None
    size: str | None = None

    def config_for(self, tokenizer: Tokenizer | None, max_seq_length: int) -> BertConfig:
        """Return the model's shape, checked against what it is to be trained on.

        Raises:
            InputError: the vocabularies differ, or the sequences are too long; names the flags.
        """
        config = self.config
        if config is None:
            if tokenizer is None:
                raise InputError("--size: give --vocab_file too; these records do not carry their vocabulary")
            config = BertConfig.from_size(self.size or "", tokenizer.vocab_size)
        if tokenizer is not None:
            self._check_vocabulary(tokenizer, config)
        if max_seq_length > config.max_position_embeddings:
            raise InputError(
                f"--max_seq_length={max_seq_length}: the model has {config.max_position_embeddings} positions "
                "(max_position_embeddings)"
            )
        if config.type_vocab_size < 2:
            raise InputError(f"type_vocab_size is {config.type_vocab_size}; pairs of sentences need 2")
        return config

    def _check_vocabulary(self, tokenizer: Tokenizer, config: BertConfig) -> None:
        if tokenizer.vocab_size > config.vocab_size:
            raise InputError(
                f"--vocab_file: the vocabulary has {tokenizer.vocab_size} words, the model only {config.vocab_size} "
                f"(vocab_size in --bert_config_file){ADD_WORDS}"
            )
        if self.checkpoint is None:
            return
        casing = tokenizer.do_lower_case if self.checkpoint.do_lower_case is None else None
        theirs = tokenizer_or_none(self.checkpoint, None, casing)
        if theirs is None:
            return
        added = {token.content for token in theirs.added}
        rest = theirs.tokens[tokenizer.vocab_size :]
        if theirs.tokens[: tokenizer.vocab_size] != tokenizer.tokens or not added.issuperset(rest):
            raise InputError(
                f"--input_file: made with another vocabulary than the model has ({theirs.vocab_file}); make it "
                f"again with --vocab_file={theirs.vocab_file}"
            )
        if theirs.do_lower_case != tokenizer.do_lower_case:
            raise InputError(
                f"--do_lower_case: the input has {tokenizer.do_lower_case}, the model {theirs.do_lower_case} "
                f"({self.checkpoint.path}); make the input again with --do_lower_case={theirs.do_lower_case}"
            )
        strips = drops_accents(theirs.do_lower_case, theirs.strip_accents)
        if strips != drops_accents(tokenizer.do_lower_case, tokenizer.strip_accents):
            raise InputError(
                f"--strip_accents: the input has {not strips}, the model {strips} ({self.checkpoint.path}); make the "
                f"input again with --strip_accents={strips}"
            )
        if theirs.max_input_chars_per_word != tokenizer.max_input_chars_per_word:
            raise InputError(
                f"--max_input_chars_per_word: the input has {tokenizer.max_input_chars_per_word}, the model "
                f"{theirs.max_input_chars_per_word} ({self.checkpoint.path}); make the input again with the model's"
            )


def starting_point(
    *,
    model: str | None,
    size: str | None,
    bert_config_file: str | None,
    init_checkpoint: str | None,
    trained: Path | None,
) -> StartingPoint:
    """Resolve the flags that say what a pre-training begins with.

    Args:
        model, size, bert_config_file, init_checkpoint: the flags.
        trained: a checkpoint to evaluate instead; the other flags may then only repeat what it has.

    Raises:
        InputError: flags contradict each other, say too little, or name nothing that can be opened.
    """
    given = {"model": model, "size": size, "bert_config_file": bert_config_file}
    shapes = [name for name, value in given.items() if value]
    if len(shapes) > 1:
        raise InputError(f"--{shapes[0]} and --{shapes[1]}: give one of them; each says what the model is")
    if model and init_checkpoint:
        raise InputError("--model and --init_checkpoint: give one of them; each says which weights to begin with")
    config = BertConfig.from_google_file(bert_config_file) if bert_config_file else None
    if trained is not None:
        checkpoint = open_checkpoint(trained, "--output_dir")
        if config is not None and config != checkpoint.config:
            raise InputError(f"--bert_config_file={bert_config_file}: not the model that was trained ({trained})")
        return StartingPoint(checkpoint, checkpoint.config)
    if size and not init_checkpoint:
        return StartingPoint(None, None, size)
    if not (model or init_checkpoint or config):
        raise InputError("say what the model is: --size, --bert_config_file, --model or --init_checkpoint")
    begun = model or init_checkpoint
    if begun is None:
        return StartingPoint(None, config)
    checkpoint = open_checkpoint(begun, "--model" if model else "--init_checkpoint")
    config = config or config_of(checkpoint)
    check_fits(checkpoint, config)
    return StartingPoint(checkpoint, config)
