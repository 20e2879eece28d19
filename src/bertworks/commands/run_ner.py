"""`bert run_ner`: names of people, places, works and the like, word by word or character by character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.commands.common import in_world
from bertworks.commands.finetuning import (
    Job,
    TaskFlags,
    adapted,
    follow_training,
    needed_splits,
    prepare,
    remembering,
    share,
    starting_checkpoint,
    write_model,
)
from bertworks.commands.training import show_learning_curves, steps_of, train, write_results
from bertworks.errors import InputError
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.tasks.rows import TaggedRow
    from bertworks.tasks.tagging import Tagged, Tagging
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
    in_world(flags, partial(_tag, flags))


def _tag(flags: Flags, world: World) -> None:
    from bertworks.pretrained import config_for, tokenizer_of
    from bertworks.tasks import tagging

    output_dir = Path(flags.output_dir)
    checkpoint = starting_checkpoint(flags, output_dir)
    config = adapted(flags, config_for(checkpoint, flags.bert_config_file, flags.hidden_act))
    follow_training(flags, config)
    tokenizer = tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case)
    records = _records(flags)
    rows = _read(flags, records, config, tokenizer, world)
    labels = _labels(flags, rows, config)
    world.say(f"{len(labels)} tags: {', '.join(labels[:12])}{', ...' if len(labels) > 12 else ''}")
    config = remembering(flags, config, unit=_unit(rows) if flags.do_train else None).with_labels(labels)
    settings, test = _settings(flags, rows, labels, tokenizer, world, are_pieces=bool(records))
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
        _predict(flags, settings, test, job)


def _records(flags: Flags) -> dict[str, list[Path]]:
    """The record files that are needed, by split; empty where the data are others."""
    from bertworks.data.labelled_records import record_files

    if flags.task_name:
        return {}
    records = record_files({split: getattr(flags, f"{split}_file") for split in needed_splits(flags)})
    if records and flags.long_text != "truncate":
        raise InputError(f"--long_text: {next(iter(records.values()))[0]} has texts that are cut; leave the flag out")
    if flags.labels and not records:
        raise InputError("--labels: is for .tf_record files; others have the tags themselves")
    return records


def _read(
    flags: Flags, records: dict[str, list[Path]], config: BertConfig, tokenizer: Tokenizer, world: World
) -> dict[str, list[TaggedRow]]:
    """The sentences of the files that are needed, by split, in one scheme of tags: that of the training file."""
    from bertworks.tasks import datasets
    from bertworks.tasks.entities import in_scheme, recognise
    from bertworks.tasks.rows import BadRows
    from bertworks.tasks.tag_files import read_cluener, read_columns
    from bertworks.tasks.tagging import rows_of_records

    bad = BadRows(flags.on_bad_row)
    rows: dict[str, list[TaggedRow]] = {}
    task = datasets.find(flags.task_name) if flags.task_name else None
    if task and task.kind != "tags":
        raise InputError(f"--task_name={task.name}: has no tags; use bert run_classifier")
    if task and not flags.data_dir:
        raise InputError(f"--data_dir: must be given, the folder with the files of {task.name}")
    for split in needed_splits(flags):
        if task:
            rows[split] = list(datasets.rows(task, Path(flags.data_dir or ""), split, bad))  # type: ignore[arg-type]
        elif split in records:
            names, size = _names_of_records(flags, config), flags.max_seq_length
            rows[split] = rows_of_records(records[split], names, tokenizer, size, with_tags=split != "test")
        elif file := getattr(flags, f"{split}_file"):
            path = Path(file)
            read = read_cluener if path.suffix in (".json", ".jsonl") else read_columns
            rows[split] = list(read(path, bad.notes, bad.on_bad_row))
        else:
            raise InputError(f"--{split}_file: must be given (or --task_name and --data_dir)")
        if split != "test" and (bare := next((row for row in rows[split] if row.tags is None), None)):
            raise InputError(f"{bare.place}: has no tags; a {split} file has one for each word")
    for line in bad.summary():
        world.say(line)
    scheme = recognise(row.tags or () for row in rows.get("train") or rows.get("dev") or ())
    return {
        split: [row if row.tags is None else row._replace(tags=in_scheme(row.tags, scheme)) for row in some]
        for split, some in rows.items()
    }


def _labels(flags: Flags, rows: dict[str, list[TaggedRow]], config: BertConfig) -> list[str]:
    """The tags, from the training file; without training those of the trained model."""
    from bertworks.tasks.entities import OUTSIDE, recognise, split_tag

    if not flags.do_train and config.labels:
        return list(config.labels)
    if not flags.do_train:
        raise InputError("--model: says no tags (id2label in config.json); train one first (--do_train)")
    tags = [row.tags or () for row in rows["train"]]
    types = sorted({split_tag(tag)[1] for tag in {tag for one in tags for tag in one} if tag != OUTSIDE})
    if not types:
        raise InputError(f"{rows['train'][0].place}: no word of the training file has a tag but {OUTSIDE}")
    return recognise(tags).labels(types)


def _unit(rows: dict[str, list[TaggedRow]]) -> str:
    """Whether the training file tags words or, as CLUENER, characters; what `tag()` goes by."""
    return "character" if all(len(word) == 1 for row in rows["train"] for word in row.words) else "word"


def _names_of_records(flags: Flags, config: BertConfig) -> list[str]:
    """What the numbers in record files mean."""
    names = flags.labels.split(",") if flags.labels else list(config.labels or ())
    if not names:
        raise InputError("--labels: must be given, the tags of the record files by number, such as O,B-PER,I-PER")
    return names


def _settings(
    flags: Flags,
    rows: dict[str, list[TaggedRow]],
    labels: Sequence[str],
    tokenizer: Tokenizer,
    world: World,
    *,
    are_pieces: bool,
) -> tuple[Tagging, Tagged | None]:
    """The data, tokenized, how to train on them, and the test set."""
    from bertworks.model.machine import choose_precision
    from bertworks.tasks import datasets
    from bertworks.tasks.tagging import Tagging, tagged

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
    task = datasets.find(flags.task_name) if flags.task_name else None
    settings = Tagging(
        labels=labels,
        train=data.get("train"),
        dev=data.get("dev"),
        metric=task.metrics[0] if task else "entity_f1",
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
    from bertworks.tasks import tagging

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
            "--task_name or --train_file": flags.task_name or flags.train_file,
            "the tags": list(settings.labels),
            "the training sequences": sequences,
            "--use_crf": flags.use_crf,
            "--vocab_file": tokenizer.sha256[:16],
        },
        write_model=partial(write_model, model, config, "BertForTokenClassification", tokenizer),
    )


def _predict(flags: Flags, settings: Tagging, test: Tagged, job: Job) -> None:
    """Write the tags of the test set: a word and its tag a line; for CLUENER its JSON too."""
    import time

    from bertworks.tasks import tagging
    from bertworks.tasks.entities import spans
    from bertworks.tasks.tag_files import write_cluener, write_columns

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
    if settings.metric == "cluener":
        answers = ((row.id, "".join(row.words), spans(tags)) for row, tags in sentences)
        write_cluener(folder / "cluener_predict.json", answers)
        written.append(folder / "cluener_predict.json")
    rate = len(test.aligned.ids) / seconds
    print(f"Tagged {len(found):,} sentences, {rate:,.0f} tokens/s: {', '.join(map(str, written))}")
