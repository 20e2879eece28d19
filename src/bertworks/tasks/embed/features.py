"""Compute the features of texts: outputs of chosen layers for every token, or one vector a text.

Layers are numbered as in the original's extract_features: 0 is the first layer, -1 the last. The outputs of several
layers are concatenated in the given order, as in the feature-based approach of the BERT paper (section 5.3, "concat
last four hidden").

Shapes: N texts, T tokens, K = H times the number of layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise, repeat, tee
from typing import Literal, NamedTuple, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.model.bert import Bert
from bertworks.model.predict import ModelInput, Unit, predict
from bertworks.tasks.texts import Text
from bertworks.text.pairs import Pair, joined
from bertworks.text.tokenizer import Tokenizer

# none: a row for each token. cls: the row of [CLS]. mean, max: over all tokens of the sequence with [CLS] and [SEP], as
# sentence-transformers pools.
Pooling = Literal["none", "cls", "mean", "max"]

# The layers whose outputs are given where nobody says: with pooling the last, as in sentence-transformers; for each
# token the last four, as in the original.
POOLED_LAYERS, TOKEN_LAYERS = (-1,), (-1, -2, -3, -4)

# Texts that are tokenized at a time. Memory holds so many texts and two batches, for input of any size.
_BLOCK = 256

# The most characters of a text in a message.
_SHOWN = 40

_UNITS: dict[Pooling, Unit] = {"none": "token", "cls": "row", "mean": "sequence", "max": "sequence"}


class TextFeatures(NamedTuple):
    """The features of one text.

    Attributes:
        text: the text, or the two of a pair.
        ids: the tokens that the model read, with [CLS] and [SEP].
        cut: whether the text was too long and lost its end.
        values: [len(ids), K] with pooling none, else [K]. A view of the whole batch: copy it to keep it alone.
    """

    text: Text
    ids: list[int]
    cut: bool
    values: NDArray[np.float32]


class ExtractOptions(TypedDict, total=False):
    """The options that `extract` and `embed` share."""

    max_seq_length: int | None
    dtype: torch.dtype
    token_budget: int | None


def default_layers(pooling: Pooling, config: BertConfig) -> tuple[int, ...]:
    """Return the layers where nobody names them; of a model with fewer than four, all."""
    wanted = TOKEN_LAYERS if pooling == "none" else POOLED_LAYERS
    return wanted[: config.num_hidden_layers]


def extract(
    bert: Bert,
    tokenizer: Tokenizer,
    texts: Iterable[Text],
    *,
    layers: Sequence[int] = (-1,),
    pooling: Pooling = "none",
    max_seq_length: int | None = None,
    dtype: torch.dtype = torch.float32,
    token_budget: int | None = None,
) -> Iterator[TextFeatures]:
    """Yield the features of texts, in order, in constant memory.

    Args:
        texts: read as they are needed.
        layers: the layers whose outputs are concatenated; -1 is the last, 0 the first.
        max_seq_length: longer texts are cut as in `Tokenizer.encode_pair`; None is all positions of the model.
        token_budget: the most tokens of a batch.

    Raises:
        InputError: no such layer, a length that the model cannot read, or a pair for a model without pairs.
    """
    numbers = _hidden_state_numbers(layers, bert.config)
    longest = _checked_length(max_seq_length, bert.config)
    if pooling not in _UNITS:
        raise InputError(f"--pooling={pooling}: give one of {', '.join(_UNITS)}")
    encoded, kept = tee(_encoded(tokenizer, texts, longest, bert.config))
    found = predict(
        partial(pooled, bert, numbers, pooling, dtype),
        (ModelInput(*pair, (0,) if pooling == "cls" else ()) for _, pair, _ in encoded),
        _UNITS[pooling],
        device=bert.embeddings.word_embeddings.weight.device,
        token_budget=token_budget,
    )
    return (
        TextFeatures(text, pair.ids, cut, values[0] if pooling == "cls" else values)
        for (text, pair, cut), values in zip(kept, found, strict=True)
    )


def embed(
    bert: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    *,
    layers: Sequence[int] = POOLED_LAYERS,
    pooling: Pooling = "mean",
    **options: Unpack[ExtractOptions],
) -> NDArray[np.float32]:
    """Compute one vector a text, [N, K]. The arguments and options are those of `extract`.

    Raises:
        InputError: as `extract`; one text instead of many; or pooling none, which gives a row for each token.
    """
    if isinstance(texts, str):
        raise InputError("texts: give a list of texts, not one")
    if pooling == "none":
        raise InputError("pooling: give cls, mean or max; tasks.embed.features.extract gives a row for each token")
    width = len(_hidden_state_numbers(layers, bert.config)) * bert.config.hidden_size
    result = np.empty((len(texts), width), np.float32)
    found = extract(bert, tokenizer, texts, layers=layers, pooling=pooling, **options)
    for row, text in zip(result, found, strict=True):
        row[:] = text.values
    return result


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors [..., K] of length 1, so that their products are cosines; a vector of zeros stays as it is."""
    # torch's `normalize` divides by no less.
    lengths = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    result: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
    return result


