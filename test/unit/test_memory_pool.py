"""Pieces of one arena: aligned, best fit, merged, counted; and views that stay what they are."""

import dataclasses
import gc
import random
import threading

import numpy as np
import pytest

from xlerobot_asr_opt.core.memory_pool import CACHE_LINE, DEFAULT_SIZE, PAGE, BPUMemoryPool
from xlerobot_asr_opt.errors import (
    DoubleFreeError,
    ForeignAddressError,
    MemoryPoolError,
    OverSizeError,
    PoolFullError,
    UnknownPoolError,
    WrongPoolError,
)


def fill(pool, size, count, name='features'):
    return [pool.allocate(size, name) for _ in range(count)]


def give(pool, *allocations):
    for allocation in allocations:
        pool.deallocate(allocation.pool_name, allocation.start_addr)


def test_it_has_64_mib_unless_told():
    assert BPUMemoryPool().statistics().size_bytes == DEFAULT_SIZE == 64 * 2**20


@pytest.mark.parametrize('size', [0, -PAGE, PAGE - 1, PAGE + CACHE_LINE])
def test_an_arena_of_no_whole_pages_is_refused(size):
    with pytest.raises(MemoryPoolError, match=f'got an arena of {size} bytes'):
        BPUMemoryPool(size)


def test_an_allocation_says_what_it_is():
    pool = BPUMemoryPool(4 * PAGE)
    first, second = pool.allocate(100, 'features'), pool.allocate(1, 'encoder', PAGE)
    assert (first.pool_name, first.start_addr, first.size_bytes) == ('features', 0, 100)
    assert (first.alignment, first.block_bytes) == (64, 128)
    assert (second.start_addr, second.alignment, second.block_bytes) == (PAGE, PAGE, 64)


@pytest.mark.parametrize('alignment', [CACHE_LINE, PAGE])
def test_the_memory_itself_is_aligned(alignment):
    pool = BPUMemoryPool(16 * PAGE)
    pool.allocate(1, 'features')
    allocation = pool.allocate(100, 'features', alignment)
    address = pool.view(allocation, np.uint8, (100,)).ctypes.data
    assert address % alignment == 0


def test_the_smallest_block_that_has_room_is_taken():
    pool = BPUMemoryPool(64 * PAGE)
    sizes = (640, 64, 192, 64, 320, 64)
    blocks = [pool.allocate(size, 'features') for size in sizes]
    give(pool, blocks[0], blocks[2], blocks[4])
    assert pool.allocate(190, 'features').start_addr == blocks[2].start_addr
    assert pool.allocate(200, 'features').start_addr == blocks[4].start_addr
    assert pool.allocate(193, 'features').start_addr == blocks[0].start_addr


def test_a_page_is_found_wherever_one_fits():
    pool = BPUMemoryPool(4 * PAGE)
    low = pool.allocate(PAGE - 64, 'features')
    pool.allocate(64, 'features')
    rest = pool.allocate(PAGE, 'features', PAGE)
    pool.allocate(2 * PAGE, 'features')
    give(pool, low, rest)
    # low is as large but for one line, and begins at a page: the other is the only one with room.
    assert pool.allocate(PAGE, 'features', PAGE).start_addr == PAGE
    assert pool.allocate(PAGE - 64, 'features', PAGE).start_addr == 0


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 0, 2)])
def test_neighbours_merge_in_whatever_order_they_come_back(order):
    pool = BPUMemoryPool(3 * PAGE)
    blocks = fill(pool, PAGE, 3)
    give(pool, *(blocks[index] for index in order))
    assert pool.statistics().largest_free_bytes == 3 * PAGE
    assert pool.allocate(3 * PAGE, 'features').start_addr == 0


def test_a_size_that_is_none_is_refused():
    pool = BPUMemoryPool(PAGE)
    for size in (0, -1, 64.0):
        with pytest.raises(MemoryPoolError, match=f'got {size} bytes for features'):
            pool.allocate(size, 'features')
    with pytest.raises(MemoryPoolError, match='got an alignment of 32 bytes, expected 64 or 4096'):
        pool.allocate(1, 'features', 32)


