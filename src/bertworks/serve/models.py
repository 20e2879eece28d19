"""The models that a server has loaded: each once, by name, with what its folder says that it can do."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from bertworks.errors import InputError
from bertworks.model.heads import EncoderModel, PretrainingModel, SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.pretrained import Pretrained
from bertworks.serve.batching import Lane
from bertworks.serve.reading import LongTextChoice
from bertworks.serve.refusals import Refusal
from bertworks.tasks.classification.task import ProblemKind
from bertworks.tasks.classification.trained_labels import kind_of
from bertworks.tasks.labels import names_of_outputs
from bertworks.tasks.texts import how_long_texts_are_read
from bertworks.text.tokenizer import Tokenizer

Ability = Literal["classify", "rerank", "tag", "answer", "fill_mask", "embed", "explain", "attend"]

# What to do about a missing ability.
_ADVICE: dict[str, str] = {
    "classify": "fine-tune it with bert run_classifier",
    "rerank": "it needs a classifier with one output",
    "tag": "fine-tune it with bert run_ner",
    "answer": "fine-tune it with bert run_squad",
    "fill_mask": "it needs its pre-training heads",
    "embed": "its folder wants what is not computed here",
    "explain": "fine-tune it with bert run_classifier, run_ner or run_squad, and serve it without --runtime",
    "attend": "serve it without --runtime",
}


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model that is loaded, and what requests need of it.

    Attributes:
        name: what requests call it.
        source: what it was loaded from.
        version: a digest of its weights, configuration, vocabulary, and of how it reads and pools texts: equal
            versions give equal answers.
        loaded_at: when, in seconds since 1970.
        precision: that it computes in: fp32, bf16 or int8.
        exported: whether another program computes it; then only what its head gives is known.
        lanes: what can be computed together; `abilities` make them when they are first needed.
    """

    name: str
    source: str
    pretrained: Pretrained
    version: str
    loaded_at: int
    precision: str
    exported: bool = False
    lanes: dict[str, Lane] = field(default_factory=dict)
    local: threading.local = field(default_factory=threading.local)

    @cached_property
    def abilities(self) -> tuple[Ability, ...]:
        """What it can do, the most special first."""
        network, found = self.pretrained.model, []
        if isinstance(network, SequenceClassifier):
            found += ["rerank", "classify"] if len(network.classifier.weight) == 1 else ["classify"]
        if isinstance(network, TokenClassifier):
            found.append("tag")
        if isinstance(network, SpanClassifier):
            found.append("answer")
        heads = (name.startswith("cls.predictions.") for name in self.pretrained.report.missing)
        if isinstance(network, PretrainingModel) and not any(heads):
            found.append("fill_mask")
        rules = self.pretrained.checkpoint.sentences
        if not (rules and rules.refusal) and (not self.exported or type(network) is EncoderModel):
            found.append("embed")
        if not self.exported:
            decides = isinstance(network, SequenceClassifier | TokenClassifier | SpanClassifier)
            found += ["explain", "attend"] if decides else ["attend"]
        return cast(tuple[Ability, ...], tuple(found))

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of this thread: its memory of words is not thread-safe."""
        if not hasattr(self.local, "tokenizer"):
            self.local.tokenizer = copy.copy(self.pretrained.tokenizer)
        found: Tokenizer = self.local.tokenizer
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of a classifier's or tagger's outputs; none of other models."""
        network = self.pretrained.model
        if isinstance(network, SequenceClassifier | TokenClassifier):
            return names_of_outputs(self.pretrained.config, len(network.classifier.weight))
        return ()

    @cached_property
    def kind(self) -> ProblemKind:
        """What a classifier's outputs mean."""
        return kind_of(self.pretrained.config, len(self.labels)) or "single"

    @cached_property
    def dimensions(self) -> int:
        """The numbers of an embedding."""
        hidden = self.pretrained.config.hidden_size
        rules = self.pretrained.checkpoint.sentences
        if not rules:
            return hidden
        layers = [step for step in rules.steps if step is not None]
        return layers[-1].weight.shape[0] if layers else hidden * len(rules.poolings)

    @property
    def max_seq_length(self) -> int:
        """The longest sequence in tokens, as in its training."""
        rules = self.pretrained.checkpoint.sentences
        longest = self.pretrained.config.longest_sequence
        return min(longest, rules.max_seq_length or longest) if rules else longest

    @cached_property
    def long_text(self) -> LongTextChoice:
        """What happens to long texts unless a request says otherwise: as in its training."""
        return how_long_texts_are_read(self.pretrained.config, self.max_seq_length)[0]

    @cached_property
    def stride(self) -> int:
        """Tokens from the beginning of a window to that of the next, as in its training."""
        return how_long_texts_are_read(self.pretrained.config, self.max_seq_length)[1]

    def advice(self, ability: Ability) -> str:
        """Return what to do about an ability that it does not have."""
        rules = self.pretrained.checkpoint.sentences
        if ability == "embed" and not (rules and rules.refusal):
            return "it was exported with a head, which gives no vectors; serve it without --runtime"
        return _ADVICE[ability]

    def require(self, ability: Ability) -> None:
        """Check that it can do this.

        Raises:
            Refusal: it cannot.
        """
        if ability not in self.abilities:
            raise Refusal(
                "unable",
                f"{self.name} cannot {ability.replace('_', ' ')}; {self.advice(ability)}. "
                f"It can {', '.join(self.abilities)}",
                "model",
            )

    def check_pairs(self, texts: Sequence[object], field: str) -> None:
        """Check that it can read pairs, if there are any.

        Raises:
            Refusal: it knows no second segment.
        """
        if self.pretrained.config.type_vocab_size < 2 and any(isinstance(text, tuple) for text in texts):
            raise Refusal("unable", f"{self.name} reads no pairs: it knows no second segment", field)


