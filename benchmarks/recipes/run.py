"""Train every row of the ledger for the same time, and add what came of it to a file of results.

    python -m benchmarks.recipes.run --text=demo --corpus=demo --work=/tmp/ledger --minutes=10 --seeds=1
    python -m benchmarks.recipes.run --text=en.txt --corpus=english --work=/tmp/ledger --size=4/256 \
        --max_seq_length=128 --minutes=60 --seeds=1,2,3 --only=baseline --only=fast --task=CoLA:glue/CoLA

A row has a grid; all its points are trained with the first seed, and the best on the choosing documents is trained with
the other seeds, reported on documents that nothing else touched, and fine-tuned. A row named `random` is the same model
without pre-training. Stop it at any moment; the same command continues, and trainings that are in the results are not
done again. `python -m benchmarks.recipes.page` writes docs/recipes.md from them.

The number of steps is what fits into the time: steps of each row are measured first, with --threads on a machine that
does nothing else. `--only_measure` does no more, for all rows in turns, once each call; the least counts. So the
trainings themselves may take place beside other work, and with fewer threads (--training_threads): their steps, and
the seconds in the tables, are those of the measurement.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

from benchmarks.recipes.judge import evaluate, evaluate_all, finetune, label
from benchmarks.recipes.plans import Setting, Trial, read_trials
from benchmarks.recipes.texts import bert, prepare

HERE = Path(__file__).parent

# Checkpoints of a training that are evaluated for its curve.
POINTS = 8
# Steps that are measured at least, the first quarter of which does not count, and seconds.
MEASURED, MEASURED_SECONDS = 16, 6.0
RANDOM = "random"


def main(words: list[str] | None = None) -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="a text file, blank lines between documents; or demo")
    parser.add_argument("--corpus", required=True, help="its name in the tables")
    parser.add_argument("--work", type=Path, required=True, help="the folder of the trainings")
    parser.add_argument("--results", type=Path, default=HERE.parent / "results" / "recipes.jsonl")
    parser.add_argument("--rows", type=Path, default=HERE / "rows.toml")
    parser.add_argument("--only", action="append", default=[], help="the name of a row, several times")
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
    parser.add_argument("--training_threads", type=int, default=0, help="of trainings; 0: as many as --threads")
    parser.add_argument("--only_measure", action="store_true", help="measure the steps of all rows, and stop")
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
        training_threads=flags.training_threads or flags.threads,
        machine=f"{flags.machine or 'not named'}, {flags.threads} threads",
    )
    seeds = [int(seed) for seed in flags.seeds.split(",")]
    trials = read_trials(flags.rows, flags.max_seq_length)
    rows = list(dict.fromkeys(trial.row for trial in trials))
    wanted = flags.only or [*rows, RANDOM]
    if unknown := [name for name in wanted if name not in (*rows, RANDOM)]:
        raise SystemExit(f"--only: there is no row {unknown[0]!r}; rows are {', '.join((*rows, RANDOM))}")
    if flags.only_measure:
        for trial in {trial.cost: trial for trial in trials if trial.row in wanted}.values():
            print(f"{trial.cost}: {_plan(trial, setting, another=True)[0]:,} steps", flush=True)
        return
    for row in wanted:
        if row == RANDOM:
            _train(
                Trial(RANDOM, "random weights", "", "", {"max_seq_length": flags.max_seq_length}),
                seeds[0],
                setting,
                True,
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
        result["report"] = evaluate(model, "report", setting, folder / "evaluation", log, pairs=False)
        result["report_pairs"] = evaluate(model, "report", setting, folder / "evaluation", log, pairs=True)
        for task in setting.tasks:
            tuned = result.setdefault("finetuning", {})
            if (called := label(task, setting)) not in tuned:
                tuned[called] = finetune(task, model, setting, folder)
    setting.results.parent.mkdir(parents=True, exist_ok=True)
    with setting.results.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(result) + "\n")
    return result


def _lacks(found: dict[str, Any], setting: Setting) -> bool:
    done = found.get("finetuning", {})
    return "report" not in found or any(label(task, setting) not in done for task in setting.tasks)


def _pretrain(trial: Trial, seed: int, setting: Setting, folder: Path, log: Path) -> dict[str, Any]:
    """Train for the time, and evaluate the checkpoints on the choosing documents."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model"
    if trial.row == RANDOM:
        steps, planned = 1, 0.0
        words = [*trial.words(1), "--learning_rate=0"]
    else:
        steps, of_a_step = _plan(trial, setting)
        planned = steps * of_a_step
        words = trial.words(steps)
    every = math.ceil(steps / POINTS)
    saving = (f"--save_checkpoints_steps={every}", f"--keep_checkpoint_max={POINTS + 1}", "--log_every_steps=20")
    common = (*_training(folder, setting), f"--random_seed={seed}")
    bert(*common, *words, *saving, f"--output_dir={model}", log=log, threads=setting.training_threads)
    lines = _steps(model)
    took, tokens = (sum(line[name] for line in lines) for name in ("seconds", "tokens"))
    checkpoints = sorted(model.glob("checkpoints/step-*"), key=lambda path: int(path.name[5:]))
    held_out = evaluate_all(checkpoints, setting, folder, log)
    curve = []
    for path, result in zip(checkpoints, held_out, strict=True):
        done = sum(line["tokens"] for line in lines if line["step"] <= int(path.name[5:]))
        # By tokens: whatever else the machine did meanwhile is not in it.
        curve.append({"step": int(path.name[5:]), "tokens": done, "seconds": planned * done / tokens} | result)
    return {"steps": steps, "tokens": tokens, "seconds": planned, "took": took, "curve": curve, "choose": curve[-1]}


