"""What a training begins with: the model's shape and weights, from flags, and whether they fit the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bertworks.checkpoints.load import check_fits, open_checkpoint
from bertworks.checkpoints.resolve import config_of, stored_tokenizer
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer


class ModelFlags(Protocol):
    """The flags that say what a model is, of any command."""

    model: str | None
    size: str | None
    bert_config_file: str | None
    init_checkpoint: str | None


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
        """The model's shape, checked against what it is to be trained on.

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
                "(vocab_size in --bert_config_file)"
            )
        if self.checkpoint is None:
            return
        theirs = stored_tokenizer(
            self.checkpoint, tokenizer.do_lower_case if self.checkpoint.do_lower_case is None else None
        )
        if theirs is None:
            return
        if theirs.sha256 != tokenizer.sha256:
            raise InputError(
                f"--input_file: made with another vocabulary than the model has ({theirs.vocab_file}); make it "
                f"again with --vocab_file={theirs.vocab_file}"
            )
        if theirs.do_lower_case != tokenizer.do_lower_case:
            raise InputError(
                f"--do_lower_case: the input has {tokenizer.do_lower_case}, the model {theirs.do_lower_case} "
                f"({self.checkpoint.path}); make the input again with --do_lower_case={theirs.do_lower_case}"
            )


def find(flags: ModelFlags, trained: Path | None) -> StartingPoint:
    """What the flags say to begin with.

    Args:
        trained: a checkpoint to evaluate instead; shape flags may then only repeat what it has.

    Raises:
        InputError: flags contradict each other, say too little, or name nothing that can be opened.
    """
    shapes = [name for name in ("model", "size", "bert_config_file") if getattr(flags, name)]
    if len(shapes) > 1:
        raise InputError(f"--{shapes[0]} and --{shapes[1]}: give one of them; each says what the model is")
    if flags.model and flags.init_checkpoint:
        raise InputError("--model and --init_checkpoint: give one of them; each says which weights to begin with")
    config = BertConfig.from_google_file(flags.bert_config_file) if flags.bert_config_file else None
    if trained is not None:
        checkpoint = open_checkpoint(trained, "--output_dir")
        if config is not None and config != checkpoint.config:
            raise InputError(f"--bert_config_file={flags.bert_config_file}: not the model that was trained ({trained})")
        return StartingPoint(checkpoint, checkpoint.config)
    if flags.size and not flags.init_checkpoint:
        return StartingPoint(None, None, flags.size)
    if not (flags.model or flags.init_checkpoint or config):
        raise InputError("say what the model is: --size, --bert_config_file, --model or --init_checkpoint")
    begun = flags.model or flags.init_checkpoint
    if begun is None:
        return StartingPoint(None, config)
    checkpoint = open_checkpoint(begun, "--model" if flags.model else "--init_checkpoint")
    config = config or config_of(checkpoint)
    check_fits(checkpoint, config)
    return StartingPoint(checkpoint, config)
