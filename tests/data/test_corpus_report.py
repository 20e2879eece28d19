"""Counting a corpus: what a plain count word by word finds, for any blocks; and what is said of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data.corpus_report import CorpusCounts, count_text, remarks
from bertworks.text.basic import basic_tokenize
from bertworks.text.tokenizer import Tokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PLAIN = [*SPECIALS, "a", "b", "ab", "##a", "##b", "#", ".", "字"]
WORDS = [*PLAIN, "é", "##é"]
LIMIT = 6

words = st.text("abAé\u0301字.# ก\x00\u3000", min_size=1, max_size=12)
documents = st.lists(st.lists(words, min_size=1, max_size=4), max_size=5)


def tokenizer(**settings) -> Tokenizer:
    return Tokenizer(WORDS, max_input_chars_per_word=LIMIT, **settings)


def counted(made: Tokenizer, text: str) -> CorpusCounts:
    return count_text(made, text.encode(), *made.encode_lines(text.encode()))


def text_of(documents: list[list[str]]) -> str:
    return "\n".join("".join(f"{line}\n" for line in document) for document in documents)


@settings(deadline=None, max_examples=300)
@given(documents, st.booleans(), st.none() | st.booleans())
def test_counts_are_those_of_a_plain_count(found: list[list[str]], lower: bool, strip: bool | None) -> None:
    made = tokenizer(do_lower_case=lower, strip_accents=strip)
    sentences = [[made.encode(line) for line in document] for document in found]
    full = [[ids for ids in document if ids] for document in sentences]
    ids = [token for document in full for sentence in document for token in sentence]
    every = [word for document in found for line in document for word in basic_tokenize(line, lower, strip)]
    unknown = [word for word in every if made.encode(word) == [made.unk_id]]
    long = [word for word in every if len(word) > LIMIT]
    assert counted(made, text_of(found)) == CorpusCounts(
        documents=sum(bool(document) for document in full),
        one_sentence_documents=sum(len(document) == 1 for document in full),
        tokens=len(ids),
        unknown_tokens=len(unknown),
        characters=sum(map(len, every)),
        unknown_characters=sum(map(len, unknown)),
        long_words=len(long),
        long_word_characters=sum(map(len, long)),
        sentence_lengths=dict(sorted(Counter(len(sentence) for document in full for sentence in document).items())),
    )


@given(st.lists(documents, max_size=4))
def test_counts_of_parts_add_up_and_survive_a_file(parts: list[list[list[str]]]) -> None:
    made = tokenizer()
    whole = counted(made, text_of([document for part in parts for document in part]))
    assert CorpusCounts.joined(counted(made, text_of(part)) for part in parts) == whole
    assert CorpusCounts.of_json(whole.as_json()) == whole
    assert CorpusCounts.of_json(None) is None


@given(st.lists(st.integers(1, 30)), st.integers(1, 30))
def test_what_is_longer_than_an_instance(lengths: list[int], room: int) -> None:
    counts = CorpusCounts(sentence_lengths=Counter(lengths))
    assert counts.sentences == len(lengths)
    longer = [length - room for length in lengths if length > room]
    assert counts.longer(room) == (len(longer), sum(longer))


PLAINLY = Tokenizer(PLAIN, max_input_chars_per_word=LIMIT)


def said_of(made: Tokenizer, text: str, max_seq_length: int = 8, next_sentence: bool = True) -> list[str]:
    return remarks(counted(made, text), made, max_seq_length, next_sentence)


def test_a_corpus_without_faults_has_no_remarks() -> None:
    assert said_of(PLAINLY, "ab a\nb\n\na b.\nb\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a ก.\nb\n", "[UNK] stands for 25.00% of the characters (1 tokens); does the vocabulary belong to"),
        (
            "aaaaaaaa ก b\nb\n",
            "[UNK] stands for 81.82% of the characters (2 tokens); 1 words of more than 6 char",
        ),
        ("a\n\nb\n\na\na\n", "2 of 3 documents (66.7%) have one sentence"),
        (
            "a a a a a a a a\na a\n",
            "1 of 2 sentences are longer than an instance of 8 tokens, which has no room for 30.00%",
        ),
    ],
)
def test_what_is_lost_is_said_as_a_share(text: str, message: str) -> None:
    (said,) = said_of(PLAINLY, text)
    assert said.startswith(message)


def test_without_pairs_neither_long_sentences_nor_short_documents_matter() -> None:
    assert said_of(PLAINLY, "a a a a a a a a\n\na\n", next_sentence=False) == []


@pytest.mark.parametrize(
    ("pieces", "settings", "message"),
    [
        (["The", "Dog"], {}, "2 of 10 pieces of the vocabulary have capital letters (The, Dog), but the text is lower"),
        (["कु", "में"], {}, "2 of 10 pieces of the vocabulary have accents or vowel signs (कु, में), but these are"),
        (["한국"], {}, "1 of 9 pieces of the vocabulary have accents or vowel signs (한국), but"),
        ([], {"do_lower_case": False}, "the vocabulary has no capital letters, but the text is not lower-cased"),
    ],
)
def test_a_vocabulary_of_other_text_is_noticed(pieces: list[str], settings: dict[str, bool], message: str) -> None:
    made = Tokenizer([*PLAIN, *pieces], **settings)
    assert said_of(made, "A b\n" * 20)[0].startswith(message)


@pytest.mark.parametrize("settings", [{"do_lower_case": False}, {"strip_accents": False}])
def test_a_vocabulary_of_this_text_is_not(settings: dict[str, bool]) -> None:
    made = Tokenizer([*PLAIN, *(["The"] if "do_lower_case" in settings else ["का"])], **settings)
    assert said_of(made, "a b\nb\n") == []


def test_a_few_odd_pieces_are_no_sign() -> None:
    made = Tokenizer([*SPECIALS, *(f"w{n}" for n in range(300)), "K", "é"])
    assert said_of(made, "w1 w2\nw3\n") == []


def test_a_vocabulary_without_unk() -> None:
    made = Tokenizer([word for word in WORDS if word != "[UNK]"])
    tokens, starts = made.encode_lines(b"ab a\n")
    assert count_text(made, b"ab a\n", tokens, starts).characters == 3
    assert count_text(made, b"", np.zeros(0, np.uint16), np.zeros(1, np.int64)) == CorpusCounts()
