"""Entities of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.model.heads import TokenClassifier
from bertworks.model.predict import ModelInput
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest, grouped, lane_of
from bertworks.serve.reading import TextCounts, check_tokens
from bertworks.serve.refusals import Refusal
from bertworks.tasks.ner import task as tagging
from bertworks.tasks.ner.tag import Entity, TextPart, encode_parts, entities, parts_of, stride_of, unit_of
from bertworks.text.tokenizer import Tokenizer

LongTaggedText = Literal["truncate", "window", "error"]


def prepare_entities(
    model: ServedModel,
    texts: Sequence[str],
    long_text: LongTaggedText,
    max_seq_length: int,
    most_tokens: int,
    field: str = "texts",
) -> PreparedRequest[list[list[Entity]]]:
    """Prepare the entities of each text.

    Raises:
        Refusal: a text is too long, and `long_text` is `error`; all sequences have more than `most_tokens` tokens.
    """
    network, tokenizer, config = model.pretrained.model, model.tokenizer, model.pretrained.config
    assert isinstance(network, TokenClassifier)
    settings = tagging.Tagging(labels=model.labels, eval_precision=model.pretrained.dtype)
    stride = stride_of(config, max_seq_length) if long_text == "window" else None
    of_texts = parts_of(texts, config, unit_of(config))
    if stride is not None:
        # Every word is read once at least. This is known before the windows are made, which may be as many.
        check_tokens(sum(len(part.edges) for part in of_texts), most_tokens, "at least ")
    encoded = [encode_parts(texts, [part], model.labels, tokenizer, max_seq_length, stride) for part in of_texts]
    read = [TextCounts(0, 0, 0) for _ in texts]
    for part, data in zip(of_texts, encoded, strict=True):
        counts = _counts(tokenizer, data)
        read[part.number] = TextCounts.total((read[part.number], counts))
        if counts.tokens_cut and long_text == "error":
            raise Refusal(
                "invalid",
                f"loses {data.aligned.cut:,} words to max_seq_length={max_seq_length}; give long_text=truncate "
                "or window",
                f"{field}[{part.number}]",
            )
    check_tokens(sum(int(data.aligned.starts[-1]) for data in encoded), most_tokens)
    parts = [
        _Part(part, data, list(tagging.inputs(data.aligned))) for part, data in zip(of_texts, encoded, strict=True)
    ]

    def finish(outputs: Sequence[NDArray[np.float32]]) -> list[list[Entity]]:
        found: list[list[Entity]] = [[] for _ in texts]
        for of, logits in zip(parts, grouped(outputs, [of.sequences for of in parts]), strict=True):
            (predicted,) = tagging.decode_tags(settings, network, of.data, iter(logits))
            found[of.part.number] += entities(texts[of.part.number], of.part.edges, *predicted)
        return found

    lane = lane_of(model, "tag", "row", lambda: partial(network, dtype=model.pretrained.dtype))
    return PreparedRequest(model, lane, [one for of in parts for one in of.sequences], finish, read)


class _Part(NamedTuple):
    """A part of a text, and what the model reads of it."""

    part: TextPart
    data: tagging.TaggedSequences
    sequences: list[ModelInput]


def _counts(tokenizer: Tokenizer, data: tagging.TaggedSequences) -> TextCounts:
    """Count the tokens of a part, and those that are cut."""
    (row,) = data.rows
    whole, cut = (
        len(tokenizer.encode_batch(list(words))[0]) if words else 0
        for words in (row.words, row.words[len(row.words) - data.aligned.cut :])
    )
    return TextCounts(whole, cut, len(data))
