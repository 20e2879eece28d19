"""Files of other programs: WikiNER's lines, spaCy 2's documents, Label Studio's CSV, a text in one line."""

import csv
import json
from pathlib import Path

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.column_layout import TagColumnFlags
from bertworks.tasks.ner.reading import OwnFiles
from bertworks.tasks.ner.tag_files import TaggedRow

WORDS = ("Anna", "lives", "in", "New", "York", ".")
TAGS = ("B-PER", "O", "O", "B-LOC", "I-LOC", "O")


def read(path: Path, split: str = "train", bad: BadRows | None = None) -> tuple[list[TaggedRow], list[str]]:
    said: list[str] = []
    files = OwnFiles(TagColumnFlags(), (), None, bad or BadRows(), said.append)
    return files.read({split: str(path)}, [split])[split], said


def plain(rows: list[TaggedRow]) -> list[tuple[tuple[str, ...], tuple[str, ...] | None]]:
    return [(row.words, row.tags) for row in rows]


@pytest.mark.parametrize("with_speech", [True, False])
def test_wikiner(tmp_path: Path, with_speech: bool) -> None:
    words = [f"{word}|{'NN|' if with_speech else ''}{tag}" for word, tag in zip(WORDS, TAGS, strict=True)]
    path = tmp_path / "aij-wikiner-en-wp2"
    path.write_text(" ".join(words) + "\n\n" + " ".join(words[:3]) + "\n")
    rows, said = read(path)
    assert plain(rows) == [(WORDS, TAGS), (WORDS[:3], TAGS[:3])]
    assert [row.location[-6:] for row in rows] == ["line 1", "line 3"]
    assert "a sentence on each line, each word with its tag behind the last |" in said[0]
    assert plain(read(path, "test")[0])[0] == (WORDS, TAGS)  # a test file with tags is scored


def test_wikiner_with_a_mark_for_a_word_and_a_word_without_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a|NN|O ||SYM|O b|NN|O\n" + "Anna|NP|B-PER sleeps|V|O\n" * 60 + "Anna|NP|B-PER sleeps\n")
    with pytest.raises(InputError, match=r"line 62: sleeps has fewer than 2 \| behind it"):
        read(path)
    bad = BadRows("skip")
    rows, _ = read(path, bad=bad)
    assert rows[0].words == ("a", "|", "b")
    assert (len(rows), len(bad.notes)) == (61, 1)


def test_spacy_2(tmp_path: Path) -> None:
    tokens = [{"id": i, "orth": word, "tag": "NN"} for i, word in enumerate(WORDS)]
    biluo = ("U-PER", "O", "O", "B-LOC", "L-LOC", "O")
    tagged = [{**token, "ner": tag} for token, tag in zip(tokens, biluo, strict=True)]
    sentences = [{"tokens": tagged, "brackets": []}, {"tokens": tagged[:3]}]
    path = tmp_path / "train.json"
    path.write_text(json.dumps([{"id": 0, "paragraphs": [{"raw": " ".join(WORDS), "sentences": sentences}]}], indent=2))
    rows, said = read(path)
    assert plain(rows) == [(WORDS, biluo), (WORDS[:3], biluo[:3])]
    assert 'words in "tokens", tags in "ner_tags"' in said[0]
    path.write_text(json.dumps([{"paragraphs": [{"sentences": [{"tokens": tokens}]}]}]))
    assert plain(read(path, "test")[0]) == [(WORDS, None)]


@pytest.mark.parametrize("text_column", ["text", "sentence"])
def test_label_studio_csv(tmp_path: Path, text_column: str) -> None:
    text = "Anna lives\nin New York ."
    found = [
        {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]},
        {"start": 14, "end": 22, "text": "New York", "labels": ["LOC"]},
    ]
    path = tmp_path / "export.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([text_column, "id", "label", "annotator"])
        writer.writerow([text, 7, json.dumps(found), "ann"])
        writer.writerow(["Nobody is here", 8, "", "ann"])
    rows, said = read(path)
    assert plain(rows) == [(WORDS, TAGS), (("Nobody", "is", "here"), ("O", "O", "O"))]
    assert [row.id for row in rows] == ["7", "8"]
    assert "each word of a text is tagged" in said[0]


