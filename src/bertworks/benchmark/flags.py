"""The flags of `bert benchmark`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bertworks.flags import REQUIRED, CommandFlags, flag

Kind = Literal["train", "finetune", "encode", "latency", "serve", "tokenize", "data", "memory"]

_INPUT, _RUN, _OUTPUT = "What is worked on", "How it is measured", "Output"


@dataclass(frozen=True, kw_only=True)
class BenchmarkFlags(CommandFlags):
    """What is measured, on what, against whom, and where the tables go."""

    shown_first = "what against size model lengths batch_size corpus precision rounds like output_dir"

    what: Kind = flag(
        REQUIRED,
        "train: steps of pre-training. finetune: steps of fine-tuning. encode: vectors of many texts. latency: vectors "
        "of one text after the other. serve: vectors by HTTP, for several clients at once. tokenize: text to ids. "
        "data: text to pre-training data. memory: the largest batches of a fine-tuning that fit, beside the "
        "original's; they are computed, and nothing is run.",
        positional=True,
    )
    against: str | None = flag(
        None,
        "The peers, with commas between: transformers, sentence-transformers, onnxruntime, openvino, infinity, "
        "tokenizers, nanotoken, tokie, original; none: only ours; by default all that do the work. One that is not "
        "installed stands in the table with the command that installs it.",
    )
    peer_python: str | None = flag(
        None,
        "Peers that have a Python environment of their own: NAME=PATH, PATH being its python (3.11 or newer); several "
        "with commas between.",
    )
    like: Literal["lambda", "nvidia"] | None = flag(
        None,
        "Run a known benchmark and write its files. lambda, for finetune: SQuAD at 384 tokens, Base and Large, two "
        "precisions, three repeats. nvidia, for train, finetune and latency: the tables and lines of "
        "DeepLearningExamples.",
    )

    size: str = flag(
        "base",
        "The model, with random weights: a name or layers/hidden; several with --like and for memory, whose default is "
        "base,large.",
        group=_INPUT,
    )
    model: str | None = flag(None, "A model with its weights, instead of --size.", group=_INPUT, path="or name")
    lengths: str | None = flag(
        None,
        "Mixes of lengths, with commas between. train: dense, mrpc, squad. finetune: mrpc (pairs of sentences, a class "
        "each), squad (windows, an answer each). encode, latency, serve: natural (sentences), dense, mixed (1 to 12 "
        "sentences). For train and finetune also a file with a length on each line.",
        group=_INPUT,
    )
    max_seq_length: int = flag(
        0, "The longest sequence, and all of dense; 0: 128, 384 for squad, 256 for texts.", group=_INPUT, lowest=0
    )
    batch_size: int = flag(
        0,
        "Sequences of a step; 0: 32. With --like=lambda 0 is the largest batch that fits, found by trials on a GPU.",
        group=_INPUT,
        lowest=0,
    )
    texts: int = flag(500, "Texts to encode, at equal distances from the corpus.", group=_INPUT, lowest=1)
    clients: str = flag("1,8,64", "For serve: how many clients ask at once, several with commas between.", group=_INPUT)
    corpus: str | None = flag(
        None,
        "Text files, one sentence on each line; by default Python's documentation.",
        group=_INPUT,
        path=True,
    )
    vocab_file: str | None = flag(
        None, "The vocabulary; by default the model's, or one learned from the text.", group=_INPUT, path=True
    )
    do_lower_case: bool = flag(True, "Lower-case the text.", group=_INPUT, alias="do_lower")
    train_file: str | None = flag(
        None, "SQuAD's train-v1.1.json, whose windows --like=lambda then trains on.", group=_INPUT, path=True
    )
    original: str | None = flag(None, "A checkout of google-research/bert, the peer of data.", group=_INPUT, path=True)

    precision: str = flag(
        "auto",
        "fp32, bf16 or int8, several with commas between; auto is bf16 where the hardware multiplies it, for training.",
        group=_RUN,
    )
    compile: bool = flag(
        False, "For train and finetune: let our blocks be compiled, as the commands' --compile does.", group=_RUN
    )
    gradient_checkpointing: bool = flag(
        False, "For train and finetune: compute our blocks again in the backward pass.", group=_RUN
    )
    optimizer_bits: Literal["32", "8"] = flag(
        "32", "For train and finetune: bits of our optimizer's moments of large matrices.", group=_RUN
    )
    rounds: int = flag(5, "Rounds in which all take their turns, after one that is not counted.", group=_RUN, lowest=1)
    steps: int = flag(0, "Passes of a turn: steps, or texts of latency; 0: by what is measured.", group=_RUN, lowest=0)
    threads: int = flag(
        0,
        "Threads of each contestant; 0: OMP_NUM_THREADS, or one for each processor, within a container's quota; one "
        "for tokenize.",
        group=_RUN,
        lowest=0,
    )
    device: str = flag("auto", "cpu, cuda, cuda:N, or auto: CUDA if there is one, else the CPU.", group=_RUN)
    gb: float | None = flag(
        None, "For memory: of the device, in GiB; by default what is free on this one.", group=_RUN, above=0
    )
    price: float | None = flag(
        None,
        "Price of the machine for an hour, in any currency; the table then has the price of a million tokens.",
        group=_RUN,
        above=0,
    )
    output_dir: str = flag(
        "benchmark", "The folder for the tables: Markdown, JSON and a picture.", group=_OUTPUT, path="written folder"
    )
