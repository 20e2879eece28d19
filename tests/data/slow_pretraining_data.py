"""The original's rules for pre-training instances, slowly and plainly, one number of `random.Random` after the other.

Draws come in the order of the original's `create_pretraining_data.py`, so that its files come out again exactly. The
faults are kept too: a single document is its own random document, and whole word masking reaches across [SEP].
`Rules` holds what the tests change in order to see that a comparison notices.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

Words = list[str]
Document = list[Words]


@dataclass(frozen=True)
class Rules:
    """The flags of the original, and four rules that are not flags there."""

    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1
    do_whole_word_mask: bool = False
    short_length_for_each_chunk: bool = False
    unused_sentences_are_put_back: bool = True
    share_masked: float = 0.8
    share_kept_of_the_rest: float = 0.5


@dataclass(frozen=True)
class Instance:
    """One instance: its words after masking, and the original words of the masked positions."""

    words: Words
    segment_ids: list[int]
    positions: list[int]
    labels: Words
    is_random_next: bool


def create_instances(
    documents: list[Document], vocabulary: Words, rules: Rules, *, dupe_factor: int, seed: int
) -> list[Instance]:
    rng = Random(seed)
    documents = list(documents)
    rng.shuffle(documents)
    instances = []
    for _ in range(dupe_factor):
        for index in range(len(documents)):
            instances += instances_of_document(documents, index, vocabulary, rules, rng)
    rng.shuffle(instances)
    return instances


def instances_of_document(
    documents: list[Document], index: int, vocabulary: Words, rules: Rules, rng: Random
) -> list[Instance]:
    document = documents[index]
    target = draw_target(rules, rng)
    instances: list[Instance] = []
    chunk: Document = []
    i = 0
    while i < len(document):
        chunk.append(document[i])
        length = sum(len(sentence) for sentence in chunk)
        if length >= target or i == len(document) - 1:
            a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
            a = [word for sentence in chunk[:a_end] for word in sentence]
            is_random_next = len(chunk) == 1 or rng.random() < 0.5
            if is_random_next:
                b = random_next(documents, index, target - len(a), rng)
                if rules.unused_sentences_are_put_back:
                    i -= len(chunk) - a_end
            else:
                b = [word for sentence in chunk[a_end:] for word in sentence]
            truncate(a, b, rules.max_seq_length - 3, rng)
            words = ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
            segment_ids = [0] * (len(a) + 2) + [1] * (len(b) + 1)
            words, positions, labels = mask(words, vocabulary, rules, rng)
            instances.append(Instance(words, segment_ids, positions, labels, is_random_next))
            chunk = []
            if rules.short_length_for_each_chunk:
                target = draw_target(rules, rng)
        i += 1
    return instances


def draw_target(rules: Rules, rng: Random) -> int:
    most = rules.max_seq_length - 3
    return rng.randint(2, most) if rng.random() < rules.short_seq_prob else most


def random_next(documents: list[Document], index: int, wanted: int, rng: Random) -> Words:
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    start = rng.randint(0, len(documents[other]) - 1)
    b: Words = []
    for sentence in documents[other][start:]:
        b += sentence
        if len(b) >= wanted:
            break
    return b


def truncate(a: Words, b: Words, most: int, rng: Random) -> None:
    while len(a) + len(b) > most:
        longer = a if len(a) > len(b) else b
        if rng.random() < 0.5:
            del longer[0]
        else:
            longer.pop()


def mask(words: Words, vocabulary: Words, rules: Rules, rng: Random) -> tuple[Words, list[int], Words]:
    groups: list[list[int]] = []
    for position, word in enumerate(words):
        if word in ("[CLS]", "[SEP]"):
            continue
        if rules.do_whole_word_mask and groups and word.startswith("##"):
            groups[-1].append(position)
        else:
            groups.append([position])
    rng.shuffle(groups)

    number = min(rules.max_predictions_per_seq, max(1, round(len(words) * rules.masked_lm_prob)))
    masked = list(words)
    positions: list[int] = []
    for group in groups:
        if len(positions) == number:
            break
        if len(positions) + len(group) > number:
            continue
        for position in group:
            positions.append(position)
            if rng.random() < rules.share_masked:
                masked[position] = "[MASK]"
            elif rng.random() >= rules.share_kept_of_the_rest:
                masked[position] = vocabulary[rng.randint(0, len(vocabulary) - 1)]
    positions.sort()
    return masked, positions, [words[position] for position in positions]
