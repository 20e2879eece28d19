"""What fine-tuning commands make of their flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bertworks.commands.finetuning import fingerprint, follow_task
from bertworks.commands.run_classifier import Flags
from bertworks.config import BertConfig
from bertworks.flags import parse
from bertworks.tasks import datasets
from bertworks.train.distributed import start

TINY = Path(__file__).parents[1] / "fixtures" / "google_tiny" / "bert_config.json"


def followed(task: str, *words: str) -> Flags:
    flags = parse(Flags, [f"--task_name={task}", "--output_dir=x", *words], "bert run_classifier")
    world = start("cpu")
    try:
        follow_task(flags, datasets.find(task), BertConfig.from_google_file(TINY), world)
    finally:
        world.close()
    return flags


def numbers(flags: Flags) -> tuple[int, float, float, int]:
    return flags.train_batch_size, flags.learning_rate, flags.num_train_epochs, flags.max_seq_length


def test_a_task_is_trained_as_published(capsys: pytest.CaptureFixture[str]) -> None:
    room = BertConfig.from_google_file(TINY).max_position_embeddings
    assert numbers(followed("ChnSentiCorp", "--do_train")) == (24, 5e-5, 10.0, min(256, room))
    assert "ChnSentiCorp: trained as published (script/run_ChnSentiCorp.sh of ERNIE 1.0): --train_batch_size=24 " in (
        capsys.readouterr().err
    )
    given = ["--lr=1e-3", "--max_seq_length=64"]
    assert numbers(followed("ChnSentiCorp", "--do_train", *given)) == (24, 1e-3, 10.0, 64)


@pytest.mark.parametrize("words", [["MRPC", "--do_train"], ["WNLI", "--do_train"], ["ChnSentiCorp", "--do_predict"]])
def test_glue_keeps_the_original_defaults_and_prediction_the_model(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(followed(*words)) == (32, 5e-5, 3.0, 128)
    assert "as published" not in capsys.readouterr().err


def test_a_fingerprint_tells_data_apart() -> None:
    one, other = np.array([1, 2, 3]), np.array([[1, 2, 3]])
    several = [fingerprint(*arrays) for arrays in ([one], [other], [one, one], [one.astype(np.int32)], [one + 1], [])]
    assert len(set(several)) == len(several)
    assert fingerprint(one[::2]) == fingerprint(np.array([1, 3]))
