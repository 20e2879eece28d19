"""The model that a fine-tuning begins with and ends with, and what is trained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bertworks.commands.finetuning import FinetuningFlags
from bertworks.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
    from bertworks.task import Task
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World

RowType = TypeVar("RowType")


@dataclass(frozen=True)
class Job:
    """What one training is of.

    Attributes:
        model: on the device, its weights loaded.
        config: its numbers.
        task: as the loop takes it.
        examples: in the training set.
        metric: the result that decides which model is best; None where there is nothing to evaluate on.
        identity: flag -> value of what must not change when it is resumed.
        write_model: writes the model folder into the empty folder it is given.
        training_data: their fingerprint, which must not change either.
    """

    model: nn.Module
    config: BertConfig
    task: Task
    examples: int
    metric: str | None
    identity: Mapping[str, object]
    write_model: Callable[[Path], None]
    training_data: str | None = None


def writable(output_dir: Path) -> None:
    """Find out now, not after hours, whether results can be written.

    Raises:
        InputError: they cannot.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass
    except OSError as error:
        raise InputError(f"--output_dir={output_dir}: cannot be written to ({error.strerror})") from None


def starting_checkpoint(flags: FinetuningFlags, output_dir: Path) -> Checkpoint:
    """What to begin with, as in the original: without training, what was trained in the output folder before.

    Where only a configuration and a vocabulary are given, it has no weights: a model from scratch.
    """
    from bertworks.checkpoints.load import open_checkpoint
    from bertworks.checkpoints.resolve import named_checkpoint
    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig

    writable(output_dir)
    if flags.do_train and flags.bert_config_file and flags.vocab_file and not (flags.model or flags.init_checkpoint):
        path = Path(flags.bert_config_file)
        return Checkpoint(path, "a configuration", weights={}, config=BertConfig.from_google_file(path))
    both = flags.model and flags.init_checkpoint
    if not both and not flags.do_train and (output_dir / "model.safetensors").exists():
        return open_checkpoint(output_dir, "--output_dir")
    return named_checkpoint(flags.model, flags.init_checkpoint)


def share(rows: Sequence[RowType], fraction: float, seed: int) -> Sequence[RowType]:
    """A random part of the rows, in their order; a smaller fraction is part of a larger one."""
    from bertworks.data.sequences import shuffled

    if fraction >= 1:
        return rows
    kept = shuffled(seed, len(rows), 0, len(rows))[: max(1, round(fraction * len(rows)))]
    return [rows[i] for i in sorted(kept.tolist())]


def fingerprint(*arrays: NDArray[np.generic]) -> str:
    """Tells one set of training data from another, so that a run is not continued on changed files."""
    digest = sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def adapted(flags: FinetuningFlags, config: BertConfig) -> BertConfig:
    """The model's numbers as the flags change them.

    Raises:
        InputError: --max_seq_length is beyond its positions, or --freeze_layers beyond its layers.
    """
    if flags.max_seq_length > config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={flags.max_seq_length}: the model has {config.max_position_embeddings} positions"
        )
    if flags.freeze_layers > config.num_hidden_layers:
        raise InputError(f"--freeze_layers={flags.freeze_layers}: the model has {config.num_hidden_layers} layers")
    if flags.dropout is None:
        return config
    return replace(config, hidden_dropout_prob=flags.dropout, attention_probs_dropout_prob=flags.dropout)


def prepare(
    flags: FinetuningFlags,
    model: SequenceClassifier | TokenClassifier | SpanClassifier,
    checkpoint: Checkpoint,
    config: BertConfig,
    seed: int,
    world: World,
) -> None:
    """Load a model's weights, draw those that are missing, and bring it to the device.

    Raises:
        InputError: the classifier is missing, or another one, and nothing is to be trained.
    """
    from bertworks.checkpoints.load import load_into
    from bertworks.model.heads import SpanClassifier, initialise
    from bertworks.train import layers

    if checkpoint.weights:
        report = load_into(model, checkpoint, config)
        fresh = {*report.missing, *report.misfits}
        world.say(str(report))
    else:
        fresh = {name for name, _ in model.named_parameters()}
        world.say("No --model and no --init_checkpoint: every weight is drawn at random, nothing is pre-trained.")
    if not flags.do_train and any(name.startswith(("classifier.", "crf.", "qa_outputs.")) for name in fresh):
        fits = (
            "of answers" if isinstance(model, SpanClassifier) else f"for these {len(model.classifier.weight)} classes"
        )
        raise InputError(f"{checkpoint.path}: has no classifier {fits}; train one (--do_train)")
    initialise(model, config.initializer_range, seed, fresh)
    layers.freeze(model, flags.freeze_layers)
    model.gradient_checkpointing = flags.gradient_checkpointing
    model.to(world.device)


def write_model(model: nn.Module, config: BertConfig, architecture: str, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a model folder that everybody can open."""
    from bertworks.checkpoints.formats.huggingface import save_model_folder

    save_model_folder(folder, config, model.state_dict(), architecture)
    tokenizer.save(folder, config.longest_sequence)
