"""What the board says of itself, read from a made-up root; nothing that it does not say."""

import errno
import math
import os
from pathlib import Path

import pytest

from xlerobot_asr_opt.backends.board_health import Board, HeapUse

CARVEOUT = """\
-------------------------------------------------------------------------
the heap id is 2
-------------------------------------------------------------------------
-------------------------------------------------------------------------
        carveout  heap total size        335544320
-------------------------------------------------------------------------
       heap name           client              pid             size
-------------------------------------------------------------------------
        carveout          python3             1234         41943040
-------------------------------------------------------------------------
allocations (info is from last known client):
         python3             1234              bpu         37748736 1
      camera app             1300              yuv          4194304 0
         python3             1234              bpu            65536 0 orphaned
-------------------------------------------------------------------------
  total orphaned            65536
          total          42008576
-------------------------------------------------------------------------
"""


@pytest.fixture
def write(tmp_path):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return write


@pytest.fixture
def board(tmp_path, write):
    """A board that is well, with its BPU at work."""
    write('proc/device-tree/model', 'D-Robotics RDK X5 V1.0\0')
    write('dev/bpu', '')
    write('dev/bpu_core0', '')
    write('sys/devices/system/bpu/bpu0/ratio', '37\n')
    write('sys/class/thermal/thermal_zone0/type', 'thermal-cpu\n')
    write('sys/class/thermal/thermal_zone0/temp', '58500\n')
    write('sys/class/thermal/thermal_zone1/type', 'thermal-ddr\n')
    write('sys/class/thermal/thermal_zone1/temp', '59500\n')
    write('sys/class/hwmon/hwmon0/name', 'other\n')
    write('sys/class/hwmon/hwmon0/temp1_input', '99000\n')
    write('sys/class/hwmon/hwmon1/name', 'pvt\n')
    for channel, value in enumerate((59400, 61250, 58300), start=1):
        write(f'sys/class/hwmon/hwmon1/temp{channel}_input', f'{value}\n')
    write('sys/kernel/debug/ion/heaps/carveout', CARVEOUT)
    return Board(tmp_path)


def test_it_says_what_it_is(board):
    assert (board.model, board.march) == ('D-Robotics RDK X5 V1.0', 'bayes-e')
    assert board.devices() == ('bpu', 'bpu_core0')


def test_the_load_is_a_share(board):
    reading = board.load()
    assert (reading.value, reading.reason) == (pytest.approx(0.37), '')


def test_temperatures_are_named_by_zone_and_by_channel_of_the_sensor_hub(board):
    assert {reading.name: reading.value for reading in board.temperatures()} == {
        'thermal-cpu': 58.5, 'thermal-ddr': 59.5,
        'DDR': pytest.approx(59.4), 'BPU': pytest.approx(61.25), 'CPU': pytest.approx(58.3)}


def test_the_heap_says_what_the_bpu_has(board):
    assert board.heaps() == (
        (HeapUse('carveout', 335544320, 42008576, 37748736 + 65536),), '')


def test_health_is_the_hottest_sensor_and_the_load(board):
    health = board.health()
    assert (health.temperature_c, health.load) == (pytest.approx(61.25), pytest.approx(0.37))


def test_a_report_has_it_all(board):
    report = board.report()
    assert (report.model, report.march, report.load) == (board.model, 'bayes-e', board.load())
    assert (report.temperatures, report.heaps) == (board.temperatures(), board.heaps()[0])


def test_a_sensor_without_power_has_no_value_and_the_others_have(board, tmp_path):
    # The BPU's own has power only while the BPU runs; a directory stands in for the I/O error.
    sensor = tmp_path / 'sys/class/hwmon/hwmon1/temp2_input'
    sensor.unlink()
    sensor.mkdir()
    readings = {reading.name: reading for reading in board.temperatures()}
    assert readings['BPU'].value is None
    assert 'temp2_input: Is a directory' in readings['BPU'].reason
    assert board.health().temperature_c == pytest.approx(59.5)


@pytest.mark.parametrize('text', ['', 'bpu not inited!\n', '1e3', '-1', '101', '99999999999', '٣'])
def test_a_load_that_is_none_is_not_taken_for_one(board, write, text):
    write('sys/devices/system/bpu/bpu0/ratio', text)
    reading = board.load()
    assert reading.value is None
    assert reading.reason
    assert math.isnan(board.health().load)


@pytest.mark.parametrize('text', ['-273000', '200000', 'hot'])
def test_a_temperature_that_is_none_is_not_taken_for_one(board, write, text):
    write('sys/class/hwmon/hwmon1/temp2_input', text)
    reading = next(one for one in board.temperatures() if one.name == 'BPU')
    assert reading.value is None
    assert 'expected' in reading.reason


def test_a_machine_that_is_no_board_says_nothing(tmp_path):
    board = Board(tmp_path)
    assert (board.model, board.march, board.devices(), board.temperatures()) == ('', '', (), ())
    assert board.load().value is None
    assert 'ratio: No such file' in board.load().reason
    assert board.heaps() == ((), f'{tmp_path}/sys/kernel/debug/ion/heaps has none of carveout, '
                                 'ion_cma, cma_reserved')
    health = board.health()
    assert math.isnan(health.temperature_c)
    assert math.isnan(health.load)


def test_another_board_of_theirs_has_no_march_that_we_know(board, write):
    write('proc/device-tree/model', 'D-Robotics RDK S100 V1.0\0')
    assert board.march == ''


def test_heaps_that_only_root_may_read_say_so(board, monkeypatch):
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(Path, 'read_text', refuse)
    heaps, reason = board.heaps()
    assert heaps == ()
    assert 'Permission denied; debugfs is for root alone' in reason


def test_heaps_in_another_form_are_not_guessed_at(board, write):
    write('sys/kernel/debug/ion/heaps/carveout', 'client pid size\npython3 1 4096\ntotal 4096\n')
    heaps, reason = board.heaps()
    assert heaps == ()
    assert 'carveout: not in the form' in reason
