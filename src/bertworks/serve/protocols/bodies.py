"""The bodies of our own routes, and of their answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from bertworks.serve.abilities.answer import LongContext
from bertworks.serve.abilities.fill_mask import MOST_WORDS
from bertworks.serve.abilities.tag import LongTaggedText
from bertworks.serve.reading import LongTextChoice

_Length = Annotated[int, Meta(ge=4)]
_Texts = Annotated[list[str], Meta(min_length=1)]
_Few = Annotated[int, Meta(ge=1, le=MOST_WORDS)]


class ClassifyBody(Struct, forbid_unknown_fields=True):
    """Texts, or pairs of texts, to classify."""

    texts: Annotated[list[str | tuple[str, str]], Meta(min_length=1)]
    model: str | None = None
    long_text: LongTextChoice | None = None
    max_seq_length: _Length | None = None


class ClassifiedText(Struct):
    """The class of a text, its classes, or its number; and the probability of every class."""

    label: str | list[str] | float
    probabilities: dict[str, float]
    tokens: int
    tokens_cut: int
    windows: int


class ClassifyAnswer(Struct):
    """The classes of each text, in order."""

    model: str
    version: str
    long_text: LongTextChoice
    results: list[ClassifiedText]


class TagBody(Struct, forbid_unknown_fields=True):
    """Texts to find entities in."""

    texts: _Texts
    model: str | None = None
    long_text: LongTaggedText = "window"
    max_seq_length: _Length | None = None


class FoundEntity(Struct):
    """An entity: characters begin, ..., end - 1 of the text."""

    type: str
    begin: int
    end: int
    text: str
    score: float


class TaggedText(Struct):
    """The entities of a text."""

    entities: list[FoundEntity]
    tokens: int
    tokens_cut: int
    windows: int


class TagAnswer(Struct):
    """The entities of each text, in order."""

    model: str
    version: str
    long_text: LongTaggedText
    results: list[TaggedText]


class AnswerBody(Struct, forbid_unknown_fields=True):
    """A question and the texts to find its answer in."""

    question: Annotated[str, Meta(min_length=1)]
    texts: _Texts
    model: str | None = None
    top_k: _Few = 3
    allow_none: bool | None = None
    long_text: LongContext = "window"
    max_answer_length: Annotated[int, Meta(ge=1, le=512)] = 30


class PossibleAnswer(Struct):
    """A possible answer: characters begin, ..., end - 1 of the text with this number."""

    text: str
    begin: int
    end: int
    text_number: int
    probability: float


class TextRead(Struct):
    """What was read of a text."""

    tokens: int
    tokens_cut: int
    windows: int


class AnswerAnswer(Struct):
    """The best answers, the best first, and the probability that no text has one; null if the model always answers."""

    model: str
    version: str
    long_text: LongContext
    answers: list[PossibleAnswer]
    has_answer: bool
    no_answer_probability: float | None
    question_cut: bool
    texts: list[TextRead]


class FillMaskBody(Struct, forbid_unknown_fields=True):
    """Texts with at least one [MASK] each, none longer than the model."""

    texts: _Texts
    model: str | None = None
    top_k: _Few = 5


class PossibleWord(Struct):
    """A word at [MASK]."""

    token: str
    probability: float


class FilledText(Struct):
    """The best words for each [MASK] of a text, the best first."""

    masks: list[list[PossibleWord]]
    tokens: int
    tokens_cut: int
    windows: int


class FillMaskAnswer(Struct):
    """The words for each text, in order."""

    model: str
    version: str
    results: list[FilledText]


class AttentionBody(Struct, forbid_unknown_fields=True):
    """A text or a pair, and a layer counted from 0."""

    text: Annotated[str, Meta(min_length=1)]
    text_pair: str | None = None
    layer: Annotated[int, Meta(ge=0, le=999)] = 0
    model: str | None = None


class AttentionAnswer(Struct):
    """For each head and each token, how much it attends to each token; each row sums to 1."""

    model: str
    version: str
    layer: int
    tokens: list[str]
    attention: list[list[list[float]]]


class ExplainBody(Struct, forbid_unknown_fields=True):
    """A text, or a pair; for a model that answers, the question and the text. `label` is another class to explain."""

    text: Annotated[str, Meta(min_length=1)]
    text_pair: str | None = None
    label: str | None = None
    model: str | None = None
    most_decisions: _Few = 10


class WordShare(Struct):
    """What a word contributes: characters begin, ..., end - 1 of the first text (part 0) or of the second (part 1)."""

    text: str
    part: int
    begin: int
    end: int
    value: float


class ExplainedDecision(Struct):
    """A decision. The values of the words sum up to score - baseline, but for the share `error`."""

    decision: str
    meaning: str
    score: float
    baseline: float
    error: float
    read_whole: bool
    words: list[WordShare]


class ExplainAnswer(Struct):
    """The decisions about the text in order, and how many more of them are not explained."""

    model: str
    version: str
    decisions: list[ExplainedDecision]
    decisions_left_out: int
    tokens: int
    tokens_cut: int
    windows: int
