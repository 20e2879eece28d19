"""From logits to answers, slowly: one loop after the other, as `write_predictions` of run_squad.py is described."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.text import slow_tokenizer


def best_indexes(scores: Sequence[float], count: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: -scores[i])[:count]


def slow_final_text(predicted: str, original: str, lower: bool) -> str:
    """Aligns character by character, over the whole text."""
    text = " ".join(slow_tokenizer.words(original, lower))
    begin = text.find(predicted)
    in_text = [i for i, character in enumerate(text) if character != " "]
    in_original = [i for i, character in enumerate(original) if character != " "]
    last = begin + len(predicted) - 1
    if begin < 0 or len(in_text) != len(in_original) or begin not in in_text or last not in in_text:
        return original
    return original[in_original[in_text.index(begin)] : in_original[in_text.index(last)] + 1]


def slow_answer(  # noqa: PLR0912
    words: Sequence[str],
    windows: Sequence[tuple[Sequence[str], dict[int, int], dict[int, bool]]],
    logits: Sequence[tuple[list[float], list[float]]],
    n_best_size: int,
    max_answer_length: int,
    lower: bool,
    version_2: bool,
    threshold: float,
) -> dict[str, Any]:
    """What the files have for a question; "odds" and "prediction" are None where the original fails.

    Args:
        words: of the document.
        windows: tokens; index -> word of the document's tokens; index -> whether it is that of the most context.
        logits: of start and end, as long as the tokens or longer.
    """
    found = []
    null: tuple[float, float] | None = None
    for (tokens, word_of, is_max_context), (start_logits, end_logits) in zip(windows, logits, strict=True):
        if null is None or start_logits[0] + end_logits[0] < sum(null):
            null = start_logits[0], end_logits[0]
        for start in best_indexes(start_logits, n_best_size):
            for end in best_indexes(end_logits, n_best_size):
                if start >= len(tokens) or end >= len(tokens) or start not in word_of or end not in word_of:
                    continue
                if not is_max_context[start] or end < start or end - start + 1 > max_answer_length:
                    continue
                joined = " ".join(tokens[start : end + 1]).replace(" ##", "").replace("##", "")
                found.append((start_logits[start], end_logits[end], joined, word_of[start], word_of[end]))
    if version_2:
        assert null is not None
        found.append((*null, None, 0, 0))
    found.sort(key=lambda one: -(one[0] + one[1]))
    nbest: list[tuple[str, float, float]] = []
    for start_logit, end_logit, joined, first, last in found:
        if len(nbest) >= n_best_size:
            break
        text = ""
        if joined is not None:
            text = slow_final_text(" ".join(joined.split()), " ".join(words[first : last + 1]), lower)
            if any(text == other for other, _, _ in nbest):
                continue
        nbest.append((text, start_logit, end_logit))
    if version_2 and not any(text == "" for text, _, _ in nbest):
        assert null is not None
        nbest.append(("", *null))
    if not nbest:
        nbest.append(("empty", 0.0, 0.0))
    highest = max(start + end for _, start, end in nbest)
    whole = sum(math.exp(start + end - highest) for _, start, end in nbest)
    entries = [
        {
            "text": text,
            "probability": math.exp(start + end - highest) / whole,
            "start_logit": start,
            "end_logit": end,
        }
        for text, start, end in nbest
    ]
    if not version_2:
        return {"prediction": nbest[0][0], "nbest": entries, "odds": 0.0}
    best = next((one for one in nbest if one[0]), None)
    if best is None:
        return {"prediction": None, "nbest": entries, "odds": None}
    assert null is not None
    odds = null[0] + null[1] - best[1] - best[2]
    return {"prediction": "" if odds > threshold else best[0], "nbest": entries, "odds": odds}