@pytest.mark.parametrize("split", ["train", "test"])
def test_files_joined_from_several_projects_whose_ids_repeat(tmp_path: Path, split: str) -> None:
    path = tmp_path / "doccano.jsonl"
    values = [{"id": 1, "text": " ".join(WORDS), "label": [[0, 4, "PER"]]} for _ in range(3)]
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    rows, said = read(path, split)
    assert [row.id for row in rows] == ["0", "1", "2"]
    told = f"{path}: id is no id, as it repeats ({path}, line 2 has that of line 1, '1'); predictions have the numbers"
    assert len([line for line in said if line.startswith(told)]) == 1


def test_a_column_of_words_in_csv_is_still_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("word,tag\n" + "".join(f"{word},{tag}\n" for word, tag in zip(WORDS, TAGS, strict=True)))
    assert plain(read(path)[0]) == [(WORDS, TAGS)]


def test_a_text_in_one_line_is_tagged_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Anna lives in New York .\n")
    rows, said = read(path, "test")
    assert plain(rows) == [(WORDS, None)]
    assert "a text on each line" in said[0]
    # So short a line may have the columns of one word.
    path.write_text("Anna NNP I-NP\n")
    assert plain(read(path, "test")[0]) == [(("Anna",), ("I-NP",))]


LISTS = {
    "python": (str(list(WORDS)), str(list(TAGS)), ["tokens", "ner_tags"]),
    "json": (json.dumps(WORDS), json.dumps(TAGS), ["words", "tags"]),
    "numpy": (
        "['Anna' 'lives' 'in' 'New' 'York'\n '.']",
        "['B-PER' 'O' 'O' 'B-LOC' 'I-LOC' 'O']",
        ["tokens", "ner_tags"],
    ),
    "a text and a list": (" ".join(WORDS), str(list(TAGS)), ["Sentence", "Tag"]),
    "a text and tags with commas": (" ".join(WORDS), ",".join(TAGS), ["sentence", "word_labels"]),
    "a text and tags with blanks": (" ".join(WORDS), " ".join(TAGS), ["sentence", "word_labels"]),
}


@pytest.mark.parametrize("form", LISTS)
def test_lists_in_the_cells_of_a_table(tmp_path: Path, form: str) -> None:
    words, tags, header = LISTS[form]
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["", *header], [0, words, tags], [1, words, tags]])
    rows, said = read(path)
    assert plain(rows) == [(WORDS, TAGS)] * 2
    assert "lists of words" in said[0]


def test_a_word_on_each_line_of_a_table_with_numbers_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = (f"0,{word},{tag}\n" for word, tag in zip(WORDS, TAGS, strict=True))
    path.write_text("sentence_id,words,labels\n" + "".join(lines))
    assert plain(read(path)[0]) == [(WORDS, TAGS)]


def test_tags_among_other_things_in_conll_u(tmp_path: Path) -> None:
    last = ["NER=B-PER", "_", "SpaceAfter=No", "NER=B-LOC|SpaceAfter=No", "Gloss=x|NER=I-LOC", "NER=O"]
    lines = [f"{i}\t{word}" + "\t_" * 7 + f"\t{tag}" for i, (word, tag) in enumerate(zip(WORDS, last, strict=True), 1)]
    path = tmp_path / "a.conllu"
    path.write_text("# sent_id = 1\n" + "\n".join(lines) + "\n")
    rows, said = read(path)
    assert plain(rows) == [(WORDS, TAGS)]
    assert "tags are called NER in the column; words without it are O" in said[0]