def test_more_than_the_arena_is_refused_for_good():
    with pytest.raises(OverSizeError, match=r'got 4097 bytes .*, expected at most 4096'):
        BPUMemoryPool(PAGE).allocate(PAGE + 1, 'features')


def test_a_full_arena_says_what_would_help():
    pool = BPUMemoryPool(4 * PAGE)
    blocks = fill(pool, PAGE, 4)
    with pytest.raises(PoolFullError, match='of 0 free bytes; give something back'):
        pool.allocate(1, 'features')
    give(pool, blocks[0], blocks[2])
    with pytest.raises(PoolFullError, match=r'at most 4096, .* of 8192 free bytes; .*defragment'):
        pool.allocate(2 * PAGE, 'features')
    assert pool.statistics().refusals == 2


def test_each_wrong_way_to_give_back_has_its_own_error():
    pool = BPUMemoryPool(4 * PAGE)
    with pytest.raises(UnknownPoolError, match="got pool 'features', expected none yet"):
        pool.deallocate('features', 0)
    first, second = pool.allocate(200, 'features'), pool.allocate(64, 'encoder')
    with pytest.raises(WrongPoolError, match="this one is of 'encoder'"):
        pool.deallocate('features', second.start_addr)
    for address in (64, 7, -64, 4 * PAGE, 10**9):
        with pytest.raises(ForeignAddressError, match=f'got address {address} for pool'):
            pool.deallocate('features', address)
    give(pool, first)
    with pytest.raises(DoubleFreeError, match='got address 0 of pool'):
        give(pool, first)
    give(pool, second)
    statistics = pool.statistics()
    assert (statistics.used_bytes, statistics.free_bytes) == (0, 4 * PAGE)


def test_an_address_that_is_in_use_again_is_given_back_once_more():
    pool = BPUMemoryPool(PAGE)
    for _ in range(3):
        give(pool, pool.allocate(PAGE, 'features'))


def test_a_view_has_the_shape_that_was_asked_for_and_shares_the_bytes():
    pool = BPUMemoryPool(4 * PAGE)
    allocation = pool.allocate(6 * 4, 'features')
    view = pool.view(allocation, np.float32, (2, 3))
    view[:] = np.arange(6).reshape(2, 3)
    assert (view.dtype, view.shape) == (np.float32, (2, 3))
    np.testing.assert_array_equal(pool.view(allocation, np.float32, (6,)), np.arange(6))
    with pytest.raises(OverSizeError, match=r'got a view of float32\[7\], 28 bytes, expected'):
        pool.view(allocation, np.float32, (7,))


def test_what_was_given_back_is_not_viewed():
    pool, other = BPUMemoryPool(PAGE), BPUMemoryPool(PAGE)
    allocation = pool.allocate(64, 'features')
    with pytest.raises(ForeignAddressError):
        other.view(allocation, np.uint8, (64,))
    give(pool, allocation)
    with pytest.raises(DoubleFreeError):
        pool.view(allocation, np.uint8, (64,))
    # Not even where another allocation begins by now.
    pool.allocate(64, 'features')
    with pytest.raises(ForeignAddressError):
        pool.view(allocation, np.uint8, (64,))


DERIVED = {
    'the view': lambda view: view,
    'a slice': lambda view: view[1:, :2],
    'a transposition': lambda view: view.T,
    'another type': lambda view: view.view(np.int16),
    'a memoryview': lambda view: memoryview(view),
    'an array by its buffer': lambda view: np.frombuffer(memoryview(view).cast('B'), np.uint8),
}