def _hidden_state_numbers(layers: Sequence[int], config: BertConfig) -> list[int]:
    """Return the numbers of the hidden states of layers; hidden state 0 is the embeddings, 1 the output of layer 0."""
    if not isinstance(layers, Sequence) or not all(isinstance(layer, int | np.integer) for layer in layers):
        raise InputError(f"--layers: give a sequence of numbers such as [-1], not {str(layers)[:_SHOWN]}")
    count = config.num_hidden_layers
    for layer in layers:
        if not -count <= layer < count:
            raise InputError(
                f"--layers: the model has no layer {layer}, only 0 to {count - 1}, or -1 (the last) to {-count}"
            )
    if not layers:
        raise InputError("--layers: give at least one layer; -1 is the last")
    return [layer % count + 1 for layer in layers]


def _checked_length(max_seq_length: int | None, config: BertConfig) -> int:
    """Return the most tokens of a sequence."""
    longest = config.max_position_embeddings
    if max_seq_length is None:
        return longest
    if max_seq_length > longest:
        raise InputError(f"--max_seq_length={max_seq_length}: the model has {longest} positions; give at most that")
    if max_seq_length < 3:
        raise InputError(f"--max_seq_length={max_seq_length}: must be at least 3, for [CLS] and [SEP]")
    return max_seq_length


def pooled(bert: Bert, layers: Sequence[int], pooling: Pooling, dtype: torch.dtype, batch: PackedBatch) -> Tensor:
    """Return the features of a batch: [T, K] without pooling, [R, K] of the rows with cls, else [B, K].

    Hidden state 0 is the embeddings' output, 1 that of the first layer.
    """
    read = batch.rows if pooling == "cls" else None
    hidden = torch.cat(bert.hidden_states(batch, layers, dtype=dtype, read=read), 1)
    if pooling in ("mean", "max"):
        return torch.segment_reduce(hidden.float(), pooling, lengths=batch.starts.diff(), unsafe=True)
    return hidden


def _encoded(
    tokenizer: Tokenizer, texts: Iterable[Text], max_seq_length: int, config: BertConfig
) -> Iterator[tuple[Text, Pair, bool]]:
    """Yield each text, its tokens, and whether it was cut."""
    rest = iter(texts)
    while block := list(islice(rest, _BLOCK)):
        first = _ids(tokenizer, [text if isinstance(text, str) else text[0] for text in block])
        texts_b = ["" if isinstance(text, str) else text[1] for text in block]
        second = _ids(tokenizer, texts_b) if any(texts_b) else repeat([], len(block))
        for text, a, b in zip(block, first, second, strict=True):
            if b and config.type_vocab_size < 2:
                raise InputError(
                    "a pair of texts, but the model knows no second segment (type_vocab_size 1): "
                    f"{text[0][:_SHOWN]!r}{'...' if len(text[0]) > _SHOWN else ''}"
                )
            pair = joined(a, b, tokenizer.cls_id, tokenizer.sep_id, max_seq_length)
            yield text, pair, len(pair.ids) < len(a) + len(b) + (3 if b else 2)


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield the ids of each text."""
    ids, starts = tokenizer.encode_batch(texts)
    return (ids[begin:end].tolist() for begin, end in pairwise(starts))
