"""The cache as one thing: its levels, its writer, what it knows after a restart."""

from __future__ import annotations

import asyncio
import math
import threading
import time

import pytest
from test_cache_policy import key

import xlerobot_asr_opt
from xlerobot_asr_opt import cache_system
from xlerobot_asr_opt.core import cache_disk, text_disk
from xlerobot_asr_opt.core.cache import CacheTiers
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import CacheParameters

PATIENCE_S = 20.0


@pytest.fixture
def opened(tmp_path):
    """Opens a cache of two and four values in memory; closes all at the end."""
    caches = []

    def opened(**parameters):
        parameters = {'l1_entries': 2, 'l2_entries': 4, 'l3_entries': 50} | parameters
        caches.append(xlerobot_asr_opt.MultiLevelCacheSystem(
            CacheParameters(directory=str(tmp_path / 'cache'), **parameters)))
        return caches[-1]
    yield opened
    for cache in caches:
        cache.close()


def filled(cache, count):
    for number in range(count):
        cache.store(key(number), str(number))
    return cache


class TestAwaited:
    def test_what_was_set_is_got(self, opened):
        async def use(cache):
            await cache.set(key(1), 'go to the kitchen')
            return await cache.get(key(1)), await cache.get(key(2))
        cache = opened()
        assert math.isnan(cache.get_hit_rate())
        assert asyncio.run(use(cache)) == ('go to the kitchen', None)
        assert cache.get_hit_rate() == 0.5

    def test_a_key_of_another_length_is_refused(self, opened):
        cache = opened()
        for call in (cache.set(b'short', 'text'), cache.get(b'short')):
            with pytest.raises(ConfigurationError, match='key: got 5 bytes, expected 32'):
                asyncio.run(call)

    def test_it_closes_behind_a_block(self, tmp_path):
        parameters = CacheParameters(directory=str(tmp_path))
        for _ in range(2):  # the second one gets the directory
            with xlerobot_asr_opt.MultiLevelCacheSystem(parameters) as cache:
                assert cache.disk_fault == ''
                cache.store(key(1), 'a')
                assert not math.isnan(cache.statistics().stores)


class TestLevels:
    def test_a_value_is_found_wherever_it_went(self, opened):
        cache = filled(opened(), 20)
        assert {cache.look_up(key(number)).value for number in range(20)} == {
            str(number) for number in range(20)}
        hits = cache.statistics().hits
        assert sum(hits) == 20
        assert hits[2] >= 14

    def test_without_a_disk_memory_keeps_what_it_has_room_for(self, opened):
        cache = filled(opened(l3_entries=0), 20)
        assert sum(cache.look_up(key(number)) is not None for number in range(20)) == 6
        assert cache.statistics().entries == (2, 4, 0)

    def test_what_is_asked_for_again_and_again_stays_in_memory(self, opened):
        cache = filled(opened(l3_entries=0), 6)
        for number in range(6, 100):
            for favourite in range(4):
                cache.look_up(key(favourite))
            cache.look_up(key(number))
            cache.store(key(number), 'heard once')
        assert all(cache.look_up(key(favourite)) for favourite in range(4))


def test_the_writer_looks_for_what_is_too_old_and_writes_the_heat(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_system, 'EXPIRY_PERIOD_S', 0.01)
    now = [0.0]
    parameters = CacheParameters(directory=str(tmp_path), l1_ttl=100.0)
    with xlerobot_asr_opt.MultiLevelCacheSystem(parameters, lambda: now[0]) as cache:
        cache.store(key(1), 'a')
        cache.look_up(key(1))
        assert not (tmp_path / 'heat.json').exists()
        now[0] = 101.0
        until(lambda: cache.statistics().entries[:2] == (0, 1))
        until((tmp_path / 'heat.json').exists)


