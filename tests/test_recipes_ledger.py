"""The ledger of recipes at toy size: it trains rows for a time, continues, and writes its page."""

import json
from pathlib import Path

import pytest
from benchmarks.recipes import page, texts
from benchmarks.recipes.plans import read_trials
from benchmarks.recipes.run import HERE, POINTS, main, read_results

from tests.commands.runs import FIXTURES, run

ROWS = """
[common]
train_batch_size = 4
max_predictions_per_seq = 0

[[row]]
name = "baseline"
what = "the original"
grid = { learning_rate = [1e-3, 0.0] }

[[row]]
name = "phases"
flags = { recipe = "fast", max_seq_length = "{half},{length}", phase_shares = "0.5,0.5" }
"""


def test_the_rows_of_the_ledger_are_flags_that_the_command_takes() -> None:
    from bertworks.commands.run_pretraining import Flags
    from bertworks.flags import parse
    from bertworks.pretraining.checks import check
    from bertworks.pretraining.recipes import with_recipe

    trials = read_trials(HERE / "rows.toml", 64)
    for trial in trials:
        flags = parse(Flags, ["--input_file=x", "--do_train", *trial.words(1000)], "bert run_pretraining")
        check(with_recipe(flags)[0])
        assert flags.num_warmup_steps == 50
    assert sum(trial.row == "baseline" for trial in trials) == 9


def test_no_grid_is_larger_than_the_baselines(tmp_path: Path) -> None:
    (tmp_path / "rows.toml").write_text(ROWS + "grid = { learning_rate = [1, 2, 3] }\n")
    with pytest.raises(ValueError, match="the grid of phases is larger than the baseline's"):
        read_trials(tmp_path / "rows.toml", 64)


def test_documents_are_apart_whatever_their_order() -> None:
    found = [f"document {n}\nof two lines" for n in range(400)]
    parts = {document: texts.part_of(document) for document in found}
    counts = [list(parts.values()).count(part) for part in texts.PARTS]
    assert sum(counts) == 400
    assert counts[0] > 320
    assert min(counts[1:]) > 5


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Documents of the small corpus, often enough that all parts have some."""
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    documents = (FIXTURES / "corpus.txt").read_text().strip().split("\n\n")
    path.write_text("\n\n".join(f"{document}\nend of {n} ." for n in range(40) for document in documents))
    return path


def in_this_process(*words: str, log: Path | None = None, threads: int = 0) -> None:
    """A process for each command takes seconds to start."""
    assert run(*words) == 0, words


def test_rows_are_trained_once_and_the_page_is_written(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("run", "texts", "judge"):
        monkeypatch.setattr(f"benchmarks.recipes.{module}.bert", in_this_process)
    monkeypatch.setattr("benchmarks.recipes.run.MEASURED", 4)
    monkeypatch.setattr("benchmarks.recipes.run.MEASURED_SECONDS", 0.05)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "rows.toml").write_text(ROWS)
    results = tmp_path / "results.jsonl"
    words = [f"--text={corpus}", "--corpus=toy", f"--work={tmp_path / 'work'}", f"--results={results}"]
    words += [f"--rows={tmp_path / 'rows.toml'}", f"--vocab_file={FIXTURES / 'vocab.txt'}", "--size=1/32"]
    words += ["--max_seq_length=32", "--minutes=0.004", "--eval_steps=1", "--threads=1", "--machine=a test"]
    for times in (1, 2):
        main([*words, "--only_measure"])
        measured = {
            path.stem: json.loads(path.read_text()) for path in (tmp_path / "work" / "toy" / "measured").glob("*")
        }
        assert {name: len(seconds) for name, seconds in measured.items()} == {
            "1-32-32-baseline": times,  # one for both points of its grid: a rate takes no time
            "1-32-32-phases": times,
        }
    assert not results.exists()
    main([*words, "--training_threads=1"])
    found = read_results(results)
    least = min(measured["1-32-32-phases"])
    assert found[2]["steps"] == max(POINTS, int(0.004 * 60 / least))
    assert found[2]["seconds"] == pytest.approx(found[2]["steps"] * least)
    assert [(one["key"]["row"], one["key"]["point"]) for one in found] == [
        ("baseline", "learning_rate=0.001"),
        ("baseline", "learning_rate=0.0"),
        ("phases", ""),
        ("random", ""),
    ]
    assert ["report" in one for one in found].count(False) == 1  # the worse point of the baseline's grid
    for one in found:
        tokens = [point["tokens"] for point in one["curve"]]
        assert tokens == sorted(tokens)
        assert tokens[-1] == one["tokens"]
        assert one["curve"][-1]["step"] == one["steps"]
    size = results.stat().st_size
    main(words)
    assert results.stat().st_size == size
    cola = tmp_path / "CoLA"
    cola.mkdir()
    for name in ("train", "dev"):
        (cola / f"{name}.tsv").write_text("".join(f"gj04\t{n % 2}\t*\tthe cat sat {n}\n" for n in range(4)))
    tuned = [*words, "--only=random", f"--task=CoLA:{cola}", "--finetuning_seeds=1,2"]
    for epochs in (1, 2, 2):
        main([*tuned, "--finetuning_flag=--train_batch_size=2", f"--finetuning_flag=--num_train_epochs={epochs}"])
    values = read_results(results)[-1]["finetuning"]
    assert {name: len(seeds) for name, seeds in values.items()} == {
        "CoLA train_batch_size=2 num_train_epochs=1": 2,
        "CoLA train_batch_size=2 num_train_epochs=2": 2,
    }
    (tmp_path / "page.md").write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    arguments = [f"--results={results}", f"--page={tmp_path / 'page.md'}", f"--pictures={tmp_path / 'pictures'}"]
    page.main(arguments)
    written = (tmp_path / "page.md").read_text()
    page.main(arguments)
    assert (tmp_path / "page.md").read_text() == written
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| baseline |" in written
    assert "| CoLA train_batch_size=2 num_train_epochs=1 | CoLA train_batch_size=2 num_train_epochs=2 |" in written
    assert "learning_rate=0.0: " in written
    (picture,) = (tmp_path / "pictures").iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_arithmetic_of_the_page() -> None:
    curve = [{"tokens": 10, "masked_lm_accuracy": 0.1}, {"tokens": 30, "masked_lm_accuracy": 0.5}]
    assert page.at_tokens(curve, 20) == pytest.approx(0.3)
    assert page.at_tokens(curve, 31) is None
    assert page.tokens_to(curve, 0.3) == pytest.approx(20)
    assert page.tokens_to(curve, 0.6) is None
    assert page.tokens_to(curve, 0.05) == 10
    assert page.mean_and_error([1.0, 3.0]) == pytest.approx((2.0, 1.0))
    results = json.loads(json.dumps([{"key": {"point": "a"}, "choose": {"masked_lm_accuracy": 0.2}}]))
    assert page._of_best_point(results) == results
