"""Finding answers: losses by their definition and beside transformers, the original's answers, and learning."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.data.sequences import shuffled
from bertworks.errors import InputError
from bertworks.model.heads import SpanClassifier, initialise
from bertworks.task import Partition, Task
from bertworks.tasks.squad import nbest
from bertworks.tasks.squad import task as spans
from bertworks.tasks.squad.answer_files import write_answers
from bertworks.tasks.squad.reader import SquadReader, read_gold_answers
from bertworks.tasks.squad.task import DevQuestions, QuestionAnswering
from bertworks.tasks.squad.windows import Windows, WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer
from bertworks.train import optimizer as optimizers
from bertworks.train.rules import ORIGINAL_SCHEDULE

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOLDEN = FIXTURES / "google_tiny"
TOKENIZER = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
WINDOWS = WindowSettings(max_seq_length=64, doc_stride=16, max_query_length=16)
CHOICE = nbest.AnswerSettings(n_best_size=10, max_answer_length=20)


def blocks(path: Path, training: bool = False, **flags: bool) -> Iterator[spans.Block]:
    return make_windows(TOKENIZER, SquadReader(path, training, **flags).examples(), WINDOWS, training)


def train_windows(path: Path, **flags: bool) -> Windows:
    return Windows.joined([made for _, made in blocks(path, True, **flags)])


def small_model(dropout: float = 0.0, deviation: float = 0.3) -> SpanClassifier:
    config = BertConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    model = SpanClassifier(config)
    initialise(model, deviation, 3)
    return model


def golden_model() -> SpanClassifier:
    config = BertConfig.from_google_file(GOLDEN / "bert_config.json")
    model = SpanClassifier(config)
    report = load_into(model, open_checkpoint(GOLDEN / "squad.ckpt"), config)
    assert report.missing == ()
    return model


def slow_sums(logits: torch.Tensor, batch: PackedBatch) -> dict[str, torch.Tensor]:
    """Window by window."""
    sums = {name: torch.zeros((), dtype=logits.dtype) for name in ("loss", "start_accuracy", "end_accuracy")}
    for i in range(len(batch)):
        of_window = logits[int(batch.starts[i]) : int(batch.starts[i + 1])]
        for column, name in enumerate(("start_accuracy", "end_accuracy")):
            right = int(batch.sequence_labels[i, column])
            sums["loss"] = sums["loss"] - torch.log(torch.softmax(of_window[:, column], 0)[right]) / 2
            sums[name] = sums[name] + float(of_window[:, column].argmax() == right)
    return sums


@pytest.mark.parametrize("lengths", [[5], [1, 1], [3, 17, 1, 9], []])
def test_sums_are_those_of_a_plain_loop_and_so_are_gradients(lengths: list[int]) -> None:
    random_numbers = np.random.default_rng(len(lengths))
    positions = np.array([random_numbers.integers(0, length, 2) for length in lengths], np.int64).reshape(-1, 2)
    ids = np.zeros(sum(lengths), np.int64)
    batch = pack(ids, ids, np.array(lengths, np.int64), sequence_labels=positions, filled=True)
    logits = torch.from_numpy(random_numbers.normal(0, 5, (len(batch.input_ids), 2))).requires_grad_()
    slow = slow_sums(logits, batch)
    expected = torch.autograd.grad(slow["loss"], logits)[0] if lengths else torch.zeros_like(logits)
    fast = spans.sums(QuestionAnswering(), lambda *_, **__: logits, batch, None)  # type: ignore[arg-type]
    assert list(fast) == list(spans.counts(batch)) == list(slow)
    for name, value in slow.items():
        torch.testing.assert_close(fast[name].double(), value)
    torch.testing.assert_close(torch.autograd.grad(fast["loss"], logits)[0], expected)
    assert set(spans.counts(batch).values()) == {len(lengths)}


@pytest.mark.parametrize("cut", [Partition(token_budget=100), Partition(token_budget=1)])
def test_any_cut_gives_the_same_sums_and_gradients(cut: Partition) -> None:
    task = spans.task(QuestionAnswering(train=train_windows(FIXTURES / "squad-v1.json"), train_batch_size=6))
    model = small_model(dropout=0.1)

    def of(parts: list[PackedBatch]) -> tuple[dict[str, float], list[torch.Tensor]]:
        model.zero_grad()
        whole = dict.fromkeys(("loss", "start_accuracy", "end_accuracy"), 0.0)
        for part in parts:
            found = task.sums(model, part, 5)
            found["loss"].backward()
            whole = {name: value + float(found[name].detach()) for name, value in whole.items()}
        return whole, [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    whole, gradients = of(list(task.batches(2, Partition())))
    parts = list(task.batches(2, cut))
    of_ranks = [part for rank in range(4) for part in task.batches(2, replace(cut, rank=rank, world=4))]
    assert len(parts) > 1
    for some in (parts, of_ranks):
        sums, others = of(some)
        assert sums == pytest.approx(whole, rel=1e-5)
        for one, other in zip(gradients, others, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_the_first_losses_are_those_of_transformers(tmp_path: Path) -> None:
    """Of one model, in one order, without dropout.

    `transformers` has logits of padding, and its softmax is over them, too; they are left out of it here.
    """
    transformers = pytest.importorskip("transformers")
    ours = small_model(deviation=0.05)
    save_model_folder(tmp_path, ours.config, ours.state_dict(), "BertForQuestionAnswering")
    theirs = transformers.BertForQuestionAnswering.from_pretrained(tmp_path).eval()  # eval: no dropout
    train = train_windows(FIXTURES / "squad-v1.json")
    task = spans.task(QuestionAnswering(train=train, train_batch_size=4, random_seed=5))
    optimizer, their_optimizer = (torch.optim.SGD(one.parameters(), lr=0.05) for one in (ours, theirs))
    losses = []
    for step in range(10):
        (batch,) = task.batches(step, Partition())
        loss = task.sums(ours, batch, None)["loss"] / 4
        rows = shuffled(5, len(train), step * 4, step * 4 + 4)
        shape = 4, 64
        ids, segments, mask = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
        for i, row in enumerate(rows):
            of_row, segments_of_row, (length,) = train.sequences.take(np.array([row]))
            ids[i, :length], segments[i, :length] = torch.from_numpy(of_row), torch.from_numpy(segments_of_row)
            mask[i, :length] = 1
        found = theirs(ids, mask, segments)
        right = torch.from_numpy(train.positions[rows]).T
        theirs_of = [
            F.cross_entropy(scores.masked_fill(mask == 0, -torch.inf), one)
            for scores, one in zip((found.start_logits, found.end_logits), right, strict=True)
        ]
        their_loss = sum(theirs_of) / 2
        losses.append((float(loss.detach()), float(their_loss.detach())))
        for one, of_one in ((loss, optimizer), (their_loss, their_optimizer)):
            one.backward()
            of_one.step()
            of_one.zero_grad()
    assert losses[-1][0] < losses[0][0]
    for our_value, their_value in losses:
        assert our_value == pytest.approx(their_value, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("squad-v1", CHOICE),
        ("squad-v2", replace(CHOICE, version_2_with_negative=True, null_score_diff_threshold=-8.2)),
    ],
)
def test_golden_files(tmp_path: Path, name: str, choice: nbest.AnswerSettings) -> None:
    """With padding, everything the original wrote; its logits take places among the n best."""
    path = FIXTURES / f"{name}.json"
    found = list(spans.predict_answers(golden_model(), TOKENIZER, blocks(path), choice, padded_to=64))
    questions = [nbest.Question(one.id, one.document.words) for one, _ in found]
    written = write_answers(tmp_path, questions, [one for _, one in found], choice.version_2_with_negative)
    for file in written:
        ours, golden = json.loads(file.read_text()), json.loads((FIXTURES / f"{name}.{file.name}").read_text())
        assert list(ours) == list(golden)
        if file.name == "predictions.json":
            assert ours == golden
        elif file.name == "null_odds.json":
            assert ours == pytest.approx(golden, abs=1e-4)
        else:
            for question in golden:
                assert [one.pop("text") for one in ours[question]] == [one.pop("text") for one in golden[question]]
                for one, other in zip(ours[question], golden[question], strict=True):
                    assert one == pytest.approx(other, abs=1e-4)


def test_without_padding_the_answers_are_nearly_those() -> None:
    path = FIXTURES / "squad-v1.json"
    golden = json.loads((FIXTURES / "squad-v1.predictions.json").read_text())
    found = {one.id: answer for one, answer in spans.predict_answers(golden_model(), TOKENIZER, blocks(path), CHOICE)}
    assert list(found) == list(golden)
    assert sum(found[question].prediction != text for question, text in golden.items()) <= 1


def test_a_file_of_many_blocks_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = FIXTURES / "squad-v1.json", golden_model()
    whole = list(spans.predict_answers(model, TOKENIZER, blocks(path), CHOICE))
    monkeypatch.setattr("bertworks.tasks.squad.windows.BLOCK_TOKENS", 300)
    assert len(list(blocks(path))) > 5
    parts = list(spans.predict_answers(model, TOKENIZER, blocks(path), CHOICE))
    assert [(one.id, answer.prediction) for one, answer in whole] == [
        (one.id, answer.prediction) for one, answer in parts
    ]


def test_logits_that_are_no_numbers_are_told_with_the_question() -> None:
    model = golden_model()
    with torch.no_grad():
        model.qa_outputs.bias[1] = torch.nan
    with pytest.raises(InputError, match=r"question q\d+: the model's logits are not finite"):
        next(spans.predict_answers(model, TOKENIZER, blocks(FIXTURES / "squad-v1.json"), CHOICE))


def test_evaluation_of_version_1_is_the_official_score() -> None:
    path = FIXTURES / "squad-v1.json"
    gold = read_gold_answers(path).gold
    dev = DevQuestions(blocks=partial(blocks, path), gold=gold, answers=CHOICE, tokenizer=TOKENIZER, padded_to=64)
    settings = QuestionAnswering(dev=dev)
    first, second = spans.evaluate(settings, golden_model()), spans.evaluate(settings, golden_model())
    golden = json.loads((FIXTURES / "squad-v1.predictions.json").read_text())
    expected = spans.score.evaluate_v1(gold, golden)
    assert first == second == {f"eval_{name}": value for name, value in expected.items()}


def test_evaluation_of_version_2_scores_predictions_and_finds_thresholds() -> None:
    path = FIXTURES / "squad-v2.json"
    choice = replace(CHOICE, version_2_with_negative=True, null_score_diff_threshold=-8.2)
    found = {one.id: answer for one, answer in spans.predict_answers(golden_model(), TOKENIZER, blocks(path), choice)}
    # As if the model were often right, and most often where it doubts least.
    doubt = sorted(found, key=lambda name: found[name].null_odds)
    texts = spans.predictions_at(found, 1e9)
    gold = {name: [texts[name]] if i % 7 < 6 - 6 * i / len(doubt) else [] for i, name in enumerate(doubt)}
    results = spans.judge(gold, found, choice)
    assert [name.removeprefix("eval_") for name in results] == [
        *("exact_match", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"),
        *("best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"),
    ]
    predictions = {name: answer.prediction for name, answer in found.items()}
    for threshold, exact, f1 in (
        (-8.2, "exact_match", "f1"),
        (results["eval_best_exact_thresh"], "best_exact", None),
        (results["eval_best_f1_thresh"], None, "best_f1"),
    ):
        at = spans.predictions_at(found, threshold)
        if threshold == -8.2:
            assert at == predictions
        plain = spans.score.evaluate_v2(gold, at)
        for ours, theirs in ((exact, "exact"), (f1, "f1")):
            assert ours is None or results[f"eval_{ours}"] == pytest.approx(plain[theirs])


def test_where_it_is_best_to_answer_nothing_the_threshold_says_so() -> None:
    path = FIXTURES / "squad-v2.json"
    choice = replace(CHOICE, version_2_with_negative=True)
    found = {one.id: answer for one, answer in spans.predict_answers(golden_model(), TOKENIZER, blocks(path), choice)}
    nothing: dict[str, list[str]] = {name: [] for name in found}
    assert max(answer.null_odds for answer in found.values()) < 0
    for gold in (nothing, nothing | {next(iter(found)): ["not this"]}):
        results = spans.judge(gold, found, choice)
        assert results["eval_best_f1_thresh"] == 0
        predictions = spans.predictions_at(found, spans.best_threshold(results, found))
        assert spans.score.evaluate_v2(gold, predictions)["f1"] == results["eval_best_f1"]
    gold = {name: [answer.best.text] for name, answer in found.items() if answer.best}
    results = spans.judge(gold, found, choice)
    assert spans.best_threshold(results, found) == max(answer.null_odds for answer in found.values())


WORDS = ["the", "was", "sold", "tunnel", "in", "visit", "is", "at", "who", "that"]
NAMES = ["Kemi", "Ivo", "Chidi", "Keldur", "Marlow"]


def made_file(path: Path, seed: int, count: int) -> Path:
    """Documents of common words and one name, whose place is the answer to the question."""
    chance = random.Random(seed)
    paragraphs = []
    for number in range(count):
        words = chance.choices(WORDS, k=chance.randint(6, 12))
        name, at = chance.choice(NAMES), chance.randrange(len(words))
        words[at] = name
        answer = {"text": name, "answer_start": len(" ".join([*words[:at], ""]))}
        qa = {"id": f"made{number}", "question": "who was that?", "answers": [answer]}
        paragraphs.append({"context": " ".join(words), "qas": [qa]})
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "made", "paragraphs": paragraphs}]}))
    return path


def trained(task: Task, model: SpanClassifier, steps: int, batch_size: int) -> list[float]:
    optimizer = optimizers.build(model, "adam", 0.01)
    losses = []
    for step in range(steps):
        (batch,) = task.batches(step, Partition())
        loss = task.sums(model, batch, None)["loss"] / batch_size
        loss.backward()
        optimizers.set_learning_rate(optimizer, ORIGINAL_SCHEDULE.rate(step, 3e-3, steps, steps // 10))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def test_a_tiny_model_learns_to_answer(tmp_path: Path) -> None:
    train = train_windows(made_file(tmp_path / "train.json", 1, 200))
    dev = made_file(tmp_path / "dev.json", 2, 50)
    settings = QuestionAnswering(
        train=train,
        dev=DevQuestions(
            blocks=partial(blocks, dev), gold=read_gold_answers(dev).gold, answers=CHOICE, tokenizer=TOKENIZER
        ),
        train_batch_size=16,
    )
    model = small_model(deviation=0.02)
    task = spans.task(settings)
    assert task.evaluate(model)["eval_exact_match"] < 30
    losses = trained(task, model, 80, 16)
    assert losses[-1] < losses[0] / 4
    assert task.evaluate(model)["eval_exact_match"] > 80
