"""The cache of transcripts, and its writer: what the node serves, for use without ROS as well."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.core.cache import CacheTiers
from xlerobot_asr_opt.core.cache_records import CacheStatistics, Hit
from xlerobot_asr_opt.models.paths import cache_root, private_directory
from xlerobot_asr_opt.parameters import CacheParameters

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ['MultiLevelCacheSystem']

EXPIRY_PERIOD_S = 10.0


class MultiLevelCacheSystem:
    """Three levels, asked as one from any thread; trimming the disk alone waits for a write.

    The node cache serves the plain methods; get, set and preload_hot_data are the same for a
    caller that awaits. A key is what cache_key gives, 32 uniformly distributed bytes::

        with MultiLevelCacheSystem() as cache:
            await cache.set(key, text)
            assert await cache.get(key) == text

    Args:
        parameters: of the node cache.
        clock: seconds, monotonic.

    Raises:
        ConfigurationError: the directory of the parameters cannot be made.
    """

    def __init__(
        self, parameters: CacheParameters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parameters = parameters or CacheParameters()
        own = parameters.directory
        directory = private_directory(Path(own)) if own else cache_root() / 'transcripts'
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._drain_is_due = False
        self._is_closed = False
        self._tiers = CacheTiers(parameters, directory, clock, self._wake)
        self._writer = threading.Thread(target=self._write, name='writer', daemon=True)
        self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def disk_fault(self) -> str:
        """Why the third level is off; empty while it is on, or not wanted."""
        return self._tiers.disk_fault

    async def get(self, key: bytes) -> str | None:
        """The value; None: not here. Reading the disk, a tenth of a millisecond, is not awaited.

        Args:
            key: 32 bytes.

        Raises:
            ConfigurationError: a key of another length.
        """
        hit = self.look_up(key)
        return None if hit is None else hit.value

    async def set(self, key: bytes, value: str) -> None:
        """Keep a value; see store."""
        self.store(key, value)

    async def preload_hot_data(self) -> int:
        """Bring what was asked for most from disk into memory; see preload."""
        # Not above: the node never awaits, and would pay 3 MB for it.
        import asyncio  # noqa: PLC0415

        return await asyncio.to_thread(self.preload)

    def get_hit_rate(self) -> float:
        """Hits / lookups, 0 to 1; NaN before the first lookup."""
        return self._tiers.hit_rate

    def analyze_access_patterns(self) -> dict[str, Any]:
        """Tell what is asked of the cache, and which sizes would suit that.

        Returns:
            All of AccessPatterns.analyse, and policy: what decides who leaves memory at present,
            frequency or recency.
        """
        with self._lock:
            return self._tiers.analyse()

    def look_up(self, key: bytes) -> Hit | None:
        """The value and the level it was in; it moves up to the first level.

        Args:
            key: 32 bytes.

        Raises:
            ConfigurationError: a key of another length.
        """
        with self._lock:
            return self._tiers.get(key)

    def store(self, key: bytes, value: str) -> None:
        """Keep a value in memory, and have it written to disk.

        Raises:
            ConfigurationError: a key of another length, or a value that is too long or no text.
        """
        with self._lock:
            self._tiers.put(key, value)

    def preload(self) -> int:
        """Bring what was asked for most from disk into memory, as far as there is room.

        Lookups go on meanwhile: each waits for one value to be taken in, not to be read.

        Returns:
            How many values came.
        """
        with self._lock:
            wanted, number = self._tiers.hottest_absent()
        taken = 0
        for key in reversed(wanted):  # the hottest is to be the most recently used one
            value = self._tiers.read_disk(key)
            if value is not None:
                with self._lock:
                    taken += self._tiers.preload(key, value, number)
        return taken

    def preload_soon(self) -> None:
        """Have the writer's thread preload."""
        self._work.put(self.preload)

    def trim(self, keep: float, *, disk: bool) -> int:
        """Give memory back; see CacheTiers.trim.

        Raises:
            ConfigurationError: keep is not within 0 to 1.
        """
        with self._lock:
            return self._tiers.trim(keep, disk)

    def statistics(self) -> CacheStatistics:
        """A snapshot of the counters."""
        with self._lock:
            return self._tiers.statistics()

    def close(self) -> None:
        """Write what waits and give the directory back; the cache must not be used again."""
        if self._is_closed:
            return
        self._is_closed = True
        self._work.put(None)
        self._writer.join()
        self._tiers.close()

    def _wake(self) -> None:
        """Have the writer drain; called with the lock held, by whoever put something."""
        if not self._drain_is_due:
            self._drain_is_due = True
            self._work.put(self._drain)

    def _drain(self) -> None:
        self._drain_is_due = False
        self._tiers.drain()

    def _write(self) -> None:
        """Work off what is to be done, and look for what is too old once in a while."""
        due = time.monotonic() + EXPIRY_PERIOD_S
        while True:
            try:
                work = self._work.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                due = time.monotonic() + EXPIRY_PERIOD_S
                with self._lock:
                    self._tiers.expire()
                continue
            if work is None:
                return
            work()
