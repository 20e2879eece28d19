"""Find the entities of texts with a fine-tuned tagger, whose folder says what its tags are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict, cast, get_args

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
from bertworks.tasks.texts import checked_texts, sequence_length
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


class TextPart(NamedTuple):
    """What a model reads for itself: a sentence of a text, or all of it.

    Attributes:
        number: of the text.
        edges: begin and end of each word, in characters of the text.
    """

    number: int
    edges: list[tuple[int, int]]


def parts_of(texts: Sequence[str], config: BertConfig, unit: TagUnit) -> list[TextPart]:
    """Return the parts of texts, in order.

    A model that was trained on sentences reads a text sentence by sentence; another one reads all of it.
    """
    by_sentence, found = config.fine_tuned("sentences", bool), []
    for number, text in enumerate(texts):
        for begin, end in sentences_of(text) if by_sentence else [(0, len(text))]:
            edges = [(begin + i, begin + j) for i, j in words_of(text[begin:end], unit)]
            found.append(TextPart(number, edges))
    return found


def encode_parts(
    texts: Sequence[str],
    parts: Sequence[TextPart],
    labels: Sequence[str],
    tokenizer: Tokenizer,
    max_seq_length: int,
    stride: int | None,
) -> tagging.TaggedSequences:
    """Tokenize parts, each as a sentence; see `alignment.align` for `max_seq_length` and `stride`."""
    rows = [
        TaggedRow("", str(i), tuple(texts[part.number][begin:end] for begin, end in part.edges), None)
        for i, part in enumerate(parts)
    ]
    return tagging.encode_rows(rows, labels, tokenizer, max_seq_length, stride)


def unit_of(config: BertConfig) -> TagUnit:
    """Return what the model was trained to tag, words or characters; words if its folder does not say."""
    return cast(TagUnit, config.fine_tuned("unit", str, get_args(TagUnit)) or "word")


def stride_of(config: BertConfig, max_seq_length: int) -> int:
    """Return how many pieces after a window of a long text the next one begins: as in the training, else half."""
    trained = config.fine_tuned("doc_stride", int) if config.fine_tuned("long_text", str) == "window" else None
    return trained or max(1, max_seq_length // 2)


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
    texts = checked_texts(texts, pairs=False)
    longest = sequence_length(model.config, max_seq_length)
    names = names_of_outputs(model.config, len(model.classifier.weight))
    parts = parts_of(texts, model.config, unit or unit_of(model.config))
    found: list[list[Entity]] = [[] for _ in texts]
    if not parts:
        return found
    data = encode_parts(texts, parts, names, tokenizer, longest, stride_of(model.config, longest))
    predicted = tagging.predict_tags(tagging.Tagging(labels=names, eval_precision=dtype), model, data)
    for part, (tags, probabilities) in zip(parts, predicted, strict=True):
        found[part.number] += entities(texts[part.number], part.edges, tags, probabilities, scores)
    return found
