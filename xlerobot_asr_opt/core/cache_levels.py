"""The two levels in memory: the first takes everything, the second what is worth its room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_memory import MemoryTier

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ['L1', 'L2', 'MemoryLevels']

L1, L2 = 0, 1


class MemoryLevels:
    """What leaves the first level has to win its place in the second; a hit moves up.

    Args:
        entries: of each level.
        ttl: age limit of each level [s].
        clock: seconds, monotonic.
        wins: whether the first key is worth more than the second one, which would leave for it.
        leaves: is handed what is in neither level any more, for size or age.
    """

    def __init__(
        self,
        entries: tuple[int, int],
        ttl: tuple[float, float],
        clock: Callable[[], float],
        wins: Callable[[bytes, bytes], bool],
        leaves: Callable[[bytes, str], None],
    ) -> None:
        self._wins = wins
        self._leaves = leaves
        self._second = MemoryTier(entries[L2], ttl[L2], clock, leaves)
        self._first = MemoryTier(entries[L1], ttl[L1], clock, self._demote)

    def __contains__(self, key: bytes) -> bool:
        return key in self._first or key in self._second

    @property
    def entries(self) -> tuple[int, int]:
        """Values held, by level."""
        return len(self._first), len(self._second)

    @property
    def evictions(self) -> tuple[int, int]:
        """Values that left for size or age, by level."""
        return self._first.evictions, self._second.evictions

    def get(self, key: bytes) -> tuple[str, int] | None:
        """The value and the level it was in; it is in the first one from now on."""
        value = self._first.get(key)
        if value is not None:
            return value, L1
        value = self._second.get(key)
        if value is None:
            return None
        self._second.pop(key)
        self._first.put(key, value)
        return value, L2

    def put(self, key: bytes, value: str) -> None:
        """Keep a value in the first level."""
        self._second.pop(key)
        self._first.put(key, value)

    def expire(self) -> None:
        """Move on what is too old."""
        self._first.expire()
        self._second.expire()

    def trim(self, keep: float) -> int:
        """Keep this share of each level, the most recently used; return how many went."""
        return self._first.trim(keep) + self._second.trim(keep)

    def _demote(self, key: bytes, value: str) -> None:
        """Where there is room without a fight, who would have lost it is the next to leave."""
        coldest = self._second.coldest
        wins = coldest is None or self._wins(key, coldest)
        if wins or not self._second.is_full:
            self._second.put(key, value, cold=not wins)
        else:
            self._leaves(key, value)
