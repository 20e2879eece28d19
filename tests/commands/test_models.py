"""`bert models`: the list, one model of it, and downloading."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bertworks.addresses import HOME
from bertworks.commands import models
from bertworks.datasets import download, registry
from bertworks.datasets import models as zoo
from bertworks.errors import InputError
from bertworks.flags import parse


@pytest.fixture(autouse=True)
def _nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setenv(download.OFFLINE, "1")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    models.main(parse(models.Flags, words, "bert models"))
    return capsys.readouterr().out


def test_the_list_has_every_model_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys).splitlines()
    for model in registry.models():
        (line,) = [line for line in lines if line.split()[:1] == [model.name]]
        for alias in model.aliases:
            assert f" {alias} " in line
        assert model.parameters is None or f" {model.parameters:,} " in line
        assert (" uncased " if model.do_lower_case else " cased ") in line
    assert "https://" not in "".join(lines)


def test_what_is_cached_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    model = registry.find_model("bert-tiny")
    assert model is not None
    path = zoo.cached_path(model)
    path.parent.mkdir(parents=True)
    path.touch()
    marked = [line.split()[0] for line in run(capsys).splitlines() if line.endswith("yes")]
    assert marked == [model.name]
    assert f"cached      {path}" in run(capsys, "--filter=bert-tiny")


def test_one_model_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "--filter=bert-base-uncased")
    assert "https://storage.googleapis.com/bert_models/2018_10_18/uncased_L-12_H-768_A-12.zip" in text
    assert "109,482,240 parameters" in text
    assert "sha256:58580dc5" in text
    assert "--model=bert-base-uncased" in text
    assert "--vocab_file=vocab.txt" in run(capsys, "--filter=Bert-large-en")
    assert "Use it" not in run(capsys, "--filter=all_bert_models")


def test_the_list_can_be_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--filter=CHINESE").count("Apache 2.0") == 4
    with pytest.raises(InputError, match="--filter=klingon: no model"):
        run(capsys, "--filter=klingon")


def test_json_has_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(run(capsys, "--format=json"))
    assert [values["name"] for values in listed] == [model.name for model in registry.models()]
    (tiny,) = json.loads(run(capsys, "--format=json", "--filter=bert-tiny"))
    assert tiny["parameters"] == 4_385_920
    assert tiny["addresses"] == ["https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-2_H-128_A-2.zip"]
    assert tiny["cached"] is False


def test_download_gives_the_path(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"uncased_L-2_H-128_A-2\.zip: .* download it by hand and put it at "):
        run(capsys, "--download=bert-tiny")
    with pytest.raises(InputError, match=r"--download=bert-tinny: .* did you mean bert-tiny"):
        run(capsys, "--download=bert-tinny")
    model = registry.find_model("bert-tiny")
    assert model is not None
    zoo.cached_path(model).parent.mkdir(parents=True)
    zoo.cached_path(model).touch()
    assert run(capsys, "--download=bert-tiny") == f"{zoo.cached_path(model)}\n"


def test_it_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from bertworks.commands import models; models.main(models.Flags());"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_name_of_a_file_finds_its_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--filter=bert_large_ascend_v130_enwiki").startswith("Bert-large-en:")
