"""The loop on a toy: any partition gives the same numbers, a resumed run is the same run, errors are reported."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.train import lock, loop, resume, signals
from bertworks.train.distributed import World
from tests.commands.runs import metrics as lines
from tests.train.toy import ToyModel, run, sums, task

ALONE = World(0, 1, torch.device("cpu"))


def train(folder: Path, **changes) -> torch.Tensor:
    functions = {name: changes.pop(name) for name in ("counts", "sums", "evaluate", "weights") if name in changes}
    model = ToyModel()
    loop.train(model, task(**functions), run(folder, model, **changes), ALONE)
    return model.weight.detach()


def test_any_cut_gives_the_same_weights(tmp_path) -> None:
    whole = train(tmp_path / "whole")
    for budget in (1, 5, 9):
        cut = train(tmp_path / str(budget), token_budget=budget)
        torch.testing.assert_close(cut, whole, rtol=0, atol=1e-6)


def test_a_mean_of_means_is_not_the_same(tmp_path) -> None:
    """The comparison above can fail: dividing by each micro-batch's own count gives other weights."""

    def mean_of_means(model, batch, dropout):
        parts = 3
        return {
            **sums(model, batch, dropout),
            "word_loss": sums(model, batch, dropout)["word_loss"] / batch.tokens * parts,
        }

    whole = train(tmp_path / "whole")
    assert not torch.allclose(train(tmp_path / "mutant", token_budget=5, sums=mean_of_means), whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("stop_at", [1, 4, 5, 9])
def test_a_resumed_run_is_the_same_run(tmp_path, stop_at: int) -> None:
    """Killed after step `stop_at` of 10 (not at a log line, not at a checkpoint): same bits, same lines."""
    whole = train(tmp_path / "whole", eval_every_steps=5)
    calls = 0

    def dies(model, batch, dropout):
        nonlocal calls
        calls += 1
        if calls > stop_at:
            raise RuntimeError("killed")
        return sums(model, batch, dropout)

    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "cut", eval_every_steps=5, sums=dies)
    resumed = train(tmp_path / "cut", eval_every_steps=5)
    assert torch.equal(resumed, whole)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_lines_are_means_over_their_steps(tmp_path) -> None:
    train(tmp_path)
    found = lines(tmp_path)
    assert [line["step"] for line in found] == [0, 3, 6, 9, 10]
    assert found[0] == {"step": 0, "learning_rate": 0.05}
    assert set(found[1]) == {"step", "loss", "word_loss", "word_accuracy", "learning_rate", "gradient_norm", "tokens"}
    assert found[1]["learning_rate"] == pytest.approx((0 + 0.025 + 0.04) / 3)


