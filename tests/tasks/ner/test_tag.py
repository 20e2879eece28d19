"""The entities of a text from the tags of its words."""

from __future__ import annotations

from bertworks.tasks.ner.tag import Entity, entities
from bertworks.tasks.ner.words import words_of


def test_entities_of_a_text() -> None:
    text = "Marta  Olsen sails to Porto."
    tags = ("B-PER", "I-PER", "O", "O", "I-LOC", "O")
    assert entities(text, words_of(text), tags) == [
        Entity("PER", 0, 12, "Marta  Olsen"),
        Entity("LOC", 22, 27, "Porto"),
    ]