def until(condition):
    """Wait for what another thread does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_leaves_memory_for_its_age_is_the_last_to_leave_the_disk(tmp_path):
    now = [0.0]
    cache = CacheTiers(CacheParameters(l3_entries=10), tmp_path, lambda: now[0])
    for number in range(10):
        cache.put(key(number), str(number))
        cache.drain()
        now[0] += 1.0
    cache.trim(0.0, disk=False)
    assert cache.get(key(0)).level == 'l3'
    for _ in range(2):  # to l2, and out of it
        now[0] += 2000.0
        cache.expire()
    cache.drain()
    for number in range(10, 19):
        cache.put(key(number), 'new')
    cache.drain()
    cache.trim(0.0, disk=False)
    assert [cache.get(key(number)) is not None for number in range(10)] == [True] + [False] * 9
    cache.close()


def test_a_blocked_disk_delays_no_lookup(opened, monkeypatch):
    cache = filled(opened(), 10)
    cache.close()
    cache = opened()
    begun, end = threading.Event(), threading.Event()
    store = text_disk.TextDisk.store

    def blocked(*args, **kwargs):
        begun.set()
        assert end.wait(PATIENCE_S)
        return store(*args, **kwargs)
    monkeypatch.setattr(text_disk.TextDisk, 'store', blocked)
    try:
        cache.store(key(100), 'a')
        assert begun.wait(PATIENCE_S)
        # The writer is within a transaction, and stays there.
        cache.store(key(101), 'b')
        found = []
        reader = threading.Thread(
            target=lambda: found.extend(cache.look_up(key(number)) for number in (101, 3, 999)))
        reader.start()
        reader.join(PATIENCE_S)
        assert [hit and hit.level for hit in found] == ['l1', 'l3', None]
        assert not end.is_set()
    finally:
        end.set()


class TestRestart:
    FAVOURITES = (3, 7, 11)

    def first_life(self, cache):
        filled(cache, 30)
        for _ in range(5):
            for number in self.FAVOURITES:
                cache.look_up(key(number))
        for number in range(12, 30):
            cache.look_up(key(number))
        cache.close()

    def levels(self, cache):
        return [cache.look_up(key(number)).level for number in self.FAVOURITES]

    def test_preloading_brings_what_is_asked_for_most(self, opened):
        self.first_life(opened())
        cache = opened()
        assert asyncio.run(cache.preload_hot_data()) == 6
        assert set(self.levels(cache)) <= {'l1', 'l2'}
        cache.close()
        assert self.levels(opened()) == ['l3', 'l3', 'l3']

    def test_the_hottest_are_in_the_first_level(self, opened):
        self.first_life(opened(l1_entries=3, l2_entries=3))
        cache = opened(l1_entries=3, l2_entries=3)
        cache.preload()
        assert self.levels(cache) == ['l1', 'l1', 'l1']

    def test_preloading_is_no_lookup(self, opened):
        self.first_life(opened())
        cache = opened()
        cache.preload()
        counted = cache.statistics()
        assert (counted.hits, counted.misses, counted.stores) == ((0, 0, 0), 0, 0)
        assert cache.analyze_access_patterns()['lookups'] == 0

    def test_preloading_replaces_nothing(self, opened):
        self.first_life(opened())
        cache = opened()
        for number in (*self.FAVOURITES, 40, 41, 42):
            cache.store(key(number), 'new')
        assert cache.preload() == 0
        assert {cache.look_up(key(number)).value for number in self.FAVOURITES} == {'new'}

    def test_what_is_trimmed_meanwhile_does_not_come_back(self, opened, monkeypatch):
        self.first_life(opened())
        cache = opened()
        read = cache_disk.DiskTier.get

        def trimmed_behind(disk, name):
            value = read(disk, name)
            cache.trim(0.0, disk=True)
            return value
        monkeypatch.setattr(cache_disk.DiskTier, 'get', trimmed_behind)
        assert cache.preload() == 0
        assert cache.statistics().entries == (0, 0, 0)

    @pytest.mark.parametrize('content', [b'', b'{"heat": [["zz", 1]]}', b'\xff\xfe'])
    def test_a_damaged_list_is_told_and_left_out(self, opened, tmp_path, caplog, content):
        self.first_life(opened())
        (tmp_path / 'cache' / 'heat.json').write_bytes(content)
        cache = opened()
        assert cache.preload() == 0
        assert 'nothing is known of what was asked for before' in caplog.text
        assert self.levels(cache) == ['l3', 'l3', 'l3']

    def test_without_a_disk_there_is_nothing_to_preload(self, opened):
        self.first_life(opened(l3_entries=0))
        assert opened(l3_entries=0).preload() == 0

    def test_a_list_that_cannot_be_written_is_told(self, opened, tmp_path, caplog):
        cache = opened()
        (tmp_path / 'cache' / 'heat.new').mkdir()
        self.first_life(cache)
        assert 'the next start will not know what is asked for most' in caplog.text
        assert self.levels(opened()) == ['l3', 'l3', 'l3']


def test_the_analysis_names_policy_and_sizes(opened):
    cache = filled(opened(), 5)
    for number in (0, 0, 1):
        cache.look_up(key(number))
    found = cache.analyze_access_patterns()
    assert (found['lookups'], found['policy']) == (3, 'frequency')
    assert found['hit_rate_by_entries'][6] == pytest.approx(1 / 3)
