"""Every example is parsed, and its training planned, with a tiny model instead of the one it names."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bertworks import cli
from bertworks.commands.run_pretraining import Flags
from bertworks.flags import parse
from tests.commands.runs import make_shards

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".sh", ".sbatch", ".yaml"))


def _launches(path: Path) -> list[list[str]]:
    """The commands of an example that start `bert run_pretraining`, as words."""
    text = path.read_text()
    if path.suffix == ".yaml":
        documents = [document for document in yaml.safe_load_all(text) if document["kind"] == "Job"]
        pods = [document["spec"]["template"]["spec"] for document in documents]
        return [container["command"] for pod in pods for container in pod["containers"]]
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if "run_pretraining" in line and not line.startswith("#")]


def test_there_is_one_for_each_place() -> None:
    names = {path.stem for path in EXAMPLES}
    assert names == {"one_cpu", "one_gpu", "eight_gpus", "several_nodes", "kubernetes"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_training_can_be_planned(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (command,) = _launches(path)
    words = [word for word in command[command.index("run_pretraining") + 1 :] if word != "$@"]
    flags = parse(Flags, words, "bert")
    assert flags.do_train
    assert flags.num_warmup_steps < flags.num_train_steps
    monkeypatch.chdir(tmp_path)
    words = [word.replace("examples/", f"{ROOT}/examples/") for word in words]
    here = ["--plan", "--size=1/32", "--device=cpu", f"--input_file={make_shards(tmp_path / 'shards')}"]
    with pytest.raises(SystemExit) as left:
        cli.main(["run_pretraining", *words, *here, f"--output_dir={tmp_path / 'out'}"])
    assert left.value.code == 0
    assert "***** Plan *****" in capsys.readouterr().out


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.suffix != ".sh"], ids=lambda path: path.stem)
def test_a_launcher_of_several_machines_has_what_it_needs(path: Path) -> None:
    (command,) = _launches(path)
    given = {word.partition("=")[0] for word in command}
    assert {"--nnodes", "--nproc_per_node", "--max-restarts", "--rdzv_backend", "--rdzv_endpoint", "--rdzv_id"} <= given
    parser = pytest.importorskip("torch.distributed.run").get_args_parser()
    start = command.index("torchrun") + 1
    numbers = [re.sub(r"=\$\w+$", "=4", word) for word in command[start : command.index("-m")]]
    assert parser.parse_args([*numbers, "-m", "bertworks"]).training_script == "bertworks"


def test_the_one_for_a_cpu_runs(tmp_path: Path) -> None:
    """All of it but the training, in a folder of its own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "bert").write_text(f'#!/bin/sh\nexec {sys.executable} -m bertworks "$@"\n')
    (tmp_path / "bert").chmod(0o755)
    names = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VOCAB_SIZE": "300"}
    done = subprocess.run(
        ["examples/one_cpu.sh", "--plan", "--size=1/32"],
        cwd=tmp_path,
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "***** Plan *****" in done.stdout
