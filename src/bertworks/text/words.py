"""From blocks of normalized text to word numbers: every distinct word gets a number when it is first seen.

Other files keep what they know about words in arrays by this number, so they look at the letters of a word once.

The work is done on arrays, one block at a time. A word of up to 24 bytes is one to three 64-bit integers, padded with
zero bytes (no word ends in one). It is looked up in a hash table with open addressing in numpy arrays. The few longer
words go through a dictionary. Whole words are compared, so different words never get the same number.
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
# The part of the 8 bytes at the beginning of a word of n bytes that belongs to the word.
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(_WORD_BYTES + 1)], np.uint64)
# Odd 64-bit constants for multiply-shift hashing (Dietzfelbinger and others, "A reliable randomized algorithm for the
# closest-pair problem", 1997); any would do.
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)


class WordNumbers:
    """Numbers for distinct words, from 0 to `count` - 1."""

    def __init__(self, max_word_bytes: int) -> None:
        """All words of more than `max_word_bytes` bytes count as one: a word of max_word_bytes + 1 letters "a"."""
        self.count = 0
        self._max_word_bytes = max_word_bytes
        self._tables = [_Table(columns) for columns in range(1, _COLUMNS + 1)]
        self._long: dict[bytes, int] = {}

    def look_up(self, text: bytes) -> tuple[NDArray[np.int32], NDArray[np.int64], list[bytes]]:
        """Find the words of normalized text.

        Returns:
            the number of each word [words]; how many words come before each newline [newlines]; and the new words,
            which got the next numbers in this order.
        """
        classes = np.frombuffer(b"\0" + text.translate(_CLASSES) + b"\0", np.uint8)
        before, after = classes[:-1], classes[1:]
        # A letter begins a word unless a letter precedes it. A sign always does. Ends are the mirror image.
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
                new_words = chosen[absent[owners]]
                new += _slices(text, begins[new_words], lengths[new_words])
            numbers[chosen] = found
        chosen = np.flatnonzero(columns > _COLUMNS)
        words = _slices(text, begins[chosen], lengths[chosen])
        numbers[chosen] = [self._number_of_long(word, new) for word in words]
        newlines = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        return numbers, np.searchsorted(begins, newlines), new

    def _number_of_long(self, word: bytes, new: list[bytes]) -> int:
        """Return the number of a word that is too long for the tables. A new word is appended to `new`."""
        if len(word) > self._max_word_bytes:
            word = b"a" * (self._max_word_bytes + 1)
        number = self._long.setdefault(word, self.count)
        if number == self.count:
            self.count += 1
            new.append(word)
        return number


def _slices(text: bytes, begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[bytes]:
    ends = begins + lengths
    return [text[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


def _windows(text: bytes) -> NDArray[np.uint64]:
    """Return the 8 bytes from each offset of a text, with zeros after its end, as little-endian integers."""
    padded = text + bytes(_WORD_BYTES * _COLUMNS)
    return np.ndarray((len(padded) - _WORD_BYTES + 1,), "<u8", padded, strides=(1,)).astype(np.uint64)


def _keys(windows: NDArray[np.uint64], begins: NDArray[np.int64], lengths: NDArray[np.int64], columns: int) -> Keys:
    """Return words as integers: whole windows, and a last one cut at the end of the word."""
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
        """Return the number of each key, or -1 if it is not in the table."""
        slots = self._home(keys)
        found = self.numbers.take(slots)
        # If a slot holds another word, look at the next one, until the word or a free slot is found.
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
        """Give numbers from `number` on to the keys that are not in the table. Equal keys get one number.

        Returns:
            the number of each key, and for each new number the index of a key that has it, in order of the numbers.
        """
        numbers: list[NDArray[np.int32]] = []
        firsts: list[NDArray[np.int64]] = []
        done, given = 0, 0
        while done < len(keys[0]):
            if self._used > self._last // 4:
                self._grow()
            part = [column[done : done + self._last // 2 - self._used] for column in keys]
            slots, owners = self._settle(part)
            self.numbers[slots[owners]] = np.arange(number + given, number + given + len(owners))
            numbers.append(self.numbers.take(slots))
            firsts.append(owners + done)
            self._used += len(owners)
            given += len(owners)
            done += len(slots)
        return np.concatenate(numbers), np.concatenate(firsts)

    def _settle(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give every key a slot that holds it.

        Returns:
            the slot of each key, and the indices, ascending, of the keys that took a free slot (one of several equal
            keys). The caller must put numbers into those slots.
        """
        slots = self._home(keys)
        looking = np.arange(len(slots))
        owners = [looking[:0]]
        while len(looking):
            at = slots[looking]
            free = self.numbers.take(at) < 0
            claims, claimed = looking[free], at[free]
            # All keys that want a free slot write their index into it. The key whose index stays is the owner.
            self.numbers[claimed] = claims
            won = claims[self.numbers.take(claimed) == claims]
            owners.append(won)
            for mine, column in zip(self.keys, keys, strict=True):
                mine[slots[won]] = column[won]
            looking = looking[self._differs(at, [column.take(looking) for column in keys])]
            slots[looking] = (slots[looking] + 1) & self._last
        return slots, np.sort(np.concatenate(owners))

    def _grow(self) -> None:
        used = np.flatnonzero(self.numbers >= 0)
        keys, numbers, count = [column[used] for column in self.keys], self.numbers[used], self._used
        self._clear(len(keys), self._bits + 2)
        slots, _ = self._settle(keys)
        self.numbers[slots] = numbers
        self._used = count

    def _home(self, keys: Keys) -> NDArray[np.int64]:
        """Return the slot at which the search for each key begins."""
        mixed = keys[0] * _MULTIPLIERS[0]
        for column, multiplier in zip(keys[1:], _MULTIPLIERS[1:], strict=False):
            mixed += column * multiplier
        slots: NDArray[np.int64] = (mixed >> np.uint64(64 - self._bits)).view(np.int64)
        return slots

    def _differs(self, slots: NDArray[np.int64], keys: Keys) -> NDArray[np.bool_]:
        """Tell whether each slot holds another word than the key, or none."""
        differs: NDArray[np.bool_] = self.keys[0].take(slots) != keys[0]
        for mine, column in zip(self.keys[1:], keys[1:], strict=True):
            differs |= mine.take(slots) != column
        return differs
