"""What is refused, in one line, before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bertworks.benchmark.choices import check, clients, contestants, mixes, precisions, pythons
from bertworks.benchmark.flags import BenchmarkFlags
from bertworks.benchmark.known_peers import PEERS
from bertworks.errors import InputError
from bertworks.flags import parse


def flags(*words: str) -> BenchmarkFlags:
    return parse(BenchmarkFlags, words, "bert benchmark")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--against=caffe"], "--against=caffe: caffe is not known; give none, or some of transformers"),
        (["tokenize", "--against=openvino"], "openvino takes part in encode, latency, not here"),
        (["train", "--size=huge"], "--size=huge: give one of"),
        (["train", "--size=base,large"], "--size=base,large: give one size"),
        (["encode", "--lengths=squad"], "--lengths=squad: bert benchmark encode takes natural, dense, mixed"),
        (["train", "--lengths=none.txt"], "takes dense, mrpc, squad, or a file with a length on each line"),
        (["train", "--precision=fp64"], "--precision=fp64: give auto, fp32, bf16, int8"),
        (["train", "--precision=int8"], "--precision=int8: only encode, latency and serve"),
        (["train", "--gb=12"], "--gb=12: is for bert benchmark memory, not for train"),
        (["memory", "--against=transformers"], "--against=transformers: bert benchmark memory has no peers"),
        (["train", "--max_seq_length=2"], "--max_seq_length=2: must be at least 8, or 0"),
        (["train", "--like=lambda"], "--like=lambda: Lambda's benchmark is fine-tuning"),
        (["encode", "--like=nvidia"], "--like=nvidia: has tables for train, finetune and latency"),
        (["finetune", "--like=lambda", "--lengths=mrpc"], "--lengths: --like=lambda says what is measured"),
        (["encode", "--peer_python=openvino"], "--peer_python=openvino: give NAME=PATH"),
        (["encode", "--peer_python=openvino=/nowhere/python"], "/nowhere/python is not a program"),
        (["data", "--original=/nowhere"], "--original=/nowhere: has no create_pretraining_data.py"),
        (["encode", "--compile"], "--compile: is for train and finetune, not for encode"),
        (["encode", "--clients=2"], "--clients=2: is for bert benchmark serve, not for encode"),
        (["serve", "--clients=1,0"], "--clients=1,0: give numbers with commas between, such as 1,8,64"),
        (["serve", "--precision=bf16"], "--precision=bf16: servers are compared in fp32 and int8"),
        (["serve", "--against=openvino"], "openvino takes part in encode, latency, not here"),
        (["memory", "--optimizer_bits=8"], "--optimizer_bits: is for train and finetune, not for memory"),
        (["train", "--vocab_file=/nowhere"], "--vocab_file=/nowhere: no such file"),
        (["train", "--lengths=,"], "--lengths=,: bert benchmark train takes dense, mrpc, squad"),
        (["tokenize", "--lengths=dense"], "--lengths=dense: bert benchmark tokenize has no mixes of lengths"),
        (["train", "--precision=,"], "--precision=,: give auto, fp32, bf16, int8"),
        (["train", "--like=nvidia", "--size=,"], "--size=,: give one size"),
        (["train", "--size=base,base"], "--size=base,base: give one size"),
        (["tokenize", "--model=here"], "--model=here: bert benchmark tokenize opens no model; give its vocabulary"),
        (["data", "--model=here"], "--model=here: bert benchmark data opens no model; give its vocabulary"),
        (["memory", "--model=here"], "--model=here: bert benchmark memory opens no model; give a size as --size"),
        (["finetune", "--like=lambda", "--max_seq_length=64"], "--max_seq_length: --like=lambda says what is measured"),
    ],
)
def test_what_cannot_be_measured_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        check(flags(*words))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refusal_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bertworks.cli import main\n"
        "assert main(['benchmark', 'train', '--against=caffe']) == 2\n"
        "print([m for m in ('torch', 'numpy', 'rich', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def who(*words: str) -> list[str]:
    return [peer.name for peer in contestants(flags(*words))]


def test_ours_always_takes_part() -> None:
    for kind in ("train", "finetune", "encode", "latency", "tokenize", "data"):
        assert who(kind)[0] == "bertworks"
        assert set(who(kind)) > {"bertworks"}
        assert who(kind, "--against=none") == ["bertworks"]
    assert who("encode", "--against=onnxruntime, openvino") == ["bertworks", "onnxruntime", "openvino"]


def test_the_grid_of_nvidia_is_of_answers_which_few_peers_give() -> None:
    assert who("latency", "--like=nvidia") == ["bertworks", "transformers"]


def test_every_peer_has_a_module_and_says_how_to_get_it() -> None:
    folder = Path(sys.modules["bertworks.benchmark"].__file__ or "").parent / "peers"
    for peer in PEERS:
        assert (folder / f"{peer.module}.py").exists()
        assert peer.hint.startswith(("pip install ", "git clone "))


def test_lengths_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lengths.txt"
    path.write_text("10\n")
    assert mixes(flags("train", f"--lengths=dense,{path}")) == ["dense", str(path)]
    assert mixes(flags("finetune")) == ["mrpc", "squad"]


def test_an_environment_of_a_peer() -> None:
    assert pythons(flags("encode", f"--peer_python=openvino={sys.executable}")) == {"openvino": sys.executable}


def test_what_is_named_twice_is_measured_once() -> None:
    assert mixes(flags("train", "--lengths=mrpc,dense,mrpc")) == ["mrpc", "dense"]
    assert precisions(flags("train", "--precision=fp32,fp32")) == ["fp32"]
    assert clients(flags("serve", "--clients=8,1,08")) == [8, 1]


def test_two_files_of_lengths_of_one_name_are_refused(tmp_path: Path) -> None:
    """Their batches would lie in one folder, and their figures in one table."""
    paths = [tmp_path / folder / "lengths.txt" for folder in ("short", "long")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("10\n")
    assert mixes(flags("train", f"--lengths={paths[0]},dense")) == [str(paths[0]), "dense"]
    with pytest.raises(InputError, match="two have one name, by which the tables call them; rename a file"):
        check(flags("train", f"--lengths={paths[0]},{paths[1]}"))
