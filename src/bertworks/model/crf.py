"""A linear-chain conditional random field over the tags of a sentence (Lafferty, McCallum and Pereira 2001).

A path of tags y scores start[y_1] + emission_1[y_1] + transition[y_1, y_2] + emission_2[y_2] + ... + end[y_n]; its
likelihood is the softmax of its score over all paths. A window that begins inside of a sentence has no start[y_1], and
one that ends inside of it no end[y_n]. Sequences are packed end to end, without padding: step t of the recursions
computes only the sequences that have a word t.

Shapes: B sequences, M words of all of them, C tags, L the longest length. Sequences may be empty; the likelihood of an
empty path is 1.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks import ragged
from bertworks.data.batch import to_device


class LinearChainCRF(nn.Module):
    """Scores of transitions between tags. The parameters have the names of pytorch-crf.

    With all scores zero it is a softmax for each word by itself.

    Attributes:
        transitions: [C, C]; the score of tag j (columns) after tag i (rows).
        start_transitions, end_transitions: [C]; the scores of beginning and ending with each tag.
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags, tags))
        self.start_transitions = nn.Parameter(torch.zeros(tags))
        self.end_transitions = nn.Parameter(torch.zeros(tags))

    def log_likelihood(
        self, emissions: Tensor, tags: Tensor, lengths: NDArray[np.int64], edges: NDArray[np.bool_] | None = None
    ) -> Tensor:
        """Return the logarithm of the likelihood of each sequence's tags.

        Args:
            emissions: [M, C]; rows after those of the sequences are filler and are ignored.
            tags: [M] int64.
            lengths: [B], on the host.
            edges: [B, 2], on the host; whether a sequence begins, and whether it ends, where its sentence does. None:
                all do.

        Returns:
            [B], computed in the parameters' type (float32); the loss is minus its sum.
        """
        steps = _Steps(lengths, emissions.device, edges)
        emissions = emissions[: steps.total].to(self.transitions.dtype)
        return self._scores(emissions, tags[: steps.total], steps) - self._log_partition(emissions, steps)

    @torch.no_grad()
    def viterbi(
        self, emissions: Tensor, lengths: NDArray[np.int64], forbidden: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> Tensor:
        """Return the most likely tags of each sequence, [M] int64 without filler.

        Args:
            emissions: [M, C]; rows after those of the sequences are filler and are ignored.
            lengths: [B], on the host.
            forbidden: True where a sequence must not begin with a tag [C], have tag j after tag i [C, C], or end with
                a tag [C]. Where no path is allowed, the tags mean nothing.
        """
        scores: list[Tensor] = [self.start_transitions, self.transitions, self.end_transitions]
        if forbidden is not None:
            scores = [
                s.masked_fill(to_device(no, s.device), -torch.inf) for s, no in zip(scores, forbidden, strict=True)
            ]
        start, moves, end = scores
        steps = _Steps(lengths, emissions.device)
        emissions = emissions[: steps.total].to(moves.dtype)
        best = start + emissions[steps.rows(0)]  # [sequences that have a word t, C]
        lasts, came_from = [], []
        for t in range(1, steps.longest):
            lasts.append(best[steps.alive[t] :])
            values, tags = (best[: steps.alive[t], :, None] + moves).max(1)
            came_from.append(tags)
            best = values + emissions[steps.rows(t)]
        lasts.append(best)
        last_tags = [(last + end).argmax(1) for last in lasts]
        # Go back from the last words: at t the sequences that end there join those that came from t + 1.
        found = torch.empty(steps.total, dtype=torch.long, device=emissions.device)
        here = last_tags[-1]
        for t in range(steps.longest - 1, 0, -1):
            found[steps.rows(t)] = here
            before = came_from[t - 1].gather(1, here[:, None])[:, 0]
            here = torch.cat([before, last_tags[t - 1]])
        found[steps.rows(0)] = here
        return found

    def marginals(self, emissions: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        """Return the probability of each tag of each word, over all paths. Shape [M, C].

        It is the gradient of the logarithm of the partition function by the emissions.
        """
        if not len(emissions):
            return emissions
        with torch.inference_mode(False), torch.enable_grad():
            wanted = emissions.detach().clone().to(self.transitions.dtype).requires_grad_()
            total = self._log_partition(wanted, _Steps(lengths, emissions.device)).sum()
            (found,) = torch.autograd.grad(total, wanted)
        return found

    def _scores(self, emissions: Tensor, tags: Tensor, steps: _Steps) -> Tensor:
        """Return the score of each sequence's own tags. Shape [B]."""
        classes = len(self.start_transitions)
        # Count the transitions of each sequence: the scores, and the gradients, are then a product, which adds in the
        # same order every time.
        moves = torch.zeros(len(steps.lengths), classes, classes + 2, device=emissions.device, dtype=emissions.dtype)
        one = torch.ones((), device=emissions.device, dtype=emissions.dtype)
        of, first, last, followed = steps.sequences, steps.firsts, steps.lasts, steps.followed
        begins, ends = steps.edges.to(moves.dtype)[of[first]].unbind(1)
        moves.index_put_((of[followed], tags[followed], tags[followed + 1]), one, accumulate=True)
        moves.index_put_((of[first], tags[first], torch.full_like(first, classes)), begins)
        moves.index_put_((of[last], tags[last], torch.full_like(last, classes + 1)), ends)
        scores = torch.cat([self.transitions, self.start_transitions[:, None], self.end_transitions[:, None]], 1)
        own = emissions.gather(1, tags[:, None])[:, 0]
        # segment_reduce refuses zero segments. It checks the lengths, for which a GPU would have to be waited for.
        words = own
        if len(steps.lengths):
            words = torch.segment_reduce(own, "sum", lengths=steps.lengths, initial=0, unsafe=True)
        return moves.flatten(1) @ scores.flatten() + words

    def _log_partition(self, emissions: Tensor, steps: _Steps) -> Tensor:
        """Return the logarithm of the sum of exp(score) over all paths. Shape [B]."""
        edges = steps.edges.to(emissions.dtype)[steps.order]
        begins, ends = edges[: len(steps.rows(0)), :, None].unbind(1)
        forward = begins * self.start_transitions + emissions[steps.rows(0)]  # [sequences that have a word t, C]
        lasts = []
        for t in range(1, steps.longest):
            lasts.append(forward[steps.alive[t] :])
            forward = (forward[: steps.alive[t], :, None] + self.transitions).logsumexp(1) + emissions[steps.rows(t)]
        lasts.append(forward)
        ended = torch.cat(lasts[::-1]) + ends * self.end_transitions  # by falling length
        empty = ended.new_zeros(len(steps.lengths) - len(ended))
        return torch.cat([ended.logsumexp(1), empty])[steps.rank]


class _Steps:
    """The words of each step of the recursions: word t of every sequence that has one, the longest sequence first.

    Attributes:
        total, longest: M and L.
        lengths: [B], on the device.
        alive: [L]; the number of sequences that have a word t.
        sequences: [M]; the sequence of each word.
        firsts, lasts, followed: the words that are first, last, and not last in their sequence.
        order: [B]; the sequences by falling length.
        rank: [B]; the position of each sequence in this order.
        edges: [B, 2] bool; whether each sequence has a start, and an end.
    """

    def __init__(
        self, lengths: NDArray[np.int64], device: torch.device, edges: NDArray[np.bool_] | None = None
    ) -> None:
        lengths = np.asarray(lengths, np.int64)
        starts = ragged.starts(lengths)
        firsts, lasts = starts[:-1][lengths > 0], starts[1:][lengths > 0] - 1
        order = np.argsort(-lengths, kind="stable")
        self.total, self.longest = int(lengths.sum()), int(lengths.max(initial=0))
        counts = np.bincount(lengths, minlength=self.longest + 1)
        self.alive: list[int] = (len(lengths) - np.cumsum(counts)[: self.longest]).tolist()
        step = np.repeat(np.arange(self.longest), self.alive)
        rows = starts[order][ragged.within(self.alive)] + step

        def moved(array: NDArray[np.int64] | NDArray[np.bool_]) -> Tensor:
            return to_device(torch.from_numpy(array), device)

        self.lengths = moved(lengths)
        self.sequences = moved(np.repeat(np.arange(len(lengths)), lengths))
        self.firsts = moved(firsts)
        self.lasts = moved(lasts)
        self.followed = moved(np.delete(np.arange(self.total), lasts))
        self.order = moved(order)
        self.rank = moved(np.argsort(order))
        self.edges = moved(np.ones((len(lengths), 2), np.bool_) if edges is None else edges)
        self._rows = moved(rows).split(self.alive)

    def rows(self, t: int) -> Tensor:
        """Word t of each sequence that has one. Shape [alive[t]]."""
        return self._rows[t] if t < self.longest else self.rank[:0]
