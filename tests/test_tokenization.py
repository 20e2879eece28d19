"""The original's module of this name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks import tokenization
from bertworks.errors import InputError

VOCAB = Path(__file__).parent / "fixtures" / "vocab.txt"


def test_the_three_tokenizers_agree() -> None:
    full = tokenization.FullTokenizer(VOCAB, do_lower_case=True)
    text = "The harbour's Unaffable [MASK] 李白 über-café"
    words = tokenization.BasicTokenizer(do_lower_case=True).tokenize(text)
    assert words[:4] == ["the", "harbour", "'", "s"]
    pieces = [piece for word in words for piece in full.wordpiece_tokenizer.tokenize(word)]
    assert pieces == full.tokenize(text)
    assert full.basic_tokenizer.tokenize(text) == words
    assert tokenization.BasicTokenizer(do_lower_case=False).tokenize("Ab.") == ["Ab", "."]


def test_pieces_as_in_the_originals_own_test() -> None:
    vocab = {
        token: i for i, token in enumerate(["[UNK]", "[CLS]", "want", "##want", "##ed", "wa", "un", "runn", "##ing"])
    }
    tokenizer = tokenization.WordpieceTokenizer(vocab=vocab)
    assert tokenizer.tokenize("") == []
    assert tokenizer.tokenize("unwanted running") == ["un", "##want", "##ed", "runn", "##ing"]
    assert tokenizer.tokenize("unwantedX running") == ["[UNK]", "runn", "##ing"]
    assert tokenizer.tokenize("\0one want") == ["[UNK]", "want"]
    assert tokenization.WordpieceTokenizer({"a": 7}, "?", 3).tokenize(b"a aaaa b") == ["a", "?", "?"]


def test_vocabularies_and_texts() -> None:
    vocab = tokenization.load_vocab(VOCAB)
    tokens = list(vocab)[:3]
    assert tokenization.convert_tokens_to_ids(vocab, tokens) == [0, 1, 2]
    assert tokenization.convert_ids_to_tokens({i: token for token, i in vocab.items()}, [0, 1, 2]) == tokens
    with pytest.raises(KeyError):
        tokenization.convert_by_vocab(vocab, ["no such token"])
    assert tokenization.convert_to_unicode("é".encode() + b"\xff") == tokenization.printable_text("é") == "é"
    with pytest.raises(ValueError, match="Unsupported string type"):
        tokenization.convert_to_unicode(5)  # type: ignore[arg-type]
    assert tokenization.whitespace_tokenize(" a  b\n") == ["a", "b"]


def test_casing_by_the_name_of_a_checkpoint() -> None:
    tokenization.validate_case_matches_checkpoint(True, "uncased_L-12_H-768_A-12/bert_model.ckpt")
    tokenization.validate_case_matches_checkpoint(False, "mine/bert_model.ckpt")
    tokenization.validate_case_matches_checkpoint(False, None)
    with pytest.raises(InputError, match="is a lowercased model; pass do_lower_case=True"):
        tokenization.validate_case_matches_checkpoint(False, "uncased_L-12_H-768_A-12/bert_model.ckpt")
