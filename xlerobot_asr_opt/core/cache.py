"""The cache of transcripts: two levels in memory, one on disk, one owner process.

A value enters the first level and is written to disk at once, off the path of the call. What
leaves the first level for size or age goes to the second, if it is worth its room there, and from
memory to disk; a hit moves it up to the first again. docs/cache.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.core.cache_admission import Admission
from xlerobot_asr_opt.core.cache_disk import DiskTier
from xlerobot_asr_opt.core.cache_heat import HeatFile
from xlerobot_asr_opt.core.cache_levels import L1, L2, MemoryLevels
from xlerobot_asr_opt.core.cache_patterns import AccessPatterns
from xlerobot_asr_opt.core.cache_records import LEVELS, CacheStatistics, Hit
from xlerobot_asr_opt.core.cache_values import KEY_BYTES
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.untrusted import is_unicode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xlerobot_asr_opt.core.cache_heat import Heat
    from xlerobot_asr_opt.parameters import CacheParameters

__all__ = ['LONGEST_VALUE', 'CacheTiers']

LONGEST_VALUE = 1 << 20
"""Characters of the longest value; a transcript of 30 s with words has some thousands."""

HEAT_PERIOD_S = 60.0
"""Between two writings of the list of what is asked for most."""

L3 = 2


class CacheTiers:
    """Three levels that are asked as one.

    All methods but drain() and read_disk() are called by one thread at a time.

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
        self._clock = clock
        self._wake = wake
        self._disk = None
        self._heat_file: HeatFile | None = None
        if directory is not None and parameters.l3_entries > 0:
            self._disk = DiskTier(directory, parameters.l3_entries)
            if not self._disk.fault:
                self._heat_file = HeatFile(directory / 'heat.json')
        entries = parameters.l1_entries, parameters.l2_entries
        self._room = sum(entries)
        self._patterns = AccessPatterns(parameters)
        self._admission = Admission(entries)
        self._memory = MemoryLevels(
            entries, (parameters.l1_ttl, parameters.l2_ttl), clock, self._admission.wins,
            self._leave)
        self._hits = [0, 0, 0]
        self._misses = 0
        self._stores = 0
        self._trims = 0
        self._heat_told = clock()
        self._heat_to_write: Heat | None = None
        self._load_heat()

    @property
    def disk_fault(self) -> str:
        """Why the third level is off; empty while it is on, or not wanted."""
        return self._disk.fault if self._disk is not None else ''

    def get(self, key: bytes) -> Hit | None:
        """Look a value up; a hit moves it up to the first level.

        Args:
            key: 32 bytes.

        Raises:
            ConfigurationError: a key of another length.
        """
        _check_key(key)
        self._admission.asked(key)
        self._patterns.asked(key)
        found = self._memory.get(key)
        if found is not None:
            value, level = found
            self._hits[level] += 1
            return Hit(value, LEVELS[level])
        on_disk = self.read_disk(key)
        if on_disk is None:
            self._misses += 1
            if self._disk is not None and self._disk.is_damaged:
                self._wake()
            return None
        self._memory.put(key, on_disk)
        self._hits[L3] += 1
        return Hit(on_disk, LEVELS[L3])

    def put(self, key: bytes, value: str) -> None:
        """Keep a value in the first level and have it written to disk.

        Args:
            key: 32 bytes.
            value: text, at most LONGEST_VALUE characters.

        Raises:
            ConfigurationError: a key or value of another length, or text that is not Unicode.
        """
        _check_key(key)
        if len(value) > LONGEST_VALUE:
            raise ConfigurationError(
                f'value: got {len(value)} characters, expected at most {LONGEST_VALUE}')
        if not (value.isascii() or is_unicode(value)):
            raise ConfigurationError('value: got half a surrogate pair, expected Unicode text')
        self._stores += 1
        self._memory.put(key, value)
        if self._disk is not None:
            self._disk.put(key, value)
            self._wake()

    def expire(self) -> None:
        """Move on what is too old, once in a while; a lookup does not depend on it."""
        self._memory.expire()
        if self._disk is None:
            return
        if self._clock() - self._heat_told >= HEAT_PERIOD_S:
            self._tell_heat()
        if self._disk.wants_drain or self._heat_to_write is not None:
            self._wake()

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
        self._trims += 1
        removed = self._memory.trim(keep)
        if disk and self._disk is not None:
            removed += self._disk.trim(keep)
        return removed

    def drain(self) -> None:
        """Write to disk what waits; called from any thread, after wake."""
        if self._disk is None:
            return
        self._disk.drain()
        heat, self._heat_to_write = self._heat_to_write, None
        if heat is not None and self._heat_file is not None:
            self._heat_file.write(heat)

    def close(self) -> None:
        """Write what waits and give the directory back; the cache must not be used again."""
        if self._disk is not None:
            self._tell_heat()
            self.drain()
            self._disk.close()

    # After a start, memory is filled from disk before anybody asks.

    def hottest_absent(self) -> tuple[list[bytes], int]:
        """What memory has room for, the hottest first, and a number that preload() wants."""
        wanted = [key for key, _ in self._patterns.heat.hottest() if key not in self._memory]
        return wanted[:self._room - sum(self._memory.entries)], self._trims

    def read_disk(self, key: bytes) -> str | None:
        """A value on disk; called from any thread."""
        return self._disk.get(key) if self._disk is not None else None

    def preload(self, key: bytes, value: str, number: int) -> bool:
        """Take a value that was read on disk into memory; returns whether it still has a place.

        Args:
            key: from hottest_absent.
            value: from read_disk.
            number: from hottest_absent; what was trimmed since then does not come back.
        """
        if number != self._trims or key in self._memory or sum(
                self._memory.entries) >= self._room:
            return False
        self._memory.put(key, value)
        return True

    def analyse(self) -> dict[str, Any]:
        """What is asked of the cache: as of AccessPatterns.analyse, and the policy followed."""
        return {**self._patterns.analyse(), 'policy': self._admission.policy}

    @property
    def hit_rate(self) -> float:
        """Hits / lookups, 0 to 1; NaN before the first lookup."""
        lookups = sum(self._hits) + self._misses
        return sum(self._hits) / lookups if lookups else float('nan')

    def statistics(self) -> CacheStatistics:
        """A snapshot of the counters."""
        # An empty tier is false as well.
        disk = self._disk
        evictions, entries, volume, failures = (0, 0, 0, 0) if disk is None else (
            disk.evictions, len(disk), disk.volume, disk.write_failures)
        return CacheStatistics(
            hits=(self._hits[L1], self._hits[L2], self._hits[L3]),
            misses=self._misses,
            stores=self._stores,
            evictions=(*self._memory.evictions, evictions),
            entries=(*self._memory.entries, entries),
            disk_bytes=volume,
            write_failures=failures,
            hit_rate=self.hit_rate,
        )

    def _leave(self, key: bytes, value: str) -> None:
        """What leaves memory was put on disk before; it is the most recently used value there.

        The writer is not woken for that: it can wait for the next value, or for expire().
        """
        if self._disk is not None:
            self._disk.refresh(key, value)

    def _load_heat(self) -> None:
        heat = self._heat_file.read() if self._heat_file is not None else []
        self._patterns.heat.load(heat)
        for key, count in heat:
            self._admission.remember(key, count)

    def _tell_heat(self) -> None:
        self._heat_told = self._clock()
        self._heat_to_write = self._patterns.heat.hottest()


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f'key: got {len(key)} bytes, expected {KEY_BYTES}')
