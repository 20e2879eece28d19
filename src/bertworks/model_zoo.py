"""`bertworks.get_model`: a model and its vocabulary as GluonNLP gives them, computed on PyTorch without padding.

    model, vocab = bertworks.get_model("bert_12_768_12", dataset_name="book_corpus_wiki_en_uncased")
    sequence, pooled, next_sentence, words = model(inputs, token_types, valid_length, masked_positions)

Names, arguments, the order of the outputs and the values at padding are those of GluonNLP 0.5 to 0.10
(`src/gluonnlp/model/bert.py`, `src/gluonnlp/vocab/bert.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from bertworks.checkpoints.formats.gluonnlp import tokens_of_vocab
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.datasets import models as zoo
from bertworks.datasets import registry
from bertworks.datasets.schema import KnownModel
from bertworks.errors import InputError
from bertworks.model.device import choose_device
from bertworks.model.heads import PretrainingModel, initialise
from bertworks.text.vocab_file import CLS, MASK, PAD, SEP, UNK

# Names of models -> their numbers, apart from the vocabulary.
MODELS: dict[str, dict[str, Any]] = {
    f"bert_{layers}_{hidden}_{heads}": {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }
    for layers, hidden, heads in ((12, 768, 12), (24, 1024, 16))
}

# GluonNLP's other arguments -> the one value that they can have here.
_FIXED = {
    "hparam_allow_override": False,
    "output_attention": False,
    "output_all_encodings": False,
    "use_token_type_embed": True,
}
_WITHOUT_EFFECT = ("ignore_extra", "dropout")

# What tells a vocabulary from a list of words or the name of a file.
_OF_A_VOCABULARY = ("__len__", "idx_to_token", "token_to_idx", "to_indices", "to_tokens")


class BERTVocab:
    """A vocabulary as GluonNLP's BERTVocab: `vocab["word"]`, `vocab[["two", "words"]]`, unknown words are [UNK].

    Attributes:
        unknown_token, padding_token, cls_token, sep_token, mask_token: BERT's special tokens.
    """

    unknown_token, padding_token, cls_token, sep_token, mask_token = UNK, PAD, CLS, SEP, MASK

    def __init__(self, tokens: Sequence[str]) -> None:
        self.idx_to_token = list(tokens)
        self.token_to_idx = {token: i for i, token in enumerate(self.idx_to_token)}
        if UNK not in self.token_to_idx:
            raise InputError(f"vocab: a vocabulary of {len(self.idx_to_token):,} tokens without {UNK}")

    @classmethod
    def from_json(cls, json_str: str) -> BERTVocab:
        """Make a vocabulary of the contents of a `.vocab` file."""
        return cls(tokens_of_vocab(json_str, "vocab"))

    def __len__(self) -> int:
        return len(self.idx_to_token)

    def __contains__(self, token: object) -> bool:
        return token in self.token_to_idx

    def __getitem__(self, tokens: str | Sequence[str]) -> Any:
        """The id of a token, or a list of the ids of several."""
        if isinstance(tokens, str):
            return self.token_to_idx.get(tokens, self.token_to_idx[UNK])
        return [self[token] for token in tokens]

    to_indices = __getitem__

    def to_tokens(self, indices: int | Sequence[int]) -> Any:
        """Return the token of an id, or a list of the tokens of several."""
        if not isinstance(indices, int | np.integer):
            return [self.to_tokens(int(index)) for index in indices]
        if not 0 <= indices < len(self):
            raise InputError(f"vocab: there is no token {indices}, only 0 to {len(self) - 1}")
        return self.idx_to_token[indices]

    def __repr__(self) -> str:
        return f"BERTVocab({len(self)} tokens)"


class BERTModel(nn.Module):
    """A network that is called as GluonNLP's BERTModel is.

    No dropout is drawn. In eval mode, as it is given, no gradients are recorded; after `train()` they are.

    Attributes:
        network: the model that computes; its parameters have Hugging Face's names.
    """

    def __init__(self, network: PretrainingModel, use_pooler: bool, use_decoder: bool, use_classifier: bool) -> None:
        super().__init__()
        self.network = network
        self.use_pooler, self.use_decoder, self.use_classifier = use_pooler, use_decoder, use_classifier

    def forward(
        self,
        inputs: ArrayLike | Tensor,
        token_types: ArrayLike | Tensor,
        valid_length: ArrayLike | Tensor | None = None,
        masked_positions: ArrayLike | Tensor | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Encode padded sequences.

        Args:
            inputs: [B, L] ids of tokens.
            token_types: [B, L] 0 in the first segment, 1 in the second.
            valid_length: [B] the tokens of each sequence; None: all L.
            masked_positions: [B, M] where to predict words; needed with use_decoder.

        Returns:
            In this order, those that were asked for: the last layer [B, L, H], 0 beyond the valid length; the pooled
            first token [B, H] (use_pooler); scores of "the second segment follows" and "it does not" [B, 2]
            (use_classifier); scores of all words [B, M, V] (use_decoder). Float32; a single one is no tuple.

        Raises:
            InputError: shapes that do not fit each other, or numbers out of range.
        """
        config = self.network.config
        ids = _integers("inputs", inputs, 2, config.vocab_size)
        count, width = ids.shape
        types = _integers("token_types", token_types, 2, config.type_vocab_size)
        if types.shape != ids.shape or not ids.size:
            raise InputError(f"token_types: has the shape {list(types.shape)}, but inputs has {list(ids.shape)}")
        if valid_length is None:
            lengths = np.full(count, width)
        else:
            lengths = _integers("valid_length", valid_length, 1, width + 1)
        if len(lengths) != count or lengths.min() < 1:
            raise InputError(f"valid_length: needs {count} numbers from 1 to {width}, one for each sequence of inputs")
        if lengths.max() > config.max_position_embeddings:
            raise InputError(
                f"inputs: a sequence has {lengths.max()} tokens; the model takes at most "
                f"{config.max_position_embeddings}"
            )
        if self.use_decoder and masked_positions is None:
            raise InputError("masked_positions: needed to predict words; or get the model with use_decoder=False")
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            valid = np.arange(width) < lengths[:, None]
            device = self.network.bert.embeddings.word_embeddings.weight.device
            batch = pack(ids[valid], types[valid], lengths).to(device)
            hidden = self.network.bert(batch)
            sequence = hidden.new_zeros(count, width, config.hidden_size)
            sequence[torch.from_numpy(valid).to(device)] = hidden
            outputs = [sequence]
            if self.use_pooler:
                outputs.append(self.network.bert.pooler(sequence[:, 0]))
            if self.use_classifier:
                outputs.append(self.network.next_sentence_logits(outputs[-1]))
            if self.use_decoder:
                assert masked_positions is not None
                positions = _integers("masked_positions", masked_positions, 2, width)
                if len(positions) != count:
                    raise InputError(f"masked_positions: has {len(positions)} sequences, but inputs has {count}")
                chosen = sequence[np.arange(count)[:, None], positions]
                outputs.append(self.network.masked_lm_logits(chosen.flatten(0, 1)).unflatten(0, positions.shape))
        return tuple(outputs) if len(outputs) > 1 else sequence


