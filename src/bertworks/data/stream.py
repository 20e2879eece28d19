"""The endless sequence of pre-training instances of a corpus. Any step can be read directly.

An epoch is a pass over all shards in a random order, in groups of 8. The instances of a group are planned together and
come in one random order. So the instances of a batch come from many documents, while memory holds one group or two,
however large the corpus is. The number of instances in a group is random and known once the group is planned. The
counts are kept in memory and in a small file. A new process without the file plans all groups before instance number n
again, but draws none of their instances. Masks have a key for every (epoch, shard, row), so they depend neither on the
order nor on batches.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks import draws, ragged
from bertworks.data import plan
from bertworks.data.corpus import Corpus
from bertworks.data.instances import Instances
from bertworks.data.masking import MAX_LENGTH, MaskableWords, mask
from bertworks.data.shards import ShardData
from bertworks.errors import InputError
from bertworks.files import check_whole, write_text
from bertworks.remote.cache import read_ahead

SHARDS_OF_A_GROUP = 8

# The counts are written after planning this many sentences, which takes about a second.
SENTENCES_WORTH_WRITING = 2_000_000

# What an identity does not mention: the rule, from which a person may depart.
_RULES = {"next_sentence": True, "mean_span_length": 0.0, "mask_all": False}

# The flags that decide where instances begin and end; the others only choose what is masked.
_OF_THE_PLAN = ("max_seq_length", "short_seq_prob", "random_seed", "next_sentence")

# What random numbers are drawn for.
_SHARD_ORDER, _ROW_ORDER, _PLAN, _MASK = range(4)


@dataclass(frozen=True)
class Drawing:
    """The flags that instances are drawn with: the original's names and defaults.

    With `next_sentence`, an instance is a pair of texts, as in the original. Without, it is one contiguous text. The
    last two are for `masking.mask`. `max_predictions_per_seq` 0 is as many as `masked_lm_prob` says.

    Raises:
        InputError: no instance can have such a value.
    """

    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1
    do_whole_word_mask: bool = False
    random_seed: int = 12345
    next_sentence: bool = True
    mean_span_length: float = 0.0
    mask_all: bool = False

    def __post_init__(self) -> None:
        if not plan.SPECIALS + 2 <= self.max_seq_length <= MAX_LENGTH:
            raise InputError(
                f"--max_seq_length={self.max_seq_length}: must be from {plan.SPECIALS + 2} to {MAX_LENGTH}, "
                "because an instance is [CLS] a [SEP] b [SEP]"
            )
        if self.max_predictions_per_seq < 0:
            raise InputError(f"--max_predictions_per_seq={self.max_predictions_per_seq}: must be at least 0")
        for name in ("masked_lm_prob", "short_seq_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"--{name}={getattr(self, name)}: must be from 0 to 1")


@dataclass(frozen=True, eq=False)
class _Group:
    """The planned instances of up to 8 shards.

    Attributes:
        numbers: [G] the shards' numbers in the corpus.
        starts: [G+1] the start of each shard in `rows`.
        rows: [N, 7] the shards' plans, one after the other.
        order: [N] a permutation of the rows.
    """

    epoch: int
    numbers: NDArray[np.int64]
    data: list[ShardData]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    order: NDArray[np.int64]


class ShardSource:
    """Instances drawn from token shards: an `InstanceSource`.

    Args:
        counts_file: a file that keeps the numbers of instances for the next process. A file that belongs to something
            else, or that cannot be read, is overwritten.
        keeps_counts: whether the file is written. Of several processes one writes it, and all read it.

    Raises:
        InputError: the corpus holds too little text for a single instance; when reading, a shard is damaged.
    """

    def __init__(
        self,
        corpus: Corpus,
        words: MaskableWords,
        drawing: Drawing,
        counts_file: Path | None = None,
        keeps_counts: bool = True,
    ) -> None:
        self.corpus = corpus
        self._words = words
        self._drawing = drawing
        self._counts_file, self._keeps_counts = counts_file, keeps_counts
        # Group number g, counted over all epochs, ends before instance number _ends[g].
        self._ends = self._read_counts()
        self._unwritten_sentences = 0
        self.groups: dict[int, _Group] = {}
        self._groups_of_an_epoch = -(-len(corpus.shards) // SHARDS_OF_A_GROUP)
        self._lock = Lock()

    def identity(self) -> dict[str, object]:
        """Return the flags that determine the sequence, and a name of the corpus's contents as `input_file`.

        What departs from the rule is mentioned only where it does.
        """
        drawing = {name: value for name, value in asdict(self._drawing).items() if _RULES.get(name) != value}
        return {"input_file": self.corpus.identity, **drawing}

    def drawn_otherwise(self, drawing: Drawing, counts_file: Path | None) -> ShardSource:
        """Return the same text as another sequence of instances."""
        return ShardSource(self.corpus, self._words, drawing, counts_file, self._keeps_counts)

    def instances(self, first: int, last: int) -> Instances:
        """Return instances number first, ..., last - 1, counted over all epochs. Each epoch has new masks."""
        parts = []
        with self._lock:
            while first < last:
                while not self._ends or self._ends[-1] <= first:
                    self._count_next_group()
                number = bisect_right(self._ends, first)
                begin = self._first_of(number)
                end = min(last, self._ends[number])
                group = self._group(number)
                if begin + len(group.order) != self._ends[number]:
                    raise InputError(f"{self._counts_file}: does not fit the shards of --input_file; delete it")
                parts.append((group, group.order[first - begin : end - begin]))
                first = end
        return Instances.joined([self._draw(group, picked) for group, picked in parts])

    def before(self, epoch: int) -> int:
        """Return how many instances the epochs before `epoch` have: the number of the epoch's first instance."""
        with self._lock:
            number = epoch * self._groups_of_an_epoch
            while len(self._ends) < number:
                self._count_next_group()
            return self._first_of(number)

    def _draw(self, group: _Group, picked: NDArray[np.int64]) -> Instances:
        """Draw the instances [B] of these rows of the group, in this order."""
        rows, shard = group.rows[picked], np.searchsorted(group.starts, picked, side="right") - 1
        lengths = rows[:, plan.LENGTH]
        input_ids = np.empty(int(lengths.sum()), np.int64)
        segment_ids = np.empty_like(input_ids)
        for which in np.unique(shard):
            data = group.data[which]
            if data.mapped:
                check_whole(*data.mapped)
            here = shard == which
            tokens = np.repeat(here, lengths)
            input_ids[tokens], segment_ids[tokens], _ = plan.gather(
                data.tokens, rows[here], cls_id=self._words.cls_id, sep_id=self._words.sep_id
            )
        keys = draws.key(
            self._drawing.random_seed, _MASK, group.epoch, group.numbers[shard], picked - group.starts[shard]
        )
        masked, masked_rows, labels = mask(
            input_ids,
            lengths,
            keys,
            self._words,
            masked_lm_prob=self._drawing.masked_lm_prob,
            max_predictions_per_seq=self._drawing.max_predictions_per_seq,
            do_whole_word_mask=self._drawing.do_whole_word_mask,
            mean_span_length=self._drawing.mean_span_length,
            mask_all=self._drawing.mask_all,
        )
        return Instances(masked, segment_ids, lengths, masked_rows, labels, rows[:, plan.IS_RANDOM_NEXT])

    def _first_of(self, number: int) -> int:
        """Return the number of the group's first instance. All groups before it must be counted."""
        return self._ends[number - 1] if number else 0

    def _count_next_group(self) -> None:
        """Plan the first group that is not counted yet, and add its number of instances."""
        number = len(self._ends)
        group = self._group(number)
        self._ends.append(self._first_of(number) + len(group.order))
        if len(self._ends) >= self._groups_of_an_epoch and not self._ends[-1]:
            raise InputError("--input_file: has too little text for an instance; give a text of at least two words")
        self._unwritten_sentences += sum(len(data.sentence_starts) - 1 for data in group.data)
        if self._unwritten_sentences >= SENTENCES_WORTH_WRITING:
            self._write_counts()

    def _group(self, number: int) -> _Group:
        """Return a group. The last two are kept, because a batch may contain the end of one and begin the next."""
        if number not in self.groups:
            while len(self.groups) >= 2:
                del self.groups[next(iter(self.groups))]
            self.groups[number] = self._planned(number)
        return self.groups[number]

    def _shards_of(self, number: int) -> NDArray[np.int64]:
        """Return the numbers of the shards of a group, in their order."""
        epoch, position = divmod(number, self._groups_of_an_epoch)
        order = draws.key(self._drawing.random_seed, _SHARD_ORDER, epoch)
        first = position * SHARDS_OF_A_GROUP
        return draws.permutation(order, len(self.corpus.shards))[first : first + SHARDS_OF_A_GROUP]

    def _planned(self, number: int) -> _Group:
        epoch, position = divmod(number, self._groups_of_an_epoch)
        seed = self._drawing.random_seed
        numbers = self._shards_of(number)
        data = [self.corpus.shards[shard].read() for shard in numbers]
        read_ahead([self.corpus.shards[shard].path for shard in self._shards_of(number + 1)])
        make_plan = plan.plan if self._drawing.next_sentence else plan.plan_of_single_texts
        plans = [
            make_plan(
                arrays.sentence_starts,
                arrays.document_starts,
                key=draws.key(seed, _PLAN, epoch, shard),
                max_seq_length=self._drawing.max_seq_length,
                short_seq_prob=self._drawing.short_seq_prob,
            )
            for shard, arrays in zip(numbers, data, strict=True)
        ]
        starts = ragged.starts([len(rows) for rows in plans])
        order = draws.permutation(draws.key(seed, _ROW_ORDER, epoch, position), int(starts[-1]))
        return _Group(epoch, numbers, data, starts, np.concatenate(plans), order)

    def _read_counts(self) -> list[int]:
        """Read the ends of groups that an earlier process counted. Those of another sequence are ignored."""
        try:
            counts: dict[str, Any] = json.loads(self._counts_file.read_bytes()) if self._counts_file else {}
            return list(counts["group_ends"]) if counts["identity"] == self.identity_of_counts() else []
        except (OSError, ValueError, LookupError, TypeError):
            return []

    def _write_counts(self) -> None:
        self._unwritten_sentences = 0
        if self._counts_file and self._keeps_counts:
            counts = {"identity": self.identity_of_counts(), "group_ends": self._ends}
            write_text(self._counts_file, json.dumps(counts) + "\n")

    def identity_of_counts(self) -> dict[str, object]:
        """Return what determines the numbers of instances: whatever is masked, they are the same."""
        drawing = {name: getattr(self._drawing, name) for name in _OF_THE_PLAN}
        return {"input_file": self.corpus.identity, **drawing}
