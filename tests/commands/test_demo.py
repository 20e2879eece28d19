"""The whole way, shortened: text, vocabulary, shards, a few steps, masks filled."""

from pathlib import Path

from bertworks import cli
from bertworks.text import python_docs


def test_the_demo_runs_and_runs_again(tmp_path: Path, monkeypatch, capsys) -> None:
    documents = list(python_docs.python_docs())[:60]
    monkeypatch.setattr(python_docs, "python_docs", lambda: iter(documents))
    words = ("demo", f"--output_dir={tmp_path / 'demo'}", "--num_train_steps=4", "--vocab_size=1500", "--size=1/64")
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    for what in (
        "$ bert learn_vocab",
        "masked_lm_accuracy = ",
        "always the commonest word",
        "exception is raised.",
        "bert serve ",
    ):
        assert what in shown
    model = tmp_path / "demo" / "model"
    for name in ("learning_curve.png", "model.safetensors", "config.json", "vocab.txt", "eval_results.txt"):
        assert (model / name).exists()
    assert cli.main(words) == 0
    assert "Skipping training" in capsys.readouterr().err


def test_what_no_demo_wrote_stays(tmp_path: Path, capsys) -> None:
    (tmp_path / "vocab.txt").write_text("mine\n")
    assert cli.main(("demo", f"--output_dir={tmp_path}", "--num_train_steps=4")) == 2
    assert "holds vocab.txt, which no demo wrote and this one would replace; give another" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.txt"]
