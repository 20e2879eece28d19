"""Blocks of normalized text to word numbers: every distinct word gets a number the first time it is seen.

What is known of a word is then kept in arrays by its number, and the letters of a word are looked at once.

The work is done on arrays, a block at a time. A word of up to 24 bytes is one to three 64-bit integers, padded with
zero bytes (no word ends in one), and is looked up in a hash table with open addressing that lives in numpy arrays; the
few longer ones go through a dictionary. Words are compared whole, so there is no chance in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bertworks.text.basic import ASCII_SIGNS

Keys = list[NDArray[np.uint64]]  # one array per 64-bit column of a key; all of the same length

_WORD_BYTES = 8
_COLUMNS = 3
_BLANK, _LETTER, _SIGN = 0, 1, 2
_CLASSES = bytes(_BLANK if code in b" \n" else _SIGN if code in ASCII_SIGNS else _LETTER for code in range(256))
# What is kept of the 8 bytes loaded where a word of n bytes begins.
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(_WORD_BYTES + 1)], np.uint64)
# Odd 64-bit constants for multiply-shift hashing (Dietzfelbinger and others, "A reliable randomized algorithm for the
# closest-pair problem", 1997); any would do.
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)


class WordNumbers:
    """Numbers for distinct words, from 0 on.

    Attributes:
        count: how many words have a number.
    """

    def __init__(self, max_word_bytes: int) -> None:
        """Words of more than `max_word_bytes` bytes all count as one: a word of that many letters "a" and one more."""
        self.count = 0
        self._max_word_bytes = max_word_bytes
        self._tables = [_Table(columns) for columns in range(1, _COLUMNS + 1)]
        self._long: dict[bytes, int] = {}

    def look_up(self, text: bytes) -> tuple[NDArray[np.int32], NDArray[np.int64], list[bytes]]:
        """The words of normalized text.

        Returns:
            the number of each word [words]; how many words come before each newline [newlines]; and the words that
            have no number until now, which get the next ones, in this order.
        """
        classes = np.frombuffer(b"\0" + text.translate(_CLASSES) + b"\0", np.uint8)
        before, after = classes[:-1], classes[1:]
        # A letter begins a word unless a letter precedes it, a sign always does; ends mirror that.
        begins = np.flatnonzero(after > (before & _LETTER))
        lengths = np.flatnonzero(before > (after & _LETTER)) - begins
        windows = _windows(text)
        numbers = np.zeros(len(begins), np.int32)
        new: list[bytes] = []
        columns = (lengths + (_WORD_BYTES - 1)) >> 3
        for table in self._tables:
            chosen = np.flatnonzero(columns == len(table.keys))
            keys = _keys(windows, begins.take(chosen), lengths.take(chosen), len(table.keys))
            found = table.find(keys)
            absent = np.flatnonzero(found < 0)
            if len(absent):
                found[absent], owners = table.add([column[absent] for column in keys], self.count)
                self.count += len(owners)
                places = chosen[absent[owners]]
                new += _slices(text, begins[places], lengths[places])
            numbers[chosen] = found
        chosen = np.flatnonzero(columns > _COLUMNS)
        words = _slices(text, begins[chosen], lengths[chosen])
        numbers[chosen] = [self._number_of_long(word, new) for word in words]
        newlines = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        return numbers, np.searchsorted(begins, newlines), new

    def _number_of_long(self, word: bytes, new: list[bytes]) -> int:
        """The number of a word that no table holds; a new one is appended to `new`."""
        if len(word) > self._max_word_bytes:
            word = b"a" * (self._max_word_bytes + 1)
        number = self._long.setdefault(word, self.count)
        if number == self.count:
            self.count += 1
            new.append(word)
        return number


def _slices(text: bytes, begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[bytes]:
    """The words at some places of a text."""
    ends = begins + lengths
    return [text[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


def _windows(text: bytes) -> NDArray[np.uint64]:
    """The 8 bytes from each place of a text on, and zeros past its end, as little-endian integers."""
    padded = text + bytes(_WORD_BYTES * _COLUMNS)
    return np.ndarray((len(padded) - _WORD_BYTES + 1,), "<u8", padded, strides=(1,)).astype(np.uint64)


def _keys(windows: NDArray[np.uint64], begins: NDArray[np.int64], lengths: NDArray[np.int64], columns: int) -> Keys:
    """Words as integers: whole windows, and the last one cut where the word ends."""
    skipped = _WORD_BYTES * (columns - 1)
    keys = [windows.take(begins + at) for at in range(0, skipped, _WORD_BYTES)]
    keys.append(windows.take(begins + skipped) & _MASKS.take(lengths - skipped))
    return keys


class _Table:
    """A hash table from keys of one to three 64-bit columns to numbers, on whole arrays, never more than half full.

    Attributes:
        keys: per column, the word at each slot, 0 where the slot is free. Shape [slots].
        numbers: the number at each slot, -1 where it is free. Shape [slots].
    """

    def __init__(self, columns: int, bits: int = 14) -> None:
        self._clear(columns, bits)

    def _clear(self, columns: int, bits: int) -> None:
        self.keys: Keys = [np.zeros(1 << bits, np.uint64) for _ in range(columns)]
        self.numbers = np.full(1 << bits, -1, np.int32)
        self._used = 0
        self._bits = bits
        self._last = (1 << bits) - 1

    def find(self, keys: Keys) -> NDArray[np.int32]:
        """The number of each key, -1 for those that are not here."""
        slots = self._home(keys)
        found = self.numbers.take(slots)
        # Where another word sits, look one slot further, until the word or a free slot turns up.
        looking = np.flatnonzero(self._differs(slots, keys) & (found >= 0))
        slots = slots[looking]
        while len(looking):
            slots = (slots + 1) & self._last
            numbers = self.numbers.take(slots)
            found[looking] = numbers
            further = self._differs(slots, [column.take(looking) for column in keys]) & (numbers >= 0)
            looking, slots = looking[further], slots[further]
        return found

    def add(self, keys: Keys, number: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Number the keys that are not here yet, from `number` on; equal keys get one number.

        Returns:
            the number of each key, and for each new number a place in `keys` where it stands, in order of the numbers.
        """
        numbers: list[NDArray[np.int32]] = []
        places: list[NDArray[np.int64]] = []
        done, given = 0, 0
        while done < len(keys[0]):
            if self._used > self._last // 4:
                self._grow()
            part = [column[done : done + self._last // 2 - self._used] for column in keys]
            slots, owners = self._settle(part)
            self.numbers[slots[owners]] = np.arange(number + given, number + given + len(owners))
            numbers.append(self.numbers.take(slots))
            places.append(owners + done)
            self._used += len(owners)
            given += len(owners)
            done += len(slots)
        return np.concatenate(numbers), np.concatenate(places)

    def _settle(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give every key a slot that holds it.

        Returns:
            the slot of each key, and the places, ascending, of the keys that took a free slot (one of several equal
            ones). Those slots are to get their numbers from the caller.
        """
        slots = self._home(keys)
        looking = np.arange(len(slots))
        owners = [looking[:0]]
        while len(looking):
            at = slots[looking]
            free = self.numbers.take(at) < 0
            claims, claimed = looking[free], at[free]
            # All who want a free slot write their place into it; the one that can be read back is its owner.
            self.numbers[claimed] = claims
            won = claims[self.numbers.take(claimed) == claims]
            owners.append(won)
            for mine, column in zip(self.keys, keys, strict=True):
                mine[slots[won]] = column[won]
            looking = looking[self._differs(at, [column.take(looking) for column in keys])]
            slots[looking] = (slots[looking] + 1) & self._last
        return slots, np.sort(np.concatenate(owners))

    def _grow(self) -> None:
        """Four times the slots."""
        used = np.flatnonzero(self.numbers >= 0)
        keys, numbers, count = [column[used] for column in self.keys], self.numbers[used], self._used
        self._clear(len(keys), self._bits + 2)
        slots, _ = self._settle(keys)
        self.numbers[slots] = numbers
        self._used = count

    def _home(self, keys: Keys) -> NDArray[np.int64]:
        """The slot where the search for each key begins."""
        mixed = keys[0] * _MULTIPLIERS[0]
        for column, multiplier in zip(keys[1:], _MULTIPLIERS[1:], strict=False):
            mixed += column * multiplier
        slots: NDArray[np.int64] = (mixed >> np.uint64(64 - self._bits)).view(np.int64)
        return slots

    def _differs(self, slots: NDArray[np.int64], keys: Keys) -> NDArray[np.bool_]:
        """Whether another word than the key, or none, sits at each slot."""
        differs: NDArray[np.bool_] = self.keys[0].take(slots) != keys[0]
        for mine, column in zip(self.keys[1:], keys[1:], strict=True):
            differs |= mine.take(slots) != column
        return differs
