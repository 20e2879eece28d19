"""How text becomes tokens, from the learner of a vocabulary to the model that reads a text: no command forgets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bertworks import load
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import run

LONG = "कमघ" * 75  # 225 characters, which the original makes [UNK]
LINES = ["में कु घर", f"घर में {LONG}", "École कु é", "घर में é कु"]
SETTINGS = {
    "accents": ("--strip_accents=False", "--max_input_chars_per_word=300"),
    "casing": ("--do_lower_case=False",),
    "casing without accents": ("--do_lower_case=False", "--strip_accents=True"),
    "defaults": (),
}


def expected(vocab: Path, flags: tuple[str, ...]) -> list[list[str]]:
    given = dict(flag[2:].split("=") for flag in flags)
    strip = given.get("strip_accents")
    longest = int(given.get("max_input_chars_per_word", 200))
    tokenizer = Tokenizer.from_vocab(
        vocab,
        given.get("do_lower_case") != "False",
        strip_accents=None if strip is None else strip == "True",
        max_input_chars_per_word=longest,
    )
    return [tokenizer.tokenize(line) for line in LINES]


@pytest.mark.parametrize("flags", SETTINGS.values(), ids=SETTINGS)
def test_every_command_tokenizes_as_the_first_one_was_told_to(tmp_path: Path, flags: tuple[str, ...], capsys) -> None:
    text, vocab, records, shards = (tmp_path / name for name in ("text", "vocab.txt", "rec.tfrecord", "shards"))
    text.write_text("".join(json.dumps({"body": "\n".join(LINES)}) + "\n" for _ in range(8)))
    words = (*flags, "--text_field=body", f"--input_file={text}")
    assert run("learn_vocab", *words, f"--output_file={vocab}", "--vocab_size=90", "--unused_tokens=1") == 0
    # The next command is the one that learn_vocab prints.
    (printed,) = (line for line in capsys.readouterr().out.splitlines() if "bert create_pretraining_data" in line)
    create = printed.replace("--output_dir=shards", f"--output_dir={shards}").split()[1:]
    assert run(*create, f"--output_file={records}", "--max_seq_length=32", "--max_predictions_per_seq=4") == 0
    assert "casing" not in capsys.readouterr().err

    small = ("--size=1/32", "--max_seq_length=32", "--max_predictions_per_seq=4", "--num_train_steps=1")
    train = ("run_pretraining", *small, "--do_train", "--train_batch_size=2", "--num_warmup_steps=0", "--device=cpu")
    inputs = {
        "of_records": (f"--input_file={records}", f"--vocab_file={vocab}"),
        "of_shards": (f"--input_file={shards}",),
    }
    models = {name: tmp_path / name for name in inputs}
    for name, given in inputs.items():
        assert run(*train, *given, f"--output_dir={models[name]}") == 0
    # And on: more pre-training, fine-tuning, another format.
    more, tuned, converted = (tmp_path / name for name in ("more", "tuned", "converted"))
    again = [word for word in train if not word.startswith("--size")]
    assert run(*again, f"--input_file={records}", f"--model={models['of_shards']}", f"--output_dir={more}") == 0
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"{line},{i % 2}\n" for i, line in enumerate(LINES)))
    fine = ("run_classifier", f"--train_file={rows}", "--do_train", "--train_batch_size=2", "--max_seq_length=32")
    assert run(*fine, f"--model={more}", f"--output_dir={tuned}", "--device=cpu") == 0
    assert run("convert_checkpoint", str(tuned), str(converted)) == 0
    for folder in (*models.values(), more, tuned, converted):
        tokenizer = load(folder, device="cpu").tokenizer
        assert [tokenizer.tokenize(line) for line in LINES] == expected(vocab, flags), folder
    assert ("[UNK]" in expected(vocab, flags)[1]) == ("--max_input_chars_per_word=300" not in flags)


def refusals(at: Path) -> dict[str, tuple[list[str], str]]:
    shards, records = f"--input_file={at}/s", f"--input_file={at}/r"
    vocab, other = f"--vocab_file={at}/v", f"--vocab_file={at}/w"
    return {
        "shards, casing": ([shards, "--do_lower_case=False"], "--do_lower_case=False: .*made with True"),
        "records, accents": (
            [records, vocab, "--strip_accents=True"],
            "--strip_accents=True: .*made with False; leave",
        ),
        "records, vocabulary": ([records, other], "--vocab_file: .* is not the vocabulary that .* was made with"),
        "model, accents": ([shards, f"--model={at}/m"], "--strip_accents: the input has False, the model True"),
        "records, single texts": ([f"{records}*", "--next_sentence=False"], "--next_sentence=False: .*r holds pairs"),
    }


@pytest.mark.parametrize("case", refusals(Path()))
def test_input_that_was_made_otherwise_is_refused(tmp_path: Path, case: str, capsys) -> None:
    (tmp_path / "t").write_text("\n".join(LINES * 3))
    vocab, other = tmp_path / "v", tmp_path / "w"
    assert run("learn_vocab", f"--input_file={tmp_path}/t", f"--output_file={vocab}", "--vocab_size=170") == 0
    other.write_text("".join(reversed(vocab.read_text().splitlines(keepends=True))))
    create = ("create_pretraining_data", f"--input_file={tmp_path}/t", f"--vocab_file={vocab}")
    assert run(*create, "--strip_accents=False", f"--output_dir={tmp_path}/s", f"--output_file={tmp_path}/r") == 0
    assert run(*create, f"--output_dir={tmp_path}/plain") == 0
    train = ("run_pretraining", "--do_train", "--num_train_steps=1", "--num_warmup_steps=0", "--device=cpu")
    fresh = (*train, "--size=1/32")
    if case == "model, accents":
        assert run(*fresh, f"--input_file={tmp_path}/plain", f"--output_dir={tmp_path}/m") == 0
    flags, message = refusals(tmp_path)[case]
    capsys.readouterr()
    assert run(*(train if case.startswith("model") else fresh), *flags, f"--output_dir={tmp_path}/out") == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("bert run_pretraining: "))
    assert re.search(message, line)
