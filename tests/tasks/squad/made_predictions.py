"""Predictions of every quality for a data set, made from its answers without chance."""

from __future__ import annotations

import json
from pathlib import Path


def made_predictions(path: Path) -> tuple[dict[str, str], dict[str, float]]:
    """Predictions and no-answer scores: right, too long, too short, another question's, and none, in turn."""
    predictions, odds = {}, {}
    last = "nothing"
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                i = len(predictions)
                answers = [answer["text"] for answer in question["answers"]]
                text = answers[i % len(answers)] if answers else last if i % 3 else ""
                last, words = text or last, text.split()
                kinds = (text.upper(), f"the {text}, a mill of", " ".join(words[1:]), last, "", f"{text} {text}", text)
                predictions[question["id"]] = kinds[i % len(kinds)]
                odds[question["id"]] = (i * 37 % 50 - 25) / 8 + (0 if answers else 1)
    return predictions, odds
