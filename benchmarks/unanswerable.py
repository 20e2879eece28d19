"""A set in the form of SQuAD 2.0 from one of 1.1: some questions are asked of another paragraph of their article.

    python -m benchmarks.unanswerable --input=train-v1.1.json --output=train.json --share=0.2 --impossible=0.33

Such a question counts as one without an answer; paragraphs in which its answer's text stands are not taken. These are
easier to tell than those that people wrote for SQuAD 2.0. What is drawn depends on --seed and the question's id only.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any


def main() -> None:
    """Read, move, write, and say how many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of the questions")
    parser.add_argument("--impossible", type=float, default=0.33, help="how many of them lose their answer")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    content = json.loads(flags.input.read_text(encoding="utf-8"))
    counts = {False: 0, True: 0}
    for article in content["data"]:
        article["paragraphs"] = _moved(article["paragraphs"], flags.share, flags.impossible, flags.seed)
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                counts[question["is_impossible"]] += 1
    flags.output.write_text(json.dumps({"version": "v2.0", "data": content["data"]}), encoding="utf-8")
    print(f"{flags.output}: {counts[False]:,} questions with an answer, {counts[True]:,} without")


def _moved(paragraphs: list[dict[str, Any]], share: float, impossible: float, seed: int) -> list[dict[str, Any]]:
    """The paragraphs with the questions that were drawn, each where it is asked now."""
    moved: list[dict[str, Any]] = [{"context": paragraph["context"], "qas": []} for paragraph in paragraphs]
    for i, paragraph in enumerate(paragraphs):
        for question in paragraph["qas"]:
            draw = random.Random(f"{seed} {question['id']}")
            if draw.random() >= share:
                continue
            place, answers = i, question["answers"]
            if draw.random() < impossible:
                texts = [answer["text"].lower() for answer in answers]
                free = [
                    j
                    for j, other in enumerate(paragraphs)
                    if j != i and not any(text in other["context"].lower() for text in texts)
                ]
                if free:
                    place, answers = draw.choice(free), []
            moved[place]["qas"].append({**question, "answers": answers, "is_impossible": not answers})
    return moved


if __name__ == "__main__":
    main()
