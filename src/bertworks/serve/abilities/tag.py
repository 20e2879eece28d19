"""Entities of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bertworks.model.heads import TokenClassifier
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import Prepared, grouped, lane_of
from bertworks.serve.reading import TextCounts
from bertworks.serve.refusals import Refusal
from bertworks.tasks.ner import task as tagging
from bertworks.tasks.ner.tag import Entity, entities
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.tasks.ner.words import TagUnit, words_of

LongTaggedText = Literal["truncate", "window", "error"]


def prepare_entities(
    model: ServedModel, texts: Sequence[str], long_text: LongTaggedText, max_seq_length: int, field: str = "texts"
) -> Prepared[list[list[Entity]]]:
    """Prepare the entities of each text.

    Raises:
        Refusal: a text is too long, and `long_text` is `error`.
    """
    network, tokenizer = model.pretrained.model, model.tokenizer
    assert isinstance(network, TokenClassifier)
    unit = cast(TagUnit, model.pretrained.config.fine_tuned("unit", str, get_args(TagUnit)) or "word")
    settings = tagging.Tagging(labels=model.labels, eval_precision=model.pretrained.dtype)
    words = [words_of(text, unit) for text in texts]
    data, sequences, counts = [], [], []
    # Half a window where the training had no stride, as in `tasks.ner.tag`.
    trained = model.pretrained.config.fine_tuned
    stride = trained("doc_stride", int) if trained("long_text", str) == "window" else None
    stride = stride or max(1, max_seq_length // 2)
    for number, (text, edges) in enumerate(zip(texts, words, strict=True)):
        row = TaggedRow("", "0", tuple(text[begin:end] for begin, end in edges), None)
        one = tagging.encode_rows(
            [row], model.labels, tokenizer, max_seq_length, stride if long_text == "window" else None
        )
        cut = 0
        if one.aligned.cut:
            if long_text == "error":
                raise Refusal(
                    "invalid",
                    f"loses {one.aligned.cut:,} words to max_seq_length={max_seq_length}; give long_text=truncate "
                    "or window",
                    f"{field}[{number}]",
                )
            cut = len(tokenizer.encode_batch(list(row.words[len(row.words) - one.aligned.cut :]))[0])
        data.append(one)
        sequences.append(list(tagging.inputs(one.aligned)))
        whole = len(tokenizer.encode_batch(list(row.words))[0]) if row.words else 0
        counts.append(TextCounts(whole, cut, len(one)))

    def finish(outputs: Sequence[NDArray[np.float32]]) -> list[list[Entity]]:
        found = []
        for text, edges, one, part in zip(texts, words, data, grouped(outputs, sequences), strict=True):
            (tags,) = tagging.decode_tags(settings, network, one, iter(part))
            found.append(entities(text, edges, tags))
        return found

    lane = lane_of(model, "tag", "row", lambda: partial(network, dtype=model.pretrained.dtype))
    return Prepared(model, lane, [one for part in sequences for one in part], finish, counts)
