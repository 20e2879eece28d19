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
from bertworks.export.runtime import Precision, Runtime, session
from bertworks.export.stand_in import computed_by, stand_in
from bertworks.model.crf import LinearChainCRF
from bertworks.pretrained import Pretrained

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
    architecture = next(iter(values.get("architectures", ())), "")
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
    return Pretrained(
        config=config,
        tokenizer=tokenizer_of(checkpoint, None, None),
        model=stand_in(config, head, computed_by(opened, head), _crf(config, head)),
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


def _crf(config: BertConfig, head: Head) -> LinearChainCRF | None:
    """Return the scores of transitions in a configuration."""
    if CRF_KEY not in config.extra:
        return None
    crf = LinearChainCRF(head.classes)
    scores = {name: torch.from_numpy(np.array(values, np.float32)) for name, values in config.extra[CRF_KEY].items()}
    try:
        crf.load_state_dict(scores)
    except RuntimeError:
        raise InputError(f"config.json: {CRF_KEY} does not have the scores of {head.classes} tags") from None
    return crf
