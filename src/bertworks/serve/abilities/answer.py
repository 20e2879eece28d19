"""Answers to questions, found in texts of any length through windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.data.sequences import Sequences
from bertworks.model.heads import SpanClassifier
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest, lane_of
from bertworks.serve.reading import TextCounts
from bertworks.serve.refusals import Refusal, refusing
from bertworks.tasks.squad.answering import Answered, Texts, ask, best_answers
from bertworks.tasks.squad.candidates import WindowLogits
from bertworks.tasks.squad.task import inputs

LongContext = Literal["window", "error"]


def prepare_answers(
    model: ServedModel,
    question: str,
    contexts: Sequence[str],
    long_text: LongContext = "window",
    field: str = "contexts",
    **options: Any,
) -> PreparedRequest[Answered]:
    """Prepare the answers to a question; see `answering.ask` for the options.

    Raises:
        Refusal: the question or a text is empty, or a text needs several windows and `long_text` is `error`.
    """
    network, tokenizer = model.pretrained.model, model.tokenizer
    assert isinstance(network, SpanClassifier)
    with refusing(field):
        texts = Texts(tokenizer, contexts)
    with refusing("question"):
        asked = ask(model.pretrained.config, tokenizer, question, texts, **options)
        blocks = list(asked.blocks)
    counts = []
    for number, spans in enumerate(texts.spans):
        windows = sum(int((of_block.examples == number).sum()) for _, of_block in blocks)
        counts.append(TextCounts(len(spans), 0, windows))
        if windows > 1 and long_text == "error":
            raise Refusal("invalid", f"has {len(spans):,} tokens, which need {windows} windows", f"{field}[{number}]")

    def finish(outputs: Sequence[NDArray[np.float32]]) -> Answered:
        rest = iter(outputs)

        def logits_of(sequences: Sequences) -> Iterator[WindowLogits]:
            for _ in range(len(sequences)):
                logits = next(rest)
                yield logits[:, 0], logits[:, 1]

        return best_answers(asked._replace(blocks=blocks), tokenizer, logits_of)

    items = [one for _, windows in blocks for one in inputs(windows.sequences)]
    lane = lane_of(model, "answer", "token", lambda: partial(network, dtype=model.pretrained.dtype))
    return PreparedRequest(model, lane, items, finish, counts)
