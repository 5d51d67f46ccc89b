"""The locks of the dead: held as long as anybody knows them, and nothing of the living."""

import fcntl
import mmap
import threading
import time

import pytest

from xlerobot_asr_opt.ros import dead_ports
from xlerobot_asr_opt.ros.dead_ports import DeadPorts

PATIENCE_S = 10.0
LIVING, DEAD, SEGMENT = 'fastrtps_port7411', 'fastrtps_port7413', 'fastrtps_0123456789abcdef'


def lock(path):
    """Lock a file as Fast DDS does; None: somebody else has it."""
    file = path.open('ab')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_held(path):
    """Whether somebody has locked a file."""
    file = lock(path)
    if file is not None:
        file.close()
    return file is None


class Memory:
    """A directory with the port of a living process and of a dead one, which a survivor maps."""

    def __init__(self, directory):
        self.directory = directory
        self.dead, self.segment = directory / f'{DEAD}_el', directory / f'{SEGMENT}_el'
        for path in (self.dead, self.segment):
            path.touch()
        (directory / DEAD).write_bytes(bytes(mmap.PAGESIZE))
        with (directory / DEAD).open('r+b') as port:
            self.survivor = mmap.mmap(port.fileno(), 0)
        self.owner = lock(directory / f'{LIVING}_el')
        self.ports = DeadPorts(0, directory, look_s=0.01)

    def close(self):
        self.ports.close()
        self.owner.close()

    def until(self, condition):
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.fixture
def memory(tmp_path):
    memory = Memory(tmp_path)
    yield memory
    memory.close()


def test_a_port_without_an_owner_is_held_and_nothing_else(memory):
    memory.ports.hold()
    assert is_held(memory.dead)
    assert not is_held(memory.segment)


def test_ports_of_another_domain_are_left_alone(memory):
    other = memory.directory / 'fastrtps_port7663_el'
    shared = memory.directory / 'fastrtps_port7003_el'
    for path in (other, shared):
        path.touch()
    memory.ports.hold()
    assert not is_held(other)
    assert is_held(shared)


def test_one_that_somebody_looks_at_in_that_moment_is_held_too(memory):
    looks = lock(memory.dead)
    looker = threading.Timer(0.03, looks.close)
    looker.start()
    memory.ports.hold()
    looker.join()
    assert is_held(memory.dead)


def test_what_is_held_already_is_no_hindrance(memory):
    memory.ports.hold()
    memory.ports.hold()
    assert is_held(memory.dead)


def test_it_is_held_while_somebody_knows_the_port_though_it_was_removed_and_made_again(memory):
    (memory.directory / DEAD).unlink()
    (memory.directory / DEAD).touch()
    memory.ports.hold()
    time.sleep(0.1)
    assert is_held(memory.dead)


def test_it_is_let_go_and_swept_when_nobody_knows_it_any_more(memory):
    memory.ports.hold()
    memory.survivor.close()
    memory.until(lambda: not memory.dead.exists())
    assert is_held(memory.directory / f'{LIVING}_el')


def test_it_is_not_held_for_ever(memory, monkeypatch):
    monkeypatch.setattr(dead_ports, 'FORGOTTEN_S', 0.05)
    memory.ports.hold()
    memory.until(lambda: not is_held(memory.dead))


def test_at_the_end_all_is_let_go(memory):
    memory.ports.hold()
    memory.ports.close()
    assert not is_held(memory.dead)
