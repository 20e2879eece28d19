"""What each operation of a training step keeps for its backward pass and needs while it runs, in bytes.

The operations are those of `bert.py`, `attention.py`, `kernels.py` and `heads.py`; what changes there changes here, and
tests compare both. `memory.py` adds them up.

Shapes: T packed tokens, B sequences, R rows that the last block gives, M masked words, H hidden, I intermediate,
A heads, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from bertworks.config import BertConfig
from bertworks.model.attention_layout import GROUP_VALUES, padded_length

# What is trained: the losses of pre-training, or a classifier of sequences, of tokens, or of spans.
Head = Literal["pretraining", "sequence", "token", "span"]

FLOAT, _INDEX = 4, 8
# Rows of logits that `kernels.word_losses` computes at a time.
_LOGIT_ROWS = 1024


class Stage(NamedTuple):
    """An operation, forward and backward.

    Attributes:
        keeps: part -> bytes from its forward pass to its backward pass.
        forward: the most bytes while it runs forward, what it keeps included.
        backward: the most bytes that it needs while it runs backward, besides what is kept, and less by what is freed
            before: an operation's output is freed when the one that follows it has run backward.
        gradients: bytes of gradients that its backward pass leaves.
    """

    keeps: Counter[str]
    forward: int
    backward: int
    gradients: int


@dataclass(frozen=True)
class Sizes:
    """A step in numbers: bytes of `size` an activation.

    Attributes:
        rows: R.
        accumulates: whether the gradients of another micro-batch are there before.
        shares_table: whether the head has a gradient of the word embeddings too.
    """

    config: BertConfig
    tokens: int
    sequences: int
    rows: int
    size: int
    is_cuda: bool
    accumulates: bool
    shares_table: bool

    @cached_property
    def _length(self) -> int:
        return -(-self.tokens // max(1, self.sequences))

    @cached_property
    def padded_tokens(self) -> int:
        """T with the padding of groups, which is on CPU only."""
        return self.tokens if self.is_cuda else self.sequences * padded_length(self._length)

    def cast(self, values: int) -> int:
        """Return the bytes of weights in the type of activations; nothing where that is their own type."""
        return values * self.size if self.casts else 0

    def left(self, values: int) -> int:
        """Return the bytes of gradients of so many parameters; nothing if they are added to those that are there."""
        return 0 if self.accumulates else values * FLOAT

    def gradient_of(self, width: int, rows: int) -> int:
        """Return the bytes needed for the gradient of a weight [H, width]; see `kernels.product_over_rows`."""
        hidden = self.config.hidden_size
        narrow, wide = sorted((width, hidden))
        copies = 2 * rows * narrow * self.size if self.casts and not self.is_cuda and 2 * narrow <= wide else 0
        return max(copies, hidden * width * (FLOAT + self.cast(1)))

    @property
    def casts(self) -> bool:
        """Whether activations have another type than weights."""
        return self.size != FLOAT

    def embeddings(self) -> Stage:
        """From ids to [T, H]."""
        c, t = self.config, self.tokens
        values = t * c.hidden_size
        mask = values if self.is_cuda and c.hidden_dropout_prob else 0
        keeps = 2 * values * self.size + mask + t * (2 * FLOAT + 3 * _INDEX)
        tables = (c.vocab_size + c.max_position_embeddings + c.type_vocab_size) * c.hidden_size
        gradients = self.left(tables - (c.vocab_size * c.hidden_size if self.shares_table else 0))
        needs = 3 * values * FLOAT if self.size == FLOAT else 2 * values * (FLOAT + self.size)
        backward = 3 * values * FLOAT + c.vocab_size * c.hidden_size * FLOAT * (2 if self.accumulates else 1)
        return Stage(Counter(activations=keeps), max(keeps, needs), backward, gradients)

    def attention(self, rows: int) -> Stage:
        """From [T, H] to [R, H] before the output layer."""
        c, t, p, e = self.config, self.tokens, self.padded_tokens, self.size
        hidden, is_last = c.hidden_size, rows != t
        joined = (2 if is_last else 3) * hidden * hidden * e + (self.cast(hidden * hidden) if is_last else 0)
        queries = self._query_rows(rows)
        projected = (2 * t + (rows if is_last else t)) * hidden * e
        by_head = (2 * p + queries) * hidden * e  # queries, keys and values, sorted into groups
        attended = rows * hidden * e
        if self.is_cuda:
            kept = Counter(activations=projected + attended, attention=FLOAT * c.num_attention_heads * rows)
            working = 0
            sums = FLOAT * t * hidden if self.casts else 0  # the flash kernel adds the queries' gradient up in float32
            backward = 2 * projected + attended + sums
        else:
            keys = padded_length(self._length)
            together = max(1, GROUP_VALUES // (c.num_attention_heads * keys * keys))  # sequences of a group
            of_sequence = c.num_attention_heads * queries // self.sequences * keys
            of_group, probabilities = min(self.sequences, together) * of_sequence, self.sequences * of_sequence * e
            # Groups copy their rows, but a group of one sequence keeps a view, and with it the rows of all.
            alone = self.sequences if together == 1 else int(self.sequences % together == 1)
            rows_kept = by_head * (self.sequences - alone) // self.sequences + (by_head if alone else 0)
            kept = Counter(activations=rows_kept + attended, attention=probabilities)
            moved = by_head + queries * hidden * e if p != t else 0
            working = (0 if alone and p == t else projected) + moved + of_group * (2 + e)
            backward = by_head + (by_head if p != t else 0) + attended + of_group * (2 + 3 * e)
        if is_last:
            kept["activations"] += attended  # the rows of the input that are queries
        kept["weights"] = joined
        parameters = 3 * hidden * hidden
        linear_backward = t * hidden * e + parameters * (FLOAT + self.cast(1))
        forward = kept.total() + working
        return Stage(
            kept, max(forward, joined + self.cast(parameters)), max(backward, linear_backward), self.left(parameters)
        )

    def _query_rows(self, rows: int) -> int:
        """Return the query rows with the padding of groups."""
        if self.is_cuda:
            return rows
        return self.sequences * padded_length(-(-rows // max(1, self.sequences)))

    def add_norm(self, inputs: int, rows: int, part: str = "activations") -> Stage:
        """From [R, inputs] and the residual [R, H] to [R, H]."""
        hidden, e = self.config.hidden_size, self.size
        values, drops = rows * hidden, self.config.hidden_dropout_prob > 0
        mask = values if self.is_cuda and drops else 0
        keeps = Counter({part: 2 * values * e + mask + 2 * FLOAT * rows, "weights": self.cast(inputs * hidden)})
        parameters = inputs * hidden
        norm_backward = values * ((3 if drops else 2) * e + (2 if drops and not self.is_cuda else 0))
        linear_backward = (values + rows * inputs) * e + self.gradient_of(inputs, rows)
        return Stage(
            keeps, keeps.total() + values * e, max(norm_backward, linear_backward), self.left(parameters + 3 * hidden)
        )

    def activated(self, outputs: int, rows: int, part: str = "activations") -> Stage:
        """From [R, H] to [R, outputs]: a linear layer and its activation."""
        hidden, e = self.config.hidden_size, self.size
        values, parameters = rows * outputs, outputs * hidden
        keeps = Counter({part: 2 * values * e, "weights": self.cast(parameters)})
        working = 0 if self.is_cuda else values * e  # on CPU the derivative is kept, not the input
        backward = (values + rows * hidden) * e
        linear_backward = (2 * rows * hidden - values) * e + self.gradient_of(outputs, rows)
        return Stage(keeps, keeps.total() + working, max(backward, linear_backward), self.left(parameters + outputs))

    def block(self, rows: int) -> list[Stage]:
        """One layer, which gives `rows` rows."""
        c = self.config
        return [
            self.attention(rows),
            self.add_norm(c.hidden_size, rows),
            self.activated(c.intermediate_size, rows),
            self.add_norm(c.intermediate_size, rows),
        ]

    def head(self, kind: Head, outputs: int) -> list[Stage]:
        """What follows the last block, whose output has R rows."""
        c, e, rows = self.config, self.size, self.rows
        if kind == "pretraining":
            masked = rows - self.sequences
            hidden = masked * c.hidden_size * e
            picked = Stage(Counter(heads=hidden), hidden, 2 * hidden, 0)
            return [self._pooler(), picked, *self._transform(masked), self._word_losses(masked)]
        size = FLOAT if kind == "span" else e
        given = rows * c.hidden_size * (size if kind != "span" or e != FLOAT else 0)
        logits = rows * outputs * FLOAT
        keeps = Counter(heads=given + 3 * logits)
        classifier = Stage(keeps, keeps.total() + logits, 2 * rows * c.hidden_size * size + 3 * logits, 0)
        return [self._pooler(), classifier] if kind == "sequence" else [classifier]

    def _pooler(self) -> Stage:
        rows, parameters = self.sequences, self.config.hidden_size**2
        values = 2 * rows * self.config.hidden_size * self.size
        return Stage(
            Counter(heads=values, weights=self.cast(parameters)),
            values + self.cast(parameters),
            2 * values + parameters * (FLOAT + self.cast(1)),
            self.left(parameters),
        )

    def _transform(self, masked: int) -> list[Stage]:
        no_dropout = replace(self, config=replace(self.config, hidden_dropout_prob=0.0))
        dense = self.activated(self.config.hidden_size, masked, "heads")
        norm = no_dropout.add_norm(0, masked, "heads")
        return [dense, norm._replace(keeps=norm.keeps - Counter(heads=masked * self.config.hidden_size * self.size))]

    def _word_losses(self, masked: int) -> Stage:
        c, e = self.config, self.size
        table, logits = c.vocab_size * c.hidden_size, masked * c.vocab_size * e
        keeps = Counter(heads=logits + self.cast(table))
        chunk = min(masked, _LOGIT_ROWS) * c.vocab_size * FLOAT if self.is_cuda else 0
        joined = logits if masked > _LOGIT_ROWS else 0
        rows = masked * c.hidden_size * e
        return Stage(keeps, keeps.total() + chunk + joined, table * FLOAT + self.cast(table) + 2 * rows, table * FLOAT)
