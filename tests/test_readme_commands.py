"""The original README's command lines run as written there, on small files."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from bertworks import cli
from bertworks.checkpoints.formats.safetensors import of_tensors
from bertworks.checkpoints.formats.tensorflow_writer import write_tensorflow
from bertworks.config import BertConfig
from bertworks.model.heads import PretrainingModel

HERE = Path(__file__).parent
COMMANDS = [
    line for line in (HERE / "readme_commands.txt").read_text().splitlines() if line and not line.startswith("#")
]
# What each command leaves behind, by its name and what it is to do.
WRITES = {
    "create_pretraining_data": ["tf_examples.tfrecord"],
    "extract_features": ["output.jsonl"],
    "run_pretraining": ["pretraining_output/eval_results.txt", "pretraining_output/model.safetensors"],
    "run_classifier --do_train": ["mrpc_output/eval_results.txt", "mrpc_output/model.safetensors"],
    "run_classifier --do_predict": ["mrpc_output/test_results.tsv"],
    "run_squad --do_train": ["{output_dir}/predictions.json", "{output_dir}/nbest_predictions.json"],
    "evaluate_squad": [],
}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """The folders and files that stand in the braces; the model has the four layers that `--layers` names."""
    tmp, base = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("bert_base")
    (tmp / "input.txt").write_text("Who was Jim Henson ? ||| Jim Henson was a puppeteer\n")
    values = json.loads((HERE / "fixtures" / "google_tiny" / "bert_config.json").read_text())
    changes = {"num_hidden_layers": 4, "max_position_embeddings": 512}
    (base / "bert_config.json").write_text(json.dumps({**values, **changes}))
    model = PretrainingModel(BertConfig.from_google_file(base / "bert_config.json"))
    model.initialise(0)
    write_tensorflow(base / "bert_model.ckpt", of_tensors(dict(model.named_parameters())))
    shutil.copy(HERE / "fixtures" / "vocab.txt", base)
    glue = tmp_path_factory.mktemp("glue")
    shutil.copytree(HERE / "fixtures" / "mrpc", glue / "MRPC")
    squad = tmp_path_factory.mktemp("squad")
    for name in ("train-v1.1", "dev-v1.1", "train-v2.0", "dev-v2.0"):
        shutil.copy(HERE / "fixtures" / f"squad-{name[-4:-2]}.json", squad / f"{name}.json")
    return {
        "tmp": str(tmp),
        "BERT_BASE_DIR": str(base),
        "BERT_LARGE_DIR": str(base),
        "SQUAD_DIR": str(squad),
        "TPU_NAME": "local",
        "THRESH": "-1.5",
        "GLUE_DIR": str(glue),
        "TRAINED_CLASSIFIER": str(tmp / "mrpc_output"),
        "sample_text.txt": str(HERE.parent / "examples" / "sample_text.txt"),
    }


def of_what(words: list[str]) -> str:
    """Under which name of `WRITES` a command stands."""
    does = next((word.partition("=")[0] for word in words if word.startswith(("--do_train", "--do_predict"))), "")
    return f"{words[1]} {does}" if words[1] in ("run_classifier", "run_squad") else words[1]


@pytest.mark.parametrize("command", COMMANDS, ids=[f"{i}-{c.split()[1]}" for i, c in enumerate(COMMANDS)])
def test_runs_as_written(command: str, places: dict[str, str], capsys) -> None:
    words = shlex.split(re.sub(r"\{([^}]+)\}", lambda match: places[match[1]], command))
    assert words[0] == "bert"
    assert cli.main(words[1:]) == 0, capsys.readouterr().err
    output_dir = next((word.partition("=")[2] for word in words if word.startswith("--output_dir=")), "")
    for name in WRITES[of_what(words)]:
        assert (Path(places["tmp"]) / name.format(output_dir=output_dir)).stat().st_size > 0


def test_the_scripts_scores_are_printed(places: dict[str, str], capsys) -> None:
    """Runs after the commands above: the README's two steps to a threshold, and what the official script then says."""
    folder, dev = Path(places["tmp"]) / "squad_large", Path(places["SQUAD_DIR"]) / "dev-v2.0.json"
    if not (folder / "null_odds.json").exists():
        pytest.skip("the commands above were not run")
    predictions = json.loads((folder / "predictions.json").read_text())
    odds = json.loads((folder / "null_odds.json").read_text())
    assert all((text == "") == (odds[name] > float(places["THRESH"])) for name, text in predictions.items())
    assert cli.main(["evaluate_squad", str(dev), str(folder / "predictions.json")]) == 0
    assert list(json.loads(capsys.readouterr().out))[:2] == ["exact", "f1"]


def test_evaluation_is_printed_with_the_originals_keys(places: dict[str, str]) -> None:
    """Runs after the commands above."""
    path = Path(places["tmp"]) / "pretraining_output" / "eval_results.txt"
    if not path.exists():
        pytest.skip("the commands above were not run")
    assert [line.split(" = ")[0] for line in path.read_text().splitlines()] == [
        "global_step",
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "next_sentence_accuracy",
        "next_sentence_loss",
    ]


def test_the_classifiers_files_are_the_originals(places: dict[str, str]) -> None:
    """Runs after the commands above."""
    output = Path(places["tmp"]) / "mrpc_output"
    if not (output / "test_results.tsv").exists():
        pytest.skip("the commands above were not run")
    results = dict(line.split(" = ") for line in (output / "eval_results.txt").read_text().splitlines())
    assert list(results)[:4] == ["eval_accuracy", "eval_loss", "global_step", "loss"]
    rows = [list(map(float, line.split("\t"))) for line in (output / "test_results.tsv").read_text().splitlines()]
    assert len(rows) == len((Path(places["GLUE_DIR"]) / "MRPC" / "test.tsv").read_text().splitlines()) - 1
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in rows)
