"""The locks of the dead: held for a while, and nothing of the living."""

import fcntl
import time

import pytest

from xlerobot_asr_opt.ros.dead_ports import DeadPorts

PATIENCE_S = 10.0


def lock(path):
    """Lock a file as Fast DDS does; None: somebody else has it."""
    file = path.open('ab')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@pytest.fixture
def held(request, tmp_path):
    """A directory with the port of a living and of a dead process, and what holds the latter."""
    (tmp_path / 'fastrtps_port7413_el').touch()
    (tmp_path / 'fastrtps_0123456789abcdef_el').touch()
    ports = DeadPorts(tmp_path, forgotten_s=getattr(request, 'param', PATIENCE_S))
    with lock(tmp_path / 'fastrtps_port7411_el'):
        ports.hold()
        yield ports, tmp_path
        ports.close()


def test_a_port_without_an_owner_is_held_and_nothing_else(held):
    _, directory = held
    assert lock(directory / 'fastrtps_port7413_el') is None
    segment = lock(directory / 'fastrtps_0123456789abcdef_el')
    assert segment is not None
    segment.close()


def test_what_is_held_already_is_not_an_owner_in_the_way(held):
    ports, directory = held
    ports.hold()
    assert lock(directory / 'fastrtps_port7413_el') is None


def test_at_the_end_all_is_let_go(held):
    ports, directory = held
    ports.close()
    free = lock(directory / 'fastrtps_port7413_el')
    assert free is not None
    free.close()


@pytest.mark.parametrize('held', [0.05], indirect=True)
def test_after_a_while_it_is_let_go_and_swept(held):
    _, directory = held
    until = time.monotonic() + PATIENCE_S
    while (directory / 'fastrtps_port7413_el').exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert (directory / 'fastrtps_port7411_el').exists()
