"""Train every row of the ledger for the same time, and add what came of it to a file of results.

    python -m benchmarks.recipes.run --text=demo --corpus=demo --work=/tmp/ledger --minutes=10 --seeds=1
    python -m benchmarks.recipes.run --text=en.txt --corpus=english --work=/tmp/ledger --size=4/256 \
        --max_seq_length=128 --minutes=60 --seeds=1,2,3 --only='baseline,fast' --task=CoLA:glue/CoLA

A row has a grid; all its points are trained with the first seed, and the best on the choosing documents is trained with
the other seeds, reported on documents that nothing else touched, and fine-tuned. A row named `random` is the same model
without pre-training. The number of steps is what fits into the time: a few steps of each row are measured first, and
the time that the training took is in the results. Stop it at any moment; the same command continues, and trainings
that are in the results are not done again. `python -m benchmarks.recipes.page` writes docs/recipes.md from them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.recipes.plans import Trial, read_trials
from benchmarks.recipes.texts import bert, prepare

HERE = Path(__file__).parent

# Checkpoints of a training that are evaluated for its curve.
POINTS = 8
# Steps that are measured; the first quarter does not count.
MEASURED = 16
# Every model is evaluated on the same instances: single texts and pairs, 15 % masked as in the original.
EVALUATION = ("--masked_lm_prob=0.15", "--max_predictions_per_seq=0", "--eval_batch_size=32")
RANDOM = "random"


@dataclass(frozen=True)
class Setting:
    """What all trainings of a call share."""

    corpus: str
    work: Path
    results: Path
    shards: dict[str, Path]
    size: str
    max_seq_length: int
    minutes: float
    dropout: bool
    eval_steps: int
    tasks: tuple[str, ...]
    finetuning_seeds: str
    finetuning: tuple[str, ...]
    machine: str


def main(words: list[str] | None = None) -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="a text file, blank lines between documents; or demo")
    parser.add_argument("--corpus", required=True, help="its name in the tables")
    parser.add_argument("--work", type=Path, required=True, help="the folder of the trainings")
    parser.add_argument("--results", type=Path, default=HERE.parent / "results" / "recipes.jsonl")
    parser.add_argument("--rows", type=Path, default=HERE / "rows.toml")
    parser.add_argument("--only", default="", help="names of rows with commas between")
    parser.add_argument("--size", default="2/128")
    parser.add_argument("--max_seq_length", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", default="1", help="seeds of pre-training; the grid takes the first")
    parser.add_argument("--dropout", action="store_true", help="keep BERT's dropout, which small models do without")
    parser.add_argument("--eval_steps", type=int, default=32, help="batches of 32 of an evaluation")
    parser.add_argument("--vocab_file", default="")
    parser.add_argument("--vocab_size", type=int, default=8000)
    parser.add_argument("--data_flag", action="append", default=[], help="a flag of create_pretraining_data")
    parser.add_argument("--task", action="append", default=[], help="NAME:FOLDER of run_classifier, several times")
    parser.add_argument("--finetuning_seeds", default="1,2,3,4,5")
    parser.add_argument("--finetuning_flag", action="append", default=[], help="a flag of run_classifier")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--machine", default="", help="how the tables call this machine")
    flags = parser.parse_args(words)
    os.environ["OMP_NUM_THREADS"] = str(flags.threads)
    folder = flags.work / flags.corpus
    setting = Setting(
        corpus=flags.corpus,
        work=folder,
        results=flags.results,
        shards=prepare(flags.text, folder / "text", flags.vocab_file, flags.vocab_size, flags.data_flag),
        size=flags.size,
        max_seq_length=flags.max_seq_length,
        minutes=flags.minutes,
        dropout=flags.dropout,
        eval_steps=flags.eval_steps,
        tasks=tuple(flags.task),
        finetuning_seeds=flags.finetuning_seeds,
        finetuning=tuple(flags.finetuning_flag),
        machine=f"{flags.machine or 'not named'}, {flags.threads} threads",
    )
    seeds = [int(seed) for seed in flags.seeds.split(",")]
    trials = read_trials(flags.rows, flags.max_seq_length)
    rows = list(dict.fromkeys(trial.row for trial in trials))
    wanted = [name.strip() for name in flags.only.split(",")] if flags.only else [*rows, RANDOM]
    if unknown := [name for name in wanted if name not in (*rows, RANDOM)]:
        raise SystemExit(f"--only: there is no row {unknown[0]!r}; rows are {', '.join((*rows, RANDOM))}")
    for row in wanted:
        if row == RANDOM:
            _train(
                Trial(RANDOM, "random weights", "", {"max_seq_length": flags.max_seq_length}), seeds[0], setting, True
            )
            continue
        points = [trial for trial in trials if trial.row == row]
        found = [_train(trial, seeds[0], setting, last=len(points) == 1) for trial in points]
        best = points[max(range(len(points)), key=lambda i: found[i]["choose"]["masked_lm_accuracy"])]
        for seed in seeds:
            _train(best, seed, setting, last=True)


def _key(trial: Trial, seed: int, setting: Setting) -> dict[str, Any]:
    return {
        "corpus": setting.corpus,
        "size": setting.size,
        "max_seq_length": setting.max_seq_length,
        "minutes": setting.minutes,
        "row": trial.row,
        "point": trial.point,
        "seed": seed,
    }


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the results so far, the newest of each training."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    newest = {json.dumps(found["key"], sort_keys=True): found for found in map(json.loads, lines)}
    return list(newest.values())


def _train(trial: Trial, seed: int, setting: Setting, last: bool) -> dict[str, Any]:
    """Train a trial unless it is in the results; `last`: also report and fine-tune. Return its result."""
    key = _key(trial, seed, setting)
    known = next((found for found in read_results(setting.results) if found["key"] == key), None)
    if known and not (last and _lacks(known, setting)):
        return known
    name = re.sub(r"[^\w.]+", "-", f"{setting.size}-{setting.minutes:g}-{trial.row}-{trial.point}-{seed}").strip("-")
    folder = setting.work / name
    log = folder / "log.txt"
    result = known or {"key": key, "what": trial.what, "flags": trial.flags, "machine": setting.machine}
    if known is None:
        print(f"{setting.corpus}: {trial.row} {trial.point} seed {seed}", flush=True)
        result |= _pretrain(trial, seed, setting, folder, log)
    model = folder / "model"
    if last:
        result["report"] = _evaluate(model, "report", setting, folder / "evaluation", log, pairs=False)
        result["report_pairs"] = _evaluate(model, "report", setting, folder / "evaluation", log, pairs=True)
        for task in setting.tasks:
            result.setdefault("finetuning", {}).setdefault(
                task.partition(":")[0], _finetune(task, model, setting, folder)
            )
    setting.results.parent.mkdir(parents=True, exist_ok=True)
    with setting.results.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(result) + "\n")
    return result


def _lacks(found: dict[str, Any], setting: Setting) -> bool:
    done = found.get("finetuning", {})
    return "report" not in found or any(task.partition(":")[0] not in done for task in setting.tasks)


def _pretrain(trial: Trial, seed: int, setting: Setting, folder: Path, log: Path) -> dict[str, Any]:
    """Measure, train for the time, and evaluate the checkpoints on the choosing documents."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "bert_config.json"
    config.write_text(json.dumps(_config(setting)), encoding="utf-8")
    common = ("run_pretraining", f"--input_file={setting.shards['train']}", f"--bert_config_file={config}")
    common += ("--do_train", f"--random_seed={seed}", "--nosave_in_background")
    model, plan = folder / "model", folder / "steps.json"
    if trial.row == RANDOM:
        steps = 1
        words = [*trial.words(1), "--learning_rate=0"]
    else:
        if not plan.exists():
            seconds = _seconds_of_a_step(trial, common, folder / "timing", log)
            plan.write_text(json.dumps({"steps": max(POINTS, int(setting.minutes * 60 / seconds))}), encoding="utf-8")
        steps = json.loads(plan.read_text(encoding="utf-8"))["steps"]
        words = trial.words(steps)
    every = math.ceil(steps / POINTS)
    saving = (f"--save_checkpoints_steps={every}", f"--keep_checkpoint_max={POINTS + 1}", "--log_every_steps=20")
    bert(*common, *words, *saving, f"--output_dir={model}", log=log)
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if "seconds" in line]
    curve = []
    for path in sorted(model.glob("checkpoints/step-*"), key=lambda path: int(path.name[5:])):
        done = [line for line in lines if line["step"] <= int(path.name[5:])]
        held_out = _evaluate(path, "choose", setting, folder / "evaluation", log, pairs=False)
        spent = {"tokens": sum(line["tokens"] for line in done), "seconds": sum(line["seconds"] for line in done)}
        curve.append({"step": int(path.name[5:]), **spent, **held_out})
    total = {name: sum(line[name] for line in lines) for name in ("tokens", "seconds")}
    return {"steps": steps, **total, "curve": curve, "choose": curve[-1]}