def _plan(trial: Trial, setting: Setting, another: bool = False) -> tuple[int, float]:
    """Return the number of steps that fit into the time, and the seconds of one; measured, then kept.

    `another`: measure again. What counts is the least of all measurements: others use these processors too, and come
    and go.
    """
    name = re.sub(r"[^\w.]+", "-", f"{setting.size}-{setting.max_seq_length}-{trial.cost}").strip("-")
    path = setting.work / "measured" / f"{name}.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if another or not found:
        found.append(_seconds_of_a_step(trial, setting, path.with_suffix(""), found[-1] if found else 0.0))
        path.write_text(json.dumps(found), encoding="utf-8")
    return max(POINTS, int(setting.minutes * 60 / min(found))), min(found)


def _training(folder: Path, setting: Setting) -> tuple[str, ...]:
    """Return what all trainings have in common; write the configuration into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "bert_config.json"
    config.write_text(json.dumps(_config(setting)), encoding="utf-8")
    data = (f"--input_file={setting.shards['train']}", f"--bert_config_file={config}")
    return ("run_pretraining", *data, "--do_train", "--nosave_in_background")


def _steps(model: Path) -> list[dict[str, Any]]:
    """Return what a training wrote of its steps."""
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "seconds" in line]


def _config(setting: Setting) -> dict[str, Any]:
    from bertworks.config import BertConfig

    words = len((setting.shards["train"] / "vocab.txt").read_text(encoding="utf-8").splitlines())
    rates = {} if setting.dropout else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    values = {**vars(BertConfig.from_size(setting.size, words, **rates)), "hidden_act": "gelu"}
    return {name: value for name, value in values.items() if name != "extra"}


def _seconds_of_a_step(trial: Trial, setting: Setting, folder: Path, guess: float) -> float:
    """Train for some steps, and again for more where those took little time; return the mean seconds of a step."""
    least = math.ceil(MEASURED / trial.smallest_share)
    mean = guess
    while True:
        steps = max(least, math.ceil(MEASURED_SECONDS / mean)) if mean else least
        shutil.rmtree(folder, ignore_errors=True)
        words = (*trial.words(steps), "--log_every_steps=1", f"--output_dir={folder / 'model'}")
        bert(*_training(folder, setting), *words, log=folder / "log.txt")
        seconds = [line["seconds"] for line in _steps(folder / "model")][MEASURED // 4 :]
        mean = float(sum(seconds) / len(seconds))
        if sum(seconds) > MEASURED_SECONDS / 2:
            shutil.rmtree(folder)
            return mean


if __name__ == "__main__":
    main()
