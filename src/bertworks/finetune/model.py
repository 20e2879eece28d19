"""The model that a fine-tuning begins with, and its weights in the network that is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.checkpoints.resolve import guesses, named_checkpoint
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.finetune.flags import FinetuningFlags
from bertworks.job import Job, Network, Setup
from bertworks.model.heads import initialise
from bertworks.train.distributed import World
from bertworks.train.optimizer import freeze_layers

# How the names of a fine-tuning's head begin.
_HEADS = ("classifier.", "crf.", "qa_outputs.")


def first_checkpoint(flags: FinetuningFlags) -> Checkpoint:
    """Open what the training begins with; without training, as in the original, what the output folder holds.

    Where only a configuration and a vocabulary are given, the checkpoint has no weights: a model from scratch.
    """
    output_dir, named = Path(flags.output_dir), flags.model or flags.init_checkpoint
    if flags.do_train and flags.bert_config_file and flags.vocab_file and not named:
        path = Path(flags.bert_config_file)
        return Checkpoint(path, "a configuration", weights={}, config=BertConfig.from_google_file(path))
    contradictory = flags.model and flags.init_checkpoint
    if not contradictory and not flags.do_train and (output_dir / "model.safetensors").exists():
        return open_checkpoint(output_dir, "--output_dir")
    return named_checkpoint(flags.model, flags.init_checkpoint)


def build_network(flags: FinetuningFlags, setup: Setup, job: Job, world: World, seed: int) -> Network:
    """Make the network of a job on the device, with the checkpoint's weights; draw those that are missing.

    Raises:
        InputError: the head is missing, or is another one, and nothing is to be trained.
    """
    network, checkpoint = job.network(), setup.checkpoint
    if checkpoint.weights:
        report = load_into(network, checkpoint, job.config)
        fresh = {*report.missing, *report.misfits}
        tokenizer = setup.tokenizer
        guessed = guesses(checkpoint, job.config, tokenizer, flags.bert_config_file, flags.do_lower_case)
        notes = (*report.notes, *guessed)
        world.say(str(replace(report, do_lower_case=tokenizer.do_lower_case, notes=notes)))
    else:
        fresh = {name for name, _ in network.named_parameters()}
        world.say("No --model and no --init_checkpoint: every weight is drawn at random, nothing is pre-trained.")
    if not flags.do_train and any(name.startswith(_HEADS) for name in fresh):
        raise InputError(f"{checkpoint.path}: has no classifier {job.head}; train one (--do_train)")
    initialise(network, job.config.initializer_range, seed, fresh)
    job.adapt(network)
    freeze_layers(network, flags.freeze_layers)
    network.bert.gradient_checkpointing = flags.gradient_checkpointing
    return network.to(world.device)