def test_a_finished_run_is_left_alone(tmp_path, capsys) -> None:
    train(tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    train(tmp_path)
    assert "Skipping training" in capsys.readouterr().err
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_more_steps_and_other_settings_are_said_aloud(tmp_path, capsys) -> None:
    train(tmp_path)
    train(tmp_path, num_train_steps=12, settings={"learning_rate": 0.1})
    assert "learning_rate 0.05 -> 0.1" in capsys.readouterr().err
    assert lines(tmp_path)[-1]["step"] == 12


def test_a_setting_that_is_only_in_one_of_the_two_is_said_with_the_default(tmp_path, capsys) -> None:
    """What has its default is not always recorded."""
    train(tmp_path, settings={"learning_rate": 0.05, "schedule": "cosine", "seed": None})
    train(tmp_path, num_train_steps=12, settings={"learning_rate": 0.05, "adam_beta1": 0.8})
    said = capsys.readouterr().err
    assert "(step 10); adam_beta1 the default -> 0.8; schedule cosine -> the default\n" in said


def test_a_step_whose_total_is_0_changes_nothing_by_itself(tmp_path) -> None:
    """As one whose examples are all of a class with the weight 0."""

    def weighed(batch: PackedBatch) -> dict[str, float]:
        return {"word_loss": 0.0, "word_accuracy": batch.tokens}

    def nothing(model, batch, dropout):
        found = sums(model, batch, dropout)
        return {**found, "word_loss": found["word_loss"] * 0}

    weight = train(tmp_path, counts=weighed, sums=nothing, weight_decay=0.0)
    assert torch.equal(weight, ToyModel().weight.detach())
    assert [line["loss"] for line in lines(tmp_path)[1:]] == [0, 0, 0, 0]
    assert [line["gradient_norm"] for line in lines(tmp_path)[1:]] == [0, 0, 0, 0]


def test_the_newest_checkpoints_are_kept_and_published(tmp_path) -> None:
    train(tmp_path, save_checkpoints_steps=2, keep_checkpoint_max=2)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["lock", "run.json", "step-10", "step-8"]
    newest = tmp_path / "checkpoints" / "step-10" / "model.safetensors"
    assert (tmp_path / "model.safetensors").read_bytes() == newest.read_bytes()
    assert not list(tmp_path.rglob("*.partial"))


def test_another_run_in_the_folder_is_refused(tmp_path) -> None:
    train(tmp_path)
    with pytest.raises(InputError, match=r"--train_batch_size: 7 here, but .* holds a run with 6"):
        train(tmp_path, identity={"--train_batch_size": 7})


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"--train_batch_size": ', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_record_of_the_run_is_named(tmp_path, damaged: bytes) -> None:
    train(tmp_path)
    (tmp_path / "checkpoints" / "run.json").write_bytes(damaged)
    with pytest.raises(
        InputError, match=r"run\.json: damaged \(.*\); restore it, or delete .*checkpoints to begin again"
    ):
        train(tmp_path)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.unlink()  # the published file may be the same one
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, name: str, capsys) -> None:
    whole = train(tmp_path / "whole", num_train_steps=12)
    train(tmp_path / "cut", num_train_steps=12, keep_checkpoint_max=2)
    damage(tmp_path / "cut" / "checkpoints" / "step-12" / name)
    capsys.readouterr()
    # With one more to keep than the damaged one, the next checkpoint is not thrown away for it.
    assert torch.equal(train(tmp_path / "cut", num_train_steps=12, keep_checkpoint_max=1), whole)
    said = capsys.readouterr().err
    assert "step-12" in said
    assert "passed over" in said
    assert "Continuing from" in said
    assert "(step 8)" in said
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
    assert resume.newest(tmp_path / "cut").step == 12
    assert (tmp_path / "cut" / "checkpoints" / "damaged-step-12").exists()


@pytest.mark.parametrize("changed", [("threads", None), ("seconds", "x"), ("step", 4), ("files", {})])
def test_a_state_that_is_no_longer_what_was_written_is_passed_over(tmp_path, changed, capsys) -> None:
    whole = train(tmp_path, num_train_steps=12)
    state = tmp_path / "checkpoints" / "step-12" / "state.json"
    before = json.loads(state.read_text())
    state.write_text(json.dumps({**before, changed[0]: changed[1]}))
    assert torch.equal(train(tmp_path, num_train_steps=12), whole)
    assert "state.json is damaged, its checksum differs" in capsys.readouterr().err


def test_without_a_whole_checkpoint_the_last_one_is_named(tmp_path) -> None:
    train(tmp_path, num_train_steps=4)
    damage(tmp_path / "checkpoints" / "step-4" / "model.safetensors")
    with pytest.raises(InputError, match=r"model.safetensors: damaged.*no checkpoint is whole: delete .*checkpoints"):
        train(tmp_path, num_train_steps=12)


def test_leftovers_of_a_kill_are_swept(tmp_path) -> None:
    train(tmp_path)
    half = tmp_path / "checkpoints" / ".step-11.123.partial"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    (tmp_path / ".model.safetensors.partial").write_bytes(b"half")
    train(tmp_path, num_train_steps=11)
    assert not list(tmp_path.rglob("*.partial"))
    assert resume.newest(tmp_path).step == 11


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path) -> None:
    calls = 0

    def explodes(model, batch, dropout):
        nonlocal calls
        calls += 1
        scale = float("nan") if calls == 7 else 1.0
        return {name: value * scale for name, value in sums(model, batch, dropout).items()}

    with pytest.raises(InputError, match=r"step 7: .*not a number.*lower --learning_rate"):
        train(tmp_path, sums=explodes)
    assert resume.newest(tmp_path).step == 4


def test_files_that_are_of_no_run_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "flags.toml").write_text("")
    for _ in range(2):
        train(tmp_path)
    assert capsys.readouterr().err.count("has other files (notes.txt); the model is written beside them") == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 75)])
