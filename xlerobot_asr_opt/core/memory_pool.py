"""Staging memory for the BPU: named pools in one arena that is allocated once.

The arena is anonymous memory, page-aligned; a page costs nothing before it is first written. A
pool is a name under which bytes are counted and given back, not a part of the arena: what one pool
does not need, another can have.

**Views.** An allocation is used through NumPy views of it. All views of one allocation are made
from one array, to which the pool keeps a weak reference; every view, slice, transposition and
memoryview keeps a strong one. So the pool knows, without being told, whether anybody can still
look at the bytes. While somebody can, they are not moved, and, if they were given back meanwhile,
not handed out again: they linger until the last view is gone.
"""

from __future__ import annotations

import collections
import math
import mmap
import threading
import weakref
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.free_space import CACHE_LINE, PAGE, FreeSpace, round_up
from xlerobot_asr_opt.core.memory_records import (
    Account,
    BPUAllocationResult,
    BPUMemoryStatistics,
)
from xlerobot_asr_opt.errors import (
    DoubleFreeError,
    ForeignAddressError,
    MemoryPoolError,
    OverSizeError,
    PoolFullError,
    UnknownPoolError,
    WrongPoolError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ['CACHE_LINE', 'DEFAULT_SIZE', 'PAGE', 'BPUMemoryPool']

DEFAULT_SIZE: Final = 64 * 1024 * 1024
"""Of an arena [bytes]."""


class BPUMemoryPool:
    """Hands out aligned pieces of one arena: best fit, merged again when they come back.

    The time of an operation does not depend on how many blocks there are, but for ``defragment``.
    It may be used from any thread.

    Args:
        size_bytes: of the arena, a multiple of PAGE.

    Raises:
        MemoryPoolError: another size.
    """

    def __init__(self, size_bytes: int = DEFAULT_SIZE) -> None:
        if size_bytes < PAGE or size_bytes % PAGE:
            raise MemoryPoolError(
                f'got an arena of {size_bytes} bytes, expected a multiple of {PAGE}; '
                f'the usual size is {DEFAULT_SIZE}')
        self._size = size_bytes
        self._arena = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._lock = threading.Lock()
        self._used: dict[int, BPUAllocationResult] = {}
        self._lingering: dict[int, BPUAllocationResult] = {}
        # Filled when a last view dies, in whatever thread that is: hence a deque, and no lock.
        self._unviewed: collections.deque[int] = collections.deque()
        # Bounded: at most one address for each block that the arena has room for.
        self._given_back: set[int] = set()
        self._pools: dict[str, Account] = {}
        self._used_bytes = self._requested_bytes = self._lingering_bytes = 0
        self._peak_bytes = self._refusals = self._moved_bytes = 0
        self._free = FreeSpace(size_bytes)

    def allocate(
        self, size_bytes: int, pool_name: str, alignment: int = CACHE_LINE,
    ) -> BPUAllocationResult:
        """Take the smallest free block that has room; its content is what was left there.

        Args:
            size_bytes: at least 1.
            pool_name: whom to count it for; a pool begins with its first allocation.
            alignment: CACHE_LINE or PAGE.

        Raises:
            OverSizeError: more than the arena has.
            PoolFullError: no free block has room.
            MemoryPoolError: no size, or another alignment.
        """
        if alignment not in (CACHE_LINE, PAGE):
            raise MemoryPoolError(
                f'got an alignment of {alignment} bytes, expected {CACHE_LINE} or {PAGE}')
        if not isinstance(size_bytes, (int, np.integer)) or size_bytes < 1:
            raise MemoryPoolError(
                f'got {size_bytes!r} bytes for {pool_name}, expected an integer of at least 1')
        if size_bytes > self._size:
            raise OverSizeError(
                f'got {size_bytes} bytes for {pool_name}, expected at most {self._size}, the '
                'whole arena; make a larger one')
        block_bytes = round_up(size_bytes, CACHE_LINE)
        with self._lock:
            self._reclaim()
            start = self._free.take(block_bytes, alignment)
            if start is None:
                self._refusals += 1
                raise PoolFullError(self._why_full(size_bytes, pool_name))
            allocation = BPUAllocationResult(
                pool_name, start, size_bytes, alignment, block_bytes)
            self._used[start] = allocation
            self._given_back.discard(start)
            self._count(allocation, +1)
        return allocation

    def deallocate(self, pool_name: str, start_addr: int) -> None:
        """Give an allocation back; its bytes are handed out again when no view is alive.

        Raises:
            UnknownPoolError: nothing was ever allocated from a pool of this name.
            DoubleFreeError: it was given back before, or has been moved from there.
            ForeignAddressError: no allocation begins there.
            WrongPoolError: the one that does belongs to another pool.
        """
        with self._lock:
            self._reclaim()
            if pool_name not in self._pools:
                raise UnknownPoolError(
                    f'got pool {pool_name!r}, expected {_listed(self._pools)}; '
                    'a pool begins with its first allocation')
            allocation = self._find(pool_name, start_addr)
            del self._used[start_addr]
            self._given_back.add(start_addr)
            self._count(allocation, -1)
            base = None if allocation.viewed is None else allocation.viewed()
            if base is None:
                self._free.give(start_addr, allocation.block_bytes)
                return
            gone, unviewed = start_addr, self._unviewed
            allocation.viewed = weakref.ref(base, lambda _: unviewed.append(gone))
            self._lingering[start_addr] = allocation
            self._lingering_bytes += allocation.block_bytes

    def view(
        self, allocation: BPUAllocationResult, dtype: npt.DTypeLike, shape: tuple[int, ...],
    ) -> npt.NDArray[Any]:
        """The bytes of an allocation as an array; while it is alive they stay where they are.

        Args:
            allocation: not given back.
            dtype: of the array.
            shape: of the array, from the begin of the allocation.

        Raises:
            DoubleFreeError: it was given back.
            ForeignAddressError: it is of another arena.
            OverSizeError: the array has more bytes than the allocation.
        """
        kind = np.dtype(dtype)
        wanted = math.prod(shape) * kind.itemsize
        if wanted > allocation.size_bytes:
            raise OverSizeError(
                f'got a view of {kind}{list(shape)}, {wanted} bytes, expected at most '
                f'{allocation.size_bytes}; allocate that much')
        with self._lock:
            start = allocation.start_addr
            if self._used.get(start) is not allocation:
                raise self._not_here(allocation.pool_name, start)
            base = None if allocation.viewed is None else allocation.viewed()
            if base is None:
                # Not a slice of one array of the whole arena: NumPy would have a view of that
                # slice refer to the whole, past the slice, and the slice would seem to be gone.
                base = np.frombuffer(self._arena, np.uint8, allocation.size_bytes, start)
                allocation.viewed = weakref.ref(base)
        return base[:wanted].view(kind).reshape(shape)

    def defragment(self) -> int:
        """Move what no view looks at towards the begin, so that the free bytes come together.

        The allocations that were moved say their new address; an address that was noted down
        before is no longer valid.

        Returns:
            How many bytes were moved.
        """
        with self._lock:
            self._reclaim()
            moved, end = 0, 0
            for allocation in self._in_order():
                start = allocation.start_addr
                if start not in self._lingering and not allocation.pinned:
                    lowest = round_up(end, allocation.alignment)
                    if lowest < start:
                        self._move(allocation, end, lowest)
                        moved += allocation.block_bytes
                end = allocation.start_addr + allocation.block_bytes
            self._moved_bytes += moved
        return moved

    def statistics(self) -> BPUMemoryStatistics:
        """A snapshot that does not change any more."""
        with self._lock:
            self._reclaim()
            return BPUMemoryStatistics(
                size_bytes=self._size, used_bytes=self._used_bytes,
                lingering_bytes=self._lingering_bytes,
                free_bytes=self._size - self._used_bytes - self._lingering_bytes,
                largest_free_bytes=self._free.largest,
                peak_bytes=self._peak_bytes, requested_bytes=self._requested_bytes,
                refusals=self._refusals, moved_bytes=self._moved_bytes,
                pools=MappingProxyType({
                    name: account.statistics() for name, account in self._pools.items()}))

    def _find(self, pool_name: str, start: int) -> BPUAllocationResult:
        allocation = self._used.get(start)
        if allocation is None:
            raise self._not_here(pool_name, start)
        if allocation.pool_name != pool_name:
            raise WrongPoolError(
                f'got address {start} for pool {pool_name!r}, expected one of its own; this one '
                f'is of {allocation.pool_name!r}')
        return allocation

    def _not_here(self, pool_name: str, start: int) -> MemoryPoolError:
        """What to raise for an address where no allocation of the caller begins."""
        if start in self._given_back:
            return DoubleFreeError(
                f'got address {start} of pool {pool_name!r}, expected one that is allocated; it '
                'was given back, or moved away, before: use the address that the allocation says')
        return ForeignAddressError(
            f'got address {start} for pool {pool_name!r}, expected the start_addr of an '
            f'allocation of this arena of {self._size} bytes')

    def _why_full(self, size_bytes: int, pool_name: str) -> str:
        free = self._size - self._used_bytes - self._lingering_bytes
        advice = ('let go of views, and defragment' if self._size - self._used_bytes >= size_bytes
                  else 'give something back first, or make a larger arena')
        return (
            f'got {size_bytes} bytes for {pool_name}, expected at most {self._free.largest}, the '
            f'largest free block of {free} free bytes; {advice}')

    def _count(self, allocation: BPUAllocationResult, sign: int) -> None:
        """Enter an allocation (+1) into the accounts, or take it out again (-1)."""
        self._used_bytes += sign * allocation.block_bytes
        self._requested_bytes += sign * allocation.size_bytes
        self._pools.setdefault(allocation.pool_name, Account()).count(
            sign * allocation.block_bytes, sign)
        self._peak_bytes = max(self._peak_bytes, self._used_bytes + self._lingering_bytes)

    def _reclaim(self) -> None:
        """Free the lingering blocks whose last view has died since."""
        while self._unviewed:
            start = self._unviewed.popleft()
            block_bytes = self._lingering.pop(start).block_bytes
            self._lingering_bytes -= block_bytes
            self._free.give(start, block_bytes)

    def _in_order(self) -> list[BPUAllocationResult]:
        """All that takes room, by its address."""
        return sorted((*self._used.values(), *self._lingering.values()),
                      key=lambda allocation: allocation.start_addr)

    def _move(self, allocation: BPUAllocationResult, gap: int, start: int) -> None:
        """Move an allocation down into the free block before it, which begins at gap."""
        old = allocation.start_addr
        self._arena.move(start, old, allocation.block_bytes)
        self._free.give(old, allocation.block_bytes)
        self._free.cut(gap, start, allocation.block_bytes)
        del self._used[old]
        self._used[start] = allocation
        allocation.start_addr = start
        self._given_back.discard(start)
        self._given_back.add(old)


def _listed(names: Iterable[str]) -> str:
    return ', '.join(sorted(names)) or 'none yet'
