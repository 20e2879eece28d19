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
_TEXT = (HERE / "readme_commands.txt").read_text()
CHAINS = [
    [line for line in chain.splitlines() if not line.startswith("#")]
    for chain in _TEXT.split("\n\n")
    if not chain.startswith("#")
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


def run_chain(chain: list[str], places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands of a chain in order, and look for the files that each leaves."""
    for command in chain:
        words = shlex.split(re.sub(r"\{([^}]+)\}", lambda match: places[match[1]], command))
        assert words[0] == "bert"
        assert cli.main(words[1:]) == 0, capsys.readouterr().err
        output_dir = next((word.partition("=")[2] for word in words if word.startswith("--output_dir=")), "")
        for name in WRITES[of_what(words)]:
            assert (Path(places["tmp"]) / name.format(output_dir=output_dir)).stat().st_size > 0


def chain_with(*parts: str) -> list[str]:
    """The one chain with a command that has all of these parts."""
    (chain,) = [chain for chain in CHAINS if any(all(part in command for part in parts) for command in chain)]
    return chain


# The chains that are tested for more than that they run.
PRETRAINING = chain_with("run_pretraining")
CLASSIFIER = chain_with("run_classifier", "--do_train")
SQUAD_2 = chain_with("run_squad", "{THRESH}")


@pytest.mark.parametrize(
    "chain",
    [chain for chain in CHAINS if chain not in (PRETRAINING, CLASSIFIER, SQUAD_2)],
    ids=lambda chain: chain[0].split()[1],
)
def test_runs_as_written(chain: list[str], places: dict[str, str], capsys) -> None:
    run_chain(chain, places, capsys)


def test_squad_2_as_written_and_the_scripts_scores(places: dict[str, str], capsys) -> None:
    """The README's two steps to a threshold, and what the official script then says."""
    run_chain(SQUAD_2, places, capsys)
    folder, dev = Path(places["tmp"]) / "squad_large", Path(places["SQUAD_DIR"]) / "dev-v2.0.json"
    predictions = json.loads((folder / "predictions.json").read_text())
    odds = json.loads((folder / "null_odds.json").read_text())
    assert all((text == "") == (odds[name] > float(places["THRESH"])) for name, text in predictions.items())
    capsys.readouterr()
    assert cli.main(["evaluate_squad", str(dev), str(folder / "predictions.json")]) == 0
    assert list(json.loads(capsys.readouterr().out))[:2] == ["exact", "f1"]


def test_pretraining_as_written_prints_the_originals_keys(places: dict[str, str], capsys) -> None:
    run_chain(PRETRAINING, places, capsys)
    path = Path(places["tmp"]) / "pretraining_output" / "eval_results.txt"
    assert [line.split(" = ")[0] for line in path.read_text().splitlines()] == [
        "global_step",
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "next_sentence_accuracy",
        "next_sentence_loss",
    ]


def test_the_classifier_as_written_leaves_the_originals_files(places: dict[str, str], capsys) -> None:
    run_chain(CLASSIFIER, places, capsys)
    output = Path(places["tmp"]) / "mrpc_output"
    results = dict(line.split(" = ") for line in (output / "eval_results.txt").read_text().splitlines())
    assert list(results)[:4] == ["eval_accuracy", "eval_loss", "global_step", "loss"]
    rows = [list(map(float, line.split("\t"))) for line in (output / "test_results.tsv").read_text().splitlines()]
    assert len(rows) == len((Path(places["GLUE_DIR"]) / "MRPC" / "test.tsv").read_text().splitlines()) - 1
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in rows)
