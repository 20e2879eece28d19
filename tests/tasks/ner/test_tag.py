"""The entities of a text from the tags of its words."""

from __future__ import annotations

import numpy as np
import pytest

from bertworks.tasks.ner.tag import entities
from bertworks.tasks.ner.words import words_of

TEXT = "Marta  Olsen sails to Porto."
TAGS = ("B-PER", "I-PER", "O", "O", "I-LOC", "O")
SURE = np.array([0.5, 0.8, 1, 1, 0.25, 1], np.float32)


def test_entities_of_a_text() -> None:
    assert entities(TEXT, words_of(TEXT), TAGS, SURE) == [
        {"type": "PER", "begin": 0, "end": 12, "text": "Marta  Olsen", "score": 0.4},
        {"type": "LOC", "begin": 22, "end": 27, "text": "Porto", "score": 0.25},
    ]


def test_the_score_may_be_that_of_the_least_sure_word() -> None:
    person, _ = entities(TEXT, words_of(TEXT), TAGS, SURE, "minimum")
    assert person.score == pytest.approx(0.5)
