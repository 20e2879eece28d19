"""Open an exported folder as a model: what `load` gives, computed by ONNX Runtime or OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bertworks.checkpoints.load import LoadReport
from bertworks.checkpoints.model_files import read_json
from bertworks.checkpoints.resolve import tokenizer_of
from bertworks.checkpoints.sentences import sentence_rules
from bertworks.checkpoints.storage import FolderStorage
from bertworks.checkpoints.tokenizer_files import tokenizer_of_folder
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.export.heads import ARCHITECTURES, Head
from bertworks.export.runtime import Precision, Runtime, Session, session
from bertworks.export.stand_in import computed_by, last_layer_of, stand_in
from bertworks.model.crf import LinearChainCRF
from bertworks.pretrained import Pretrained
from bertworks.text.tokenizer import Tokenizer

# The key of config.json with the scores of transitions between tags, by the names of our parameters.
CRF_KEY = "crf"


def open_export(folder: Path | str, runtime: Runtime, precision: Precision = "fp32", threads: int = 0) -> Pretrained:
    """Open a folder that `bert export` wrote; its model classifies, tags, answers, fills masks and embeds.

    Args:
        runtime: what computes.
        precision: which of the folder's files to open.
        threads: how many to compute with; 0 is all processors.

    Raises:
        InputError: it is no such folder, a file is damaged, or the library is not installed.
    """
    storage = FolderStorage(Path(folder))
    opened = session(folder, runtime, precision, threads)
    values = read_json(storage, "config.json")
    config = BertConfig.from_huggingface(values, storage.path / "config.json")
    words, rules = tokenizer_of_folder(storage)
    architecture = str(next(iter(values.get("architectures") or ()), ""))
    checkpoint = Checkpoint(
        path=storage.path,
        format=f"{runtime}, {precision}",
        weights={},
        config=config,
        hidden_act=config.hidden_act,
        vocabulary=words,
        do_lower_case=rules.do_lower_case,
        text_rules=rules,
        architecture=architecture,
        sentences=sentence_rules(storage, rules.longest),
        storage=storage,
    )
    head = _head(checkpoint, architecture, config)
    tokenizer = tokenizer_of(checkpoint, None, None)
    _check_fit(opened, head, config, tokenizer)
    return Pretrained(
        config=config,
        tokenizer=tokenizer,
        model=stand_in(config, head, computed_by(opened, head), _crf(checkpoint, head), last_layer_of(opened)),
        device=torch.device("cpu"),
        dtype=torch.float32,
        report=LoadReport(
            source=f"{opened.file} ({opened.version})",
            loaded=(),
            shape=f"{architecture}: {config.num_hidden_layers} layers, hidden size {config.hidden_size:,}",
            hidden_act=config.hidden_act,
            do_lower_case=rules.do_lower_case,
        ),
        checkpoint=checkpoint,
    )


def _head(checkpoint: Checkpoint, architecture: str, config: BertConfig) -> Head:
    kind = next((kind for kind, name in ARCHITECTURES.items() if name == architecture), None)
    if kind is None:
        raise InputError(f"{checkpoint.path / 'config.json'}: architectures is {architecture!r}, which no export has")
    classes = 1 if kind == "choice" else len(config.labels or ())
    return Head(kind, classes if kind in ("sequence", "choice", "tokens") else 0)


def _check_fit(opened: Session, head: Head, config: BertConfig, tokenizer: Tokenizer) -> None:
    """Refuse a graph whose outputs are not what the files beside it say, and a vocabulary that is too large."""
    wanted = {"encoder": ("last_hidden_state",), "answers": ("start_logits", "end_logits")}.get(head.kind, ("logits",))
    if missing := [name for name in wanted if name not in opened.outputs]:
        raise InputError(
            f"{opened.file}: has no output {missing[0]}, which {head.architecture} in config.json needs; export again"
        )
    sizes = {
        "encoder": config.hidden_size,
        "words": config.vocab_size,
        "sequence": head.classes,
        "tokens": head.classes,
    }
    width, said = opened.outputs[wanted[0]], sizes.get(head.kind, 0)
    if width and said and width != said:
        raise InputError(
            f"{opened.file}: {wanted[0]} has {width:,} numbers a row, config.json says {said:,}; export again"
        )
    if tokenizer.vocab_size > config.vocab_size:
        raise InputError(
            f"{opened.file.parent}: the vocabulary beside it has {tokenizer.vocab_size:,} words, the model only "
            f"{config.vocab_size:,}; export again"
        )


def _crf(checkpoint: Checkpoint, head: Head) -> LinearChainCRF | None:
    """Return the scores of transitions in a configuration."""
    config = checkpoint.config
    if config is None or CRF_KEY not in config.extra:
        return None
    crf = LinearChainCRF(head.classes)
    try:
        scores = {name: torch.from_numpy(np.array(rows, np.float32)) for name, rows in config.extra[CRF_KEY].items()}
        crf.load_state_dict(scores)
    except (RuntimeError, ValueError, TypeError, AttributeError):
        raise InputError(
            f"{checkpoint.path / 'config.json'}: {CRF_KEY} does not have the scores of {head.classes} tags"
        ) from None
    return crf
