"""How often keys were asked for of late, in fixed memory: a count-min sketch that forgets.

After TinyLFU (Einziger, Friedman and Manes, ACM Transactions on Storage 13(4), 2017): counters of
four bits are enough to compare two keys, and halving all of them once in a while lets what was
popular in former times go. The keys are digests, so that their own bytes serve as the hashes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

__all__ = ['FrequencySketch']

MOST = 15
"""Highest count: beyond it, two keys are equally popular."""

WIDTH = 4
"""Counters of a row for each entry of the cache; fewer mix up keys that are asked once."""

PERIOD = 10
"""Lookups for each entry of the cache after which all counts are halved."""

WIDEST = 1 << 20
"""Counters of a row at most [bytes]."""

_indices: Callable[[bytes], tuple[int, int, int, int]] = struct.Struct('<4I').unpack_from


class FrequencySketch:
    """Four rows of counters; a key has one in each, and its count is the least of them.

    Args:
        entries: of the cache that asks.
    """

    def __init__(self, entries: int) -> None:
        width = min(WIDEST, 1 << (WIDTH * entries - 1).bit_length())
        self._mask = width - 1
        self._rows = tuple(bytearray(width) for _ in range(4))
        self._period = PERIOD * entries
        self._added = 0

    def add(self, key: bytes) -> None:
        """Count one lookup of a key: 16 bytes at least, uniformly distributed."""
        first, second, third, fourth = self._rows
        mask = self._mask
        a, b, c, d = _indices(key)
        a, b, c, d = a & mask, b & mask, c & mask, d & mask
        least = min(first[a], second[b], third[c], fourth[d])
        if least < MOST:
            # The others are too high already: they count further keys as well.
            for row, index in ((first, a), (second, b), (third, c), (fourth, d)):
                if row[index] == least:
                    row[index] = least + 1
        self._added += 1
        if self._added >= self._period:
            self._halve()

    def count(self, key: bytes) -> int:
        """How often a key was asked for of late, 0 to MOST; too high at times, never too low."""
        first, second, third, fourth = self._rows
        mask = self._mask
        a, b, c, d = _indices(key)
        return min(first[a & mask], second[b & mask], third[c & mask], fourth[d & mask])

    def _halve(self) -> None:
        for row in self._rows:
            counters = np.frombuffer(row, np.uint8)
            counters >>= 1
        self._added //= 2
