"""`bert run_pretraining` as a person meets it: killed, resumed, given nonsense, opened elsewhere."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.commands.runs import FIXTURES, TINY, make_shards, metrics, run, start
from tests.together import together


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("data") / "shards")


def words(shards: Path, output: Path, *more: str) -> list[str]:
    return ["run_pretraining", *TINY, f"--input_file={shards}", f"--output_dir={output}", *more]


def newest_step(output: Path) -> int:
    return max((int(path.name[5:]) for path in output.glob("checkpoints/step-*")), default=0)


def test_killed_at_any_moment_it_ends_the_same(shards: Path, tmp_path: Path) -> None:
    """Kill -9 of a real process at random moments: at most a checkpoint's steps are repeated, the end is bit-equal."""
    more = ("--num_train_steps=120", "--save_checkpoints_steps=7", "--eval_every_steps=50", "--max_eval_steps=2")
    whole, cut, log = tmp_path / "whole", tmp_path / "cut", tmp_path / "log"
    process = start(log, *words(shards, whole, *more))
    assert process.wait() == 0, log.read_text()
    chance = random.Random(7)
    kills = 0
    while kills < 4:
        resumes_at = newest_step(cut)
        process = start(log, *words(shards, cut, *more))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and newest_step(cut) < resumes_at + 7:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.4))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        steps = [line["step"] for line in metrics(cut)]
        assert steps == sorted(steps)
        assert newest_step(cut) >= resumes_at
    assert kills >= 2
    at = newest_step(cut)
    process = start(log, *words(shards, cut, *more))
    assert process.wait() == 0, log.read_text()
    assert f"(step {at})" in log.read_text()
    one, other = load_file(whole / "model.safetensors"), load_file(cut / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert metrics(cut) == metrics(whole)
    assert not list(cut.rglob("*.partial"))


def test_sigterm_saves_and_leaves(shards: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(log, *words(shards, tmp_path / "out", "--num_train_steps=100000", "--save_checkpoints_steps=5"))
    while newest_step(tmp_path / "out") < 5 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert f"Stopped by SIGTERM after step {newest_step(tmp_path / 'out')}" in log.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--train_batch_size=4", "--train_batch_size: 4 here"),
        ("--random_seed=1", "--random_seed: 1 here"),
        ("--max_seq_length=32", "--max_seq_length: 32 here"),
        ("--size=1/32", "--size or --bert_config_file (num_hidden_layers): 1 here"),
        ("--masked_lm_prob=0.3", "--masked_lm_prob: 0.3 here"),
        ("--optimizer=adamw", "--optimizer: adamw here"),
        ("--input_file={other}", "--input_file: "),
    ],
)
def test_what_makes_the_run_may_not_change(shards: Path, tmp_path_factory, change: str, message: str, capsys) -> None:
    output = tmp_path_factory.mktemp("run") / "out"
    assert run(*words(shards, output, "--num_train_steps=1")) == 0
    if "{other}" in change:
        change = f"--input_file={make_shards(output.parent / 'other', '--truncate_segments=0.5')}"
    capsys.readouterr()
    assert run(*words(shards, output, "--num_train_steps=1", change)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert f"--output_dir={output} holds a run with" in error


def test_without_next_sentence_the_rest_of_the_model_learns_and_resumes(shards: Path, tmp_path: Path, capsys) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    more = ("--next_sentence=False", "--precision=fp32", "--save_checkpoints_steps=2")
    assert run(*words(shards, whole, *more, "--num_train_steps=4", "--do_eval", "--max_eval_steps=2")) == 0
    said = capsys.readouterr()
    assert "next_sentence" not in said.out
    assert "--next_sentence=False: the pooler and the next-sentence head stay as they are" in said.err
    lines = metrics(whole)[1:]
    losses = [(values["loss"], values["masked_lm_loss"]) for values in (line.get("evaluation", line) for line in lines)]
    assert [loss for loss, _ in losses] == pytest.approx([of_words for _, of_words in losses], rel=1e-5)
    assert not any("next_sentence" in name for line in lines for name in line)
    assert run(*words(shards, cut, *more, "--num_train_steps=4", "--do_train=false", "--do_eval")) == 2

    # Killed after two steps and continued, with the rate of four.
    assert run(*words(shards, cut, *more, "--num_train_steps=4")) == 0
    shutil.rmtree(cut / "checkpoints" / "step-4")
    assert run(*words(shards, cut, *more, "--num_train_steps=4")) == 0
    one, other = load_file(whole / "model.safetensors"), load_file(cut / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)

    # What is not trained is as `initialise` drew it; all else has changed.
    from bertworks.config import BertConfig
    from bertworks.model.heads import PretrainingModel

    fresh = PretrainingModel(BertConfig.from_huggingface_file(whole / "config.json"))
    fresh.initialise(12345)
    unchanged = {name for name, value in fresh.state_dict().items() if torch.equal(value, one[name])}
    layers = ("bert.pooler.dense", "cls.seq_relationship")
    assert unchanged == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert run(*words(shards, cut, "--num_train_steps=4")) == 2
    assert "--next_sentence: None here, but" in capsys.readouterr().err


def test_what_a_corpus_lacks_is_said_before_training(tmp_path: Path, capsys) -> None:
    (tmp_path / "text.txt").write_text("the market was sold\n\n" * 20)
    shards = make_shards(tmp_path / "shards", f"--input_file={tmp_path / 'text.txt'}")
    assert "20 of 20 documents (100.0%) have one sentence" in capsys.readouterr().err
    for more, said in (((), True), (("--next_sentence=False",), False)):
        assert run(*words(shards, tmp_path / str(said), "--num_train_steps=1", *more)) == 0
        assert ("20 of 20 documents (100.0%) have one sentence" in capsys.readouterr().err) == said


def test_flags_without_effect_on_records_are_named(tmp_path: Path, capsys) -> None:
    records = FIXTURES / "pretraining_wwm_False.tfrecord"
    flags = (f"--vocab_file={FIXTURES / 'vocab.txt'}", "--masked_lm_prob=0.2", "--num_train_steps=1")
    assert run(*words(records, tmp_path / "out", *flags)) == 0
    said = capsys.readouterr().err
    assert "--masked_lm_prob: no effect, because records are drawn and masked already" in said
    assert (
        "Nothing tells how the text of these records was tokenized: the model is written for lower-cased text" in said
    )


def test_precision_and_more_steps_may_change(shards: Path, tmp_path: Path, capsys) -> None:
    assert run(*words(shards, tmp_path, "--num_train_steps=2", "--precision=fp32")) == 0
    assert run(*words(shards, tmp_path, "--num_train_steps=3", "--precision=bf16")) == 0
    told = capsys.readouterr().err
    assert "precision fp32 -> bf16" in told
    assert "num_train_steps 2 -> 3" in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--do_train=false"], "give at least one of --do_train, --do_eval"),
        (["--output_dir="], "--output_dir: must be given"),
        (["--input_file=absent"], "--input_file: no file matches absent"),
        (["--max_seq_length=513"], "--max_seq_length=513: the model has 512 positions"),
        (["--train_batch_size=0"], "--train_batch_size: 0 must be at least 1"),
        (["--model=x"], "--model and --size"),
        (["--size=huge"], "--size=huge: give one of tiny"),
        (["--device=warp"], "--device=warp"),
        (["--learning_rate=1e17", "--num_train_steps=20"], "lower --learning_rate"),
        ([f"--vocab_file={__file__}"], "--vocab_file"),
        (["--eval_input_file=absent", "--do_eval"], "--eval_input_file: no file matches absent"),
    ],
)
def test_nonsense_is_one_line(shards: Path, tmp_path: Path, change: list[str], message: str, capsys) -> None:
    assert run(*words(shards, tmp_path / "out", "--num_train_steps=2", *change)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("bert run_pretraining: ")
    assert message in error


def test_records_of_another_vocabulary_are_refused(tmp_path: Path, capsys) -> None:
    """Record files do not say which vocabulary they are of; their ids do."""
    config = tmp_path / "bert_config.json"
    config.write_text('{"vocab_size": 100, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}')
    records = FIXTURES / "pretraining_wwm_False.tfrecord"
    command = [f"--input_file={records}", f"--output_dir={tmp_path / 'out'}", f"--bert_config_file={config}"]
    assert run("run_pretraining", *command, "--do_train", "--num_train_steps=3", "--max_seq_length=64") == 2
    assert "vocab" in capsys.readouterr().err


def test_golden_records_train(tmp_path: Path) -> None:
    records = FIXTURES / "pretraining_wwm_*.tfrecord"
    command = [*TINY, f"--input_file={records}", f"--output_dir={tmp_path}", f"--vocab_file={FIXTURES / 'vocab.txt'}"]
    assert run("run_pretraining", *command, "--num_train_steps=60") == 0
    losses = [line["loss"] for line in metrics(tmp_path) if "loss" in line]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.5


def test_the_folder_opens_in_transformers_with_the_same_answers(shards: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from bertworks.checkpoints.load import load_into, open_checkpoint
    from bertworks.config import BertConfig
    from bertworks.data.batch import pack
    from bertworks.model.heads import PretrainingModel

    output = tmp_path / "out"
    assert run(*words(shards, output, "--num_train_steps=5")) == 0
    theirs = transformers.AutoModelForPreTraining.from_pretrained(output, attn_implementation="eager").eval()
    ours = PretrainingModel(BertConfig.from_huggingface_file(output / "config.json"))
    load_into(ours, open_checkpoint(output))
    ids = torch.tensor([2, *range(100, 120), 3])
    with torch.no_grad():
        expected = theirs(input_ids=ids[None])
        hidden = ours.bert(pack(ids.numpy(), 0 * ids.numpy(), np.array([len(ids)])))
        found = ours.masked_lm_logits(hidden)
        torch.testing.assert_close(found, expected.prediction_logits[0], rtol=0, atol=1e-5)
        relation = ours.next_sentence_logits(ours.bert.pooler(hidden[:1]))
        torch.testing.assert_close(relation, expected.seq_relationship_logits, rtol=0, atol=1e-5)
    # And back: what transformers saves, we train on.
    theirs.save_pretrained(tmp_path / "theirs")
    shutil.copy(output / "vocab.txt", tmp_path / "theirs")
    command = [w for w in words(shards, tmp_path / "again") if not w.startswith("--size")]
    assert run(*command, f"--model={tmp_path / 'theirs'}", "--num_train_steps=1") == 0


def test_flags_file_repeats_the_run(shards: Path, tmp_path: Path) -> None:
    assert run(*words(shards, tmp_path / "one", "--num_train_steps=3")) == 0
    flags = tmp_path / "one" / "flags.toml"
    assert run("run_pretraining", f"--config={flags}", f"--output_dir={tmp_path / 'two'}") == 0
    assert metrics(tmp_path / "one") == metrics(tmp_path / "two")


def test_show_step_prints_what_the_step_trains_on(shards: Path, capsys) -> None:
    assert run("run_pretraining", f"--input_file={shards}", "--show_step=2", "--train_batch_size=3") == 0
    shown = capsys.readouterr().out
    assert shown.count("[CLS]") == 3
    assert "> [MASK]}" in shown


def test_evaluation_alone_reads_the_newest_checkpoint(shards: Path, tmp_path: Path, capsys) -> None:
    assert run(*words(shards, tmp_path, "--num_train_steps=2", "--do_eval", "--max_eval_steps=2")) == 0
    trained = (tmp_path / "eval_results.txt").read_text()
    (tmp_path / "eval_results.txt").unlink()
    assert run(*words(shards, tmp_path, "--do_train=false", "--do_eval", "--max_eval_steps=2")) == 0
    assert (tmp_path / "eval_results.txt").read_text() == trained
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "bert"


def test_gradient_checkpointing_changes_nothing(shards: Path, tmp_path: Path) -> None:
    for name, more in (("plain", []), ("checkpointed", ["--gradient_checkpointing"])):
        assert run(*words(shards, tmp_path / name, "--num_train_steps=4", "--precision=fp32", *more)) == 0
    plain, checkpointed = ([line.get("loss") for line in metrics(tmp_path / n)] for n in ("plain", "checkpointed"))
    assert plain == checkpointed


def test_a_model_and_shards_of_another_vocabulary_do_not_meet(shards: Path, tmp_path: Path, capsys) -> None:
    """Of equal size, so that only the words tell."""
    assert run(*words(shards, tmp_path / "one", "--num_train_steps=1")) == 0
    vocabulary = (FIXTURES / "vocab.txt").read_text().splitlines()
    other = tmp_path / "vocab.txt"
    other.write_text("\n".join(vocabulary[:5] + vocabulary[:4:-1]) + "\n")
    foreign = make_shards(tmp_path / "foreign", f"--vocab_file={other}")
    command = [word for word in words(foreign, tmp_path / "two") if not word.startswith("--size")]
    assert run(*command, f"--model={tmp_path / 'one'}", "--num_train_steps=1") == 2
    assert run(*words(foreign, tmp_path / "one", "--do_train=false", "--do_eval")) == 2
    errors = capsys.readouterr().err.splitlines()
    assert sum("made with another vocabulary than the model has" in line for line in errors) == 2


def test_evaluation_alone_evaluates_what_was_trained(shards: Path, tmp_path: Path, capsys) -> None:
    command = words(shards, tmp_path / "out", "--num_train_steps=1")
    assert run(*command, "--do_train=false", "--do_eval") == 2
    assert "holds no checkpoint" in capsys.readouterr().err
    assert run(*command) == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    (tmp_path / "relu.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    evaluate = [word for word in command if not word.startswith("--size")] + ["--do_train=false", "--do_eval"]
    assert run(*evaluate, f"--bert_config_file={tmp_path / 'relu.json'}") == 2
    assert "not the model that was trained" in capsys.readouterr().err
    assert run(*evaluate, "--max_eval_steps=1") == 0


def test_a_refused_command_leaves_the_run_as_it_was(shards: Path, tmp_path: Path) -> None:
    assert run(*words(shards, tmp_path, "--num_train_steps=2")) == 0
    before = (tmp_path / "flags.toml").read_text()
    assert run(*words(shards, tmp_path, "--num_train_steps=2", "--random_seed=7")) == 2
    assert (tmp_path / "flags.toml").read_text() == before


def test_a_run_from_a_relative_path_continues_by_its_flags_file(shards: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words(shards, Path("one"), "--num_train_steps=1")) == 0
    command = [word for word in words(shards, Path("two")) if not word.startswith("--size")]
    assert run(*command, "--model=one", "--num_train_steps=2", "--save_checkpoints_steps=1") == 0
    assert run("run_pretraining", "--config=two/flags.toml", "--num_train_steps=3") == 0


def test_full_disk_is_one_line_and_loses_nothing(shards: Path, tmp_path: Path) -> None:
    command = words(shards, tmp_path / "out", "--num_train_steps=4", "--save_checkpoints_steps=2")
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 200; exec "$@"', "bash", sys.executable, "-m", "bertworks", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 2
    assert "File too large; free some space" in limited.stderr.splitlines()[-1]
    assert "Traceback" not in limited.stderr
    assert run(*command) == 0
    assert newest_step(tmp_path / "out") == 4


def test_a_casing_that_contradicts_the_model_is_an_error(tmp_path: Path, capsys) -> None:
    fixtures = Path(__file__).parents[1] / "fixtures"
    model = tmp_path / "uncased_L-3_H-32_A-4"
    shutil.copytree(fixtures / "google_tiny", model, ignore=shutil.ignore_patterns("[!b]*"))
    shutil.copy(fixtures / "vocab.txt", model)
    records = fixtures / "pretraining_wwm_False.tfrecord"
    command = ["run_pretraining", f"--input_file={records}", f"--model={model}", f"--output_dir={tmp_path / 'out'}"]
    rest = ["--do_train", "--num_train_steps=1", "--max_seq_length=64", "--max_predictions_per_seq=10"]
    assert run(*command, *rest, "--do_lower_case=False") == 2
    assert "--do_lower_case=False: " in capsys.readouterr().err
    assert run(*command, *rest) == 0
    assert '"do_lower_case": true' in (tmp_path / "out" / "tokenizer_config.json").read_text()


@pytest.mark.parametrize(("steps", "warmup", "is_said"), [(1, 1, False), (1, 2, True), (4, 4, True), (4, 3, False)])
def test_a_warm_up_that_never_ends_is_told_with_another_one(
    shards: Path, tmp_path: Path, steps: int, warmup: int, is_said: bool, capsys
) -> None:
    more = [f"--num_train_steps={steps}", f"--num_warmup_steps={warmup}"]
    with pytest.raises(SystemExit, match="0"):
        run(*words(shards, tmp_path, *more, "--plan"))
    assert ("usual is a tenth of them, --num_warmup_steps=1." in capsys.readouterr().err) == is_said


def test_texts_become_shards_in_the_output_folder(shards: Path, tmp_path: Path, capsys) -> None:
    more = (*TINY, "--precision=fp32", "--num_train_steps=4", "--do_eval", "--max_eval_steps=2")
    text, vocab = f"--input_file={FIXTURES / 'corpus.txt'}", f"--vocab_file={FIXTURES / 'vocab.txt'}"
    command = ["run_pretraining", *more, text, vocab, f"--output_dir={tmp_path / 'text'}"]
    assert run(*command) == 0
    assert "$ bert create_pretraining_data --input_file=" in capsys.readouterr().out
    assert run("run_pretraining", *more, f"--input_file={shards}", f"--output_dir={tmp_path / 'shards'}") == 0
    assert metrics(tmp_path / "text") == metrics(tmp_path / "shards")
    for shard in shards.glob("shard-*"):
        assert (tmp_path / "text" / "shards" / shard.name).read_bytes() == shard.read_bytes()
    capsys.readouterr()
    # A plan leaves nothing behind.
    with pytest.raises(SystemExit, match="0"):
        run(*command[:-1], f"--output_dir={tmp_path / 'plan'}", "--plan")
    assert "***** Plan" in capsys.readouterr().out
    assert not (tmp_path / "plan").exists()
    # The same command again finds its shards, and that it has ended.
    assert run(*command) == 0
    assert "Skipping training" in capsys.readouterr().err


def test_texts_of_several_processes_are_prepared_once(tmp_path: Path) -> None:
    text, vocab = f"--input_file={FIXTURES / 'corpus.txt'}", f"--vocab_file={FIXTURES / 'vocab.txt'}"
    words = ("run_pretraining", *TINY, "--num_train_steps=2", text, f"--eval_{text[2:]}", "--do_eval", vocab)
    done = together(tmp_path / "log", 2, *words, f"--output_dir={tmp_path / 'out'}")
    assert [one.code for one in done] == [0, 0], done
    assert done[0].out.count("$ bert create_pretraining_data") == 2
    assert done[1].out == ""
    assert (tmp_path / "out" / "eval_shards" / "index.json").exists()
    damaged = tmp_path / "damaged.txt"
    damaged.write_bytes(b"no text: \xff\xfe\n")
    words = ("run_pretraining", *TINY, "--num_train_steps=2", f"--input_file={damaged}", vocab)
    done = together(tmp_path / "log", 2, *words, f"--output_dir={tmp_path / 'other'}")
    assert [one.code for one in done] == [2, 2], done
    (line,) = [text for one in done for text in one.err.splitlines()]
    assert f"{damaged}" in line


def test_texts_that_cannot_become_shards_are_refused(shards: Path, tmp_path: Path, capsys) -> None:
    words = ("run_pretraining", *TINY, "--num_train_steps=2", f"--output_dir={tmp_path / 'out'}")
    text = FIXTURES / "corpus.txt"
    assert run(*words, f"--input_file={text}") == 2
    assert "--vocab_file or --model: give one of them" in capsys.readouterr().err
    assert run(*words, f"--input_file={text},{shards}") == 2
    assert f"--input_file: {text} is text, but {shards} is not" in capsys.readouterr().err