def _config(setting: Setting) -> dict[str, Any]:
    from bertworks.config import BertConfig

    words = len((setting.shards["train"] / "vocab.txt").read_text(encoding="utf-8").splitlines())
    rates = {} if setting.dropout else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    values = {**vars(BertConfig.from_size(setting.size, words, **rates)), "hidden_act": "gelu"}
    return {name: value for name, value in values.items() if name != "extra"}


def _seconds_of_a_step(trial: Trial, common: tuple[str, ...], folder: Path, log: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    steps = min(200, math.ceil(MEASURED / trial.smallest_share))
    bert(*common, *trial.words(steps), "--log_every_steps=1", f"--output_dir={folder}", log=log)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    seconds = [line["seconds"] for line in lines if "seconds" in line][MEASURED // 4 :]
    shutil.rmtree(folder)
    return float(sum(seconds) / len(seconds))


def _evaluate(model: Path, part: str, setting: Setting, folder: Path, log: Path, *, pairs: bool) -> dict[str, float]:
    """Return the held-out results of a model: of single texts, or of pairs."""
    shutil.rmtree(folder, ignore_errors=True)
    words = (f"--input_file={setting.shards[part]}", f"--model={model}", f"--max_seq_length={setting.max_seq_length}")
    more = (f"--next_sentence={pairs}", f"--max_eval_steps={setting.eval_steps}", f"--output_dir={folder}")
    bert("run_pretraining", "--do_eval", *words, *EVALUATION, *more, log=log)
    pairs_of = [line.split(" = ") for line in (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()]
    return {name: float(value) for name, value in pairs_of if name.startswith("masked_lm")}


def _finetune(task: str, model: Path, setting: Setting, folder: Path) -> list[float]:
    """Return the task's first metric for each seed."""
    name, _, data = task.partition(":")
    output = folder / f"finetuned-{name}"
    words = (f"--task_name={name}", f"--data_dir={data}", f"--model={model}", f"--output_dir={output}")
    more = (f"--max_seq_length={setting.max_seq_length}", f"--seeds={setting.finetuning_seeds}", *setting.finetuning)
    bert("run_classifier", *words, "--do_train", "--do_eval", *more, log=folder / "log.txt")
    seeds = json.loads((output / "seeds.json").read_text(encoding="utf-8"))
    return [float(value) for value in seeds["seeds"].values()]


if __name__ == "__main__":
    main()
