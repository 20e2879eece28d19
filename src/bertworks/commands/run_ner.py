"""`bert run_ner`: names of people, places, works and the like, word by word or character by character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.commands import ner_data
from bertworks.commands.common import in_world
from bertworks.commands.finetuning import TaskFlags, follow_task, follow_training, needed_splits, remembering
from bertworks.commands.starting import Job, adapted, fingerprint, prepare, share, starting_checkpoint, write_model
from bertworks.commands.training import show_learning_curves, steps_in, steps_of, train, write_results
from bertworks.errors import InputError
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.datasets.known_task import KnownTask
    from bertworks.tasks.ner.task import Tagged, Tagging
    from bertworks.tasks.rows import TaggedRow
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World


@dataclass(kw_only=True)
class Flags(TaskFlags):
    """Train, evaluate and use a tagger of words.

    A known task:  bert run_ner --task_name=CLUENER --data_dir=CLUENER --model=bert-base-chinese --output_dir=out
                   --do_train --do_eval --do_predict
    Your own:      bert run_ner --train_file=train.txt --dev_file=dev.txt ...; a word and its tag a line, blank lines
                   between sentences, or JSON lines as CLUENER has them
    """

    labels: str | None = flag(
        None, "Of .tf_record files: the tags by number, with commas; by default the model's.", group="Input"
    )
    long_text: Literal["truncate", "window"] = flag(
        "truncate", "What to do with sentences longer than --max_seq_length.", group="Input"
    )
    doc_stride: int = flag(64, "With windows: how many pieces further on the next one begins.", group="Input", lowest=1)
    use_crf: bool = flag(False, "Learn which tags follow each other, and give the best path.", group="Training")


def main(flags: Flags) -> None:
    """Run the command."""
    needed_splits(flags)
    in_world(flags, partial(_tag, flags, _known_task(flags)))


def _known_task(flags: Flags) -> KnownTask | None:
    """The task that --task_name names; with it, other flags must name its files and have an effect."""
    from bertworks.tasks import known_tasks as datasets

    if not flags.task_name:
        return None
    task = datasets.find(flags.task_name)
    if task.kind != "tags":
        raise InputError(f"--task_name={task.name}: has no tags; use bert run_classifier")
    if not flags.data_dir:
        raise InputError(f"--data_dir: must be given, the folder with the files of {task.name}")
    if given := [split for split in ("train", "dev", "test") if getattr(flags, f"{split}_file")]:
        raise InputError(f"--task_name and --{given[0]}_file: give one of them; each says where the data are")
    if flags.labels:
        raise InputError("--labels: is for .tf_record files; a task known by --task_name has the tags themselves")
    return task


def _tag(flags: Flags, task: KnownTask | None, world: World) -> None:
    from bertworks.checkpoints.resolve import config_for, tokenizer_of
    from bertworks.data.bad_rows import BadRows
    from bertworks.tasks.ner import task as tagging

    output_dir = Path(flags.output_dir)
    checkpoint = starting_checkpoint(flags, output_dir)
    config = config_for(checkpoint, flags.bert_config_file, flags.hidden_act)
    follow_training(flags, config)
    follow_task(flags, task, config, world)
    config = adapted(flags, config)
    tokenizer = tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case)
    records = ner_data.record_files_of(flags)
    bad = BadRows(flags.on_bad_row)
    if task:
        rows = ner_data.read_known(flags, task, bad, world)
    else:
        rows = ner_data.read(flags, records, config, tokenizer, bad)
    labels = ner_data.labels_of_model(flags, rows, config)
    rows = {split: ner_data.only_labels(split, some, labels, bad) for split, some in rows.items()}
    for line in bad.summary():
        world.say(line)
    world.say(f"{len(labels)} tags: {', '.join(labels[:12])}{', ...' if len(labels) > 12 else ''}")
    config = remembering(flags, config, unit=ner_data.unit_of(rows) if flags.do_train else None).with_labels(labels)
    metric = task.metrics[0] if task else "entity_f1"
    settings, test = _settings(flags, rows, labels, metric, tokenizer, world, are_pieces=bool(records))
    if settings.train:
        steps_in(flags, len(settings.train.aligned))
    make = partial(_job, flags, settings, config, checkpoint, tokenizer, world)
    job = train(flags, make, world) if flags.do_train else make(flags.random_seed)
    if not world.is_main:
        return
    if flags.do_train:
        show_learning_curves(flags, [settings.metric, "accuracy"])
    if flags.do_eval:
        judged = tagging.judge(settings, job.model)  # type: ignore[arg-type]
        print(f"***** Eval results ({flags.eval_precision}) *****\n{judged.table}")
        write_results(output_dir, steps_of(output_dir), judged.results)
    if test is not None:
        as_json = ner_data.is_json(Path(flags.test_file)) if flags.test_file else settings.metric == "cluener"
        _predict(flags, settings, test, job, as_json=as_json)


def _settings(
    flags: Flags,
    rows: dict[str, list[TaggedRow]],
    labels: Sequence[str],
    metric: str,
    tokenizer: Tokenizer,
    world: World,
    *,
    are_pieces: bool,
) -> tuple[Tagging, Tagged | None]:
    """The data, tokenized, how to train on them, and the test set."""
    from bertworks.model.device import choose_precision
    from bertworks.tasks.ner.task import Tagging, tagged

    if "train" in rows:
        rows = {**rows, "train": list(share(rows["train"], flags.train_fraction, flags.random_seed))}
    stride = flags.doc_stride if flags.long_text == "window" else None
    data = {
        split: tagged(some, labels, tokenizer, flags.max_seq_length, stride, are_pieces=are_pieces)
        for split, some in rows.items()
    }
    for split, one in data.items():
        if one.aligned.cut:
            world.say(
                f"{one.aligned.cut:,} words of {split} are beyond --max_seq_length={flags.max_seq_length} and are not "
                "read; --long_text=window reads them"
            )
    settings = Tagging(
        labels=labels,
        train=data.get("train"),
        dev=data.get("dev"),
        metric=metric,
        train_batch_size=flags.train_batch_size,
        random_seed=flags.random_seed,
        precision=choose_precision(flags.precision, world.device),
        eval_precision=choose_precision(flags.eval_precision, world.device),
    )
    return settings, data.get("test")


def _job(
    flags: Flags,
    settings: Tagging,
    config: BertConfig,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    world: World,
    seed: int,
) -> Job:
    """A model with a fresh or a stored head, and its task."""
    from bertworks.model.heads import TokenClassifier
    from bertworks.tasks.ner import task as tagging

    crf = flags.use_crf or (not flags.do_train and "crf.transitions" in checkpoint.weights)
    model = TokenClassifier(config, len(settings.labels), crf=crf)
    prepare(flags, model, checkpoint, config, seed, world)
    settings = replace(settings, random_seed=seed)
    sequences = len(settings.train.aligned) if settings.train else 0
    return Job(
        model=model,
        config=config,
        task=tagging.task(settings),
        examples=sequences,
        metric=f"eval_{settings.metric}" if settings.dev else None,
        identity={
            "the tags": list(settings.labels),
            "the training sequences": sequences,
            "--use_crf": flags.use_crf,
            "--vocab_file": tokenizer.sha256[:16],
        },
        write_model=partial(write_model, model, config, "BertForTokenClassification", tokenizer),
        training_data=_hash(settings.train) if settings.train else None,
    )


def _hash(data: Tagged) -> str:
    """Tells one training set from another."""
    aligned, tags = data.aligned, data.tags
    assert tags is not None
    return fingerprint(aligned.ids, aligned.starts, aligned.rows, aligned.row_starts, tags[aligned.words])


def _predict(flags: Flags, settings: Tagging, test: Tagged, job: Job, *, as_json: bool) -> None:
    """Write the tags of the test set: a word and its tag a line; JSON too where the file was JSON, as CLUENER's is."""
    import time

    from bertworks.tasks.ner import task as tagging
    from bertworks.tasks.ner.entities import spans
    from bertworks.tasks.ner.tag_files import write_cluener, write_columns

    start = time.perf_counter()
    found = tagging.predicted(settings, job.model, test)  # type: ignore[arg-type]
    seconds = time.perf_counter() - start
    folder = Path(flags.output_dir)
    sentences = list(zip(test.rows, found, strict=True))
    write_columns(
        folder / "predictions.txt",
        ([(word, tag) for word, tag in zip(row.words, tags, strict=True) if word.strip()] for row, tags in sentences),
    )
    written = [folder / "predictions.txt"]
    if as_json:
        answers = ((row.id, "".join(row.words), spans(tags)) for row, tags in sentences)
        write_cluener(folder / "cluener_predict.json", answers)
        written.append(folder / "cluener_predict.json")
    rate = len(test.aligned.ids) / seconds
    print(f"Tagged {len(found):,} sentences, {rate:,.0f} tokens/s: {', '.join(map(str, written))}")
