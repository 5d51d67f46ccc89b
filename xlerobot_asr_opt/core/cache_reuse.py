"""How far apart two lookups of one key are, and what a cache of any size would find.

After SHARDS (Waldspurger, Park, Garthwaite and Ahmad, FAST 2015): the distances within a sample of
the keys, chosen by their hash, are those of all keys on a smaller scale. The sample has a fixed
number of keys: when there are more, the ones with the largest hashes go, and the scale changes.
"""

from __future__ import annotations

import heapq
import math
import struct
from bisect import bisect_left
from dataclasses import dataclass

__all__ = ['ReuseSample']

KEYS = 2048
"""Of the sample. Up to as many distinct keys, all figures are exact but for STEPS."""

WHOLE = 1 << 32
STEPS = 8
"""Bins of the distances for each doubling; a bin is 9 % wide."""

_hash = struct.Struct('<I')


@dataclass
class _Seen:
    """When a key was asked for last, as a number of the sample's lookups, and how often."""

    last: int
    times: int


class ReuseSample:
    """Distances are in distinct keys, both ends counted as one: an LRU of that size has a hit."""

    def __init__(self) -> None:
        self._below = WHOLE
        self._seen: dict[bytes, _Seen] = {}
        self._largest: list[tuple[int, bytes]] = []
        self._times: list[int] = []
        self._asked = 0
        self._lookups = 0
        self._first_times = 0.0
        self._bins: dict[int, float] = {}

    def asked(self, key: bytes) -> None:
        """Note a lookup; key: 32 bytes, uniformly distributed."""
        self._asked += 1
        number: int = _hash.unpack_from(key, 20)[0]
        if number >= self._below:
            return
        self._lookups += 1
        seen = self._seen.get(key)
        if seen is None:
            self._add(key, number)
            return
        at = bisect_left(self._times, seen.last)
        distance = (len(self._times) - at) * self._scale
        bin_ = int(STEPS * math.log2(distance))
        self._bins[bin_] = self._bins.get(bin_, 0.0) + self._scale
        del self._times[at]
        self._times.append(self._lookups)
        seen.last = self._lookups
        seen.times += 1

    @property
    def distinct_keys(self) -> int:
        """Keys that were asked for, an estimate."""
        return round(len(self._seen) * self._scale)

    @property
    def one_hit_share(self) -> float:
        """Share of the keys that were asked for only once; NaN: none was asked for."""
        once = sum(seen.times == 1 for seen in self._seen.values())
        return once / len(self._seen) if self._seen else math.nan

    @property
    def repeated_share(self) -> float:
        """Share of the lookups whose key was asked for before: what no cache can exceed."""
        return max(0.0, 1.0 - self._first_times / self._asked) if self._asked else math.nan

    def hit_rate(self, entries: int) -> float:
        """Hit rate of an LRU of this size without an age limit, an estimate; NaN: no lookups."""
        if not self._asked:
            return math.nan
        repeated = sum(self._bins.values())
        found = sum(weight * _share_below(bin_, entries) for bin_, weight in self._bins.items())
        # The sample has too many or too few of the hottest keys, whose distances are the shortest.
        found += self._asked - self._first_times - repeated
        return min(1.0, max(0.0, found / self._asked))

    def distance(self, share: float) -> float:
        """The distance that this share of the repeated lookups does not exceed; NaN: none."""
        left = share * sum(self._bins.values())
        for bin_, weight in sorted(self._bins.items()):
            left -= weight
            if left <= 0.0:
                return math.ceil(_begin(bin_ + 1)) - 1.0
        return math.nan

    @property
    def _scale(self) -> float:
        return WHOLE / self._below

    def _add(self, key: bytes, number: int) -> None:
        self._first_times += self._scale
        self._seen[key] = _Seen(self._lookups, 1)
        self._times.append(self._lookups)
        heapq.heappush(self._largest, (-number, key))
        if len(self._seen) > KEYS:
            largest, gone = heapq.heappop(self._largest)
            self._below = -largest
            del self._times[bisect_left(self._times, self._seen.pop(gone).last)]


def _begin(bin_: int) -> float:
    """The smallest distance of a bin."""
    return math.pow(2.0, bin_ / STEPS)


def _share_below(bin_: int, entries: int) -> float:
    """Share of a bin's distances that are at most as large, as if they were spread evenly."""
    first, last = math.ceil(_begin(bin_)), math.ceil(_begin(bin_ + 1)) - 1
    return min(1.0, max(0.0, (entries - first + 1) / max(1, last - first + 1)))
