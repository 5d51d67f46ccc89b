"""A level of the cache in memory: least recently used goes first, and so does what is too old."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ['MemoryTier']


class MemoryTier:
    """LRU with an age limit.

    Args:
        entries: most values held.
        ttl: age after which a value leaves, counted from put [s].
        clock: seconds, monotonic.
        evicted: is handed what leaves for size or age; what trim removes is not.
    """

    def __init__(
        self,
        entries: int,
        ttl: float,
        clock: Callable[[], float],
        evicted: Callable[[bytes, str], None],
    ) -> None:
        self._entries = entries
        self._ttl = ttl
        self._clock = clock
        self._evicted = evicted
        self._values: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._evictions = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: bytes) -> bool:
        return key in self._values

    @property
    def evictions(self) -> int:
        """Values that left for size or age."""
        return self._evictions

    @property
    def is_full(self) -> bool:
        """Whether a new value makes another one leave."""
        return len(self._values) >= self._entries

    @property
    def coldest(self) -> bytes | None:
        """The key of the value that is the next to leave for size; None: there is none."""
        return next(iter(self._values), None)

    def get(self, key: bytes) -> str | None:
        """The value, which is now the most recently used one; None: not here, or too old."""
        found = self._values.get(key)
        if found is None:
            return None
        born, value = found
        if self._clock() - born > self._ttl:
            self._evict(key)
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: str, *, cold: bool = False) -> None:
        """Keep a value; the coldest one leaves if there is no room.

        Args:
            key: replaces what lies under it.
            value: counts as the most recently used one.
            cold: it counts as the least recently used one instead, once there is room for it.
        """
        self._values[key] = (self._clock(), value)
        self._values.move_to_end(key)
        if len(self._values) > self._entries:
            self._evict(next(iter(self._values)))
        if cold:
            self._values.move_to_end(key, last=False)

    def pop(self, key: bytes) -> None:
        """Let go of a value, if it is here."""
        self._values.pop(key, None)

    def expire(self) -> None:
        """Evict all that is too old."""
        oldest = self._clock() - self._ttl
        for key in [key for key, (born, _) in self._values.items() if born < oldest]:
            self._evict(key)

    def trim(self, keep: float) -> int:
        """Keep this share of the values, the most recently used ones; return how many went."""
        surplus = len(self._values) - int(keep * len(self._values))
        for _ in range(surplus):
            self._values.popitem(last=False)
        return surplus

    def _evict(self, key: bytes) -> None:
        _, value = self._values.pop(key)
        self._evictions += 1
        self._evicted(key, value)
