"""Entities of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bertworks.model.heads import TokenClassifier
from bertworks.model.predict import ModelInput
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest, grouped, lane_of
from bertworks.serve.reading import TextCounts
from bertworks.serve.refusals import Refusal
from bertworks.tasks.ner import task as tagging
from bertworks.tasks.ner.tag import Entity, entities, words_of_parts
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.tasks.ner.words import TagUnit
from bertworks.text.tokenizer import Tokenizer

LongTaggedText = Literal["truncate", "window", "error"]


def prepare_entities(
    model: ServedModel, texts: Sequence[str], long_text: LongTaggedText, max_seq_length: int, field: str = "texts"
) -> PreparedRequest[list[list[Entity]]]:
    """Prepare the entities of each text.

    Raises:
        Refusal: a text is too long, and `long_text` is `error`.
    """
    network, tokenizer = model.pretrained.model, model.tokenizer
    assert isinstance(network, TokenClassifier)
    unit = cast(TagUnit, model.pretrained.config.fine_tuned("unit", str, get_args(TagUnit)) or "word")
    settings = tagging.Tagging(labels=model.labels, eval_precision=model.pretrained.dtype)
    # Half a window where the training had no stride, as in `tasks.ner.tag`.
    trained = model.pretrained.config.fine_tuned
    stride = trained("doc_stride", int) if trained("long_text", str) == "window" else None
    stride = (stride or max(1, max_seq_length // 2)) if long_text == "window" else None
    parts, counts = [], []
    for number, text in enumerate(texts):
        read = []
        for edges in words_of_parts(text, model.pretrained.config, unit):
            row = TaggedRow("", "0", tuple(text[begin:end] for begin, end in edges), None)
            data = tagging.encode_rows([row], model.labels, tokenizer, max_seq_length, stride)
            parts.append(_Part(number, edges, data, list(tagging.inputs(data.aligned))))
            read.append(_counts(tokenizer, row, data))
            if read[-1].tokens_cut and long_text == "error":
                raise Refusal(
                    "invalid",
                    f"loses {data.aligned.cut:,} words to max_seq_length={max_seq_length}; give long_text=truncate "
                    "or window",
                    f"{field}[{number}]",
                )
        counts.append(TextCounts.total(read))

    def finish(outputs: Sequence[NDArray[np.float32]]) -> list[list[Entity]]:
        found: list[list[Entity]] = [[] for _ in texts]
        for part, logits in zip(parts, grouped(outputs, [part.sequences for part in parts]), strict=True):
            (predicted,) = tagging.decode_tags(settings, network, part.data, iter(logits))
            found[part.number] += entities(texts[part.number], part.edges, *predicted)
        return found

    lane = lane_of(model, "tag", "row", lambda: partial(network, dtype=model.pretrained.dtype))
    return PreparedRequest(model, lane, [one for part in parts for one in part.sequences], finish, counts)


class _Part(NamedTuple):
    """A text, or a sentence of one: the number of the text, its words, and what the model reads."""

    number: int
    edges: list[tuple[int, int]]
    data: tagging.TaggedSequences
    sequences: list[ModelInput]


def _counts(tokenizer: Tokenizer, row: TaggedRow, data: tagging.TaggedSequences) -> TextCounts:
    """Count the tokens of a row, and those that are cut."""
    whole, cut = (
        len(tokenizer.encode_batch(list(words))[0]) if words else 0
        for words in (row.words, row.words[len(row.words) - data.aligned.cut :])
    )
    return TextCounts(whole, cut, len(data))