def _integers(name: str, values: ArrayLike | Tensor, axes: int, end: int) -> NDArray[np.int64]:
    """Return an argument as whole numbers from 0 to `end` - 1, whatever type they came in."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != axes or array.dtype.kind not in "iufb":
        raise InputError(f"{name}: needs numbers with {axes} axes, not {array.dtype} with {array.ndim}")
    if array.size and not (array.min() >= 0 and array.max() < end and (array == np.floor(array)).all()):
        raise InputError(f"{name}: holds numbers that are not whole, or not from 0 to {end - 1}")
    return array.astype(np.int64)


def get_model(
    name: str,
    dataset_name: str | None = None,
    vocab: BERTVocab | None = None,
    pretrained: bool = True,
    ctx: Any = "auto",
    root: Path | str | None = None,
    *,
    use_pooler: bool = True,
    use_decoder: bool = True,
    use_classifier: bool = True,
    pretrained_allow_missing: bool = False,
    hidden_act: str = "gelu",
    **others: Any,
) -> tuple[BERTModel, BERTVocab]:
    """Return one of GluonNLP's BERTs by its name there, from where GluonNLP takes it.

    Args:
        name: bert_12_768_12 or bert_24_1024_16.
        dataset_name: what it was trained on, which decides the weights and the vocabulary.
        vocab: the vocabulary where there is no `dataset_name`: a BERTVocab, or an object with its methods such as
            GluonNLP's.
        pretrained: False gives fresh weights.
        ctx: auto (CUDA if there is one), cpu, cuda or cuda:N; MXNet's cpu(0) and gpu(N) mean the same.
        root: a folder to keep the files in, instead of the cache.
        use_pooler, use_decoder, use_classifier: what the model returns; see `BERTModel.forward`.
        pretrained_allow_missing: give fresh weights to heads that the file does not have.
        hidden_act: the activation; as GluonNLP computes it, the erf form of GELU.
        others: `ignore_extra` and `dropout` have no effect; others can only be as they are by default.

    Raises:
        InputError: there is no such model, it cannot be downloaded, or an argument makes no sense.
    """
    for argument, value in others.items():
        if argument not in _WITHOUT_EFFECT and (argument not in _FIXED or value != _FIXED[argument]):
            raise InputError(f"get_model: {argument}={value!r} is not supported")
    if use_classifier and not use_pooler:
        raise InputError("get_model: use_classifier=True needs use_pooler=True")
    if vocab is not None and not all(hasattr(vocab, attribute) for attribute in _OF_A_VOCABULARY):
        raise InputError(
            f"get_model: vocab needs a BERTVocab, such as BERTVocab(tokens), not one of {type(vocab).__name__}"
        )
    name = name.lower()
    if name not in MODELS:
        raise InputError(f"get_model: no model {name!r}; there are {', '.join(MODELS)}")
    row, folder = None, Path(root).expanduser() if root else None
    if dataset_name is not None:
        row = _row(name, dataset_name)
        weights, words = (file.unpack[0] for file in row.files)
        place = zoo.fetch(row, folder, row.files if pretrained else row.files[1:])
        vocab = BERTVocab(tokens_of_vocab((place / words).read_bytes(), place / words))
    elif pretrained or vocab is None:
        missing = "dataset_name, or pretrained=False and vocab"
        raise InputError(f"get_model: needs {missing}; {name} comes on {', '.join(_datasets(name))}")
    config = BertConfig(vocab_size=len(vocab), hidden_act=hidden_act, **MODELS[name])
    network = PretrainingModel(config)
    fresh: tuple[str, ...] | None = None
    if row is not None and pretrained:
        checkpoint = open_checkpoint(place / weights, "dataset_name")
        fresh = load_into(network, checkpoint, config).missing
        for argument, wanted, beginning in (
            ("use_pooler", use_pooler, "bert.pooler."),
            ("use_decoder", use_decoder, "cls.predictions."),
            ("use_classifier", use_classifier, "cls.seq_relationship."),
        ):
            if wanted and not pretrained_allow_missing and any(name.startswith(beginning) for name in fresh):
                raise InputError(f"{checkpoint.path}: has no weights for {argument}=True; give {argument}=False")
    initialise(network, config.initializer_range, 0, fresh)
    model = BERTModel(network, use_pooler, use_decoder, use_classifier)
    return model.to(_device(ctx)).eval(), vocab


def _row(name: str, dataset_name: str) -> KnownModel:
    row = registry.find_model(f"{name}_{dataset_name}")
    if row is None:
        raise InputError(f"get_model: no {name} on {dataset_name!r}; it comes on {', '.join(_datasets(name))}")
    return row


def _datasets(name: str) -> list[str]:
    """Return the datasets of a model."""
    names = (known for model in registry.models() for known in (model.name, *model.aliases))
    return [known.removeprefix(f"{name}_") for known in names if known.startswith(f"{name}_")]


def _device(ctx: Any) -> torch.device:
    """Return what MXNet calls a context."""
    match = re.fullmatch(r"(cpu|gpu)(?:\((\d+)\))?", str(ctx))
    if match is None:
        return choose_device(str(ctx))
    return choose_device("cpu" if match[1] == "cpu" else f"cuda:{match[2] or 0}")
