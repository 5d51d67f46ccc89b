"""What is read of this process, and of a machine that is made of files; and what manages it."""

import gc
import os

import psutil
import pytest
from small_machine import GIB, MB, Machine

from xlerobot_asr_opt import PredictiveMemoryManager
from xlerobot_asr_opt.core.memory_budget import ProcessMemory, SystemMemory
from xlerobot_asr_opt.core.memory_ladder import Rung
from xlerobot_asr_opt.errors import MemoryBudgetError
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.process_memory import MemoryGauge, MemoryReader, own_uss, trim_heap


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_this_process_is_read_as_psutil_reads_it():
    trim_heap()
    told, expected = MemoryReader().process(os.getpid()), psutil.Process().memory_full_info()
    for name in ('uss', 'pss', 'rss'):
        assert getattr(told, name) == pytest.approx(getattr(expected, name), rel=0.02)
    system = MemoryReader().system()
    assert system.total == psutil.virtual_memory().total
    assert 0 < system.available <= system.total


def test_what_was_given_back_is_not_counted():
    gc.collect()
    held = [bytes(1000) for _ in range(50_000)]
    before = own_uss()
    del held
    trim_heap()
    assert own_uss() < before - 25 * MB


def test_a_process_of_files(machine):
    machine.process(7, 1000)
    assert machine.reader.process(7) == ProcessMemory(1_024_000, 1_034_240, 103_424_000)
    assert machine.reader.process(8) is None


def test_a_process_that_has_ended_but_is_not_waited_for(machine):
    machine.write('proc/9/smaps_rollup', '')
    assert machine.reader.process(9) is None


def test_a_machine_without_groups_and_pressure(machine):
    assert machine.reader.system() == SystemMemory(8 * GIB, 6 * GIB)


def test_pressure(machine):
    machine.write('proc/pressure/memory', (
        'some avg10=12.50 avg60=3.00 avg300=1.00 total=12\n'
        'full avg10=1.00 avg60=0.00 avg300=0.00 total=1\n'))
    assert machine.reader.system().stalled == 0.125


def test_pressure_that_is_switched_off(machine):
    machine.write('proc/pressure/memory', '')
    assert machine.reader.system().stalled is None


@pytest.mark.parametrize(('version', 'line'), [
    (2, '0::/robot/asr'), (1, '5:cpuset:/\n4:memory:/robot/asr\n0::/')])
