"""The original's `create_pretraining_data`, from a checkout of google-research/bert, without TensorFlow.

A stand-in takes the place of the tensorflow module. The instances are built and not written, which flatters it.
"""

from __future__ import annotations

import random
import sys
import types
from functools import partial
from importlib import import_module

from bertworks.benchmark.peers.order import Order, Prepared


def prepare(order: Order) -> Prepared:
    """Prepare the original's own functions, from reading text to the list of instances."""
    nothing = types.SimpleNamespace(FLAGS=types.SimpleNamespace(do_whole_word_mask=False))
    for kind in ("string", "bool", "integer", "float"):
        nothing.__dict__[f"DEFINE_{kind}"] = lambda *_: None
    tensorflow, six = types.ModuleType("tensorflow"), types.ModuleType("six")
    tensorflow.__dict__.update(flags=nothing, gfile=types.SimpleNamespace(GFile=partial(open, encoding="utf-8")))
    six.__dict__.update(PY3=True, PY2=False)
    sys.modules.update({"tensorflow": tensorflow, "six": six})
    sys.path.insert(0, order.options["original"])
    data, tokenization = import_module("create_pretraining_data"), import_module("tokenization")
    files, longest = order.options["corpus"].split(","), order.max_seq_length

    def one_pass(_: int) -> None:
        tokenizer = tokenization.FullTokenizer(
            vocab_file=str(order.model / "vocab.txt"), do_lower_case=order.options["do_lower_case"] == "True"
        )
        most = max(1, round(0.15 * longest))
        data.create_training_instances(files, tokenizer, longest, 1, 0.1, 0.15, most, random.Random(12345))

    return Prepared(version="", settings="instances, not written, one process", one_pass=one_pass, answers=lambda: [0])
