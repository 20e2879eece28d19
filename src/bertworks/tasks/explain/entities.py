"""The entities of a text as decisions to explain.

Shapes: P sequences of a batch, T tokens of a sequence, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks import ragged
from bertworks.data.batch import PackedBatch
from bertworks.model.heads import TokenClassifier
from bertworks.tasks.explain.explanation import Contribution, Decision, Explanation, explained
from bertworks.tasks.explain.gradients import Attribution, integrated_gradients, log_odds
from bertworks.tasks.labels import names_of_outputs
from bertworks.tasks.ner.alignment import AlignedWords
from bertworks.tasks.ner.entities import spans
from bertworks.tasks.ner.tag import encode_parts, parts_of, stride_of, unit_of
from bertworks.tasks.ner.task import Tagging, predict_tags
from bertworks.tasks.texts import checked_texts, sequence_length
from bertworks.text.tokenizer import Tokenizer


def entity_decisions(
    model: TokenClassifier, tokenizer: Tokenizer, text: str, max_seq_length: int | None
) -> list[Decision]:
    """Return the entities of a text in order, as `ner.tag.tag` finds them: by sentences, and through windows.

    The score is the log-odds of the tags of an entity's words, summed, each in the sequence where it is tagged. Of a
    model with a CRF the tags are those of the best path, and the log-odds those of each word by itself.

    Raises:
        InputError: it is not a text, or the model cannot read this length.
    """
    checked_texts([text], pairs=False)
    names = names_of_outputs(model.config, len(model.classifier.weight))
    longest, parts = (
        sequence_length(model.config, max_seq_length),
        parts_of([text], model.config, unit_of(model.config)),
    )
    if not parts:
        return []
    data = encode_parts([text], parts, names, tokenizer, longest, stride_of(model.config, longest))
    edges = [edge for part in parts for edge in part.edges]
    found = []
    predicted_tags = predict_tags(Tagging(labels=names), model, data)
    for begin, predicted in zip(data.aligned.word_starts[:-1].tolist(), predicted_tags, strict=True):
        for kind, first, end in spans(predicted.tags):
            numbers = [names.index(tag) for tag in predicted.tags[first:end]]
            entity = f"{kind}: {text[edges[begin + first][0] : edges[begin + end - 1][1]]}"
            words = np.arange(begin + first, begin + end)
            sequences = data.aligned.sequences_of(words)
            tokens = int(np.diff(data.aligned.starts)[np.unique(sequences)].sum())
            explanation = partial(_entity, model, tokenizer, text, edges, data.aligned, entity, words, numbers)
            found.append(Decision(tokens, explanation))
    return found


def _entity(
    model: TokenClassifier,
    tokenizer: Tokenizer,
    text: str,
    edges: Sequence[tuple[int, int]],
    aligned: AlignedWords,
    decision: str,
    words: NDArray[np.int64],
    tags: Sequence[int],
    most_points: int,
) -> Explanation:
    """Explain an entity.

    Args:
        edges: begin and end of each word of the text.
        words: those of the entity; `tags` are theirs.
    """
    sequences = aligned.sequences_of(words)
    attributions, values = [], dict[int, float]()
    for sequence in np.unique(sequences).tolist():
        begin, end = aligned.starts[sequence : sequence + 2].tolist()
        ids, chosen = aligned.ids[begin:end].astype(np.int64), np.flatnonzero(sequences == sequence)
        rows = aligned.rows[np.searchsorted(aligned.words, words[chosen])]
        score = partial(_tag_score, rows, [tags[i] for i in chosen.tolist()])
        found = integrated_gradients(model, tokenizer, ids, np.zeros_like(ids), [len(ids)], score, most_points)
        attributions.append(found)
        first, last = aligned.seen[sequence].tolist()
        pieces = 1 + ragged.starts(aligned.counts[first:last])
        for word, (i, j) in zip(range(first, last), pairwise(pieces.tolist()), strict=True):
            values[word] = values.get(word, 0.0) + float(found.contributions[i:j].sum())
    read = tuple(Contribution(text[slice(*edges[word])], 0, *edges[word], values[word]) for word in sorted(values))
    whole = Attribution.total(attributions)
    return explained(whole, (text,), read, decision, "log-odds of its tags", cut=len(read) < len(edges))


def _tag_score(rows: NDArray[np.int64], tags: Sequence[int], network: TokenClassifier, batch: PackedBatch) -> Tensor:
    """Return the summed log-odds of some words' tags. Shape [P]."""
    starts = batch.starts[: len(batch)].long()
    read = (starts[:, None] + torch.from_numpy(rows).to(starts)).flatten()
    logits = network(replace(batch, rows=read)).view(len(batch), len(rows), -1)
    return torch.stack([log_odds(logits[:, i], tag) for i, tag in enumerate(tags)]).sum(0)
