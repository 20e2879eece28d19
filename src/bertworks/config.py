"""The configuration of a BERT: one dataclass, read from Google's dialect or Hugging Face's, written in Hugging Face's.

The two dialects differ in one word: `"hidden_act": "gelu"` is the tanh form of GELU in Google's files and the erf form
in Hugging Face's. Inside, and in every file we write, names are Hugging Face's: `gelu` is erf, `gelu_new` is tanh.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from bertworks.errors import InputError
from bertworks.foreign import refuse_pointer

Value = TypeVar("Value", bool, int, float, str)

ACTIVATIONS = ("gelu", "gelu_new", "relu", "tanh", "linear")

# Other names that Hugging Face's library has for the same functions.
_OTHER_NAMES = {"gelu_python": "gelu", "gelu_fast": "gelu_new", "gelu_pytorch_tanh": "gelu_new"}

# Three hundred times BERT-Large; more is a slip of the keyboard, and would fill the memory before it was told.
_MOST_PARAMETERS = 10**11
_LARGEST_RANGE = 100.0

# Layers and hidden size of the names people use (the original README's table); heads are hidden / 64.
NAMED_SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The numbers that define a BERT model; defaults are the original's (modeling.py), for the released sizes.

    Attributes:
        hidden_act: one of `ACTIVATIONS`, in Hugging Face's words.
        hidden_dropout_prob: dropout after the embeddings and after each dense output.
        attention_probs_dropout_prob: dropout on the attention probabilities.
        max_position_embeddings: the longest sequence, in tokens.
        initializer_range: standard deviation of the truncated normal of fresh weights.
        extra: keys that we do not use and write back as they came.
    """

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name, kind in self.__annotations__.items():
            if kind == "int" and getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if not 0 < self.layer_norm_eps <= 1:
            raise InputError(f"layer_norm_eps is {self.layer_norm_eps}; it must be above 0 and at most 1")
        if not 0 <= self.initializer_range <= _LARGEST_RANGE:
            raise InputError(f"initializer_range is {self.initializer_range}; it must be from 0 to {_LARGEST_RANGE}")
        if self.parameters > _MOST_PARAMETERS:
            raise InputError(
                "vocab_size, hidden_size, num_hidden_layers and intermediate_size make "
                f"{min(self.parameters, 10**300):.3g} parameters; the most is {_MOST_PARAMETERS:.0e}"
            )
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise InputError(f"hidden_act {self.hidden_act!r} is not one of {', '.join(ACTIVATIONS)}")

    @property
    def parameters(self) -> int:
        """About how many parameters the model has: embeddings and dense kernels."""
        rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size
        per_layer = 4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size
        return rows * self.hidden_size + self.num_hidden_layers * per_layer

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of a classifier's outputs, in order (`id2label`); None if the file does not say."""
        names = self.extra.get("id2label")
        if not isinstance(names, dict) or any(str(i) not in names for i in range(len(names))):
            return None
        return tuple(str(names[str(i)]) for i in range(len(names)))

    def with_labels(self, labels: Sequence[str], **more: object) -> BertConfig:
        """Return the same model with names for its outputs, as Hugging Face's classes read them, and `more` keys."""
        names = {str(i): name for i, name in enumerate(labels)}
        numbers = {name: i for i, name in enumerate(labels)}
        return replace(self, extra={**self.extra, "id2label": names, "label2id": numbers, **more})

    @property
    def fine_tuning(self) -> Mapping[str, Any]:
        """The flags of its fine-tuning that decide how texts become sequences; empty if it was not fine-tuned."""
        found = self.extra.get("fine_tuning", {})
        if not isinstance(found, dict):
            raise InputError(f"config.json: fine_tuning is {found!r:.60}, not an object of flags; fix it or remove it")
        return found

    def with_fine_tuning(self, values: Mapping[str, object]) -> BertConfig:
        """Return the same model with these flags of its fine-tuning, and no others."""
        return replace(self, extra={**self.extra, "fine_tuning": dict(values)})

    def fine_tuned(self, name: str, kind: type[Value], choices: Sequence[Value] = ()) -> Value | None:
        """Return the value that a flag had in the fine-tuning (`fine_tuning`); None if the file does not say.

        Args:
            kind: bool, int (from 0 on), float (any finite number) or str.
            choices: the values that there are; empty where there are others.

        Raises:
            InputError: it is something else.
        """
        if name not in self.fine_tuning:
            return None
        value = self.fine_tuning[name]
        fits = type(value) is kind or (kind is float and type(value) is int)
        if not fits or (kind is float and not abs(value) <= sys.float_info.max) or (kind is int and value < 0):
            expected = {bool: "true or false", int: "a whole number from 0 on", float: "a number", str: "a text"}[kind]
            wrong = f"not {expected}"
        elif choices and value not in choices:
            wrong = f"not one of {', '.join(map(str, choices))}"
        else:
            return kind(value)
        raise InputError(f"config.json: fine_tuning: {name} is {value!r:.60}, {wrong}; fix it or remove it")

    @property
    def longest_sequence(self) -> int:
        """The tokens of the longest sequence in its fine-tuning; if the file does not say, the number of positions."""
        return min(self.fine_tuned("max_seq_length", int) or self.max_position_embeddings, self.max_position_embeddings)

    @classmethod
    def from_size(cls, size: str, vocab_size: int, **changes: Any) -> BertConfig:
        """Return a model from scratch by name (`tiny` ... `large`) or as layers/hidden (`4/256`, `L-4_H-256`).

        Models from scratch speak Google's dialect, so the activation is the tanh GELU.
        """
        if size.lower() in NAMED_SIZES:
            layers, hidden = NAMED_SIZES[size.lower()]
        elif match := re.fullmatch(r"(?:L-)?(\d+)[/_](?:H-)?(\d+)(?:_A-\d+)?", size):
            layers, hidden = int(match[1]), int(match[2])
        else:
            raise InputError(f"--size={size}: give one of {', '.join(NAMED_SIZES)} or layers/hidden such as 4/256")
        heads = max(1, hidden // 64)
        return cls(
            vocab_size=vocab_size,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            hidden_act="gelu_new",
            **changes,
        )

    @classmethod
    def from_google_file(cls, path: Path | str) -> BertConfig:
        """Read a `bert_config.json` as the original release writes it (`gelu` there is the tanh form)."""
        return cls.from_google(_json_file(path), path)

    @classmethod
    def from_huggingface_file(cls, path: Path | str) -> BertConfig:
        """Read a `config.json` of a model folder."""
        return cls.from_huggingface(_json_file(path), path)

    @classmethod
    def from_google(cls, values: Any, path: Path | str) -> BertConfig:
        """Make a configuration of the contents of the original's `bert_config.json`; `path` is its name in messages."""
        config = cls.from_huggingface(values, path)
        return replace(config, hidden_act="gelu_new") if config.hidden_act == "gelu" else config

    @classmethod
    def from_huggingface(cls, values: Any, path: Path | str) -> BertConfig:
        """Make a configuration of the contents of a model folder's `config.json`; `path` is its name in messages.

        Raises:
            InputError: not the configuration of a BERT, or a value that makes no sense.
        """
        if not isinstance(values, dict) or "vocab_size" not in values:
            raise InputError(f"{path}: not a BERT configuration (no vocab_size)")
        values = dict(values)
        known = {f.name: f.type for f in fields(cls) if f.name != "extra"}
        given = {name: values.pop(name) for name in known if name in values}
        if given.get("hidden_act", "") is None:
            given["hidden_act"] = "linear"
        if isinstance(given.get("hidden_act"), str):
            given["hidden_act"] = _OTHER_NAMES.get(given["hidden_act"], given["hidden_act"])
        for name, value in given.items():
            wanted: tuple[type, ...] = {"int": (int,), "float": (int, float), "str": (str,)}[str(known[name])]
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise InputError(f"{path}: {name} is {value!r}, not {known[name]}")
        try:
            return cls(**given, extra=values)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def to_json(self, architecture: str = "BertForPreTraining") -> str:
        """Return the `config.json` that Hugging Face's classes open."""
        values = asdict(self)
        extra = values.pop("extra")
        return json.dumps(
            {"architectures": [architecture], "model_type": "bert", **extra, **values, "pad_token_id": 0}, indent=2
        )


def _json_file(path: Path | str) -> Any:
    try:
        text = Path(path).read_text(encoding="utf-8")
        refuse_pointer(text[:100].encode(), path)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None
