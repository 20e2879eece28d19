"""Which tensors a BERT has and how large they are, told by its configuration, without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bertworks.checkpoints import names
from bertworks.checkpoints.weights import Weight
from bertworks.config import BertConfig
from bertworks.errors import InputError

# An axis: a number of the configuration, a number, or None for what the task decides.
Axis = str | int | None

_HIDDEN, _WORDS = "hidden_size", "vocab_size"
_LAYER = "bert.encoder.layer.#"

# [out, in] of dense weights; the bias has the first.
_DENSE: dict[str, tuple[Axis, Axis]] = {
    f"{_LAYER}.attention.self.query": (_HIDDEN, _HIDDEN),
    f"{_LAYER}.attention.self.key": (_HIDDEN, _HIDDEN),
    f"{_LAYER}.attention.self.value": (_HIDDEN, _HIDDEN),
    f"{_LAYER}.attention.output.dense": (_HIDDEN, _HIDDEN),
    f"{_LAYER}.intermediate.dense": ("intermediate_size", _HIDDEN),
    f"{_LAYER}.output.dense": (_HIDDEN, "intermediate_size"),
    "bert.pooler.dense": (_HIDDEN, _HIDDEN),
    "cls.predictions.transform.dense": (_HIDDEN, _HIDDEN),
    "cls.seq_relationship": (2, _HIDDEN),
    "classifier": (None, _HIDDEN),
    "qa_outputs": (None, _HIDDEN),
}
_NORMS = (
    "bert.embeddings.LayerNorm",
    f"{_LAYER}.attention.output.LayerNorm",
    f"{_LAYER}.output.LayerNorm",
    "cls.predictions.transform.LayerNorm",
)
_AXES: dict[str, tuple[Axis, ...]] = {
    "bert.embeddings.word_embeddings.weight": (_WORDS, _HIDDEN),
    "bert.embeddings.position_embeddings.weight": ("max_position_embeddings", _HIDDEN),
    "bert.embeddings.token_type_embeddings.weight": ("type_vocab_size", _HIDDEN),
    "cls.predictions.bias": (_WORDS,),
    **{f"{name}.weight": axes for name, axes in _DENSE.items()},
    **{f"{name}.bias": axes[:1] for name, axes in _DENSE.items()},
    **{f"{name}.{leaf}": (_HIDDEN,) for name in _NORMS for leaf in ("weight", "bias")},
}

# Hugging Face's classes by the heads that they have, those first that tell most. A head for labels is taken to be for
# whole sequences, as the original's is.
_HEADS = {
    "BertForSequenceClassification": ("classifier.",),
    "BertForQuestionAnswering": ("qa_outputs.",),
    "BertForPreTraining": ("cls.predictions.", "cls.seq_relationship."),
    "BertForMaskedLM": ("cls.predictions.",),
    "BertForNextSentencePrediction": ("cls.seq_relationship.",),
    "BertModel": (),
    "BertForTokenClassification": ("classifier.",),
    "BertForMultipleChoice": ("classifier.",),
}


def recognised(weights: Iterable[str]) -> str:
    """Hugging Face's class for a model with these weights, by our names."""
    there = list(weights)
    return next(
        architecture
        for architecture, heads in _HEADS.items()
        if all(any(name.startswith(head) for name in there) for head in heads)
    )


def missing(path: Path, weights: Mapping[str, Weight], config: BertConfig, architecture: str) -> list[str]:
    """Return the tensors of the pooler and of the class's heads that the checkpoint at `path` lacks.

    Raises:
        InputError: it lacks a part that every BERT has.
    """
    wanted = ("bert.", *_HEADS.get(architecture, ()))
    absent = []
    for pattern in _AXES:
        numbers = range(config.num_hidden_layers) if "#" in pattern else [0]
        for name in (pattern.replace("#", str(number)) for number in numbers):
            if name.startswith(wanted) and name not in weights:
                absent.append(name)
                if name.startswith(("bert.embeddings.", "bert.encoder.")):
                    raise InputError(
                        f"{path}: has no {name}; {config.num_hidden_layers} layers are wanted "
                        "(num_hidden_layers); give the configuration that came with it (--bert_config_file)"
                    )
    return absent


def axes_of(name: str) -> tuple[Axis, ...] | None:
    """Return the axes of a tensor of ours; None for a name that no BERT has."""
    return _AXES.get(names.any_layer(name)) if "#" not in name else None


def is_by_word(name: str) -> bool:
    """Tell whether a tensor of ours has a row for every word."""
    return (axes_of(names.TIED.get(name, name)) or (None,))[0] == _WORDS


def check(path: Path, weights: Mapping[str, Weight], config: BertConfig) -> None:
    """Refuse weights, of the checkpoint at `path`, that do not fit the configuration.

    Raises:
        InputError: names what differs and the flag to change.
    """
    remedy = "give the configuration that came with the checkpoint (--bert_config_file)"
    for name, weight in weights.items():
        axes = axes_of(name)
        if axes is None:
            continue
        layer = names.layer_of(name)
        if layer is not None and layer >= config.num_hidden_layers:
            raise InputError(
                f"{path}: has {weight.stored_as}, the configuration only {config.num_hidden_layers} layers "
                f"(num_hidden_layers); {remedy}"
            )
        if len(axes) != len(weight.shape):
            raise InputError(f"{path}: {weight.stored_as} has the shape {list(weight.shape)}, which fits no BERT")
        for axis, size in zip(axes, weight.shape, strict=True):
            right = getattr(config, axis) if isinstance(axis, str) else axis
            if right is not None and size != right:
                more = axis == "vocab_size" and right > size
                added = "; to add words, put them in place of the [unusedN] lines of its vocab.txt" if more else ""
                raise InputError(
                    f"{path}: {axis if isinstance(axis, str) else 'an axis'} is {size:,} in the checkpoint "
                    f"({weight.stored_as}) and {right:,} in the configuration; {remedy}{added}"
                )
