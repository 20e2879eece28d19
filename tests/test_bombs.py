"""Small files that claim or nest much: an error of one line, at once, and never a pattern that is run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bertworks import load
from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import open_table
from bertworks.errors import InputError
from bertworks.tasks.ner.column_layout import TagColumnFlags
from bertworks.tasks.ner.reading import OwnFiles
from bertworks.tasks.squad.answer_files import read_predictions
from bertworks.tasks.squad.paragraphs import paragraphs
from bertworks.text.corpus import blocks
from bertworks.text.vocab_file import MOST_TOKENS, read_vocab
from tests.checkpoints.builders import GOOGLE_TINY

DEPTH = 100_000
NESTED = {"lists": "[" * DEPTH + "]" * DEPTH, "objects": '{"a":' * DEPTH + "1" + "}" * DEPTH}


def rows(path: Path) -> None:
    list(open_table(path).records(BadRows()))


def tagged(path: Path) -> None:
    OwnFiles(TagColumnFlags(), (), None, BadRows(), lambda line: None).read({"train": str(path)}, ["train"])


READERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "rows, JSON lines": (rows, "rows.jsonl", '{"text": "a", "label": "x"}\n{"text": NESTED, "label": "x"}\n'),
    "rows, a list": (rows, "rows.json", '[{"text": "a", "label": NESTED}]'),
    "rows, nothing else": (rows, "rows.json", "NESTED"),
    "doccano": (tagged, "ner.jsonl", '{"text": "abc", "label": [[0, 3, "A"]]}\n{"text": "abc", "label": NESTED}\n'),
    "entities in a list": (tagged, "ner.json", '[{"text": "abc", "entities": NESTED}]'),
    "lists of words": (tagged, "ner.jsonl", '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": NESTED, "tags": ["O"]}\n'),
    "tags, nothing else": (tagged, "ner.json", "NESTED"),
    "SQuAD": (lambda path: list(paragraphs(path)), "squad.json", '{"data": [{"paragraphs": NESTED}]}'),
    "SQuAD, nothing else": (lambda path: list(paragraphs(path)), "squad.json", "[NESTED]"),
    "predictions": (read_predictions, "predictions.json", '{"a": NESTED}'),
    "a corpus": (lambda path: list(blocks([path], 100)), "corpus.jsonl", '{"text": "a"}\n{"text": NESTED}\n'),
}


@pytest.mark.parametrize("what", NESTED)
@pytest.mark.parametrize("name", READERS)
def test_json_that_is_nested_too_deeply_is_told(tmp_path: Path, name: str, what: str) -> None:
    read, file, content = READERS[name]
    path = tmp_path / file
    path.write_text(content.replace("NESTED", NESTED[what]))
    with pytest.raises(InputError) as raised:
        read(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize("content", [b"a\n" * (MOST_TOKENS + 1), bytes(65 << 20)])
def test_a_vocabulary_far_larger_than_any_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is no vocabulary, which has at most 4,194,304 lines and 64 MB"):
        read_vocab(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    vocab, config = GOOGLE_TINY.parent / "vocab.txt", GOOGLE_TINY / "bert_config.json"
    load(GOOGLE_TINY / "trained.ckpt", vocab_file=vocab, bert_config_file=config).save(path)
    return path


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}, "made by Split"),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": "(a|aa)+$"}, "content": "x"}, "goes through Replace"),
        (
            "normalizer",
            {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"Regex": "(.*)*$"}, "content": ""}]},
            "goes through Replace",
        ),
    ],
)
def test_patterns_of_a_tokenizer_are_named_and_never_run(
    folder: Path, tmp_path: Path, part: str, value: object, named: str
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**whole, part: value}))
    with pytest.raises(InputError, match=f"its tokenizer is not BERT's: .*{named}; --vocab_file"):
        load(tmp_path)
    # With a vocabulary of one's own the original's rules are taken, and the pattern is left alone.
    tokenizer = load(tmp_path, vocab_file=tmp_path / "vocab.txt").tokenizer
    assert tokenizer.tokenize("a" * 5000 + "!")


def test_a_tokenizer_that_is_too_large_is_told_once(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "tokenizer.json").open("ab") as stream:
        stream.truncate(65 << 20)
    with pytest.raises(InputError) as raised:
        load(tmp_path)
    assert str(raised.value) == f"{tmp_path / 'tokenizer.json'}: 68,157,440 bytes are too many for this kind of file"
