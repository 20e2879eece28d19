"""Begin a training with the weights of a smaller model: stack its layers, multiply its width, and take new words.

Layers are stacked (Gong et al., "Efficient Training of BERT by Progressively Stacking", 2019): layer i begins as layer
i mod n of the n that there are. A width may grow by whole factors. Every unit is then copied, and what reads it reads
each copy with a random share of the old weight, so that the wider model computes what the narrow one does, and the
copies still learn different things (Chen et al., "Net2Net", 2016). A word that the smaller model does not have begins
as the mean of the pieces that it would cut the word into.

Shapes: V words, H hidden, and h that of the smaller model; m = H / h.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.checkpoints.resolve import config_of, tokenizer_of
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.text.tokenizer import Tokenizer

_WORDS = ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias")


@torch.no_grad()
def grow(model: PretrainingModel, named: str, tokenizer: Tokenizer | None, seed: int) -> list[str]:
    """Fill an initialised model from a smaller one, as far as that one has something.

    Args:
        named: what --grow_from names.
        tokenizer: the vocabulary of `model`; None where nobody knows it.
        seed: for the shares of copied units.

    Returns:
        what was loaded, and what of it the smaller model does not have; then what was done, a line each.

    Raises:
        InputError: there is no such model, or `model` is not larger by whole factors.
    """
    checkpoint = open_checkpoint(named, "--grow_from")
    config = config_of(checkpoint)
    small = PretrainingModel(config)
    small.initialise(seed)
    report = load_into(small, checkpoint, config)
    if checkpoint.vocabulary is None and (tokenizer is None or tokenizer.vocab_size != config.vocab_size):
        raise InputError(f"--grow_from={named}: has no vocabulary, which says what its vectors stand for")
    theirs = tokenizer_of(checkpoint, None, None) if checkpoint.vocabulary and tokenizer else None
    factors = _factors(config, model.config, named)
    generator = torch.Generator().manual_seed(seed)
    weights = {name: p.detach() for name, p in small.named_parameters()}
    for name, p in model.named_parameters():
        layer = re.search(r"layer\.(\d+)\.", name)
        of = name.replace(layer[0], f"layer.{int(layer[1]) % config.num_hidden_layers}.") if layer else name
        grown = _widened(of, weights[of], *factors, generator)
        if name in _WORDS and theirs is not None:
            continue
        rows = min(len(grown), len(p))  # the embeddings of positions may have other lengths
        p[:rows] = grown[:rows]
    lines = [
        report.shown(verbose=False),
        f"Grown from {named}: {config.num_hidden_layers} layers of {config.hidden_size} -> "
        f"{model.config.num_hidden_layers} of {model.config.hidden_size}; layer i begins as its layer i mod "
        f"{config.num_hidden_layers}",
    ]
    if theirs is not None and tokenizer is not None:
        own = {name: p.detach() for name, p in model.named_parameters()}
        tables = [(own[name], _widened(name, weights[name], *factors, generator)) for name in _WORDS]
        lines.append(_take_words(tables, tokenizer, theirs))
    return lines


def _factors(small: BertConfig, large: BertConfig, named: str) -> tuple[int, int]:
    """Return by what the hidden and the intermediate size are multiplied."""
    for name in ("hidden_size", "intermediate_size"):
        if getattr(large, name) % getattr(small, name):
            raise InputError(
                f"--grow_from={named}: {name} is {getattr(small, name)} there and {getattr(large, name)} here; it can "
                "only grow by a whole factor"
            )
    if small.head_size != large.head_size or small.num_hidden_layers > large.num_hidden_layers:
        what = "head size" if small.head_size != large.head_size else "number of layers"
        raise InputError(f"--grow_from={named}: its {what} does not fit; heads keep their size, layers grow in number")
    return large.hidden_size // small.hidden_size, large.intermediate_size // small.intermediate_size


def _widened(name: str, weight: Tensor, hidden: int, intermediate: int, generator: torch.Generator) -> Tensor:
    """Return a parameter of the smaller model in the larger one's width."""
    if name in {"cls.predictions.bias", "cls.seq_relationship.bias"}:
        return weight
    if name.startswith("cls.predictions.transform.LayerNorm"):
        return weight.repeat(hidden) / hidden  # the product with the word embeddings sums over all copies
    is_wide = "intermediate.dense" in name
    if weight.dim() == 1:
        return weight.repeat(intermediate if is_wide else hidden)
    if "embeddings" in name:
        return weight.repeat(1, hidden)
    rows = intermediate if is_wide else 1 if "seq_relationship" in name else hidden
    from_wide = "output.dense" in name and "attention" not in name
    return _shared_out(weight.repeat(rows, 1), intermediate if from_wide else hidden, generator)


def _shared_out(weight: Tensor, copies: int, generator: torch.Generator) -> Tensor:
    """Return [out, copies * in]: each weight of [out, in] in random parts that sum to it, one for each copy."""
    if copies == 1:
        return weight
    shares = 0.5 + torch.rand(copies, *weight.shape, generator=generator)
    return torch.cat([*(weight * shares / shares.sum(0))], dim=1)


def _take_words(tables: list[tuple[Tensor, Tensor]], tokenizer: Tokenizer, theirs: Tokenizer) -> str:
    """Fill tables [V, ...] from those of the other vocabulary; return what was done."""
    known = {word: number for number, word in enumerate(theirs.tokens)}
    same = pieced = 0
    for number, word in enumerate(tokenizer.tokens):
        if word in known:
            pieces, same = [known[word]], same + 1
        else:
            pieces = _pieces(word, theirs, known)
            pieced += bool(pieces)
        for table, other in tables if pieces else ():
            table[number] = other[pieces].mean(0)
    rest = len(tokenizer.tokens) - same - pieced
    return f"Words: {same:,} have their vectors from there, {pieced:,} the mean of their pieces, {rest:,} a random one"


def _pieces(word: str, theirs: Tokenizer, known: dict[str, int]) -> list[int]:
    """Return the numbers of the pieces that the other vocabulary cuts a word into; none if it does not know them."""
    pieces = theirs.tokenize(word.removeprefix("##"))
    if word.startswith("##") and pieces and f"##{pieces[0]}" in known:
        pieces[0] = f"##{pieces[0]}"
    return [] if "[UNK]" in pieces else [known[piece] for piece in pieces]
