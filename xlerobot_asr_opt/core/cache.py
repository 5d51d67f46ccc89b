"""The cache of transcripts: two levels in memory, one on disk, one owner process.

A value enters the first level and is written to disk at once, off the path of the call. What
leaves the first level for size or age goes to the second, and from there to disk; a hit moves it
up to the first again. docs/cache.md has the figures.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_disk import DiskTier
from xlerobot_asr_opt.core.cache_memory import MemoryTier
from xlerobot_asr_opt.core.cache_values import KEY_BYTES
from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xlerobot_asr_opt.parameters import CacheParameters

__all__ = ['LONGEST_VALUE', 'CacheStatistics', 'CacheTiers', 'Hit']

logger = logging.getLogger(__name__)

LONGEST_VALUE = 1 << 20
"""Characters of the longest value; a transcript of 30 s with words has some thousands."""

L1, L2, L3 = 0, 1, 2
LEVELS = ('l1', 'l2', 'l3')


@dataclass(frozen=True)
class Hit:
    """A value that was found, and the level it was found in: l1, l2 or l3."""

    value: str
    level: str


@dataclass(frozen=True)
class CacheStatistics:
    """Counters since the cache was opened; fields as in CacheStatistics.srv.

    Attributes:
        hits: by level.
        misses: lookups that found nothing.
        stores: values that were put.
        evictions: by level, for size or age.
        entries: held now, by level.
        disk_bytes: size of the third level's database [bytes].
        write_failures: values that could not be written to disk.
        hit_rate: hits / lookups, 0 to 1; NaN before the first lookup.
    """

    hits: tuple[int, int, int]
    misses: int
    stores: int
    evictions: tuple[int, int, int]
    entries: tuple[int, int, int]
    disk_bytes: int
    write_failures: int
    hit_rate: float


class CacheTiers:
    """Three levels that are asked as one.

    All methods but drain() are called from one thread.

    Args:
        parameters: of the node cache.
        directory: of the third level; None, or no entries for it: memory alone.
        clock: seconds, monotonic.
        wake: is called when drain() has something to do; it must not block.
    """

    def __init__(
        self,
        parameters: CacheParameters,
        directory: Path | None,
        clock: Callable[[], float],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._wake = wake
        self._disk = None
        if directory is not None and parameters.l3_entries > 0:
            self._disk = DiskTier(directory, parameters.l3_entries)
        self._l2 = MemoryTier(parameters.l2_entries, parameters.l2_ttl, clock, self._to_disk)
        self._l1 = MemoryTier(parameters.l1_entries, parameters.l1_ttl, clock, self._l2.put)
        self._hits = [0, 0, 0]
        self._misses = 0
        self._stores = 0

    @property
    def disk_fault(self) -> str:
        """Why the third level is off; empty while it is on, or not wanted."""
        return self._disk.fault if self._disk is not None else ''

    def get(self, key: bytes) -> Hit | None:
        """Look a value up; a hit moves it up to the first level.

        Args:
            key: 32 bytes.
        """
        value = self._l1.get(key)
        if value is not None:
            return self._hit(L1, value)
        value = self._l2.get(key)
        if value is not None:
            self._l2.pop(key)
            self._l1.put(key, value)
            return self._hit(L2, value)
        value = self._from_disk(key)
        if value is not None:
            self._l1.put(key, value)
            return self._hit(L3, value)
        self._misses += 1
        return None

    def put(self, key: bytes, value: str) -> None:
        """Keep a value in the first level and have it written to disk.

        Args:
            key: 32 bytes.
            value: text, at most LONGEST_VALUE characters.

        Raises:
            ConfigurationError: a key or value of another length, or text that is not Unicode.
        """
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f'key: got {len(key)} bytes, expected {KEY_BYTES}')
        if len(value) > LONGEST_VALUE:
            raise ConfigurationError(
                f'value: got {len(value)} characters, expected at most {LONGEST_VALUE}')
        if not (value.isascii() or _is_unicode(value)):
            raise ConfigurationError('value: got half a surrogate pair, expected Unicode text')
        self._stores += 1
        self._l2.pop(key)
        self._l1.put(key, value)
        self._to_disk(key, value)

    def expire(self) -> None:
        """Move on what is too old, once in a while; a lookup does not depend on it."""
        self._l1.expire()
        self._l2.expire()

    def trim(self, keep: float, disk: bool) -> int:
        """Give memory back.

        Args:
            keep: share of each level to keep, 0 to 1, the most recently used.
            disk: the third level too.

        Returns:
            How many values went.

        Raises:
            ConfigurationError: keep is not within 0 to 1.
        """
        if not 0.0 <= keep <= 1.0:
            raise ConfigurationError(f'keep: got {keep}, expected 0 to 1')
        removed = self._l1.trim(keep) + self._l2.trim(keep)
        if disk and self._disk is not None:
            removed += self._disk.trim(keep)
        return removed

    def drain(self) -> None:
        """Write to disk what waits; called from any thread, after wake."""
        if self._disk is not None:
            self._disk.drain()

    def flush(self) -> None:
        """Return when everything that was put is on disk."""
        self.drain()

    def close(self) -> None:
        """Write what waits and give the directory back; the cache must not be used again."""
        if self._disk is not None:
            self._disk.close()

    def statistics(self) -> CacheStatistics:
        """A snapshot of the counters."""
        # An empty tier is false as well.
        disk = self._disk
        evictions, entries, volume, failures = (0, 0, 0, 0) if disk is None else (
            disk.evictions, len(disk), disk.volume, disk.write_failures)
        hits = sum(self._hits)
        lookups = hits + self._misses
        return CacheStatistics(
            hits=(self._hits[L1], self._hits[L2], self._hits[L3]),
            misses=self._misses,
            stores=self._stores,
            evictions=(self._l1.evictions, self._l2.evictions, evictions),
            entries=(len(self._l1), len(self._l2), entries),
            disk_bytes=volume,
            write_failures=failures,
            hit_rate=hits / lookups if lookups else float('nan'),
        )

    def _hit(self, level: int, value: str) -> Hit:
        self._hits[level] += 1
        return Hit(value, LEVELS[level])

    def _to_disk(self, key: bytes, value: str) -> None:
        if self._disk is not None:
            self._disk.put(key, value)
            if self._disk.wants_drain:
                self._wake()

    def _from_disk(self, key: bytes) -> str | None:
        if self._disk is None:
            return None
        value = self._disk.get(key)
        if self._disk.wants_drain:
            self._wake()
        return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
