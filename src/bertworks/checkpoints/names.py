"""What every framework calls the same tensor: one table for all of them.

Ours are Hugging Face's names, with dense weights as torch keeps them ([out, in]). TensorFlow stores dense kernels as
[in, out]; everything else has one shape everywhere. `#` stands for the number of a layer.

Sources of the names: google-research/bert `modeling.py` and `run_*.py`, MindSpore's official BERT, GluonNLP 0.10
`scripts/bert`, Hugging Face's `BertForPreTraining`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

Family = Literal["tensorflow", "mindspore", "gluonnlp"]
_Names = tuple[str, str | None, str | None, str | None]

# Each row: ours, TensorFlow, MindSpore, GluonNLP; None where a family has no such thing.

# What the names inside an encoder layer begin with.
_LAYER: _Names = (
    "bert.encoder.layer.#",
    "bert/encoder/layer_#",
    "bert.bert.bert_encoder.layers.#",
    "encoder.transformer_cells.#",
)

_DENSE_IN_LAYER: tuple[_Names, ...] = (
    ("attention.self.query", "attention/self/query", "attention.attention.query_layer", "attention_cell.proj_query"),
    ("attention.self.key", "attention/self/key", "attention.attention.key_layer", "attention_cell.proj_key"),
    ("attention.self.value", "attention/self/value", "attention.attention.value_layer", "attention_cell.proj_value"),
    ("attention.output.dense", "attention/output/dense", "attention.output.dense", "proj"),
    ("intermediate.dense", "intermediate/dense", "intermediate", "ffn.ffn_1"),
    ("output.dense", "output/dense", "output.dense", "ffn.ffn_2"),
)
_NORM_IN_LAYER: tuple[_Names, ...] = (
    ("attention.output.LayerNorm", "attention/output/LayerNorm", "attention.output.layernorm", "layer_norm"),
    ("output.LayerNorm", "output/LayerNorm", "output.layernorm", "ffn.layer_norm"),
)
_DENSE: tuple[_Names, ...] = (
    ("bert.pooler.dense", "bert/pooler/dense", "bert.bert.dense", "pooler"),
    ("cls.predictions.transform.dense", "cls/predictions/transform/dense", "bert.cls1.dense", "decoder.0"),
)
_NORM: tuple[_Names, ...] = (
    (
        "bert.embeddings.LayerNorm",
        "bert/embeddings/LayerNorm",
        "bert.bert.bert_embedding_postprocessor.layernorm",
        "encoder.layer_norm",
    ),
    ("cls.predictions.transform.LayerNorm", "cls/predictions/transform/LayerNorm", "bert.cls1.layernorm", "decoder.2"),
)
# Whole tensors, of one shape in every family.
_TENSORS: tuple[_Names, ...] = (
    (
        "bert.embeddings.word_embeddings.weight",
        "bert/embeddings/word_embeddings",
        "bert.bert.bert_embedding_lookup.embedding_table",
        "word_embed.0.weight",
    ),
    (
        "bert.embeddings.token_type_embeddings.weight",
        "bert/embeddings/token_type_embeddings",
        "bert.bert.bert_embedding_postprocessor.token_type_embedding.embedding_table",
        "token_type_embed.0.weight",
    ),
    (
        "bert.embeddings.position_embeddings.weight",
        "bert/embeddings/position_embeddings",
        "bert.bert.bert_embedding_postprocessor.full_position_embedding.embedding_table",
        "encoder.position_weight",
    ),
    ("cls.predictions.bias", "cls/predictions/output_bias", "bert.cls1.output_bias", "decoder.3.bias"),
    ("cls.predictions.decoder.weight", None, None, "decoder.3.weight"),
    (
        "cls.seq_relationship.weight",
        "cls/seq_relationship/output_weights",
        "bert.cls2.dense.weight",
        "classifier.weight",
    ),
    ("cls.seq_relationship.bias", "cls/seq_relationship/output_bias", "bert.cls2.dense.bias", "classifier.bias"),
    ("classifier.weight", "output_weights", "bert.dense_1.weight", "classifier.1.weight"),
    ("classifier.bias", "output_bias", "bert.dense_1.bias", "classifier.1.bias"),
    ("qa_outputs.weight", "cls/squad/output_weights", "bert.dense1.weight", "span_classifier.weight"),
    ("qa_outputs.bias", "cls/squad/output_bias", "bert.dense1.bias", "span_classifier.bias"),
)

# What the two tensors of a module are called, in the order of a row.
_DENSE_LEAVES: tuple[_Names, ...] = ((".weight", "/kernel", ".weight", ".weight"), (".bias", "/bias", ".bias", ".bias"))
_NORM_LEAVES: tuple[_Names, ...] = ((".weight", "/gamma", ".gamma", ".gamma"), (".bias", "/beta", ".beta", ".beta"))

# Second names that some checkpoints store for a tensor of the model: the name -> the tensor it must equal.
TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}

_COLUMN: dict[Family, int] = {"tensorflow": 1, "mindspore": 2, "gluonnlp": 3}

# TensorFlow 2's object checkpoints of Model Garden's encoder, and its names inside a layer.
_OBJECT = re.compile(r"(?:\w+/)?layer_with_weights-(\d+)/(.+)/\.ATTRIBUTES/VARIABLE_VALUE")
_EMBEDDINGS = ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm")
_FIRST_LAYER = len(_EMBEDDINGS)
_IN_OBJECT = {
    "_attention_layer/_query_dense": "attention/self/query",
    "_attention_layer/_key_dense": "attention/self/key",
    "_attention_layer/_value_dense": "attention/self/value",
    "_attention_layer/_output_dense": "attention/output/dense",
    "_attention_output_dense": "attention/output/dense",
    "_attention_layer_norm": "attention/output/LayerNorm",
    "_intermediate_dense": "intermediate/dense",
    "_output_dense": "output/dense",
    "_output_layer_norm": "output/LayerNorm",
}

# Modules that torch puts around others, wherever they stand.
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_WORD_EMBEDDINGS = re.compile(r"(?:(?<=\.)|^)embeddings\.word_embeddings\.weight$")

# Models of other families by what their names begin with, or by a part that only they have.
_FAMILIES = {
    "roberta": "a RoBERTa", "distilbert": "a DistilBERT", "electra": "an ELECTRA", "discriminator": "an ELECTRA",
    "generator": "an ELECTRA", "albert": "an ALBERT", "deberta": "a DeBERTa", "mpnet": "an MPNet",
    "layoutlm": "a LayoutLM", "longformer": "a Longformer", "big_bird": "a BigBird", "megatron_bert": "a Megatron BERT",
    "camembert": "a CamemBERT", "ernie": "an ERNIE",
}  # fmt: skip
_PARTS = {
    "transformer.layer.0.attention.q_lin": "a DistilBERT",
    "albert_layer_groups": "an ALBERT",
    "attention.self.query_proj": "a DeBERTa",
    "lora_A": "an adapter (merge it into its base first: peft, model.merge_and_unload(), then save_pretrained)",
    "attention.self.distance_embedding": "a BERT with relative positions",
}

# Where a layer's number stands, in any family's names.
_LAYER_NUMBER = re.compile(
    r"(?:(?<=bert\.encoder\.layer\.)|(?<=bert/encoder/layer_)"
    r"|(?<=bert\.bert\.bert_encoder\.layers\.)|(?<=encoder\.transformer_cells\.))(0|[1-9][0-9]{0,5})(?![0-9])"
)


@dataclass(frozen=True)
class Counterpart:
    """The name of a tensor on the other side, and whether its two axes are exchanged on the way."""

    name: str
    transposed: bool


def to_ours(name: str, family: Family) -> Counterpart | None:
    """Our name for a tensor of another family; None for a name that no BERT of that family has."""
    if family == "tensorflow":
        # Keras-built graphs number their normalizations over the whole graph instead of naming each after its module.
        name = re.sub(r"(?<=/)layer_normalization(_[0-9]+)?(?=/)", "LayerNorm", name)
    return _exchange(name, _tables(family)[0])


def from_ours(name: str, family: Family) -> Counterpart | None:
    """Return the name that another family gives to a tensor of ours; None where it has none."""
    return _exchange(name, _tables(family)[1])


def from_object_graph(stored: Iterable[str]) -> dict[str, str]:
    """Return names in TensorFlow's words for the variables of Model Garden's encoder (TF 2's object checkpoints).

    Its layers with weights are numbered: embeddings of words, positions and segments, their normalization, then the
    layers of the encoder, then the pooler.
    """
    found = {name: match for name in stored if (match := _OBJECT.fullmatch(name))}
    last = max((int(match[1]) for match in found.values()), default=0)
    ours = {}
    for name, match in found.items():
        number, rest = int(match[1]), match[2]
        if number < _FIRST_LAYER:
            ours[name] = f"bert/embeddings/{_EMBEDDINGS[number]}{'/' + rest if number == _FIRST_LAYER - 1 else ''}"
        elif number == last and "/" not in rest:
            ours[name] = f"bert/pooler/dense/{rest}"
        else:
            module, _, leaf = rest.rpartition("/")
            ours[name] = f"bert/encoder/layer_{number - _FIRST_LAYER}/{_IN_OBJECT.get(module, module)}/{leaf}"
    return ours


def from_huggingface(name: str) -> str:
    """Our name for one in a torch file: LayerNorm's gamma and beta, a missing `bert.`, NVIDIA's `dense_act`.

    Names of modules that we do not know come back as they are.
    """
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = f"bert.{name}"
    name = name.replace(".dense_act.", ".dense.")
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


def from_torch(stored: Iterable[str]) -> dict[str, str]:
    """Our names for all in a torch file: the stored name -> ours.

    Programs that train wrap a model in others, so that its names begin with `module.`, `model.` or the like. What comes
    before the only BERT is taken off, also from the heads beside it.

    Raises:
        ValueError: the file holds several BERTs, or a model of another family; says which.
    """
    plain = {name: _WRAPPERS.sub("", name) for name in stored}
    beginnings = sorted({name[: match.start()] for name in plain.values() if (match := _WORD_EMBEDDINGS.search(name))})
    wanted = [one for one in beginnings if one in ("", "bert.")]
    wanted = wanted or [one for one in beginnings if one.endswith(".bert.")] or beginnings
    if len(wanted) > 1:
        raise ValueError(f"holds {len(wanted)} models ({some(wanted)}); save one of them by itself")
    before = wanted[0] if wanted else "module."
    family = _FAMILIES.get(before.rstrip(".").rpartition(".")[2].lower())
    family = family or next((theirs for part, theirs in _PARTS.items() if any(part in name for name in plain)), None)
    if family:
        raise ValueError(f"holds weights of {family}, which is not a BERT")
    outer = before.removesuffix("bert.")

    def ours(name: str) -> str:
        if wanted and before and name.startswith(before):
            return from_huggingface(f"bert.{name.removeprefix(before)}")
        # A part of another module is not the BERT's, even where it is called so.
        other = "" if not before or not wanted else "#"
        return from_huggingface(f"{other}{name.removeprefix(outer)}").removeprefix("#")

    return {name: ours(short) for name, short in plain.items()}


def is_buffer(name: str) -> bool:
    """Tell whether a name (ours) is a constant that older libraries saved along with the weights."""
    return name in ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")


def layer_of(name: str) -> int | None:
    """Return the number of the encoder layer that a tensor of ours belongs to; None outside the layers."""
    match = _LAYER_NUMBER.search(name)
    return int(match[0]) if match else None


def count_layers(tensors: Iterable[str]) -> int:
    """Return the number of encoder layers that tensors of ours belong to; 0 where none belongs to one."""
    return max((layer + 1 for name in tensors if (layer := layer_of(name)) is not None), default=0)


def any_layer(name: str) -> str:
    """Return the name, of any family, with `#` for the number of its layer."""
    return _LAYER_NUMBER.sub("#", name, count=1)


def grouped(tensors: Iterable[str], remark: str) -> list[str]:
    """Return lines about tensors; the same tensor of every layer is one line."""
    groups = Counter(any_layer(name) for name in tensors)
    return [f"{name}{f' ({count} layers)' if count > 1 else ''}; {remark}" for name, count in groups.items()]


def some(tensors: Iterable[str]) -> str:
    """Return the first three names, for a message."""
    listed = sorted(tensors)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "") if listed else "none"


def _exchange(name: str, table: dict[str, Counterpart]) -> Counterpart | None:
    """Look `name` up with `#` for its layer's number, and put the number back."""
    number = _LAYER_NUMBER.search(name)
    if number is None:
        return None if "#" in name else table.get(name)
    found = table.get(any_layer(name))
    return found and Counterpart(found.name.replace("#", number[0]), found.transposed)


@cache
def _tables(family: Family) -> tuple[dict[str, Counterpart], dict[str, Counterpart]]:
    """Return (theirs -> ours, ours -> theirs), with `#` for the number of a layer."""
    pairs = [(ours, theirs, transposed) for ours, theirs, transposed in _rows(_COLUMN[family]) if theirs]
    return (
        {theirs: Counterpart(ours, transposed) for ours, theirs, transposed in pairs},
        {ours: Counterpart(theirs, transposed) for ours, theirs, transposed in pairs},
    )


def _rows(column: int) -> Iterator[tuple[str, str | None, bool]]:
    """Yield every tensor: our name, the name in `column`, and whether the axes are exchanged."""
    separator = "/" if column == _COLUMN["tensorflow"] else "."
    for ours, *others in _TENSORS:
        yield ours, (ours, *others)[column], False
    for modules, leaves in ((_DENSE, _DENSE_LEAVES), (_NORM, _NORM_LEAVES)):
        for module in modules:
            for leaf in leaves:
                yield f"{module[0]}{leaf[0]}", f"{module[column]}{leaf[column]}", leaf[column] == "/kernel"
    for modules, leaves in ((_DENSE_IN_LAYER, _DENSE_LEAVES), (_NORM_IN_LAYER, _NORM_LEAVES)):
        for module in modules:
            for leaf in leaves:
                ours = f"{_LAYER[0]}.{module[0]}{leaf[0]}"
                theirs = f"{_LAYER[column]}{separator}{module[column]}{leaf[column]}"
                yield ours, theirs, leaf[column] == "/kernel"