class Registry:
    """The models, by name, in the order of the command line."""

    def __init__(self, sources: Mapping[str, str], load: Callable[[str, str], ServedModel]) -> None:
        """Load models.

        Args:
            sources: name -> what to load.
            load: name, source -> the model.
        """
        self.load = load
        self._models = {name: load(name, source) for name, source in sources.items()}

    def __iter__(self) -> Iterator[ServedModel]:
        """Give the models."""
        return iter(list(self._models.values()))

    def get(self, name: str | None, ability: Ability) -> ServedModel:
        """Return the model that a request names. Without a name: the first that is made for this, or that can do it.

        Raises:
            Refusal: there is no such model, or it cannot do this.
        """
        if name is None:
            able = [model for model in self._models.values() if ability in model.abilities]
            if not able:
                advice = next((model.advice(ability) for model in self), _ADVICE[ability])
                raise Refusal("unable", f"no model here can {ability.replace('_', ' ')}; {advice}", "model")
            return next((model for model in able if model.abilities[0] == ability), able[0])
        model = self.named(name)
        model.require(ability)
        return model

    def named(self, name: str) -> ServedModel:
        """Return a model by its name.

        Raises:
            Refusal: there is none.
        """
        if name not in self._models:
            raise Refusal("not_found", f"there is no model {name!r:.60}; there are {', '.join(self._models)}", "model")
        return self._models[name]

    def any(self, name: str | None) -> ServedModel:
        """Return the model that a request names, or the first, for what every model can do.

        Raises:
            Refusal: there is no such model, or none at all.
        """
        return self.first() if name is None else self.named(name)

    def first(self) -> ServedModel:
        """Return the first model.

        Raises:
            Refusal: all have been unloaded.
        """
        if not self._models:
            raise Refusal("unhealthy", "no model is loaded")
        return next(iter(self._models.values()))

    def replace(self, old: ServedModel, new: ServedModel) -> None:
        """Put a model in the place of one that was loaded before. Requests that run keep the old one.

        Raises:
            Refusal: the old one is served no more.
        """
        if self._models.get(old.name) is not old:
            raise Refusal("not_found", f"the model {old.name!r:.60} was unloaded meanwhile", "model")
        self._models = {**self._models, old.name: new}
        gc.collect()  # a model and its lanes know each other, so only this frees it now

    def remove(self, name: str) -> None:
        """Forget a model; its memory is free when the requests that use it have ended."""
        self.named(name)
        self._models = {other: model for other, model in self._models.items() if other != name}
        gc.collect()


def listed(words: str) -> list[str]:
    """Return what stands between commas, without the blanks around it."""
    return [word for word in map(str.strip, words.split(",")) if word]


def named_sources(words: str) -> dict[str, str]:
    """Return name -> source from `SOURCE,NAME=SOURCE,...`; a folder or file is named after its last part.

    Raises:
        InputError: two have the same name.
    """
    found: dict[str, str] = {}
    for word in listed(words):
        given, equals, source = (part.strip() for part in word.partition("="))
        if not equals or Path(word).exists():
            given, source = _name_of(word), word
        if given in found:
            raise InputError(f"--model: {found[given]} and {source} are both named {given}; give NAME={source}")
        found[given] = source
    if not found:
        raise InputError("--model: give at least one model")
    return found


def _name_of(source: str) -> str:
    path = Path(source)
    return (path.resolve() if path.exists() else path).name or source