@pytest.mark.parametrize('derive', DERIVED.values(), ids=DERIVED)
def test_bytes_are_not_handed_out_while_anybody_looks_at_them(derive):
    pool = BPUMemoryPool(2 * PAGE)
    allocation = pool.allocate(PAGE, 'features')
    held = derive(pool.view(allocation, np.float32, (32, 32)))
    assert allocation.pinned
    give(pool, allocation)
    statistics = pool.statistics()
    assert (statistics.used_bytes, statistics.lingering_bytes) == (0, PAGE)
    with pytest.raises(PoolFullError, match='let go of views'):
        pool.allocate(2 * PAGE, 'features')
    with pytest.raises(DoubleFreeError):
        give(pool, allocation)
    del held
    gc.collect()
    assert pool.statistics().lingering_bytes == 0
    assert pool.allocate(2 * PAGE, 'features').start_addr == 0


@pytest.mark.parametrize('derive', DERIVED.values(), ids=DERIVED)
def test_what_is_looked_at_stays_and_the_rest_moves_together(derive):
    pool = BPUMemoryPool(8 * PAGE)
    blocks = fill(pool, PAGE, 7)
    for number, block in enumerate(blocks):
        pool.view(block, np.uint8, (PAGE,))[:] = number
    held = derive(pool.view(blocks[3], np.float32, (32, 32)))
    before = bytes(memoryview(held).tobytes())
    give(pool, blocks[0], blocks[2], blocks[5])
    assert pool.defragment() == 2 * PAGE
    assert [block.start_addr // PAGE for block in blocks if block not in (
        blocks[0], blocks[2], blocks[5])] == [0, 3, 4, 5]
    assert memoryview(held).tobytes() == before
    for number in (1, 3, 4, 6):
        assert (pool.view(blocks[number], np.uint8, (PAGE,)) == number).all()
    del held
    assert pool.defragment() == 3 * PAGE
    statistics = pool.statistics()
    assert statistics.largest_free_bytes == statistics.free_bytes == 4 * PAGE
    assert (statistics.fragmentation, statistics.moved_bytes) == (0.0, 5 * PAGE)


def test_an_address_noted_before_a_move_is_refused_and_the_new_one_taken():
    pool = BPUMemoryPool(4 * PAGE)
    first, second = fill(pool, PAGE, 2)
    noted = second.start_addr
    give(pool, first)
    pool.defragment()
    with pytest.raises(DoubleFreeError, match='use the address that the allocation says'):
        pool.deallocate('features', noted)
    give(pool, second)
    assert pool.statistics().free_bytes == 4 * PAGE


def test_moving_keeps_the_alignment():
    pool = BPUMemoryPool(8 * PAGE)
    first, line, page = (pool.allocate(PAGE, 'a'), pool.allocate(64, 'a'),
                         pool.allocate(64, 'a', PAGE))
    give(pool, first)
    assert pool.defragment() == 128
    assert (line.start_addr, page.start_addr) == (0, PAGE)


def test_what_lingers_is_not_moved():
    pool = BPUMemoryPool(4 * PAGE)
    first, second = fill(pool, PAGE, 2)
    view = pool.view(second, np.uint8, (PAGE,))
    view[:] = 7
    give(pool, first, second)
    assert pool.defragment() == 0
    other = pool.allocate(PAGE, 'features')
    pool.view(other, np.uint8, (PAGE,))[:] = 1
    assert (view == 7).all()


def test_statistics_are_a_snapshot_by_pool():
    pool = BPUMemoryPool(8 * PAGE)
    first = pool.allocate(100, 'features')
    pool.allocate(PAGE, 'encoder')
    before = pool.statistics()
    give(pool, first)
    after = pool.statistics()
    assert (before.used_bytes, before.requested_bytes) == (PAGE + 128, PAGE + 100)
    assert (after.used_bytes, after.peak_bytes) == (PAGE, PAGE + 128)
    assert dataclasses.astuple(before.pools['features']) == (128, 128, 1, 1, 0)
    assert dataclasses.astuple(after.pools['features']) == (0, 128, 0, 1, 1)
    assert dataclasses.astuple(after.pools['encoder']) == (PAGE, PAGE, 1, 1, 0)
    assert after.fragmentation == pytest.approx(128 / (7 * PAGE))
    with pytest.raises(TypeError):
        before.pools['features'] = None
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.used_bytes = 0


