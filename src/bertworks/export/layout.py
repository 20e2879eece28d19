"""The files beside a graph: configuration, tokenizer, labels, thresholds, pooling; and which folder may be written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints.formats.huggingface import STORAGE_KEYS
from bertworks.checkpoints.sentences import save_sentence_rules
from bertworks.checkpoints.weights import SentenceRules
from bertworks.errors import InputError
from bertworks.export.certificate import CERTIFICATE, PAGE
from bertworks.export.heads import Head
from bertworks.export.opened import CRF_KEY
from bertworks.files import write_text
from bertworks.model.heads import TokenClassifier
from bertworks.pretrained import Pretrained
from bertworks.tasks.labels import names_of_outputs


def check_free(folder: Path, model: Path) -> None:
    """Refuse a folder that would lose something that no export wrote.

    Args:
        model: what is exported.

    Raises:
        InputError: it is a file, holds the model, or holds a file that its certificate does not list.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"--folder={folder}: is a file; give a folder, new or empty")
    if folder.resolve() in (model.resolve(), *model.resolve().parents):
        raise InputError(f"--folder={folder}: is where the model is that is to be exported; give another folder")
    known = {CERTIFICATE, PAGE, *_listed(folder / CERTIFICATE)}
    there = sorted(str(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if not path.is_dir())
    if foreign := [name for name in there if name not in known]:
        raise InputError(
            f"--folder={folder}: holds {foreign[0]}, which no earlier export wrote; give a new or an empty folder"
        )


def _listed(certificate: Path) -> list[str]:
    """Return the files that a certificate lists; none without one."""
    try:
        values = json.loads(certificate.read_text(encoding="utf-8"))
        return [str(name) for name in values["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_beside(
    folder: Path, pretrained: Pretrained, head: Head, sentences: SentenceRules | None, in_two_files: Sequence[str]
) -> list[str]:
    """Write what programs read beside the graph; return what they must know, a line each.

    Args:
        in_two_files: the names of the ONNX files whose weights lie in a second one; transformers.js must be told.
    """
    config = pretrained.config
    if head.kind in ("sequence", "tokens"):
        # Programs take a model whose file names no labels to have two.
        config = config.with_labels(names_of_outputs(config, head.classes))
    extra = dict(config.extra)
    notes = []
    for key in STORAGE_KEYS:
        extra.pop(key, None)
    model = pretrained.model
    if isinstance(model, TokenClassifier) and model.crf is not None:
        extra[CRF_KEY] = {name: scores.tolist() for name, scores in model.crf.state_dict().items()}
        notes.append(
            "the graph ends with the scores of each token; the scores of transitions between tags stand in "
            f"config.json ({CRF_KEY}), and the best path (Viterbi) is found outside of the graph"
        )
    if in_two_files:
        extra["transformers.js_config"] = {"use_external_data_format": dict.fromkeys(in_two_files, 1)}
    write_text(folder / "config.json", replace(config, extra=extra).to_json(head.architecture) + "\n")
    longest = sentences.max_seq_length if sentences else None
    pretrained.tokenizer.save(folder, min(longest or config.longest_sequence, config.max_position_embeddings))
    if sentences:
        save_sentence_rules(folder, sentences, config.hidden_size)
    return notes


def weights_sha256(weights: Mapping[str, NDArray[np.float32]]) -> str:
    """Return a hash of all weights with their names and shapes, whatever file they came from."""
    digest = sha256()
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()
