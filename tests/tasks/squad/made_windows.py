"""Made words and windows for tests of answers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from bertworks.tasks.squad.candidates import WindowTokens
from bertworks.tasks.squad.nbest import NbestAnswers
from bertworks.text.basic import basic_tokenize

# Words that make the alignment hard: case, accents, signs, what the tokenizer deletes or parts, ligatures, sigmas.
WORDS = (
    *("The", "mill", "Caraño's", "1895-1943).", "$3", "é", "İx"),
    *("ﬁn", "ΣΑΣ", "a\u200bb", "x\u00a0y", "李白", "\u0301", "#"),
)
any_word = st.text(st.characters(exclude_characters=" \t\r\n\u202f"), min_size=1, max_size=4)
texts = st.lists(st.sampled_from(WORDS) | any_word, min_size=1, max_size=6)


def pieces(word: str, lower: bool) -> list[str]:
    """Tokens of a word: basic tokens, those of three characters and more cut in two."""
    found = []
    for token in basic_tokenize(word, lower):
        found += [token[:2], f"##{token[2:]}"] if len(token) > 2 else [token]
    return found


def token_windows(example: int, words: list[str], lower: bool, room: int, stride: int) -> list[WindowTokens]:
    """Windows of a document; every token's window of the most context is the last that has it."""
    tokens = [(piece, i) for i, word in enumerate(words) for piece in pieces(word, lower)]
    begins = [*range(0, max(1, len(tokens) - room), stride), max(0, len(tokens) - room)] if len(tokens) > room else [0]
    windows = []
    for number, begin in enumerate(begins):
        part = tokens[begin : begin + room]
        after = begins[number + 1] if number + 1 < len(begins) else len(tokens)
        windows.append(
            WindowTokens(
                example=example,
                tokens=["[CLS]", "who", "[SEP]", *(token for token, _ in part), "[SEP]"],
                words=np.array([-1, -1, -1, *(word for _, word in part), -1]),
                is_max_context=np.array([False] * 3 + [begin + i < after for i in range(len(part))] + [False]),
            )
        )
    return windows


def as_plain(answer: NbestAnswers) -> dict:
    fields = ("text", "probability", "start_logit", "end_logit")
    return {
        "prediction": answer.prediction,
        "nbest": [{name: getattr(entry, name) for name in fields} for entry in answer.nbest],
        "odds": answer.null_odds,
    }
