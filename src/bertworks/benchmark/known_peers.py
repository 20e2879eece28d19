"""The libraries that `bert benchmark` knows, what they take part in, and how they are set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PRECISIONS = ("fp32", "bf16", "int8")

_BEST: Mapping[str, str] = {"best": "", "defaults": "fp32"}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A library that takes part in some kinds of benchmark.

    Attributes:
        name: as `--against` has it.
        module: of `peers/`.
        kinds: of benchmark.
        hint: what to do if it is not there.
        settings: how it runs -> the precision that this always has; "" is what was ordered.
        precisions: what it can compute in.
    """

    name: str
    module: str
    kinds: tuple[str, ...]
    hint: str
    settings: Mapping[str, str] = field(default_factory=lambda: _BEST)
    precisions: tuple[str, ...] = ("fp32", "bf16")


VECTORS = ("encode", "latency")
# What NVIDIA's grid of inference measures: the logits of answers, not vectors.
ANSWERS = "answers"
_GRAPHS = "transformers tokenizers torch"

PEERS = (
    Peer(
        name="bertworks",
        module="ours",
        kinds=("train", "finetune", ANSWERS, *VECTORS),
        hint="pip install bertworks",
        settings={"best": ""},
        precisions=PRECISIONS,
    ),
    Peer(
        name="bertworks",
        module="ours_in_text",
        kinds=("tokenize",),
        hint="pip install bertworks",
        settings={"bytes": "", "strings": ""},
    ),
    Peer(
        name="bertworks",
        module="ours_in_text",
        kinds=("data",),
        hint="pip install bertworks",
        settings={"records": "", "shards": ""},
    ),
    Peer(
        name="bertworks",
        module="ours_serving",
        kinds=("serve",),
        hint="pip install 'bertworks[export]'",
        settings={"torch": "", "onnx": "", "openvino": ""},
        precisions=("fp32", "int8"),
    ),
    Peer(
        name="transformers",
        module="with_transformers",
        kinds=("train", "finetune", ANSWERS, *VECTORS),
        hint="pip install transformers tokenizers",
    ),
    Peer(
        name="sentence-transformers",
        module="with_sentence_transformers",
        kinds=VECTORS,
        hint="pip install sentence-transformers",
    ),
    Peer(
        name="onnxruntime",
        module="with_onnxruntime",
        kinds=VECTORS,
        hint=f"pip install onnxruntime onnx {_GRAPHS}",
        precisions=("fp32", "int8"),
    ),
    Peer(name="openvino", module="with_openvino", kinds=VECTORS, hint=f"pip install openvino {_GRAPHS}"),
    Peer(
        name="infinity",
        module="with_infinity",
        kinds=VECTORS,
        hint="pip install 'infinity-emb[torch]' 'transformers<5' 'sentence-transformers<5'",
    ),
    Peer(
        name="infinity",
        module="infinity_server",
        kinds=("serve",),
        hint="pip install 'infinity-emb[server,torch]' 'transformers<5' 'sentence-transformers<5' 'numpy<2'",
        settings={"torch": "fp32"},
    ),
    Peer(
        name="sentence-transformers",
        module="fastapi_server",
        kinds=("serve",),
        hint="pip install 'sentence-transformers[onnx]' fastapi uvicorn",
        settings={"torch": "fp32", "onnx": "int8"},
    ),
    Peer(
        name="tokenizers",
        module="tokenizers_of_rust",
        kinds=("tokenize",),
        hint="pip install tokenizers",
        settings={"tokenizers.encode_batch": "", "tokenizers.encode_batch_fast": ""},
    ),
    Peer(
        name="nanotoken",
        module="tokenizers_of_rust",
        kinds=("tokenize",),
        hint="pip install nanotoken",
        settings={"nanotoken.encode_batch": ""},
    ),
    Peer(
        name="tokie",
        module="tokenizers_of_rust",
        kinds=("tokenize",),
        hint="pip install tokie",
        settings={"tokie.encode_batch_flat": ""},
    ),
    Peer(
        name="original",
        module="original",
        kinds=("data",),
        hint="git clone https://github.com/google-research/bert and --original=FOLDER",
        settings={"instances": ""},
    ),
)
