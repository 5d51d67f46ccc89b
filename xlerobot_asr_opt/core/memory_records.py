"""What a memory pool hands out, an allocation and its statistics, and how it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import weakref

__all__ = ['Account', 'BPUAllocationResult', 'BPUMemoryStatistics', 'PoolStatistics']


@dataclass(eq=False)
class BPUAllocationResult:
    """One allocation: equal to itself alone. Nobody but its pool changes it.

    Attributes:
        pool_name: the pool that counts it.
        start_addr: where it lies now [bytes from the begin of the arena]. Only
            ``BPUMemoryPool.defragment`` changes it, and not while a view is alive.
        size_bytes: bytes that were asked for.
        alignment: of start_addr and of the memory there [bytes].
        block_bytes: bytes that it takes, size_bytes rounded up.
    """

    pool_name: str
    start_addr: int
    size_bytes: int
    alignment: int
    block_bytes: int
    viewed: weakref.ref[Any] | None = field(default=None, repr=False)
    """The array that all views of it are made from, as long as one of them is alive."""

    @property
    def pinned(self) -> bool:
        """Whether a view is alive, so that it has to stay where it lies."""
        return self.viewed is not None and self.viewed() is not None


@dataclass(frozen=True)
class PoolStatistics:
    """What one named pool holds; counters since the arena was made.

    Attributes:
        used_bytes: in blocks that are allocated.
        peak_bytes: the most that used_bytes ever was.
        live: allocations that were not given back.
        allocations: made so far.
        deallocations: given back so far.
    """

    used_bytes: int = 0
    peak_bytes: int = 0
    live: int = 0
    allocations: int = 0
    deallocations: int = 0


@dataclass(frozen=True)
class BPUMemoryStatistics:
    """A snapshot of an arena: size_bytes = used_bytes + lingering_bytes + free_bytes.

    Attributes:
        size_bytes: of the arena.
        used_bytes: in blocks that are allocated.
        lingering_bytes: in blocks that were given back, but of which a view is still alive.
        free_bytes: in blocks that can be allocated.
        largest_free_bytes: the largest of them: what a single allocation can have.
        peak_bytes: the most that used_bytes and lingering_bytes ever were together.
        requested_bytes: what the owners of used_bytes asked for.
        refusals: allocations that found no room.
        moved_bytes: moved by defragmentations so far.
        pools: name to its share.
    """

    size_bytes: int
    used_bytes: int
    lingering_bytes: int
    free_bytes: int
    largest_free_bytes: int
    peak_bytes: int
    requested_bytes: int
    refusals: int
    moved_bytes: int
    pools: Mapping[str, PoolStatistics]

    @property
    def fragmentation(self) -> float:
        """Share of the free bytes that one allocation cannot have; 0: all in one piece."""
        return 1.0 - self.largest_free_bytes / self.free_bytes if self.free_bytes else 0.0


class Account:
    """What is counted for one pool."""

    __slots__ = ('_allocations', '_deallocations', '_peak', '_used')

    def __init__(self) -> None:
        self._used = self._peak = self._allocations = self._deallocations = 0

    def count(self, block_bytes: int, sign: int) -> None:
        """Enter so many bytes, of an allocation (+1) or of one that is given back (-1)."""
        self._used += block_bytes
        if sign > 0:
            self._allocations += 1
            self._peak = max(self._peak, self._used)
        else:
            self._deallocations += 1

    def statistics(self) -> PoolStatistics:
        """A snapshot."""
        return PoolStatistics(
            used_bytes=self._used, peak_bytes=self._peak,
            live=self._allocations - self._deallocations, allocations=self._allocations,
            deallocations=self._deallocations)
