"""The original's answers for the original's weights: from the golden checkpoint's logits to the golden files.

The windows are the slow ones and the logits those of one sequence at a time, so that only the answers are tested. The
original computes logits for padding, too, which takes places among its n best; without them, one answer of 95 differs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.config import BertConfig
from bertworks.model.bert import Bert
from bertworks.model.reference import study
from bertworks.tasks.squad.answer_files import write_answers
from bertworks.tasks.squad.answers import Logits, Question, Settings, Window, answers
from bertworks.text.tokenizer import Tokenizer
from tests.tasks.squad import slow_squad

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOLDEN = FIXTURES / "google_tiny"
LENGTH = 64
SETTINGS = Settings(n_best_size=10, max_answer_length=20)


class SpanModel(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = Bert(config, pooler=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def logits(self, ids: list[int], first: int, length: int) -> Logits:
        """Of a sequence padded to `length`, as the original has them: padding looks at tokens, none looks at it."""
        segment_ids = torch.tensor([int(first <= i < len(ids)) for i in range(length)])
        softmax, nowhere = torch.softmax, torch.arange(length) >= len(ids)

        def masked(scores: torch.Tensor, dim: int) -> torch.Tensor:
            return softmax(scores - 10000.0 * nowhere, dim)

        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "softmax", masked)
            hidden, _ = study(self.bert, F.pad(torch.tensor(ids), (0, length - len(ids))), segment_ids)
            start, end = F.linear(hidden[-1], self.qa_outputs.weight, self.qa_outputs.bias).T.numpy()
        return start, end


@pytest.fixture(scope="module")
def model() -> SpanModel:
    config = BertConfig.from_google_file(GOLDEN / "bert_config.json")
    model = SpanModel(config)
    load_into(model, open_checkpoint(GOLDEN / "squad.ckpt"), config)
    return model


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("squad-v1", SETTINGS),
        (
            "squad-v2",
            Settings(
                n_best_size=10, max_answer_length=20, version_2_with_negative=True, null_score_diff_threshold=-8.2
            ),
        ),
    ],
)
def test_golden_files(tmp_path: Path, model: SpanModel, name: str, settings: Settings) -> None:
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    examples = list(slow_squad.read(FIXTURES / f"{name}.json", training=False, version_2_with_negative=False))
    slow = list(
        slow_squad.windows(
            examples, tokenizer.tokenize, max_seq_length=LENGTH, doc_stride=16, max_query_length=16, training=False
        )
    )
    assert len(slow) > len(examples)
    logits = [model.logits(tokenizer.convert_tokens_to_ids(window.tokens), window.first, LENGTH) for window in slow]
    windows = [
        Window(
            one.example,
            one.tokens,
            np.array([one.word.get(i, -1) for i in range(len(one.tokens))]),
            np.array([one.is_max_context.get(i, False) for i in range(len(one.tokens))]),
        )
        for one in slow
    ]
    questions = [Question(example.id, example.words) for example in examples]
    for path in write_answers(
        tmp_path, questions, answers(questions, windows, logits, settings), settings.version_2_with_negative
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