def test_the_tightest_group_counts_without_what_can_be_dropped(machine, version, line):
    machine.write('proc/self/cgroup', f'{line}\n')
    unlimited = {1: 2**63 - 4096, 2: 'max'}[version]
    machine.group(version, 'robot/asr', unlimited, GIB)
    assert machine.reader.system().group_limit is None
    machine.group(version, 'robot', 3 * GIB, GIB, droppable=GIB // 4)
    assert machine.reader.system() == SystemMemory(
        8 * GIB, 6 * GIB, group_limit=3 * GIB, group_used=3 * GIB // 4)
    machine.group(version, 'robot/asr', 2 * GIB, GIB)
    assert machine.reader.system().group_limit == 2 * GIB


def test_a_container_does_not_see_the_path_of_the_host(machine):
    machine.write('proc/self/cgroup', '4:memory:/docker/0123\n')
    machine.group(1, '', GIB, 100 * MB)
    assert machine.reader.system().group_limit == GIB


# The gauge over that machine

class Gauged:
    """A gauge of one process of 120 MB, of which 20 are its own."""

    def __init__(self, machine):
        self.machine, self.now = machine, 0.0
        self.gauge = MemoryGauge(machine.reader, lambda: self.now)
        machine.process(7, 20_000)

    def read(self):
        return self.gauge.read({'ingest': 7}).get('ingest')


@pytest.fixture
def gauged(machine):
    return Gauged(machine)


def test_between_full_readings_the_counter_is_followed(gauged, machine):
    first = gauged.read()
    assert first == machine.reader.process(7)
    machine.counter(7, 120_200)
    second = gauged.read()
    moved = 200 * 1024
    assert second == ProcessMemory(first.uss + moved, first.pss + moved, first.rss + moved)


def test_what_moves_further_is_read_in_full(gauged, machine):
    gauged.read()
    machine.process(7, 21_000)
    machine.counter(7, 121_400)
    assert gauged.read() == machine.reader.process(7)
    # From there it goes on.
    machine.process(7, 22_000)
    machine.counter(7, 121_400)
    assert gauged.read().uss == 21_000 * 1024


def test_now_and_then_everything_is_read_in_full(gauged, machine):
    gauged.read()
    machine.process(7, 19_000)
    machine.counter(7, 120_000)
    gauged.now = 29.0
    assert gauged.read().uss == 20_000 * 1024
    gauged.now = 30.0
    assert gauged.read().uss == 19_000 * 1024


def test_a_gauge_forgets_what_has_gone(gauged, machine):
    gauged.read()
    machine.write('proc/7/smaps_rollup', '')
    machine.counter(7, 0)
    assert gauged.read() is None
    gauged.gauge.read({})
    machine.process(7, 5_000)
    machine.counter(7, 120_000)
    assert gauged.read().uss == 5_000 * 1024


def test_the_counter_of_this_process_is_what_its_page_tables_say():
    reader = MemoryReader()
    assert reader.resident(os.getpid()) == pytest.approx(
        reader.process(os.getpid()).rss, rel=0.05)
    assert reader.resident(2**22 + 1) is None


# The manager over that machine

class Watched:
    """A manager of one node on a machine of files, with a reading every 3 seconds."""

    def __init__(self, machine, **limits):
        self.machine, self.now, self.kib, self.pids = machine, 0.0, 100_000, {'ingest': 7}
        self.manager = PredictiveMemoryManager(
            ManagerParameters(**limits), processes=lambda: self.pids, reader=machine.reader,
            clock=lambda: self.now)

    def read(self, count=1, grows=0):
        for _ in range(count):
            self.now += 3.0
            self.kib += grows
            self.machine.process(self.pids['ingest'], self.kib)
            self.manager.sample()

    @property
    def told(self):
        return self.manager.get_memory_stats()['processes']['ingest']


def test_what_cannot_be_told_yet_is_none(machine):
    watched = Watched(machine)
    watched.read()
    assert watched.told == {
        'pid': 7, 'uss': 102_400_000, 'pss': 102_410_240, 'rss': 204_800_000,
        'verdict': 'too short', 'time_to_limit': None, **dict.fromkeys(
            ('slope', 'slope_low', 'slope_high', 'forecast', 'forecast_low', 'forecast_high'))}
    assert watched.manager.predict() == {}


def test_a_leak_is_foretold_and_acted_on(machine):
    watched = Watched(machine, memory_limit=200.0)
    watched.read(100, grows=500)
    told = watched.told
    per_minute = 500 * 1024 * 20 / MB
    assert told['verdict'] == 'growing'
    assert told['slope'] == pytest.approx(per_minute)
    assert told['forecast'] == pytest.approx(told['uss'] + 30 * per_minute * MB)
    assert told['time_to_limit'] == pytest.approx((200 * MB - told['pss']) / per_minute / MB * 60)
    assert watched.manager.predict(60.0)['ingest'].expected == pytest.approx(
        told['uss'] + per_minute * MB)
    step = watched.manager.decide()
    assert (step.rung, step.taken) == (Rung.RELEASE, True)
    assert 'ingest leaks' in step.reason
    stats = watched.manager.get_memory_stats()
    assert stats['rung'] == 'RELEASE'
    assert stats['ceiling']['name'] == 'memory_limit'
    assert stats['system']['total'] == 8 * GIB


def test_growth_below_leak_slope_is_told_but_no_leak(machine):
    watched = Watched(machine, leak_slope=20.0)
    watched.read(100, grows=500)
    assert watched.told['verdict'] == 'growing'
    assert watched.manager.pressure().time_to_limit is None


def test_another_process_begins_anew(machine):
    watched = Watched(machine)
    watched.read(100, grows=500)
    watched.pids = {'ingest': 8}
    watched.read()
    assert watched.told['verdict'] == 'too short'


def test_a_process_that_has_gone_is_left_out(machine):
    watched = Watched(machine)
    watched.read()
    watched.pids = {'ingest': 7, 'cache': 99}
    watched.read()
    assert list(watched.manager.get_memory_stats()['processes']) == ['ingest']


def test_admission_reads_anew(machine):
    watched = Watched(machine)
    watched.read()
    watched.manager.admit('whisper-base', 5 * GIB)
    watched.now += 1.0
    machine.write('proc/meminfo', 'MemTotal: 8388608 kB\nMemAvailable: 1048576 kB\n')
    with pytest.raises(MemoryBudgetError, match=r'whisper-base needs 536\.9 MB, but 214\.7 MB'):
        watched.manager.admit('whisper-base', GIB // 2)


def test_what_was_admitted_counts_until_it_can_be_read(machine):
    watched = Watched(machine)
    watched.manager.admit('a stream', 3 * GIB)
    with pytest.raises(MemoryBudgetError, match=r'another needs 3221\.2 MB, but 2362\.2 MB'):
        watched.manager.admit('another', 3 * GIB)
    watched.now += 1.0
    watched.manager.admit('another', 3 * GIB)


def test_a_small_group_that_is_hardly_used_has_less_room_than_a_full_machine(machine):
    machine.write('proc/self/cgroup', '0::/asr\n')
    machine.group(2, 'asr', 200 * MB, 10 * MB)
    machine.write('proc/meminfo', 'MemTotal: 8388608 kB\nMemAvailable: 2097152 kB\n')
    watched = Watched(machine)
    assert watched.manager.ceiling().name == 'the machine'
    with pytest.raises(MemoryBudgetError, match=r'170\.0 MB are left: 10\.0 of 180\.0 MB'):
        watched.manager.admit('whisper-tiny.en', 171 * MB)


def test_by_itself_it_watches_and_cleans_its_own_process():
    manager = PredictiveMemoryManager()
    manager.sample()
    assert manager.get_memory_stats()['processes']['this']['uss'] > MB
    told = manager.cleanup()
    assert told['before'] > 0
    assert told['after'] <= told['before'] + MB
    assert told['duration'] >= 0
