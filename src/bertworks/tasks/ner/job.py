"""Tagging as the driver of fine-tuning takes it: the data, the network, and what is written at the end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bertworks import files
from bertworks.card.record import Amount
from bertworks.config import BertConfig
from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.job import Evaluation, Job, Setup, fingerprint
from bertworks.model.heads import TokenClassifier
from bertworks.names import listed
from bertworks.tasks.ner import task
from bertworks.tasks.ner.entities import OUTSIDE, EntitySpan, scheme_of, spans, split_tag
from bertworks.tasks.ner.outputs import error_table, write_cluener, write_columns
from bertworks.tasks.ner.tag_files import TaggedRow, in_labels
from bertworks.tasks.ner.task import TaggedSequences, Tagging, encode_rows
from bertworks.tasks.ner.words import TagUnit, sentences_of

Rows = Mapping[str, list[TaggedRow]]

# Of so many rows of sentences, one may have several.
_FEW = 10


def tagging_job(
    rows: Rows,
    setup: Setup,
    bad: BadRows,
    *,
    metric: str = "entity_f1",
    stride: int | None = None,
    use_crf: bool = False,
    are_pieces: bool = False,
    unit: TagUnit | None = None,
) -> Job:
    """Make the job of tagged sentences.

    Args:
        rows: the sentences of each split that is asked for.
        setup: the model and the common settings.
        bad: gets the sentences with a tag that is none of the labels.
        metric: the result that decides.
        stride: in windows, how many pieces further on the next one begins; None cuts long sentences.
        use_crf: learn which tags follow each other.
        are_pieces: whether the words are pieces of the vocabulary already.
        unit: what is tagged in texts; None leaves it to the words of the training file.

    Raises:
        InputError: nothing tells the tags, or no sentence of a split can be used.
    """
    labels = _labels(setup, rows)
    if "test" in rows:
        rows = {**rows, "test": _without_strange_tags(rows["test"], labels, setup)}
    rows = {split: _usable(split, found, labels, bad) for split, found in rows.items()}
    for line in bad.summary():
        setup.say(line)
    setup.say(f"{len(labels)} tags: {', '.join(labels[:12])}{', ...' if len(labels) > 12 else ''}")
    config = _with_labels(setup, rows, labels, unit)
    settings, test = _settings(rows, labels, setup, metric, stride, are_pieces=are_pieces)
    train = settings.train
    crf = use_crf or (not setup.trains and "crf.transitions" in setup.checkpoint.weights)
    sequences = len(train.aligned) if train else 0
    return Job(
        config=config,
        architecture="BertForTokenClassification",
        network=lambda: TokenClassifier(config, len(labels), crf=crf),
        head=f"for these {len(labels)} classes",
        task=lambda seed: task.task(replace(settings, random_seed=seed)),
        examples=sequences,
        metrics=(metric, "accuracy"),
        has_dev=settings.dev is not None,
        identity={
            "the tags": list(labels),
            "the training sequences": sequences,
            "--use_crf": use_crf,
            "--vocab_file": setup.tokenizer.sha256[:16],
        },
        training_data=_fingerprint(train) if train else None,
        results=partial(_results, setup, settings, test),
        amounts={
            split: Amount(
                {"sentences": len(data.rows), "words": (words := int(data.aligned.word_starts[-1]))},
                data.aligned.cut,
                words,
                "words",
                "are not read",
            )
            for split, data in (("train", train), ("dev", settings.dev), ("test", test))
            if data
        },
    )


def _labels(setup: Setup, rows: Rows) -> list[str]:
    """Return the tags, from the training file; without training those of the trained model."""
    trained = setup.config.labels
    if not setup.trains and trained:
        try:
            scheme_of([trained])
        except InputError:
            raise InputError(
                f"--model: its labels are {listed(trained)}, which are no tags; use bert run_classifier"
            ) from None
        return list(trained)
    if not setup.trains:
        raise InputError("--model: says no tags (id2label in config.json); train one first (--do_train)")
    tags = [row.tags or () for row in rows["train"]]
    types = sorted({split_tag(tag)[1] for tag in {tag for several in tags for tag in several} if tag != OUTSIDE})
    if not types:
        raise InputError(f"{rows['train'][0].location}: no word of the training file has a tag but {OUTSIDE}")
    return scheme_of(tags).labels(types)


def _usable(split: str, rows: list[TaggedRow], labels: Sequence[str], bad: BadRows) -> list[TaggedRow]:
    """Return the rows that have only tags of these, in their scheme."""
    before = len(bad.notes)
    found = list(in_labels(rows, labels, bad))
    if not found:
        raise InputError(f"no sentence of the {split} set can be used; the first: {bad.notes[before]}")
    return found


def _without_strange_tags(rows: list[TaggedRow], labels: Sequence[str], setup: Setup) -> list[TaggedRow]:
    """Return the rows of a test set without tags, unless all of them are the model's."""
    if any(row.tags is None for row in rows):
        return [row._replace(tags=None) for row in rows]
    types = {split_tag(label)[1] for label in labels}
    found = {split_tag(tag)[1] for row in rows for tag in row.tags or () if tag != OUTSIDE}
    if found and found <= types:
        return rows
    if strange := sorted(found - types):
        setup.say(f"The test set has tags that the model does not know, such as {strange[0]:.60}; it is not scored")
    return [row._replace(tags=None) for row in rows]


