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
from bertworks.serve.reading import TextCounts, check_tokens
from bertworks.serve.refusals import Refusal, refusing
from bertworks.tasks.squad.answering import Answered, Texts, ask, best_answers
from bertworks.tasks.squad.candidates import WindowLogits
from bertworks.tasks.squad.task import inputs

LongContext = Literal["window", "error"]

# A question is tokenized again for every text, and then cut. This many times the tokens of a request are still quick.
_QUESTIONS = 16


def prepare_answers(
    model: ServedModel,
    question: str,
    contexts: Sequence[str],
    most_tokens: int,
    long_text: LongContext = "window",
    field: str = "contexts",
    **options: Any,
) -> PreparedRequest[Answered]:
    """Prepare the answers to a question; see `answering.ask` for the options.

    Raises:
        Refusal: the question or a text is empty, or a text needs several windows and `long_text` is `error`;
            all windows have more than `most_tokens` tokens; the question is far too long for so many texts.
    """
    network, tokenizer = model.pretrained.model, model.tokenizer
    assert isinstance(network, SpanClassifier)
    # Every token is read once at least. This is known before the places of the tokens, which take longer to find.
    check_tokens(len(tokenizer.encode_batch(contexts)[0]), most_tokens, "at least ")
    of_question = len(tokenizer.encode_batch([question])[0])
    if of_question * len(contexts) > _QUESTIONS * most_tokens:
        raise Refusal("too_large", f"has {of_question:,} tokens, too many for {len(contexts):,} texts", "question")
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

    check_tokens(sum(int(windows.sequences.starts[-1]) for _, windows in blocks), most_tokens)

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
