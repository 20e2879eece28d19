"""Recipes by name: what they set, what they keep, what they say, and how many steps fit into a time."""

import json
from pathlib import Path

import pytest
import torch

from bertworks.commands.run_pretraining import Flags
from bertworks.errors import InputError
from bertworks.flags import parse
from bertworks.pretraining.checks import check
from bertworks.pretraining.recipes import FAST, expectation, ledger, nearest, with_recipe
from tests.commands.runs import TINY, make_shards, run


def flags(*words: str) -> Flags:
    return parse(Flags, ["--input_file=x", "--output_dir=y", "--do_train", *words], "bert test")


def test_fast_sets_what_was_not_given_and_says_it() -> None:
    found, said = with_recipe(flags("--recipe=fast", "--num_train_steps=1000", "--learning_rate=2e-3"))
    check(found)
    expected = {**FAST, "learning_rate": 2e-3, "num_warmup_steps": 50}
    assert {name: getattr(found, name) for name in expected} == expected
    assert "--optimizer=muon" in said[0]
    assert "--learning_rate" not in said[0]
    assert "not measured on larger ones" in said[-1]


def test_without_a_recipe_nothing_changes() -> None:
    given = flags("--num_train_steps=1000")
    assert with_recipe(given) == (given, [])


def test_weights_from_elsewhere_keep_their_heads() -> None:
    found, said = with_recipe(flags("--recipe=fast", "--model=a", "--num_train_steps=100"))
    check(found)
    assert not found.neighbour_heads
    assert "neighbour" not in said[0]


def test_another_optimizer_is_kept() -> None:
    found, _ = with_recipe(flags("--recipe=fast", "--optimizer=lamb", "--num_train_steps=100"))
    check(found)
    assert (found.optimizer, found.masked_lm_prob) == ("lamb", 0.3)


@pytest.mark.parametrize("words", [["--recipe=auto"], ["--max_hours=1"], ["--recipe=fast", "--max_hours=1"]])
def test_auto_and_its_hours_belong_together(words: list[str]) -> None:
    with pytest.raises(InputError, match="give both or neither"):
        with_recipe(flags(*words))


def test_auto_says_what_the_ledger_has_and_no_more() -> None:
    (row, *_) = ledger()
    assert nearest("cpu", row.hours) == row
    assert nearest("cuda", 1.0) is None
    assert f"{row.accuracy:.3f}" in expectation(row, "cpu", row.hours * 1.5)
    far = expectation(row, "cpu", row.hours * 50)
    assert far.startswith("what to expect: not measured; the nearest row has")
    assert expectation(None, "cuda", 1.0) == "what to expect: not measured; the ledger has no row on cuda"
    found, said = with_recipe(flags("--recipe=auto", f"--max_hours={row.hours}", "--device=cpu"))
    assert (found.size, found.max_seq_length) == (row.size, row.max_seq_length)
    assert any("what to expect" in line for line in said)


@pytest.mark.parametrize(("has_cuda", "kind"), [(True, "cuda"), (False, "cpu")])
def test_auto_looks_at_the_device_that_will_train(has_cuda: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    _, said = with_recipe(flags("--recipe=auto", "--max_hours=1"))
    assert f"--recipe=auto: {expectation(nearest(kind, 1.0), kind, 1.0)}" in said


def test_auto_measures_the_steps_once(tmp_path: Path, capsys) -> None:
    shards = make_shards(tmp_path / "shards")
    words = [word for word in TINY if not word.startswith(("--num_", "--learning", "--max_pred"))]
    command = ["run_pretraining", *words, f"--input_file={shards}", f"--output_dir={tmp_path / 'out'}"]
    command += ["--recipe=auto", "--max_hours=0.0002", "--save_checkpoints_steps=0"]
    with pytest.raises(SystemExit, match="0"):
        run(*command, "--plan")
    assert "steps are planned" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(*command) == 0
    said = capsys.readouterr().err
    recorded = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert f"so {recorded['num_train_steps']:,} steps are planned" in said
    assert not (tmp_path / "out" / "timing").exists()
    assert run(*command) == 0
    said = capsys.readouterr().err
    assert "steps are planned" not in said
    assert f"already has {recorded['num_train_steps']} of {recorded['num_train_steps']} steps" in said
    (tmp_path / "out" / "recipe.json").write_text("{")
    assert run(*command) == 2
    assert "recipe.json: damaged (JSONDecodeError: " in (said := capsys.readouterr().err)
    assert said.rstrip().endswith("; delete it, and the steps are measured again")