def test_a_signal_saves_and_leaves(tmp_path, number: int, code: int, capsys, monkeypatch) -> None:
    monkeypatch.setattr(signals, "TOGETHER", 600.0)  # a busy machine may need seconds between the two
    whole = train(tmp_path / "whole")
    calls = 0

    def interrupted(model, batch, dropout):
        nonlocal calls
        calls += 1
        if calls == 6:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # torchrun and the scheduler both pass it on
        return sums(model, batch, dropout)

    with pytest.raises(signals.Stopped) as stop:
        train(tmp_path / "cut", sums=interrupted)
    assert stop.value.code == code
    saved = resume.newest(tmp_path / "cut").step
    assert saved in (6, 7)
    assert f"after step {saved}; the same command continues" in capsys.readouterr().err
    assert torch.equal(train(tmp_path / "cut"), whole)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_out_of_memory_halves_the_micro_batches(tmp_path, capsys) -> None:
    whole = train(tmp_path / "whole")

    def small_memory(model, batch, dropout):
        if batch.tokens > 16:
            raise torch.OutOfMemoryError
        return sums(model, batch, dropout)

    if not torch.cuda.is_available():
        torch.cuda.empty_cache()  # does nothing without CUDA, as the loop expects
    weights = train(tmp_path / "small", token_budget=64, sums=small_memory)
    assert "micro-batches of at most 16 tokens" in capsys.readouterr().err
    torch.testing.assert_close(weights, whole, rtol=0, atol=1e-6)
    assert resume.newest(tmp_path / "small").state["numerics"]["token_budget"] == 16


def test_memory_that_runs_out_with_a_step_prefetched_halves_once(tmp_path) -> None:
    def small_memory(model, batch, dropout):
        time.sleep(0.05)  # the next step is cut meanwhile
        if batch.tokens > 8:
            raise torch.OutOfMemoryError
        return sums(model, batch, dropout)

    train(tmp_path, token_budget=16, sums=small_memory, num_train_steps=3)
    assert resume.newest(tmp_path).state["numerics"]["token_budget"] == 8


def test_one_sequence_that_does_not_fit_is_said(tmp_path) -> None:
    def no_memory(model, batch, dropout):
        raise torch.OutOfMemoryError

    with pytest.raises(InputError, match="not even one sequence"):
        train(tmp_path, sums=no_memory)


def test_two_processes_do_not_train_in_one_folder(tmp_path) -> None:
    with lock.claimed(tmp_path), pytest.raises(InputError, match="another process is training there"):
        train(tmp_path)
    train(tmp_path)


def test_a_run_without_a_checkpoint_leaves_the_folder_free(tmp_path) -> None:
    def explodes(model, batch, dropout):
        return {name: value * float("nan") for name, value in sums(model, batch, dropout).items()}

    with pytest.raises(InputError, match="not a number"):
        train(tmp_path, sums=explodes)
    train(tmp_path, identity={"--train_batch_size": 7})


def test_an_edited_model_folder_does_not_hurt_the_checkpoint(tmp_path) -> None:
    def write_model(folder: Path, weights) -> None:
        save_file(dict(weights), folder / "model.safetensors")
        (folder / "config.json").write_text("{}")

    train(tmp_path, write_model=write_model)
    with (tmp_path / "config.json").open("a") as stream:
        stream.write("edited")
    assert resume.newest(tmp_path).step == 10


def test_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch) -> None:
    train(tmp_path, num_train_steps=4)
    original = resume.safetensors.write_tensors

    def full(stream, tensors):
        original(stream, tensors)
        raise OSError(28, "No space left on device", "optimizer.safetensors")

    monkeypatch.setattr(resume.safetensors, "write_tensors", full)
    with pytest.raises(OSError, match="No space"):
        train(tmp_path, num_train_steps=8)
    monkeypatch.undo()
    assert resume.newest(tmp_path).step == 4
    assert not list(tmp_path.rglob("*.partial"))
    assert train(tmp_path, num_train_steps=8) is not None


def test_a_loss_with_a_weight_is_reported_without_it(tmp_path) -> None:
    train(tmp_path / "whole", log_every_steps=1)
    train(tmp_path / "half", log_every_steps=1, weights={"word_loss": 0.5})
    whole, half = (lines(tmp_path / name)[1] for name in ("whole", "half"))
    assert half["word_loss"] == whole["word_loss"] == pytest.approx(whole["loss"])
    assert half["loss"] == pytest.approx(whole["loss"] / 2)
    assert half["gradient_norm"] == pytest.approx(whole["gradient_norm"] / 2)
