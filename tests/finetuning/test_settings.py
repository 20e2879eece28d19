"""What fine-tuning commands make of their flags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bertworks.commands import run_squad
from bertworks.commands.run_classifier import Flags
from bertworks.config import BertConfig
from bertworks.datasets.registry import find_task
from bertworks.errors import InputError
from bertworks.finetuning.settings import Settings, adapted, resolve
from bertworks.flags import parse
from bertworks.job import fingerprint

TINY = Path(__file__).parents[1] / "fixtures" / "google_tiny" / "bert_config.json"


def resolved(task: str, *words: str) -> Settings[Flags]:
    flags = parse(Flags, [f"--task_name={task}", "--output_dir=x", *words], "bert run_classifier")
    return resolve(flags, BertConfig.from_google_file(TINY), find_task(task))


def numbers(flags: Flags) -> tuple[int, float, float, int]:
    return flags.train_batch_size, flags.learning_rate, flags.num_train_epochs, flags.max_seq_length


def test_a_task_is_trained_as_published() -> None:
    room = BertConfig.from_google_file(TINY).max_position_embeddings
    settings = resolved("ChnSentiCorp", "--do_train")
    assert numbers(settings.flags) == (24, 5e-5, 10.0, min(256, room))
    expected = "ChnSentiCorp: trained as published (script/run_ChnSentiCorp.sh of ERNIE 1.0): --train_batch_size=24 "
    assert expected in str(settings)
    given = ["--lr=1e-3", "--max_seq_length=64"]
    assert numbers(resolved("ChnSentiCorp", "--do_train", *given).flags) == (24, 1e-3, 10.0, 64)


@pytest.mark.parametrize("words", [["MRPC", "--do_train"], ["WNLI", "--do_train"], ["ChnSentiCorp", "--do_predict"]])
def test_glue_keeps_the_original_defaults_and_prediction_the_model(
    words: list[str],
) -> None:
    settings = resolved(*words)
    assert numbers(settings.flags) == (32, 5e-5, 3.0, 128)
    assert str(settings) == ""


def test_prediction_follows_the_training_unless_told() -> None:
    trained = {
        "max_seq_length": 48,
        "doc_stride": 8,
        "null_score_diff_threshold": -2,
        "version_2_with_negative": True,
        "tighten_by_characters": True,
        "unknown": [1],
    }
    config = replace(BertConfig.from_google_file(TINY), extra={"fine_tuning": trained})
    flags = parse(run_squad.Flags, ["--output_dir=x", "--do_predict", "--doc_stride=9"], "bert run_squad")
    settings = resolve(flags, config)
    assert str(settings) == (
        "From the model's config.json: --max_seq_length=48 --version_2_with_negative=True "
        "--tighten_by_characters=True --null_score_diff_threshold=-2"
    )
    assert flags.max_seq_length == 384, "flags are immutable"
    flags = settings.flags
    assert (flags.max_seq_length, flags.doc_stride, flags.max_query_length) == (48, 9, 64)
    assert (flags.null_score_diff_threshold, flags.version_2_with_negative) == (-2.0, True)
    assert flags.tighten_by_characters is True
    flags = parse(run_squad.Flags, ["--output_dir=x", "--do_train"], "bert run_squad")
    flags = resolve(flags, config).flags
    assert flags.tighten_by_characters is False
    # What a model is made of remembers it.
    words = ["--output_dir=x", "--do_train", "--tighten_by_characters", "--max_seq_length=64"]
    flags = parse(run_squad.Flags, words, "bert run_squad")
    assert adapted(flags, config).fine_tuning["tighten_by_characters"] is True


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ({"max_seq_length": "abc"}, "config.json: fine_tuning: max_seq_length is 'abc', not a whole number"),
        ({"max_seq_length": "64"}, "config.json: fine_tuning: max_seq_length is '64', not a whole number"),
        ({"max_seq_length": 2}, "config.json: fine_tuning: max_seq_length: 2 must be at least 3"),
        (
            {"long_text": "fold"},
            "config.json: fine_tuning: long_text: 'fold' is not one of truncate, window, head_tail",
        ),
        ({"long_text": None}, "config.json: fine_tuning: long_text is None, not a text"),
        ([], "config.json: fine_tuning is \\[\\], not an object"),
    ],
)
def test_odd_settings_of_the_training_are_told(trained: object, message: str) -> None:
    config = replace(BertConfig.from_google_file(TINY), extra={"fine_tuning": trained})
    flags = parse(Flags, ["--task_name=MRPC", "--output_dir=x", "--do_predict"], "bert run_classifier")
    with pytest.raises(InputError, match=message):
        resolve(flags, config)


def test_a_fingerprint_tells_data_apart() -> None:
    one, other = np.array([1, 2, 3]), np.array([[1, 2, 3]])
    several = [fingerprint(*arrays) for arrays in ([one], [other], [one, one], [one.astype(np.int32)], [one + 1], [])]
    assert len(set(several)) == len(several)
    assert fingerprint(one[::2]) == fingerprint(np.array([1, 3]))
