"""Find the entities of texts with a fine-tuned tagger, whose folder says what its tags are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks.config import BertConfig
from bertworks.model.heads import TokenClassifier
from bertworks.tasks.labels import names_of_outputs
from bertworks.tasks.ner import task as tagging
from bertworks.tasks.ner.entities import spans
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.tasks.ner.words import TagUnit, sentences_of, words_of
from bertworks.tasks.result import Result
from bertworks.tasks.texts import check_texts, sequence_length
from bertworks.text.tokenizer import Tokenizer

# The probability of an entity: the product of those of the tags of its words, or the lowest of them.
EntityScores = Literal["product", "minimum"]


class Entity(Result):
    """An entity of a text.

    Attributes:
        type: such as PER.
        begin, end: in characters: text[begin:end] is the entity.
        text: of the entity.
        score: how sure the model is, from 0 to 1; see `EntityScores`.
    """

    type: str
    begin: int
    end: int
    text: str
    score: float


class TagOptions(TypedDict, total=False):
    """The options of `tag`."""

    unit: TagUnit | None
    max_seq_length: int | None
    scores: EntityScores


def entities(
    text: str,
    words: Sequence[tuple[int, int]],
    tags: Sequence[str],
    probabilities: NDArray[np.float32],
    scores: EntityScores = "product",
) -> list[Entity]:
    """Return the entities of a text.

    Args:
        words: begin and end of each, see `words_of`.
        tags: of the words.
        probabilities: of these tags, [words].
    """
    found = []
    for kind, first, end in spans(tags):
        begin, until, of_words = words[first][0], words[end - 1][1], probabilities[first:end]
        score = of_words.prod() if scores == "product" else of_words.min()
        found.append(Entity(type=kind, begin=begin, end=until, text=text[begin:until], score=round(float(score), 6)))
    return found


def words_of_parts(text: str, config: BertConfig, unit: TagUnit) -> list[list[tuple[int, int]]]:
    """Return begin and end of each word of a text, for each part that a model reads for itself.

    A model that was trained on sentences reads a text sentence by sentence; another one reads all of it.
    """
    parts = sentences_of(text) if config.fine_tuned("sentences", bool) else [(0, len(text))]
    return [[(begin + i, begin + j) for i, j in words_of(text[begin:end], unit)] for begin, end in parts]


def tag(
    model: TokenClassifier,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    dtype: torch.dtype = torch.float32,
    *,
    unit: TagUnit | None = None,
    max_seq_length: int | None = None,
    scores: EntityScores = "product",
) -> list[list[Entity]]:
    """Find the entities of each text.

    A model that was trained on sentences reads a text sentence by sentence; another one reads all of it, long texts
    through windows, which begin where those of the training did.

    Args:
        unit: whether the model was trained on words or on characters (CLUENER); None follows its folder, else words.
        max_seq_length: of a window; None is that of the training, or all positions of the model.
        scores: how the score of an entity comes from its words.

    Raises:
        InputError: an item is not a text, or the model cannot read this length.
    """
    check_texts(texts, pairs=False)
    longest = sequence_length(model.config, max_seq_length)
    trained = model.config.fine_tuned
    unit = unit or cast(TagUnit, trained("unit", str, get_args(TagUnit)) or "word")
    names = names_of_outputs(model.config, len(model.classifier.weight))
    parts = [words_of_parts(text, model.config, unit) for text in texts]
    words = [of_part for of_text in parts for of_part in of_text]
    sources = [text for text, of_text in zip(texts, parts, strict=True) for _ in of_text]
    rows = [
        TaggedRow("", str(i), tuple(text[begin:end] for begin, end in edges), None)
        for i, (text, edges) in enumerate(zip(sources, words, strict=True))
    ]
    if not rows:
        return [[] for _ in texts]
    stride = trained("doc_stride", int) if trained("long_text", str) == "window" else None
    data = tagging.encode_rows(rows, names, tokenizer, longest, stride or max(1, longest // 2))
    predicted = tagging.predict_tags(tagging.Tagging(labels=names, eval_precision=dtype), model, data)
    found = iter(
        entities(text, edges, tags, probabilities, scores)
        for text, edges, (tags, probabilities) in zip(sources, words, predicted, strict=True)
    )
    return [[entity for _ in of_text for entity in next(found)] for of_text in parts]