def test_threads_get_bytes_of_their_own():
    pool = BPUMemoryPool(64 * PAGE)
    wrong = []

    def work(mark):
        drawn = random.Random(mark)
        for _ in range(400):
            allocation = pool.allocate(drawn.randrange(1, 2 * PAGE), f'pool {mark}')
            view = pool.view(allocation, np.uint8, (allocation.size_bytes,))
            view[:] = mark
            if drawn.random() < 0.1:
                pool.defragment()
            if not (view == mark).all():
                wrong.append(mark)
            pool.deallocate(allocation.pool_name, allocation.start_addr)
    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    statistics = pool.statistics()
    assert (statistics.used_bytes, statistics.lingering_bytes) == (0, 0)
    assert [share.deallocations for share in statistics.pools.values()] == [400] * 4
    assert statistics.largest_free_bytes == 64 * PAGE


def test_a_hundred_thousand_random_operations():
    """No overlap, no leak, exact accounts, alignment, contents: checked at every allocation."""
    drawn = random.Random(3)
    pool, size = BPUMemoryPool(2**20), 2**20
    owner = np.full(size // CACHE_LINE, -1, np.int32)
    live, refused, written = [], 0, 0
    for operation in range(100_000):
        kind = drawn.random()
        if kind < 0.52 or not live:
            wanted, alignment = int(64 * 2**(drawn.random() * 9)), drawn.choice([64, 64, 64, PAGE])
            try:
                allocation = pool.allocate(wanted, drawn.choice('abc'), alignment)
            except PoolFullError:
                refused += 1
                assert largest_free(owner, alignment) < wanted
                continue
            assert allocation.start_addr % alignment == 0
            lines = blocks_of(allocation)
            assert (owner[lines] == -1).all(), 'overlaps another allocation'
            owner[lines] = operation
            pool.view(allocation, np.int32, (1,))[0] = operation
            written += 1
            live.append((allocation, operation))
        elif kind < 0.999:
            allocation, mark = live.pop(drawn.randrange(len(live)))
            assert pool.view(allocation, np.int32, (1,))[0] == mark
            owner[blocks_of(allocation)] = -1
            give(pool, allocation)
        else:
            pool.defragment()
            owner[:] = -1
            for allocation, mark in live:
                assert (owner[blocks_of(allocation)] == -1).all()
                owner[blocks_of(allocation)] = mark
        if operation % 1000 == 0:
            check_accounts(pool, owner, live)
    assert min(refused, written) > 1000, 'the draw has to fill the arena, and to empty it'
    give(pool, *(allocation for allocation, _ in live))
    statistics = pool.statistics()
    assert (statistics.used_bytes, statistics.largest_free_bytes) == (0, size)


def blocks_of(allocation):
    first = allocation.start_addr // CACHE_LINE
    return slice(first, first + allocation.block_bytes // CACHE_LINE)


def largest_free(owner, alignment):
    """Bytes that one allocation could have, found from the owners of all lines."""
    edges = np.flatnonzero(np.diff(owner == -1, prepend=False, append=False))
    step = alignment // CACHE_LINE
    return max((CACHE_LINE * (end - -(-begin // step) * step)
                for begin, end in zip(edges[::2], edges[1::2], strict=True)), default=0)


def check_accounts(pool, owner, live):
    statistics = pool.statistics()
    used = CACHE_LINE * int((owner != -1).sum())
    assert statistics.used_bytes == used
    assert statistics.free_bytes == statistics.size_bytes - used
    assert statistics.largest_free_bytes == largest_free(owner, CACHE_LINE)
    assert statistics.requested_bytes == sum(allocation.size_bytes for allocation, _ in live)
    assert sum(share.live for share in statistics.pools.values()) == len(live)
    assert sum(share.used_bytes for share in statistics.pools.values()) == used
