"""The plain path for those who study a model: the original's hidden states, attention of `transformers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.config import BertConfig
from bertworks.model.heads import PretrainingModel
from bertworks.tasks.attentions import plain_forward

GOLDEN = Path(__file__).parents[1] / "fixtures" / "google_tiny"


@pytest.fixture(scope="module")
def model() -> PretrainingModel:
    model = PretrainingModel(BertConfig.from_google_file(GOLDEN / "bert_config.json"))
    load_into(model, open_checkpoint(GOLDEN / "bert_model.ckpt"))
    return model


def test_hidden_states_are_the_originals(model: PretrainingModel) -> None:
    with np.load(GOLDEN / "forward.npz") as golden:
        for i, mask in enumerate(golden["input_mask"]):
            length = int(mask.sum())
            ids, segments = (torch.from_numpy(golden[name][i, :length]).long() for name in ("input_ids", "segment_ids"))
            hidden, attentions = plain_forward(model.bert, ids, segments)
            assert hidden.shape == (4, length, 32)
            assert attentions.shape == (3, 4, length, length)
            torch.testing.assert_close(attentions.sum(-1), torch.ones(3, 4, length))
            for layer in range(1, 4):
                expected = torch.from_numpy(golden[f"layer_{layer}"][i, :length])
                torch.testing.assert_close(hidden[layer], expected, atol=1e-5, rtol=0)


def test_attentions_are_those_of_transformers(model: PretrainingModel, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from bertworks.checkpoints.formats.huggingface import save_model_folder

    save_model_folder(tmp_path, model.config, model.state_dict())
    theirs = transformers.BertModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids, segments = torch.arange(5, 30), torch.tensor([0] * 12 + [1] * 13)
    with torch.no_grad():
        expected = theirs(ids[None], token_type_ids=segments[None], output_attentions=True, output_hidden_states=True)
    hidden, attentions = plain_forward(model.bert, ids, segments)
    torch.testing.assert_close(attentions, torch.cat(expected.attentions), atol=1e-5, rtol=0)
    torch.testing.assert_close(hidden, torch.cat(expected.hidden_states), atol=1e-5, rtol=0)
