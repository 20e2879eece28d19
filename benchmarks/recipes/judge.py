"""What is measured of a model of the ledger: held-out masked words, and tasks after fine-tuning."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.recipes.plans import Setting
from benchmarks.recipes.texts import bert
from bertworks.datasets.registry import find_task

# Every model is evaluated on the same instances: single texts and pairs, 15 % masked as in the original.
EVALUATION = ("--masked_lm_prob=0.15", "--max_predictions_per_seq=0", "--eval_batch_size=32")


def evaluate_all(models: list[Path], setting: Setting, folder: Path, log: Path) -> list[dict[str, float]]:
    """Return the results of models on the choosing documents, several at a time with a thread each."""

    def evaluated(path: Path) -> dict[str, float]:
        return evaluate(path, "choose", setting, folder / f"evaluation-{path.name}", log, pairs=False, threads=1)

    with ThreadPoolExecutor(setting.training_threads) as pool:
        return list(pool.map(evaluated, models))


def evaluate(
    model: Path, part: str, setting: Setting, folder: Path, log: Path, *, pairs: bool, threads: int = 0
) -> dict[str, float]:
    """Return the held-out results of a model: of single texts, or of pairs."""
    shutil.rmtree(folder, ignore_errors=True)
    words = (f"--input_file={setting.shards[part]}", f"--model={model}", f"--max_seq_length={setting.max_seq_length}")
    more = (f"--next_sentence={pairs}", f"--max_eval_steps={setting.eval_steps}", f"--output_dir={folder}")
    threads = threads or setting.training_threads
    bert("run_pretraining", "--do_eval", *words, *EVALUATION, *more, log=log, threads=threads)
    pairs_of = [line.split(" = ") for line in (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()]
    shutil.rmtree(folder)
    return {name: float(value) for name, value in pairs_of if name.startswith("masked_lm")}


def finetune(task: str, model: Path, setting: Setting, folder: Path) -> list[float]:
    """Return the task's first metric for each seed."""
    name, _, data = task.partition(":")
    output = folder / re.sub(r"[^\w.]+", "-", f"finetuned-{label(task, setting)}")
    command = "run_ner" if find_task(name).kind == "tags" else "run_classifier"
    words = (f"--task_name={name}", f"--data_dir={data}", f"--model={model}", f"--output_dir={output}")
    more = (f"--max_seq_length={setting.max_seq_length}", f"--seeds={setting.finetuning_seeds}", *setting.finetuning)
    log, threads = folder / "log.txt", setting.training_threads
    bert(command, *words, "--do_train", "--do_eval", *more, log=log, threads=threads)
    seeds = json.loads((output / "seeds.json").read_text(encoding="utf-8"))
    return [float(value) for value in seeds["seeds"].values()]


def label(task: str, setting: Setting) -> str:
    """Return what tells a fine-tuning from others of the model: its task, and the flags that are not the task's own."""
    return " ".join([task.partition(":")[0], *(words.removeprefix("--") for words in setting.finetuning)])
