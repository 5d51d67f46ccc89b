"""The manager with real processes: every stage is killed, or stopped, while somebody speaks.

test_up.py shows the faults of a graph that is idle.
"""

import itertools
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import Chunk
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.client import GraphClient
from xlerobot_asr_opt.ros.shared_memory import sweep_stale_segments
from xlerobot_asr_opt.sources import wire

DOMAIN = 152
NAMESPACE = '/managed'
PATIENCE_S = 30.0
STOP_S = 3.0
ORDER = ['cache', 'inference_0', 'scheduler', 'ingest']
SIGNALS = {'scheduler': signal.SIGSTOP}
"""Of those that are not killed at once: it does nothing, and the others go on sending."""
RATE = 16_000
CHUNK = 1600
PACE = 4.0
SILENCE_S = 1.2

PARTS = [(8.5, 13.1, 'one'), (13.2, 17.0, 'two'), (17.3, 20.0, 'three'), (21.0, 23.1, 'four'),
         (24.4, 25.9, 'five')]
"""Begin and end of what is said, in the recording [s], and the answer to a segment so long."""

SCRIPT = """\
answers:
- {text: one, length_s: [4.2, 5.0], delay_s: 1.0}
- {text: two, length_s: [3.4, 4.2], delay_s: 1.0}
- {text: three, length_s: [2.4, 3.4], delay_s: 1.0}
- {text: four, length_s: [1.8, 2.4], delay_s: 1.0}
- {text: five, length_s: [1.0, 1.8], delay_s: 1.0}
"""
"""Slow enough to be killed meanwhile, and to be heard by who must find a new scheduler first."""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts a graph, and sees to it that nothing of it outlives the test."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    started = []

    def start(*parameters, **arguments):
        lines = []
        graph = Graph(
            GraphArguments(
                namespace=NAMESPACE, **arguments,
                parameters=(f'cache.directory={tmp_path / "cache"}', *parameters)),
            write=lambda _name, line: lines.append(line))
        started.append(graph)
        graph.start()
        graph.wait_active()
        return graph, lines

    yield start
    for graph in started:
        graph.stop()


def until(condition, what, spin=None):
    """Wait for a condition, and return what it gave."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        (spin or time.sleep)(0.02)
    raise AssertionError(f'not within {PATIENCE_S:g} s: {what()}')


def reached(lines, state):
    """Nodes in the order in which they came into a state."""
    return [match[1] for line in list(lines)
            if (match := re.search(rf'\.manager\]: (\w+) is {state}$', line))]


def mapped(pids):
    """Names of Fast DDS's files in /dev/shm that processes have mapped."""
    maps = ''.join(Path(f'/proc/{pid}/maps').read_text() for pid in pids)
    return set(re.findall(r'/dev/shm/((?:sem\.)?fast\S+)', maps))


class Speaker:
    """Says one sentence after the other into a topic, faster than a person.

    Args:
        client: of the graph; it works in the pauses.
    """

    stream = 'hall'

    def __init__(self, client):
        recording, rate = soundfile.read(asset_path('two_cities'), dtype='int16')
        self._recording, self._rate = recording.reshape(len(recording), -1)[:, 0], rate
        self._client = client
        self._publisher = client.audio_publisher(names.AUDIO)
        self._sequence = itertools.count()
        self._begin_ns = time.time_ns()

    def say(self, begin_s, end_s):
        """Play a part of the recording, in its own rate."""
        first, last = (int(seconds * self._rate) for seconds in (begin_s, end_s))
        self._send(self._recording[first:last])

    def pause(self, enough=lambda: False):
        """Play silence, until it is enough; return whether that was so."""
        return self._send(np.zeros(int(SILENCE_S * self._rate), np.int16), enough)

    def await_reader(self):
        """Play silence until ingest says that it hears it, and keeps nothing.

        One that was killed counts as a reader for a while.
        """
        self._client.streams.clear()
        until(lambda: self.status is not None and self.status.chunks > 0 and not self.status.kept,
              lambda: f'{self.status}', lambda _: self.pause(lambda: self.status is not None))

    @property
    def status(self):
        """What ingest said last of what it hears."""
        return self._client.streams.get(self.stream)

    def _send(self, samples, enough=lambda: False):
        for part in np.array_split(samples, -(-len(samples) // CHUNK)):
            sequence = next(self._sequence)
            self._publisher.publish(wire.encode(Chunk(
                self.stream, sequence, self._begin_ns, self._rate, 1, part)))
            duration = len(part) / self._rate
            self._begin_ns += int(duration * 1e9)
            self._wait(duration / PACE)
            if enough():
                return True
        return False

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._client.spin(left)


def test_each_stage_is_killed_while_somebody_speaks_and_nothing_is_lost(start, tmp_path):
    script = tmp_path / 'script.yaml'
    script.write_text(SCRIPT)
    graph, lines = start(
        'scheduler.grant_timeout=3.0', f'ingest.store_directory={tmp_path / "store"}',
        source='topic', backends=('scripted',), script=str(script))
    with GraphClient(NAMESPACE) as client:
        assert client.is_running(PATIENCE_S)
        speaker = Speaker(client)

        def kept():
            return speaker.status is not None and speaker.status.kept > 0

        def told():
            return [one for one in client.transcripts if one.stream == speaker.stream]

        def kill(name):
            before, active = graph.pids, reached(lines, 'active')
            os.kill(before[name], SIGNALS.get(name, signal.SIGKILL))
            return name, before, active

        def recovers(name, before, active):
            until(lambda: reached(lines, 'active') == [*active, name],
                  lambda: '\n'.join(lines), client.spin)
            after = graph.pids
            assert after.pop(name) != before.pop(name)
            assert after == before

        for said, ((begin, end, _), victim) in enumerate(
                itertools.zip_longest(PARTS, ORDER), start=1):
            speaker.await_reader()
            middle = (begin + end) / 2
            speaker.say(begin, middle)
            # These two are gone when the speech ends; the others while it is being recognised.
            killed = kill(victim) if victim in ('cache', 'scheduler') else None
            speaker.say(middle, end)
            assert speaker.pause(enough=kept)
            killed = kill(victim) if victim in ('inference_0', 'ingest') else killed
            if killed:
                recovers(*killed)
            until(lambda: len(told()) >= said,  # noqa: B023 - called in this turn
                  lambda: f'{told()} {speaker.status}', client.spin)
        until(lambda: not kept(), lambda: f'{speaker.status}', client.spin)
        assert [one.text for one in told()] == [text for _, _, text in PARTS]
        assert [one.sequence for one in told()] == list(range(len(PARTS)))
        assert told()[ORDER.index('inference_0')].attempts >= 2

        # And down, in the middle of a word.
        speaker.say(8.5, 10.0)
    pids = graph.pids
    files = mapped(pids.values())
    assert files
    begin = time.monotonic()
    graph.stop()
    assert time.monotonic() - begin < STOP_S
    assert not any(Path(f'/proc/{pid}').exists() for pid in pids.values())

    def swept():
        # What was killed leaves its memory to the next sweep; one that meets a graph of somebody
        # else, just starting, leaves it to a later one.
        sweep_stale_segments()
        return not files.intersection(path.name for path in Path('/dev/shm').iterdir())
    until(swept, lambda: files)
