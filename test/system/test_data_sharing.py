"""Segments between two processes: shared without a copy, and robust when either process dies."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from xlerobot_asr_opt.ros.profile import middleware_environment, shares_data
from xlerobot_asr_opt.ros.shared_memory import inspect_shared_memory, sweep_stale_segments

PEER = Path(__file__).with_name('data_sharing_peer.py')
TOPIC = '/sharing/worker/segments'
PATIENCE_S = 40.0
DEPTH = 2


class Peer:
    """A process that runs data_sharing_peer.py."""

    def __init__(self, environment, role, depth=DEPTH):
        self.process = subprocess.Popen(
            [sys.executable, PEER, role, TOPIC, str(depth)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        self._answers = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            if line.startswith('{'):
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def tell(self, command):
        self.process.stdin.write(f'{command}\n')
        self.process.stdin.flush()

    def answer(self):
        answer = self._answers.get(timeout=PATIENCE_S)
        assert answer is not None, f'the peer has ended with {self.process.wait()}'
        return answer

    def ask(self, command):
        self.tell(command)
        return self.answer()

    def quit(self):
        self.tell('quit')
        assert self.process.wait(PATIENCE_S) == 0

    def kill(self):
        self.process.kill()
        assert self.process.wait(PATIENCE_S) == -signal.SIGKILL


def files_of(*peers):
    """Give the names of Fast DDS's files in /dev/shm that these processes have mapped."""
    maps = ''.join(Path(f'/proc/{peer.process.pid}/maps').read_text() for peer in peers)
    return sorted(set(re.findall(r'/dev/shm/((?:sem\.)?fast\S+)', maps)))


def match(writer, reader):
    """Wait until both know of each other, and tell whether both loan."""
    return writer.ask('matched')['loaned'] and reader.ask('matched')['loaned']


def environment_of(mode, directory):
    """Give the environment of a graph in which the death of a process is noticed after 2 s."""
    base = {
        name: value for name, value in os.environ.items()
        if not name.startswith(('RMW_', 'FAST', 'XLEROBOT_ASR_ZERO', 'ROS_DISABLE'))
    }
    variables = middleware_environment(mode, '/sharing', ['worker'], base)
    profile = Path(variables['FASTRTPS_DEFAULT_PROFILES_FILE']).read_text()
    lease = (
        '<discovery_config><leaseDuration><sec>2</sec></leaseDuration><leaseAnnouncement>'
        '<sec>0</sec><nanosec>500000000</nanosec></leaseAnnouncement></discovery_config>'
    )
    quick = directory / 'profile.xml'
    quick.write_text(profile.replace('<builtin>', f'<builtin>{lease}'))
    return {
        **base, **variables, 'FASTRTPS_DEFAULT_PROFILES_FILE': str(quick),
        'FASTDDS_DEFAULT_PROFILES_FILE': str(quick), 'ROS_DOMAIN_ID': '42',
        'ROS_LOCALHOST_ONLY': '1',
    }


@pytest.fixture
def start(tmp_path):
    """Start peers, by default in a graph that shares data; nothing of them stays."""
    peers = []

    def start_one(role, mode='data_sharing', **options):
        peers.append(Peer(environment_of(mode, tmp_path), role, **options))
        return peers[-1]

    yield start_one
    for peer in peers:
        peer.process.kill()
        peer.process.wait(PATIENCE_S)
    sweep_stale_segments()
    # What a killed peer had mapped is gone with it; what runs beside the tests is not ours.
    assert not inspect_shared_memory().stale


def test_reader_sees_the_very_bytes_that_the_writer_wrote(start):
    writer, reader = start('writer'), start('reader')
    assert match(writer, reader)
    for sequence in range(1, 8):
        written = writer.ask(f'publish {sequence} 480000')
        read = reader.ask('take')
        assert 'fast_datasharing_' in read['path']
        # One file, one place in it: there is no second copy for the bytes to be in.
        assert (read['inode'], read['offset']) == (written['inode'], written['offset'])
        assert read['right']
        assert read['whole']
        assert read['sequence'] == sequence
    reader.quit()
    writer.quit()


