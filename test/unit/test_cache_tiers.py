"""The contract of every level of the cache, and what each does beyond it."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest

from xlerobot_asr_opt.core import cache_disk
from xlerobot_asr_opt.core.cache_disk import DiskTier
from xlerobot_asr_opt.core.cache_memory import MemoryTier

ENTRIES = 4


def key(number: int) -> bytes:
    return number.to_bytes(32, 'big')


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class DrainedDisk(DiskTier):
    """A disk whose writer is always quicker than the next call."""

    def put(self, name: bytes, value: str) -> None:
        super().put(name, value)
        self.drain()


@pytest.fixture(params=['memory', 'disk'])
def tier(request, tmp_path):
    if request.param == 'memory':
        yield MemoryTier(ENTRIES, 1e6, Clock(), lambda name, value: None)
        return
    disk = DrainedDisk(tmp_path, ENTRIES)
    yield disk
    disk.close()


class TestContract:
    def test_finds_nothing_when_empty(self, tier):
        assert tier.get(key(1)) is None
        assert len(tier) == 0

    def test_returns_what_was_put(self, tier):
        tier.put(key(1), 'hello 你好')
        assert tier.get(key(1)) == 'hello 你好'
        assert len(tier) == 1

    def test_replaces(self, tier):
        tier.put(key(1), 'a')
        tier.put(key(1), 'b')
        assert tier.get(key(1)) == 'b'
        assert len(tier) == 1

    def test_evicts_the_first_put(self, tier):
        for number in range(ENTRIES + 1):
            tier.put(key(number), str(number))
        assert [tier.get(key(number)) for number in range(ENTRIES + 1)] == [
            None, '1', '2', '3', '4']
        assert len(tier) == ENTRIES
        assert tier.evictions == 1

    def test_keeps_what_was_put_again(self, tier):
        for number in range(ENTRIES):
            tier.put(key(number), str(number))
        tier.put(key(0), '0')
        tier.put(key(ENTRIES), 'new')
        assert tier.get(key(1)) is None
        assert tier.get(key(0)) == '0'

    @pytest.mark.parametrize(('keep', 'left'), [(0.0, 0), (0.5, 2), (1.0, 4)])
    def test_trims_to_a_share_of_the_most_recent(self, tier, keep, left):
        for number in range(ENTRIES):
            tier.put(key(number), str(number))
        assert tier.trim(keep) == ENTRIES - left
        assert len(tier) == left
        assert [tier.get(key(number)) is not None for number in range(ENTRIES)] == [
            number >= ENTRIES - left for number in range(ENTRIES)]

    def test_trims_an_empty_one(self, tier):
        assert tier.trim(0.0) == 0

    def test_trimming_is_not_eviction(self, tier):
        tier.put(key(1), 'a')
        tier.trim(0.0)
        assert tier.evictions == 0


class TestMemory:
    def test_keeps_what_was_got(self):
        tier = MemoryTier(ENTRIES, 1e6, Clock(), lambda name, value: None)
        for number in range(ENTRIES):
            tier.put(key(number), str(number))
        tier.get(key(0))
        tier.put(key(ENTRIES), 'new')
        assert tier.get(key(1)) is None
        assert tier.get(key(0)) == '0'

    def test_a_cold_value_is_the_next_to_leave(self):
        gone = []
        tier = MemoryTier(2, 1e6, Clock(), lambda name, value: gone.append(value))
        tier.put(key(1), 'a')
        tier.put(key(2), 'b', cold=True)
        assert tier.coldest == key(2)
        tier.put(key(3), 'c')
        assert gone == ['b']

    def test_ages(self):
        clock, gone = Clock(), []
        tier = MemoryTier(ENTRIES, 10.0, clock, lambda name, value: gone.append((name, value)))
        tier.put(key(1), 'a')
        clock.now = 10.0
        assert tier.get(key(1)) == 'a'
        clock.now = 10.1
        assert tier.get(key(1)) is None
        assert gone == [(key(1), 'a')]
        assert tier.evictions == 1

    def test_a_get_does_not_make_it_younger(self):
        clock = Clock()
        tier = MemoryTier(ENTRIES, 10.0, clock, lambda name, value: None)
        tier.put(key(1), 'a')
        clock.now = 9.0
        tier.get(key(1))
        clock.now = 11.0
        assert tier.get(key(1)) is None

    def test_expire_moves_on_all_that_is_too_old(self):
        clock, gone = Clock(), []
        tier = MemoryTier(ENTRIES, 10.0, clock, lambda name, value: gone.append(value))
        tier.put(key(1), 'a')
        clock.now = 5.0
        tier.put(key(2), 'b')
        clock.now = 11.0
        tier.expire()
        assert gone == ['a']
        assert len(tier) == 1

    def test_what_is_trimmed_is_not_handed_on(self):
        gone = []
        tier = MemoryTier(ENTRIES, 10.0, Clock(), lambda name, value: gone.append(value))
        tier.put(key(1), 'a')
        tier.trim(0.0)
        assert gone == []


def database(directory: Path) -> Path:
    return directory / 'l3' / 'cache.db'


@contextmanager
def file_size_limit(size: int):
    """Files cannot grow over this size: the kernel refuses the write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestDisk:
    def test_outlives_its_process(self, tmp_path):
        first = DrainedDisk(tmp_path, ENTRIES)
        first.put(key(1), 'a')
        first.close()
        second = DiskTier(tmp_path, ENTRIES)
        assert second.get(key(1)) == 'a'
        second.close()

    def test_close_writes_what_waits(self, tmp_path):
        first = DiskTier(tmp_path, ENTRIES)
        first.put(key(1), 'a')
        assert len(first) == 0
        first.close()
        second = DiskTier(tmp_path, ENTRIES)
        assert second.get(key(1)) == 'a'
        second.close()

    def test_finds_what_waits_to_be_written(self, tmp_path):
        disk = DiskTier(tmp_path, ENTRIES)
        disk.put(key(1), 'a')
        assert disk.get(key(1)) == 'a'
        disk.close()

    def test_a_get_does_not_write(self, tmp_path):
        disk = DrainedDisk(tmp_path, ENTRIES)
        disk.put(key(1), 'a')
        changed = disk_changes(tmp_path)
        for _ in range(3):
            assert disk.get(key(1)) == 'a'
        assert not disk.wants_drain
        assert disk_changes(tmp_path) == changed
        disk.close()

    def test_what_is_refreshed_stays_longer(self, tmp_path):
        disk = DrainedDisk(tmp_path, ENTRIES)
        for number in range(ENTRIES):
            disk.put(key(number), str(number))
        disk.refresh(key(0), '0')
        disk.put(key(ENTRIES), 'new')
        assert [disk.get(key(number)) for number in (0, 1)] == ['0', None]
        disk.close()

    def test_too_many_refreshed_values_are_left_out(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cache_disk, 'PENDING', 4)
        disk = DiskTier(tmp_path, ENTRIES)
        for number in range(5):
            disk.refresh(key(number), 'a')
        assert (disk.pending, disk.write_failures) == (2, 0)
        disk.close()

    def test_too_many_writes_are_dropped_and_counted(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cache_disk, 'PENDING', 3)
        disk = DiskTier(tmp_path, ENTRIES)
        for number in range(5):
            disk.put(key(number), 'a')
        assert disk.pending == 3
        assert disk.write_failures == 2
        disk.put(key(0), 'b')
        assert disk.write_failures == 2
        disk.drain()
        assert disk.get(key(0)) == 'b'
        disk.close()

    def test_writes_more_than_one_batch(self, tmp_path):
        disk = DiskTier(tmp_path, 10 * cache_disk.BATCH)
        for number in range(cache_disk.BATCH + 1):
            disk.put(key(number), 'a')
        disk.drain()
        assert len(disk) == cache_disk.BATCH + 1
        disk.close()

    def test_directory_is_private(self, tmp_path):
        place = tmp_path / 'a' / 'b'
        place.mkdir(parents=True, mode=0o755)
        disk = DrainedDisk(place, ENTRIES)
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert stat.S_IMODE((place / 'l3').stat().st_mode) == 0o700
        disk.close()

    def test_a_second_owner_goes_without(self, tmp_path, caplog):
        first = DiskTier(tmp_path, ENTRIES)
        second = DiskTier(tmp_path, ENTRIES)
        assert 'another process' in second.fault
        assert 'another process' in caplog.text
        second.put(key(1), 'a')
        assert second.get(key(1)) is None
        assert second.write_failures == 1
        first.close()
        third = DiskTier(tmp_path, ENTRIES)
        assert third.fault == ''
        third.close()

    def test_a_directory_that_cannot_be_made(self, caplog):
        disk = DiskTier(Path('/proc/self/cache'), ENTRIES)
        assert disk.fault
        assert 'memory' in caplog.text
        disk.put(key(1), 'a')
        disk.drain()
        assert (disk.get(key(1)), len(disk), disk.volume, disk.trim(0.0)) == (None, 0, 0, 0)
        assert disk.write_failures == 1
        disk.close()

    def test_a_file_in_the_place_of_the_directory(self, tmp_path):
        place = tmp_path / 'taken'
        place.write_text('not a directory')
        disk = DiskTier(place, ENTRIES)
        assert disk.fault
        assert place.read_text() == 'not a directory'
        disk.close()

    @pytest.mark.parametrize(
        'garbage', [b'this is not a database' * 200, b'\0' * 5000], ids=['text', 'zeros'])
    def test_a_damaged_database_is_moved_aside(self, tmp_path, caplog, garbage):
        disk = DrainedDisk(tmp_path, ENTRIES)
        disk.put(key(1), 'a')
        disk.close()
        database(tmp_path).write_bytes(garbage)
        disk = DrainedDisk(tmp_path, ENTRIES)
        assert disk.fault == ''
        assert 'begun anew' in caplog.text
        assert (tmp_path / 'l3.damaged' / 'cache.db').read_bytes() == garbage
        assert disk.get(key(1)) is None
        disk.put(key(1), 'b')
        assert disk.get(key(1)) == 'b'
        disk.close()

    def test_damage_on_the_way_is_mended_by_the_writer(self, tmp_path):
        disk = DiskTier(tmp_path, 1000)
        for number in range(200):
            disk.put(key(number), 'a' * 1000)
        disk.close()
        content = bytearray(database(tmp_path).read_bytes())
        content[8192:] = os.urandom(len(content) - 8192)
        database(tmp_path).write_bytes(content)
        disk = DiskTier(tmp_path, 1000)
        for number in range(200):
            disk.get(key(number))
        disk.put(key(1), 'b')
        disk.drain()
        assert disk.fault == ''
        assert disk.get(key(1)) == 'b'
        assert (tmp_path / 'l3.damaged').is_dir()
        disk.close()

    def test_a_second_damage_replaces_the_first(self, tmp_path):
        for content in (b'first ' * 1000, b'second' * 1000):
            DiskTier(tmp_path, ENTRIES).close()
            database(tmp_path).write_bytes(content)
        disk = DiskTier(tmp_path, ENTRIES)
        assert (tmp_path / 'l3.damaged' / 'cache.db').read_bytes() == b'second' * 1000
        disk.close()

    def test_a_full_disk_turns_it_off(self, tmp_path, caplog):
        disk = DiskTier(tmp_path, 10_000)
        for number in range(300):
            disk.put(key(number), 'a' * 10_000)
        with file_size_limit(400_000):
            disk.drain()
        assert disk.fault
        assert 'memory' in caplog.text
        assert disk.write_failures > 0
        assert disk.get(key(1)) is None
        disk.close()

    @pytest.mark.parametrize(('mode', 'filename'), [(4, None), (2, '../../secret'), (1, None)])
    def test_a_planted_row_is_never_executed_or_followed(self, tmp_path, mode, filename):
        executed = tmp_path / 'executed'
        DiskTier(tmp_path, ENTRIES).close()
        plant(database(tmp_path), key(1), True, mode, filename, pickled_touch(executed))
        disk = DiskTier(tmp_path, ENTRIES)
        assert disk.get(key(1)) is None
        disk.drain()
        assert not executed.exists()
        assert disk.fault == ''
        assert (tmp_path / 'l3.damaged').is_dir()
        disk.close()

    def test_a_planted_key_is_never_executed(self, tmp_path):
        executed = tmp_path / 'executed'
        DiskTier(tmp_path, ENTRIES).close()
        plant(database(tmp_path), pickled_touch(executed), False, 1, None, 'text')
        disk = DrainedDisk(tmp_path, 1)
        disk.put(key(1), 'a')
        assert not executed.exists()
        assert (tmp_path / 'l3.damaged').is_dir()
        assert disk.get(key(1)) == 'a'
        disk.close()


def disk_changes(directory: Path) -> list[tuple[int, int]]:
    return [(path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted((directory / 'l3').iterdir()) if not path.name.endswith('-shm')]


def pickled_touch(path: Path) -> bytes:
    """A pickle that makes a file when it is loaded."""
    return b'cbuiltins\nopen\n(V%s\nVw\ntR.' % str(path).encode()


def plant(path: Path, name: bytes, raw: bool, mode: int, filename: str | None, value) -> None:
    connection = sqlite3.connect(path)
    connection.execute(
        'INSERT INTO Cache(key, raw, store_time, access_time, mode, filename, value)'
        ' VALUES (?, ?, 0, 0, ?, ?, ?)', (name, raw, mode, filename, value))
    connection.commit()
    connection.close()