def _with_labels(setup: Setup, rows: Rows, labels: Sequence[str], unit: TagUnit | None) -> BertConfig:
    """Return the configuration of the tagger; it remembers whether words were tagged or, as in CLUENER, characters."""
    if setup.trains and unit is None:
        unit = "character" if all(len(word) == 1 for row in rows["train"] for word in row.words) else "word"
    remembered = {**setup.config.fine_tuning, **({"unit": unit} if unit else {})}
    if setup.trains:
        remembered["sentences"] = _are_sentences(rows["train"])
    return setup.config.with_fine_tuning(remembered).with_labels(labels)


def _are_sentences(rows: Sequence[TaggedRow]) -> bool:
    """Tell whether most of the rows are one sentence each."""
    texts = [row.text if row.text is not None else " ".join(row.words) for row in rows]
    # Words of columns stand apart, also the full stop at the end of a sentence.
    several = sum(len(sentences_of(re.sub(r" (?=[.!?])", "", text))) > 1 for text in texts)
    return several * _FEW < len(rows)


def _settings(
    rows: Rows, labels: Sequence[str], setup: Setup, metric: str, stride: int | None, *, are_pieces: bool
) -> tuple[Tagging, TaggedSequences | None]:
    """Tokenize the data; the test set stands apart."""
    data = {}
    for split, found in rows.items():
        used = setup.share(found) if split == "train" else found
        data[split] = encode_rows(used, labels, setup.tokenizer, setup.max_seq_length, stride, are_pieces=are_pieces)
    for split, made in data.items():
        if made.aligned.cut:
            setup.say(
                f"{made.aligned.cut:,} words of {split} are beyond --max_seq_length={setup.max_seq_length} and are not "
                "read; --long_text=window reads them"
            )
    settings = Tagging(
        labels=labels,
        train=data.get("train"),
        dev=data.get("dev"),
        metric=metric,
        train_batch_size=setup.train_batch_size,
        random_seed=setup.random_seed,
        precision=setup.precision,
        eval_precision=setup.eval_precision,
        processes=setup.processes,
    )
    return settings, data.get("test")


def _fingerprint(data: TaggedSequences) -> str:
    aligned, tags = data.aligned, data.tags
    assert tags is not None
    return fingerprint(aligned.ids, aligned.starts, aligned.rows, aligned.row_starts, tags[aligned.words])


def _results(
    setup: Setup, settings: Tagging, test: TaggedSequences | None, network: TokenClassifier
) -> Iterator[str | Evaluation]:
    """Evaluate the dev set, and write the tags of the test set: a word and its tag a line, and of texts also JSON.

    A test set with tags is scored.
    """
    if settings.dev is not None and "dev" in setup.splits:
        of_dev = task.predict_tags(settings, network, settings.dev)
        if setup.processes.is_main:
            evaluation = task.evaluate_tags(settings, settings.dev, of_dev)
            yield Evaluation(evaluation.results, table=evaluation.table)
            yield f"The predictions: {', '.join(map(str, _write_errors(setup, 'dev', settings.dev, of_dev)))}"
    if test is None:
        return
    start = time.perf_counter()
    found = task.predict_tags(settings, network, test)
    rate = len(test.aligned.ids) / (time.perf_counter() - start)
    if not setup.processes.is_main:
        return
    sentences = list(zip(test.rows, found, strict=True))
    written = [setup.output_dir / "predictions.txt"]
    write_columns(
        written[0],
        ([(word, tag) for word, tag in zip(row.words, of.tags, strict=True) if word.strip()] for row, of in sentences),
    )
    texts = [(row.id, row.text, _in_characters(row, of.tags)) for row, of in sentences if row.text is not None]
    if texts:
        written.append(setup.output_dir / "cluener_predict.json")
        write_cluener(written[1], texts)
    yield f"Tagged {len(found):,} sentences, {rate:,.0f} tokens/s: {', '.join(map(str, written))}"
    if test.tags is not None:
        evaluation = task.evaluate_tags(settings, test, found)
        results = {name.replace("eval_", "test_", 1): value for name, value in evaluation.results.items()}
        yield Evaluation(results, table=evaluation.table)
        yield f"The predictions: {', '.join(map(str, _write_errors(setup, 'test', test, found)))}"


def _write_errors(
    setup: Setup, split: str, data: TaggedSequences, found: Sequence[task.PredictedTags]
) -> tuple[Path, Path]:
    """Write each word with its gold tag and its predicted one, as conlleval reads them; and the wrong entities."""
    columns, errors = (setup.output_dir / name for name in (f"{split}_predictions.txt", f"{split}_errors.tsv"))
    write_columns(
        columns,
        (
            [line for line in zip(row.words, row.tags or (), of.tags, strict=True) if line[0].strip()]
            for row, of in zip(data.rows, found, strict=True)
        ),
    )
    files.write_text(errors, error_table(data.rows, found))
    return columns, errors


def _in_characters(row: TaggedRow, tags: Sequence[str]) -> list[EntitySpan]:
    """Return the entities of a row by the characters of its text."""
    return [EntitySpan(kind, row.places[first][0], row.places[end - 1][1]) for kind, first, end in spans(tags)]
