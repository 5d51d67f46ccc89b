"""What holds whatever happens: hypothesis allocates, looks, gives back, moves, and errs."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from xlerobot_asr_opt.core.memory_pool import CACHE_LINE, PAGE, BPUMemoryPool
from xlerobot_asr_opt.errors import (
    DoubleFreeError,
    ForeignAddressError,
    MemoryPoolError,
    PoolFullError,
    UnknownPoolError,
    WrongPoolError,
)

POOLS = ('features', 'encoder', 'decoder')
SIZE = 16 * PAGE


class Pooling(RuleBasedStateMachine):
    """The model knows every live byte; views may outlive what they look at."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BPUMemoryPool(SIZE)
        self.live = {}
        self.views = []
        self.given_back = []
        self.counted = dict.fromkeys(POOLS, 0)
        self.serial = 0

    @rule(size=st.integers(1, 3 * PAGE), name=st.sampled_from(POOLS),
          alignment=st.sampled_from([CACHE_LINE, PAGE]))
    def allocate(self, size, name, alignment):
        free = self.pool.statistics().largest_free_bytes
        try:
            allocation = self.pool.allocate(size, name, alignment)
        except PoolFullError:
            # A block of this size and a page more has an aligned address with room behind it.
            assert free < size + (alignment if alignment == PAGE else 0)
            return
        assert allocation.start_addr % alignment == 0
        self.serial = (self.serial + 1) % 251
        self.pool.view(allocation, np.uint8, (size,))[:] = self.serial
        self.live[allocation] = self.serial
        self.counted[name] += 1

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def look(self, data):
        allocation = self.draw(data)
        view = self.pool.view(allocation, np.uint8, (allocation.size_bytes,))
        self.views.append((allocation, view[view.size // 2:], self.live[allocation]))

    @precondition(lambda self: self.views)
    @rule(data=st.data())
    def look_away(self, data):
        del self.views[data.draw(st.integers(0, len(self.views) - 1))]
        gc.collect(0)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def give_back(self, data):
        allocation = self.draw(data)
        del self.live[allocation]
        self.pool.deallocate(allocation.pool_name, allocation.start_addr)
        self.given_back.append((allocation.pool_name, allocation.start_addr))

    @rule()
    def defragment(self):
        where = {id(view): view.ctypes.data for _, view, _ in self.views}
        before = {allocation: allocation.start_addr for allocation in self.live}
        self.pool.defragment()
        self.given_back += [(allocation.pool_name, start) for allocation, start in before.items()
                            if allocation.start_addr != start]
        assert where == {id(view): view.ctypes.data for _, view, _ in self.views}
        if not self.views:
            statistics = self.pool.statistics()
            # Only what lies before a page-aligned allocation may stay apart.
            assert (statistics.largest_free_bytes == statistics.free_bytes
                    or any(allocation.alignment == PAGE for allocation in self.live))

    @precondition(lambda self: self.given_back)
    @rule(data=st.data())
    def give_back_again(self, data):
        name, start = data.draw(st.sampled_from(self.given_back))
        if not any(allocation.start_addr == start for allocation in self.live):
            with pytest.raises(DoubleFreeError):
                self.pool.deallocate(name, start)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), name=st.sampled_from(POOLS))
    def give_back_to_another(self, data, name):
        allocation = self.draw(data)
        if allocation.pool_name != name:
            with pytest.raises(WrongPoolError if self.counted[name] else UnknownPoolError):
                self.pool.deallocate(name, allocation.start_addr)

    @precondition(lambda self: self.counted['features'])
    @rule(address=st.integers(-SIZE, 2 * SIZE))
    def give_back_anything(self, address):
        known = {start for _, start in self.given_back}
        known |= {allocation.start_addr for allocation in self.live}
        if address not in known:
            with pytest.raises(ForeignAddressError):
                self.pool.deallocate('features', address)

    @rule(size=st.sampled_from([0, -1, SIZE + 1]))
    def ask_for_nonsense(self, size):
        with pytest.raises(MemoryPoolError):
            self.pool.allocate(size, 'features')

    def draw(self, data):
        return data.draw(st.sampled_from(sorted(self.live, key=lambda one: one.start_addr)))

    @invariant()
    def nothing_overlaps(self):
        taken = sorted((one.start_addr, one.start_addr + one.block_bytes) for one in self.live)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(taken))
        assert all(begin >= 0 and end <= SIZE for begin, end in taken)

    @invariant()
    def contents_are_intact(self):
        for allocation, mark in self.live.items():
            view = self.pool.view(allocation, np.uint8, (allocation.size_bytes,))
            assert view[0] == view[-1] == mark
        for _, view, mark in self.views:
            assert (view == mark).all()

    @invariant()
    def accounts_are_exact(self):
        statistics = self.pool.statistics()
        used = sum(one.block_bytes for one in self.live)
        looked_at = {one: one.block_bytes for one, *_ in self.views if one not in self.live}
        assert statistics.used_bytes == used
        assert statistics.lingering_bytes == sum(looked_at.values())
        assert statistics.free_bytes == SIZE - used - sum(looked_at.values())
        assert statistics.requested_bytes == sum(one.size_bytes for one in self.live)
        assert {name: share.live for name, share in statistics.pools.items()} == {
            name: sum(one.pool_name == name for one in self.live)
            for name in POOLS if self.counted[name]}

    def teardown(self):
        """Nothing leaks: without owners and views the arena is one piece."""
        for allocation in self.live:
            self.pool.deallocate(allocation.pool_name, allocation.start_addr)
        self.views.clear()
        gc.collect(0)
        statistics = self.pool.statistics()
        assert (statistics.used_bytes, statistics.lingering_bytes) == (0, 0)
        assert statistics.largest_free_bytes == SIZE


Pooling.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
TestPooling = Pooling.TestCase
