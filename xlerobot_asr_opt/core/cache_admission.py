"""Who may stay in memory: what is asked for often, or what was asked for last.

TinyLFU keeps what is asked for often: a scan, a bag that is longer than the cache or a day of live
speech does not wash the announcements out. Where the favourites change, it holds on to the old
ones for too long, and plain LRU is better. Neither wins on every workload (bench/cache.py), so
that both are played in miniature on a sample of the keys, and the cache follows the one that has
found more of late.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_levels import MemoryLevels
from xlerobot_asr_opt.core.frequency_sketch import MOST, FrequencySketch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ['Admission']

MINIATURE = 128
"""Entries of a miniature; a cache of up to twice as many is played in full."""

MEMORY = 0.995
"""What a lead of one hit is worth after one more lookup of the sample."""

MOST_UNPLAYED = 128
"""Lookups of the sample that may wait to be played until it matters who is ahead."""

FOREVER = (float('inf'), float('inf'))

_sampling = struct.Struct('<I')


class Admission:
    """Decides who leaves memory; it sees every lookup.

    Args:
        entries: of the two levels in memory.
    """

    def __init__(self, entries: tuple[int, int]) -> None:
        self._sketch = FrequencySketch(sum(entries))
        self._share = max(1, sum(entries) // MINIATURE)
        small = (max(1, entries[0] // self._share), max(1, entries[1] // self._share))
        self._by_frequency = _Miniature(small, self._is_asked_more)
        self._by_recency = _Miniature(small, lambda _candidate, _coldest: True)
        self._unplayed: list[bytes] = []
        self._lead = 0.0

    @property
    def policy(self) -> str:
        """What is followed at present: frequency or recency."""
        self._play()
        return 'frequency' if self._lead >= 0.0 else 'recency'

    def asked(self, key: bytes) -> None:
        """Note a lookup, whether or not it is a hit.

        Args:
            key: 32 bytes, uniformly distributed.
        """
        self._sketch.add(key)
        if _sampling.unpack_from(key, 28)[0] % self._share == 0:
            self._unplayed.append(key)
            if len(self._unplayed) >= MOST_UNPLAYED:
                self._play()

    def wins(self, candidate: bytes, coldest: bytes) -> bool:
        """Whether a candidate may take the place of the coldest key."""
        self._play()
        return self._lead < 0.0 or self._is_asked_more(candidate, coldest)

    def remember(self, key: bytes, times: int) -> None:
        """Know of a key from an earlier life that it was asked for so often."""
        for _ in range(min(times, MOST) - self._sketch.count(key)):
            self._sketch.add(key)

    def _play(self) -> None:
        for key in self._unplayed:
            gained = self._by_frequency.asked(key) - self._by_recency.asked(key)
            self._lead = MEMORY * self._lead + gained
        self._unplayed.clear()

    def _is_asked_more(self, candidate: bytes, coldest: bytes) -> bool:
        return self._sketch.count(candidate) > self._sketch.count(coldest)


class _Miniature:
    """The levels in memory with less room, for fewer keys, and without values."""

    def __init__(
        self, entries: tuple[int, int], wins: Callable[[bytes, bytes], bool],
    ) -> None:
        self._levels = MemoryLevels(
            entries, FOREVER, clock=float, wins=wins, leaves=lambda _key, _value: None)

    def asked(self, key: bytes) -> bool:
        """Whether the key is found; it is kept in any case."""
        found = self._levels.get(key) is not None
        if not found:
            self._levels.put(key, '')
        return found
