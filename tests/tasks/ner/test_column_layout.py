"""Where column files have their words and tags, as their content, their names and flags say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.column_layout import TagColumnFlags, layout_of
from bertworks.tasks.ner.tag_files import TaggedRow, read_columns

WORDS = (("Marta", "Olsen", "sails"), ("Porto", "won"))
TAGS = (("B-PER", "I-PER", "O"), ("B-LOC", "O"))

NONE = TagColumnFlags()


def read(path: Path, flags: TagColumnFlags = NONE, **more: object) -> tuple[list[TaggedRow], str]:
    layout, said = layout_of(path, flags, **more)  # type: ignore[arg-type]
    bad = BadRows()
    rows = list(read_columns(path, bad, layout))
    assert not bad.summary()
    return rows, said


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("a.txt", "Marta B-PER|Olsen I-PER|sails O||Porto B-LOC|won O", "words in column 0, tags in column 1 of 2"),
        (
            "conll.txt",
            "Marta NNP B-NP B-PER|Olsen NNP I-NP I-PER|sails VBZ B-VP O||Porto NNP B-NP B-LOC|won VBD B-VP O",
            "words in column 0, tags in column 3 of 4",
        ),
        (
            "numbered.tsv",
            "# http://a [2010]|1\tMarta\tB-PER\tO|2\tOlsen\tI-PER\tB-LOCpart|3\tsails\tO\tO||# b|1\tPorto\tB-LOC\tO|"
            "2\twon\tO\tO",
            "words in column 1, tags in column 2 of 4; column 0 counts the words; column 3 has tags too "
            "(--tag_column=3); 2 lines that begin with # are comments and are not read",
        ),
        (
            "outer_only.tsv",
            "1\tMarta\tB-PER\tO|2\tOlsen\tI-PER\tO|3\tsails\tO\tO||1\tPorto\tB-LOC\tO|2\twon\tO\tO",
            "words in column 1, tags in column 2 of 4; column 0 counts the words; column 3 has tags too",
        ),
        (
            "inner_empty.tsv",
            "0\tMarta\tO\tB-PER|1\tOlsen\tO\tI-PER|2\tsails\tO\tO||0\tPorto\tO\tB-LOC|1\twon\tO\tO",
            "words in column 1, tags in column 3 of 4; column 0 counts the words; column 2 has tags too",
        ),
        (
            "tree.conllu",
            "# sent_id = 1|# text = Marta Olsen sails|1\tMarta\tx\tB-PER|2-3\tOlsensails\t_\t_|2\tOlsen\tx\tI-PER|"
            "3\tsails\tx\tO||1\tPorto\tx\tB-LOC|2\twon\tx\tO|2.1\tit\tx\tO",
            "words in column 1, tags in column 3 of 4; column 0 counts the words; 2 lines that begin with #",
        ),
        (
            "tag_first.txt",
            "B-PER\tMarta|I-PER\tOlsen|O\tsails||B-LOC\tPorto|O\twon",
            "words in column 1, tags in column 0 of 2",
        ),
        ("suffix.txt", "Marta PER-B|Olsen PER-I|sails O||Porto LOC-B|won O", "stand behind the types (LOC-B)"),
        ("bare.txt", "Marta PER|Olsen PER|sails O||Porto LOC|won O", "tags are types without B- or I- (LOC)"),
        (
            "named.tsv",
            "token\tlemma\tner|Marta\tx\tB-PER|Olsen\tx\tI-PER|sails\tx\tO||Porto\tx\tB-LOC|won\tx\tO",
            "words in column 0 (token), tags in column 2 (ner) of 3",
        ),
        (
            "kaggle.csv",
            "Sentence #,Word,POS,Tag|Sentence: 1,Marta,NNP,B-PER|,Olsen,NNP,I-PER|,sails,VBZ,O|"
            "Sentence: 2,Porto,NNP,B-LOC|,won,VBD,O",
            "words in column 1 (Word), tags in column 3 (Tag) of 4",
        ),
        (
            "each.csv",
            "sentence_idx,word,tag|1,Marta,B-PER|1,Olsen,I-PER|1,sails,O|2,Porto,B-LOC|2,won,O",
            "words in column 1 (word), tags in column 2 (tag) of 3",
        ),
        ("half.csv", "Marta;B-PER|Olsen;I-PER|sails;O|;|Porto;B-LOC|won;O", "words in column 0, tags in column 1 of 2"),
    ],
)
def test_columns_are_found(tmp_path: Path, name: str, lines: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(lines.replace("|", "\n") + "\n")
    rows, line = read(path)
    assert tuple(row.words for row in rows) == WORDS
    expected = tuple(tuple(tag.replace("B-", "I-") for tag in tags) for tags in TAGS) if name == "bare.txt" else TAGS
    assert tuple(row.tags for row in rows) == expected
    assert said in line
    assert line.startswith(f"{path}: ")
    # To be predicted, the same words are read, and no tags.
    rows, line = read(path, with_tags=False)
    assert tuple(row.words for row in rows) == WORDS
    assert {row.tags for row in rows} == {None}
    assert "tags in column" not in line


def test_words_that_begin_with_a_hash_are_words(tmp_path: Path) -> None:
    path = tmp_path / "tweets.txt"
    path.write_text("# O\n#Porto B-LOC\n\n#Oslo B-LOC\n# O\n")
    rows, said = read(path)
    assert [row.words for row in rows] == [("#", "#Porto"), ("#Oslo", "#")]
    assert "comments" not in said
    path.write_text("#\nPorto\n\n# one line\nOslo\n")
    rows, said = read(path, with_tags=False)
    assert [row.words for row in rows] == [("#", "Porto"), ("Oslo",)]
    assert "1 lines that begin with # are comments" in said


def test_flags_name_columns(tmp_path: Path) -> None:
    path = tmp_path / "some.tsv"
    path.write_text("tok\tcoarse\tfine\nMarta\tB-P\tB-PER\nsails\tO\tO\n")
    rows, said = read(path, TagColumnFlags("tok", "fine"))
    assert (rows[0].words, rows[0].tags) == (("Marta", "sails"), ("B-PER", "O"))
    assert "words in column 0 (tok), tags in column 2 (fine) of 3" in said
    path.write_text("Marta\tB-P\tB-PER\nsails\tO\tO\n")
    assert read(path)[0][0].tags == ("B-P", "O")
    assert read(path, TagColumnFlags(tag="-1"))[0][0].tags == ("B-PER", "O")
    assert read(path, TagColumnFlags("-3", "2"))[0][0].words == ("Marta", "sails")
    # A file of words alone, which a model that was trained with the flags predicts.
    path.write_text("Marta\nsails\n")
    for flags in (TagColumnFlags("1", "2"), TagColumnFlags("tok", "fine")):
        assert read(path, flags, with_tags=False)[0][0].words == ("Marta", "sails")


def test_a_dev_file_has_the_columns_of_the_training_file(tmp_path: Path) -> None:
    train, dev = tmp_path / "train.txt", tmp_path / "dev.txt"
    train.write_text("Marta B-PER O\nPorto B-LOC B-X\n")
    dev.write_text("Marta O B-X\n")
    layout, _ = layout_of(train, TagColumnFlags())
    assert read(dev, like=layout)[0][0].tags == ("O",)


def test_numbers_with_names(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("Marta 1\nsails 0\n")
    assert read(path, labels=["O", "B-PER"])[0][0].tags == ("B-PER", "O")
    with pytest.raises(InputError, match=r"some.txt: its tags are numbers; name them in their order: --labels"):
        read(path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (TagColumnFlags("0"), "column 0 counts the words of each sentence (1, 2, 3, ...) and is not --word_column; "),
        (TagColumnFlags("4"), "--word_column=4: there are 4 columns, number 0 to 3; -1 is the last"),
        (TagColumnFlags(tag="-5"), "--tag_column=-5: there are 4 columns"),
        (TagColumnFlags("Word"), "--word_column=Word: its first line has no such name; it has 1, Marta, B-PER, O"),
    ],
)
def test_columns_that_there_are_not(tmp_path: Path, flags: TagColumnFlags, message: str) -> None:
    path = tmp_path / "some.tsv"
    path.write_text("1\tMarta\tB-PER\tO\n2\tsails\tO\tO\n")
    with pytest.raises(InputError) as caught:
        read(path, flags)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_files_of_other_encodings_and_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("Word,Tag\nZoé,B-PER\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"latin.csv, line 2: is not UTF-8; convert the file \(iconv .*CP1252"):
        read(path)
    path.write_text("\n\n")
    with pytest.raises(InputError, match="has no sentences"):
        read(path)
