"""The card of a model: what stands in it, what of a person's is kept, what a hub reads."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bertworks import cli
from bertworks.card.facts import Confusion, Facts, facts_of
from bertworks.card.front_matter import as_yaml, front_matter
from bertworks.card.markdown import body, cell, duration
from bertworks.card.record import Amount, command_line, data_files, hub_name, read_record, record_evaluation
from bertworks.card.record import record_training as write_record
from bertworks.card.write import merged, write_card, write_card_of_run
from bertworks.errors import InputError
from bertworks.flags import CommandFlags, flag

CONFIG = {"architectures": ["BertForSequenceClassification"], "num_hidden_layers": 2, "hidden_size": 32}
FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"
HEAD = {"library_name": "transformers", "tags": ["bert"]}


@dataclass(frozen=True, kw_only=True)
class DataFlags(CommandFlags):
    """Some data, and a model."""

    train_file: str | None = flag(None, "Data.", group="Input", path=True)
    vocab_file: str | None = flag(None, "A vocabulary.", group="Input", path=True)
    model: str | None = flag(None, "A model.", group="Model", path="or name")
    output_dir: str | None = flag(None, "A folder.", group="Output", path=True)
    epochs: float = flag(3.0, "How many.")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder as a training leaves it, without weights."""
    folder = tmp_path / "spam"
    folder.mkdir()
    (tmp_path / "train.csv").write_text("text,label\na,b\n")
    config = {**CONFIG, "id2label": {"0": "spam", "1": "ham"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "flags.toml").write_text("epochs = 3.0\n")
    lines = [{"step": 0}, {"step": 5, "tokens": 100, "seconds": 2.0}, {"step": 9, "tokens": 50, "seconds": 1.0}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 10, "to')
    (folder / "eval_results.json").write_text(json.dumps({"eval_accuracy": 0.75, "eval_loss": 0.5, "global_step": 9}))
    rows = [
        "id\ttext\tlabel\tprediction\tprobability",
        "1\ta\tspam\tham\t0.9",
        "2\tb\tham\tham\t0.9",
        "3\tc\tspam\tham\t1",
    ]
    (folder / "dev_predictions.tsv").write_text("\n".join(rows) + "\n")
    flags = DataFlags(train_file=str(tmp_path / "train.csv"), model="bert-base-uncased", output_dir=str(folder))
    hardware = {"device": "A Processor", "cores": 4, "processes": 1, "threads": 2}
    amounts = {"train": Amount({"examples": 8}, 2, 8)}
    write_record(
        folder,
        flags,
        "run_classifier",
        amounts=amounts,
        data_hash="00ff",
        precision="bf16",
        eval_precision="fp32",
        hardware=hardware,
    )
    return folder


def test_a_card_says_what_the_training_left(trained: Path) -> None:
    content = write_card(trained).read_text()
    for expected in (
        "base_model: google-bert/bert-base-uncased",
        "pipeline_tag: text-classification",
        "Labels: spam, ham.",
        "| accuracy | 0.7500 |",
        "| spam | ham | 2 |",
        "training: 8 examples; 25.0% of its texts (2) lose their end",
        "--train_file=train.csv",
        "9 steps in 3 s of training, 50 tokens a second",
        "A Processor; processes: 1",
        "precision: bf16",
        "torch ",
        'bertworks.load("spam")',
        "bert serve spam",
    ):
        assert expected in content
    assert str(trained.parent) not in content


def test_a_card_of_little_leaves_out_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "flags.toml").write_text("a = 1\n")
    content = write_card(tmp_path).read_text()
    for absent in ("## Results", "## Data", "confuses", "base_model", "pipeline_tag", "model-index", "None"):
        assert absent not in content


def test_what_a_person_wrote_is_kept(trained: Path) -> None:
    path = write_card(trained)
    first = path.read_text()
    theirs = first.replace("# spam\n", "# Spam, found\n\nFor our mail.\n").replace(
        "---\n# bert", "---\nlicense: mit\n# bert"
    )
    path.write_text(f"{theirs}\n## Risks\n\nIt errs.\n")
    (trained / "eval_results.json").write_text('{"eval_accuracy": 0.875}')
    renewed = write_card(trained).read_text()
    assert "| accuracy | 0.8750 |" in renewed
    assert "| accuracy | 0.7500 |" not in renewed
    assert "# Spam, found\n\nFor our mail.\n" in renewed
    assert renewed.endswith("## Risks\n\nIt errs.\n")
    assert renewed.startswith("---\nlicense: mit\n# bertworks: begin\n")
    assert renewed.count("# spam") == 0
    assert write_card(trained).read_text() == renewed


def test_a_key_of_a_person_counts() -> None:
    card = merged("---\ntags:\n- mine\nlanguage: de\n---\n\nText\n", HEAD, "ours")
    front = card.split("---\n")[1]
    assert front.count("tags:") == 1
    assert "- mine" in front
    assert "language: de" in front
    assert "library_name" in front
    assert card.count("ours") == 1
    assert "\nText\n" in card
    assert merged(card, HEAD, "ours") == card


def test_a_card_written_by_hand_gets_our_part_below() -> None:
    card = merged("# Title\n\nwords\n", HEAD, "ours")
    assert card.startswith("---\n# bertworks: begin\nlibrary_name")
    assert card.index("words") < card.index("ours")


@pytest.mark.parametrize("lost", ["<!-- bertworks: end -->", "# bertworks: end", "---\n\n# spam"])
def test_a_card_without_one_of_our_lines_is_refused_and_stays(
    trained: Path, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_card(trained)
    path.write_text(path.read_text().replace(lost, "", 1))
    before = path.read_text()
    with pytest.raises(InputError, match=r"README\.md"):
        write_card(trained)
    write_card_of_run(trained)  # a training does not fail for it
    assert "No card: " in capsys.readouterr().err
    assert path.read_text() == before


def test_folders_without_a_training_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder"):
        write_card(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no training"):
        write_card(tmp_path)
    write_card_of_run(tmp_path)
    assert not (tmp_path / "README.md").exists()


@pytest.mark.parametrize("name", ["card.json", "seeds.json", "config.json"])
def test_damaged_files_are_named(trained: Path, name: str) -> None:
    (trained / name).write_text("{")
    with pytest.raises(InputError, match=name):
        write_card(trained)


def test_seeds_are_told_with_their_spread(trained: Path) -> None:
    one = trained / "seed-3"
    one.mkdir()
    for name in ("metrics.jsonl", "flags.toml", "card.json"):
        (trained / name).rename(one / name)
    seeds = {"metric": "eval_accuracy", "seeds": {"3": 0.75}, "mean": 0.75, "deviation": 0.0, "best": 3}
    (trained / "seeds.json").write_text(json.dumps(seeds))
    assert facts_of(trained).steps == 9
    assert "mean 0.7500, standard deviation 0.0000" in write_card(trained).read_text()


def test_an_evaluation_notes_its_data_where_something_was_trained(trained: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("x\n")
    record_evaluation(
        trained, DataFlags(train_file=str(new)), amounts={"dev": Amount({"examples": 1})}, precision="int8"
    )
    record = read_record(trained)
    assert [file["name"] for file in record["files"]] == ["new.csv"]
    assert record["eval_precision"] == "int8"
    assert list(record["data"]) == ["train", "dev"]
    record_evaluation(tmp_path, DataFlags(), amounts={}, precision="fp32")
    assert not (tmp_path / "card.json").exists()


def test_data_files_are_hashed_and_those_of_the_model_left_out(tmp_path: Path) -> None:
    for name in ("a.csv", "vocab.txt"):
        (tmp_path / name).write_text("abc")
    found = data_files(DataFlags(train_file=str(tmp_path / "a.csv"), vocab_file=str(tmp_path / "vocab.txt")))
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found == [{"flag": "train_file", "name": "a.csv", "bytes": 3, "sha256": digest}]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert-base-uncased", "google-bert/bert-base-uncased"),
        ("uncased_L-12_H-768_A-12", "google-bert/bert-base-uncased"),
        ("bert_12_768_12_wiki_cn_cased", None),
        ("someone/their-bert", "someone/their-bert"),
        (None, None),
        ("", None),
    ],
)
def test_hub_name(name: str | None, expected: str | None) -> None:
    assert hub_name(name) == expected


def test_a_folder_of_ours_tells_what_its_own_training_began_with(trained: Path, tmp_path: Path) -> None:
    assert hub_name(str(trained)) == "google-bert/bert-base-uncased"
    assert hub_name(str(tmp_path)) is None


def test_a_command_is_shown_without_folders(tmp_path: Path) -> None:
    flags = DataFlags(train_file=f"{tmp_path}/a b.csv,{tmp_path}/c.csv", model="owner/name", epochs=3.0)
    assert command_line(flags, "run") == "bert run '--train_file=a b.csv,c.csv' --model=owner/name"


HOSTILE = "a|b\n<!-- bertworks: end --> `x` *y* \\"


def test_names_cannot_break_a_card() -> None:
    config = {**CONFIG, "id2label": {"0": HOSTILE, "1": "b"}}
    facts = Facts(name=HOSTILE, config=config, confusions=[Confusion(HOSTILE, "", 2)], results={"eval_accuracy": 1.0})
    card = merged("", front_matter(facts), body(facts))
    assert card.split("---\n", 2)[2].count("<!-- bertworks: end -->") == 1
    assert merged(card, front_matter(facts), body(facts)) == card
    row = next(line for line in card.splitlines() if "nothing | 2 |" in line)
    assert row.replace("\\|", "").count("|") == 4
    assert cell("a_b") == "a\\_b"


def test_a_hub_reads_the_front_matter() -> None:
    yaml = pytest.importorskip("yaml")
    for name in ("out", "123", "no", 'quo"te: x', "tab\t\x85\u2028", "\U0001f600", "# x", HOSTILE):
        facts = Facts(name=name, config=CONFIG, results={"eval_entity_f1": 0.5, "eval_loss": 1.0, "test_x": 2.0})
        read = yaml.safe_load(as_yaml(front_matter(facts)))
        assert read["model-index"][0]["results"][0]["metrics"] == [{"type": "f1", "value": 0.5, "name": "entity f1"}]
        assert read["tags"] == ["bert", "bertworks"]
        if name.isprintable():
            assert read["model-index"][0]["name"] == name


def test_a_hub_opens_the_card(trained: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard.load(write_card(trained)).data
    assert data.base_model == "google-bert/bert-base-uncased"
    assert data.pipeline_tag == "text-classification"
    assert [(of.metric_type, of.metric_value, of.dataset_name) for of in data.eval_results] == [
        ("accuracy", 0.75, "train.csv")
    ]


@pytest.mark.parametrize(("seconds", "expected"), [(3, "3 s"), (180, "3 min"), (7500, "2 h 5 min")])
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("architecture", "flags", "library", "pipeline", "absent"),
    [
        ("BertForTokenClassification", {"use_crf": True}, "bertworks", "token-classification", "from transformers"),
        ("BertForTokenClassification", {}, "transformers", "token-classification", "CRF"),
        ("BertForQuestionAnswering", {}, "transformers", "question-answering", "CRF"),
        ("BertForPreTraining", {}, "transformers", "fill-mask", "model-index"),
        ("BertForMultipleChoice", {}, "transformers", "multiple-choice", "bert serve"),
    ],
)
def test_each_head_says_how_to_use_it(
    architecture: str, flags: dict[str, object], library: str, pipeline: str, absent: str
) -> None:
    facts = Facts(name="x", config={"architectures": [architecture]}, flags=flags, results={"masked_lm_accuracy": 0.5})
    head, text = front_matter(facts), body(facts)
    assert (head["library_name"], head["pipeline_tag"]) == (library, pipeline)
    assert absent not in as_yaml(head) + text
    assert "0.5000" in text


def test_a_run_ends_with_a_card_and_one_that_is_stopped_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(
        f"{'the old town' if i % 2 else 'a new market'} {i},{'old' if i % 2 else 'new'}\n" for i in range(12)
    )
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}")
    words = [
        "run_classifier",
        f"--train_file={tmp_path / 'train.csv'}",
        "--dev_fraction=0.5",
        f"--init_checkpoint={TINY / 'trained.ckpt'}",
        f"--bert_config_file={TINY / 'bert_config.json'}",
        f"--vocab_file={FIXTURES / 'vocab.txt'}",
        f"--output_dir={tmp_path / 'out'}",
        *("--do_train", "--do_eval", "--num_train_epochs=1", "--train_batch_size=3", "--device=cpu"),
    ]

    def stop(*arguments: object, **options: object) -> None:
        raise InputError("stopped")

    monkeypatch.setattr("bertworks.finetuning.training.finish", stop)
    assert cli.main(words) == 2
    assert (tmp_path / "out" / "card.json").exists()
    assert not list((tmp_path / "out").glob("*README*"))
    monkeypatch.undo()
    assert cli.main(words) == 0
    content = (tmp_path / "out" / "README.md").read_text()
    assert "evaluation: 6 examples; 0.0% of its texts (0) lose their end" in content
    assert "| accuracy |" in content
    (tmp_path / "out" / "README.md").unlink()
    assert cli.main(["card", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "README.md").read_text() == content
