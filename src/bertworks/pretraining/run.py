"""A pre-training, as its flags say: open, train, evaluate."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bertworks import files
from bertworks.card.record import Amount
from bertworks.checkpoints.load import load_into
from bertworks.checkpoints.resolve import StartingPoint, starting_point
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.flag_groups import NO_SETTINGS
from bertworks.flags import describe, recorded
from bertworks.model.compiling import compile_blocks
from bertworks.model.device import choose_precision, precision_name
from bertworks.model.heads import PretrainingModel
from bertworks.pretraining.averages import load_average, write_average
from bertworks.pretraining.flags import PretrainingFlags, RecipeFlags
from bertworks.pretraining.growing import grow
from bertworks.pretraining.instances import TrainingInput, evaluation_source, training_input, without_room
from bertworks.pretraining.neighbour_heads import attend_to_neighbours
from bertworks.pretraining.phases import described
from bertworks.tasks import pretraining
from bertworks.train import loop, resume
from bertworks.train.agreement import check_data
from bertworks.train.distributed import World
from bertworks.train.notes import write_notes
from bertworks.train.results import begun_with, shape_of, steps_done, write_model, write_results
from bertworks.train.rules import Schedule, UpdateRules, decay_by_group
from bertworks.train.run import Run, of_machine

# Flags that say what a run is about, not how it is done.
_ABOUT = ("output_dir", "input_file", "do_train", "do_eval", "show_step", "size", "bert_config_file", *NO_SETTINGS)

# The source's identity has these where they depart from the original.
_OF_INSTANCES = ("next_sentence", "mean_span_length", "mask_all")


def pretrain(flags: PretrainingFlags, output_dir: Path, world: World) -> None:
    """Train and evaluate, as the flags say."""
    trained = resume.newest(output_dir, world.say) if not flags.do_train else None
    start = starting_point(
        model=flags.model,
        size=flags.size,
        bert_config_file=flags.bert_config_file,
        init_checkpoint=flags.init_checkpoint,
        trained=trained.folder if trained else None,
    )
    if start.checkpoint is None and not flags.do_train:
        raise InputError(f"--do_eval: {output_dir} holds no checkpoint; train first, or give --model")
    given = training_input(flags, start, keeps_counts=world.is_main and not flags.plan)
    check_data(world, given.opened.source.identity())
    config = start.config_for(given.opened.tokenizer, given.longest)
    model = _model(flags, config, start, given, world)
    precision = choose_precision(flags.precision, world.device, training=True)
    task = pretraining.task(
        pretraining.Pretraining(
            phases=given.of_task(),
            eval_source=evaluation_source(flags, start),
            vocab_size=config.vocab_size,
            eval_batch_size=flags.eval_batch_size,
            max_eval_steps=flags.max_eval_steps,
            precision=precision,
            eval_precision=choose_precision(flags.eval_precision, world.device),
            next_sentence=flags.next_sentence,
            bag_of_words=flags.bag_of_words,
            processes=world,
        )
    )
    results = None
    if flags.do_train:
        world.say(*given.opened.remarks, *without_room(flags, given.phases), *described(given.phases))
        size = f"{pretraining.size_of(model)}{given.opened.words}"
        world.say(f"Pre-training on {world.device} in {precision_name(precision)}: {size}")
        run = _run(flags, output_dir, given, config, world)
        results = loop.train(model, task, run, world)
        if flags.average_checkpoints and world.is_main:
            averaged = write_average(output_dir, flags.average_checkpoints, run.write_model)
            world.say(f"The mean of checkpoints: {averaged}")
        world.say(f"The model: {output_dir} (opens in transformers too)")
    if flags.do_eval:
        results = results or task.evaluate(model)
        if flags.average_checkpoints:
            world.wait()  # until it is written
            load_average(model, output_dir)
            results = {**results, **{f"averaged_{name}": value for name, value in task.evaluate(model).items()}}
        if world.is_main:
            found = {"global_step": steps_done(output_dir), **results}
            print(f"***** Eval results ({flags.eval_precision}) *****")
            write_results(output_dir, found, originals=found, as_json=False)


def _model(
    flags: PretrainingFlags, config: BertConfig, start: StartingPoint, given: TrainingInput, world: World
) -> PretrainingModel:
    """Make the model and fill it, unless a checkpoint of this run will."""
    model = PretrainingModel(config)
    model.bert.gradient_checkpointing = flags.gradient_checkpointing
    if flags.compile and flags.do_train:
        world.say(compile_blocks(model.bert, world.device))
    pretraining.freeze_unused(model, next_sentence=flags.next_sentence, bag_of_words=flags.bag_of_words > 0)
    if not flags.next_sentence and flags.do_train:
        unused = (
            "next-sentence head stays as it is"
            if flags.bag_of_words
            else "pooler and the next-sentence head stay as they are"
        )
        world.say(f"--next_sentence=False: the {unused}, untrained")
    if not (flags.do_train and steps_done(Path(flags.output_dir or ""))):
        model.initialise(flags.random_seed)
        if flags.neighbour_heads and flags.do_train:
            world.say(attend_to_neighbours(model.bert))
        if start.checkpoint is not None:
            world.say(load_into(model, start.checkpoint, config).shown(verbose=flags.verbose))
        if flags.grow_from and flags.do_train:
            for line in grow(model, flags.grow_from, given.opened.tokenizer, flags.random_seed):
                world.say(line)
    return model.to(world.device)


def _run(flags: PretrainingFlags, output_dir: Path, given: TrainingInput, config: BertConfig, world: World) -> Run:
    """Return the settings of the training."""
    identity = _identity(flags, given, config)
    precision = choose_precision(flags.precision, world.device, training=True)
    # What has its default is not mentioned, and identities have what departs from the original's instances.
    usual = {name for name, f in describe(RecipeFlags).items() if getattr(flags, name) == f.default}
    apart = {*_ABOUT, *_OF_INSTANCES, *usual, *(name.removeprefix("--") for name in identity)}
    peak = flags.learning_rate or 1.0
    return Run(
        output_dir=output_dir,
        num_train_steps=flags.num_train_steps,
        num_warmup_steps=flags.num_warmup_steps,
        learning_rate=flags.learning_rate,
        optimizer=flags.optimizer,
        weight_decay=flags.weight_decay,
        random_seed=flags.random_seed,
        precision=precision,
        rules=UpdateRules(
            beta1=flags.adam_beta1,
            beta2=flags.adam_beta2,
            epsilon=flags.adam_epsilon,
            momentum=flags.muon_momentum,
            matrix_rate=(flags.matrix_learning_rate or 0.0) / peak,
            group_decay=decay_by_group(flags.group_weight_decay),
        ),
        schedule=Schedule(
            kind=flags.schedule,
            num_decay_steps=flags.num_decay_steps,
            final_share=flags.final_learning_rate / peak,
        ),
        max_seq_length=given.longest,
        log_every_steps=flags.log_every_steps,
        eval_every_steps=flags.eval_every_steps,
        save_checkpoints_steps=flags.save_checkpoints_steps,
        keep_checkpoint_max=flags.keep_checkpoint_max,
        phase_starts=tuple(phase.first_step for phase in given.phases),
        **of_machine(flags),
        identity=identity,
        settings=recorded(flags, without=apart) | {"precision": precision_name(precision)},
        write_model=partial(write_model, config, given.opened.tokenizer, "BertForPreTraining"),
        write_notes=partial(
            write_notes,
            output_dir,
            flags,
            "run_pretraining",
            world,
            {"train": Amount(given.opened.counts)},
            given.opened.hash,
            precision,
            choose_precision(flags.eval_precision, world.device),
        ),
    )


def _identity(flags: PretrainingFlags, given: TrainingInput, config: BertConfig) -> dict[str, object]:
    """Return what must not change when the run continues, by the flag to change."""
    tokenizer = given.opened.tokenizer
    return {
        **given.identity(flags),
        "--random_seed": flags.random_seed,
        "--optimizer": flags.optimizer,
        "--optimizer_bits": int(flags.optimizer_bits),
        **begun_with(flags.model, flags.init_checkpoint),
        **({"--grow_from": files.absolute_unless_name(flags.grow_from)} if flags.grow_from else {}),
        **({"--bag_of_words": flags.bag_of_words} if flags.bag_of_words else {}),
        **({"--neighbour_heads": True} if flags.neighbour_heads else {}),
        **shape_of(config, "--size or --bert_config_file"),
        **({"--vocab_file": tokenizer.sha256[:16]} if tokenizer else {}),
    }
