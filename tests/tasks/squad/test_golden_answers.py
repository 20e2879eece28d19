"""The original's answers for the original's weights: from the golden checkpoint's logits to the golden files.

The original computes logits for padding, too, which takes places among its n best; without them, one answer of 95
differs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.config import BertConfig
from bertworks.model.heads import SpanClassifier
from bertworks.model.predict import ModelInput, predict
from bertworks.tasks.squad.answer_files import write_answers
from bertworks.tasks.squad.nbest import AnswerSettings, Question, find_answers, window_tokens
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.windows import WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOLDEN = FIXTURES / "google_tiny"
LENGTH = 64
SETTINGS = AnswerSettings(n_best_size=10, max_answer_length=20)


@pytest.fixture(scope="module")
def model() -> SpanClassifier:
    config = BertConfig.from_google_file(GOLDEN / "bert_config.json")
    model = SpanClassifier(config)
    load_into(model, open_checkpoint(GOLDEN / "squad.ckpt"), config)
    return model


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("squad-v1", SETTINGS),
        (
            "squad-v2",
            AnswerSettings(
                n_best_size=10, max_answer_length=20, version_2_with_negative=True, null_score_diff_threshold=-8.2
            ),
        ),
    ],
)
def test_golden_files(tmp_path: Path, model: SpanClassifier, name: str, settings: AnswerSettings) -> None:
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    examples = list(SquadReader(FIXTURES / f"{name}.json", training=False).examples())
    how = WindowSettings(max_seq_length=LENGTH, doc_stride=16, max_query_length=16)
    ((block, made),) = make_windows(tokenizer, examples, how, training=False)
    assert len(made) > len(block) == len(examples)
    padded = [
        ModelInput(ids, np.arange(len(ids)) >= first, padding=LENGTH - len(ids))
        for ids, first in zip(
            np.split(made.sequences.ids, made.sequences.starts[1:-1]), made.sequences.first, strict=True
        )
    ]
    logits = [(one[:, 0], one[:, 1]) for one in predict(model, padded, "token", device=torch.device("cpu"))]
    assert {len(start) for start, _ in logits} == {LENGTH}
    questions = [Question(example.id, example.document.words) for example in examples]
    for path in write_answers(
        tmp_path,
        questions,
        find_answers(questions, window_tokens(tokenizer, made), logits, settings),
        settings.version_2_with_negative,
    ):
        found = json.loads(path.read_text())
        golden = json.loads((FIXTURES / f"{name}.{path.name}").read_text())
        assert list(found) == list(golden)
        if path.name == "predictions.json":
            assert found == golden
        elif path.name == "null_odds.json":
            assert found == pytest.approx(golden, abs=1e-4)
        else:
            for question in golden:
                for ours, theirs in zip(found[question], golden[question], strict=True):
                    assert ours.pop("text") == theirs.pop("text")
                    assert list(ours) == list(theirs)
                    assert ours == pytest.approx(theirs, abs=1e-4)