@pytest.mark.parametrize('mode', ['loan', 'off'])
def test_other_modes_carry_segments_without_a_shared_pool(start, mode):
    writer, reader = start('writer', mode), start('reader', mode)
    assert match(writer, reader) == (mode == 'loan')
    assert reader.ask('matched')['reliability'] == 'RELIABLE'
    writer.ask('publish 1 480000')
    read = reader.ask('take')
    assert read['path'] == ''
    assert read['right']
    assert read['whole']
    reader.quit()
    writer.quit()


def test_overwritten_segment_is_detected(start):
    writer, reader = start('writer'), start('reader')
    assert match(writer, reader)
    writer.ask('publish 1 480000')
    assert reader.ask('hold')['whole']
    places = [writer.ask(f'publish {sequence} 480000') for sequence in range(2, 3 + 2 * DEPTH)]
    held = reader.ask('check')
    assert held['offset'] in {place['offset'] for place in places}
    assert not held['whole']
    reader.tell('leave')
    reader.quit()
    writer.quit()


@pytest.mark.parametrize('end', [Peer.quit, Peer.kill])
def test_reader_outlives_a_writer_whose_segment_it_is_reading(start, end):
    writer, reader = start('writer'), start('reader')
    assert match(writer, reader)
    writer.ask('publish 7 480000')
    assert reader.ask('hold')['right']
    end(writer)
    # The middleware has taken its mapping away; what we read is still there and still right.
    after = reader.ask('gone')
    assert after['right']
    assert after['whole']
    reader.tell('leave')
    successor = start('writer')
    assert match(successor, reader)
    successor.ask('publish 8 480000')
    read = reader.ask('take')
    assert (read['sequence'], read['right'], read['whole']) == (8, True, True)
    reader.quit()
    successor.quit()


def test_clean_exit_leaves_nothing_and_needs_no_sweep(start):
    writer, reader = start('writer'), start('reader')
    assert match(writer, reader)
    writer.ask('publish 1 480000')
    reader.ask('take')
    ours = files_of(writer, reader)
    assert ours
    reader.quit()
    writer.quit()
    assert not [name for name in ours if Path('/dev/shm', name).exists()]


def test_sweep_removes_what_the_killed_left_and_nothing_of_the_living(start):
    writer, reader = start('writer'), start('reader')
    assert match(writer, reader)
    writer.ask('publish 1 480000')
    reader.ask('take')
    dead = files_of(writer, reader)
    writer.kill()
    reader.kill()
    assert set(dead) <= set(inspect_shared_memory().stale)

    writer, reader = start('writer'), start('reader')
    assert match(writer, reader)
    living = files_of(writer, reader)
    assert set(living) <= set(inspect_shared_memory().in_use)
    removed = sweep_stale_segments()
    # Another graph on this machine may have swept them first, or use a port of theirs by now.
    assert not set(dead) & set(inspect_shared_memory().stale)
    assert not set(removed) & set(living)
    assert not [name for name in removed if Path('/dev/shm', name).exists()]
    assert all(Path('/dev/shm', name).exists() for name in living)
    writer.ask('publish 2 480000')
    assert reader.ask('take')['right']
    late = start('reader')  # finds the living writer's pool by its file
    assert match(writer, late)
    writer.ask('publish 3 480000')
    assert 'fast_datasharing_' in late.ask('take')['path']
    for peer in (late, reader, writer):
        peer.quit()


def test_data_shared_segments_are_read_without_acknowledgements(start):
    reader, writer = start('reader'), start('writer')
    assert match(writer, reader)
    assert reader.ask('matched')['reliability'] == 'BEST_EFFORT'
    reader.quit()
    writer.quit()


def test_only_the_topics_of_the_profile_in_force_count_as_data_shared():
    sharing = middleware_environment('data_sharing', '/sharing', ['worker'], {})
    assert shares_data(TOPIC, sharing)
    assert not shares_data('/sharing/other/segments', sharing)
    assert not shares_data(TOPIC, {**sharing, 'RMW_FASTRTPS_USE_QOS_FROM_XML': '0'})
    for mode in ('loan', 'off'):
        assert not shares_data(TOPIC, middleware_environment(mode, '/sharing', ['worker'], {}))
