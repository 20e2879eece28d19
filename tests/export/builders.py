"""Small models of every head, with weights that make no value zero, as folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import bertworks
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.config import BertConfig
from bertworks.model.heads import (
    EncoderModel,
    PretrainingModel,
    SequenceClassifier,
    SpanClassifier,
    TokenClassifier,
)
from bertworks.pretrained import Pretrained
from bertworks.text.tokenizer import Tokenizer

VOCAB = Path(__file__).parents[1] / "fixtures" / "vocab.txt"

CONFIG = BertConfig(
    vocab_size=900,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    hidden_act="gelu",
    max_position_embeddings=70,
)

TAGS = ("O", "B-LOC", "I-LOC")
CLASSES = ("no", "maybe", "yes")


def drawn(model: EncoderModel, seed: int = 5) -> EncoderModel:
    """Set every parameter of a model; norms stay near one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator) * (0.15 if parameter.dim() > 1 else 0.1)
            parameter.copy_(values + 1 if name.endswith("LayerNorm.weight") else values)
    return model


def network(kind: str, config: BertConfig) -> tuple[EncoderModel, BertConfig, str]:
    """A network by the kind of its head, its configuration, and Hugging Face's class."""
    labels = {"tokens": TAGS, "crf": TAGS, "single": CLASSES, "multi": CLASSES, "regression": ("score",)}.get(kind, ())
    if labels:
        problem = {"regression": "regression"}.get(kind, f"{kind}_label_classification")
        config = config.with_labels(labels, **({} if labels == TAGS else {"problem_type": problem}))
    model: EncoderModel
    match kind:
        case "encoder":
            model, name = EncoderModel(config), "BertModel"
        case "words":
            model, name = PretrainingModel(config), "BertForPreTraining"
        case "answers":
            model, name = SpanClassifier(config), "BertForQuestionAnswering"
        case "tokens" | "crf":
            model, name = TokenClassifier(config, len(TAGS), crf=kind == "crf"), "BertForTokenClassification"
        case "choice":
            model, name = SequenceClassifier(config, 1), "BertForMultipleChoice"
        case _:
            model, name = SequenceClassifier(config, len(labels)), "BertForSequenceClassification"
    return model, config, name


KINDS = ("encoder", "words", "choice", "answers", "tokens", "crf", "regression", "single", "multi")


def save(folder: Path, kind: str, **changes: Any) -> Path:
    """Write a model folder."""
    model, config, architecture = network(kind, replace(CONFIG, **changes))
    weights = drawn(model).state_dict()
    save_model_folder(folder, config, weights, architecture)
    Tokenizer.from_vocab(VOCAB).save(folder, config.longest_sequence)
    return folder


def load(folder: Path, kind: str, **changes: Any) -> Pretrained:
    return bertworks.load(save(folder, kind, **changes), device="cpu")


def add_sentences(folder: Path, poolings: tuple[str, ...] = ("mean_tokens",), dense: bool = False) -> Path:
    """Make a model folder one of sentence-transformers."""
    from bertworks.checkpoints.formats import safetensors

    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    width = CONFIG.hidden_size * len(poolings)
    if dense:
        modules.append(("Dense", "2_Dense"))
        (folder / "2_Dense").mkdir()
        generator = torch.Generator().manual_seed(3)
        tensors = {
            "linear.weight": torch.randn(8, width, generator=generator),
            "linear.bias": torch.randn(8, generator=generator),
        }
        with (folder / "2_Dense" / "model.safetensors").open("wb") as stream:
            safetensors.write(stream, safetensors.of_tensors(tensors), {"format": "pt"})
        settings = {
            "in_features": width,
            "out_features": 8,
            "bias": True,
            "activation_function": "torch.nn.modules.activation.Tanh",
        }
        (folder / "2_Dense" / "config.json").write_text(json.dumps(settings))
    modules.append(("Normalize", f"{len(modules)}_Normalize"))
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": CONFIG.hidden_size, **{f"pooling_mode_{name}": True for name in poolings}}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 40, "do_lower_case": false}')
    return folder
