"""A replay's pace, its back-pressure and its end, against a graph that is played here."""

import dataclasses
from collections import deque

import numpy as np
import pytest

from xlerobot_asr_opt.cli.replay import Outcome, Player
from xlerobot_asr_opt.errors import TransportError
from xlerobot_asr_opt.records import (
    Chunk,
    StreamState,
    StreamStatus,
    Transcript,
    TranscriptStatus,
)
from xlerobot_asr_opt.sources.bag import BagMessage

RECORDED = 50_000_000_000
STAMP = 1_700_000_000_000_000_000


class Bag:
    """One hundred milliseconds a chunk, all of one topic."""

    audio_topics = ('/asr/audio',)
    start_ns = RECORDED

    def __init__(self, count):
        self._count = count

    def chunks(self):
        for index in range(self._count):
            chunk = Chunk('hall', index, STAMP + index * 100_000_000, 16_000, 1,
                          np.zeros(1600, np.int16))
            yield BagMessage('/asr/audio', RECORDED + index * 100_000_000, b'%d' % index), chunk


class Graph:
    """Stands for the client: takes chunks, tells a status a second, and one transcript at the end.

    Args:
        lose: chunks that get lost.
        status: what the transcript says of its segment.
    """

    namespace = '/asr'

    def __init__(self, lose=(), status=TranscriptStatus.DONE, alive=True):
        self.streams = {}
        self.transcripts = deque()
        self.sent_at = []
        self.now = 0.0
        self.most_on_the_way = 0
        self._lose, self._status, self._alive = lose, status, alive
        self._received = self._counted = 0
        self._next_status = 1.0

    def clock(self):
        return self.now

    def audio_publisher(self, _topic):
        return self

    def await_readers(self, _seconds):
        self.now += 1.0

    def publish(self, data):
        self.sent_at.append(self.now)
        self._received += int(data) not in self._lose
        self.most_on_the_way = max(self.most_on_the_way, self._received - self._counted)

    def spin(self, seconds):
        self.now += seconds + 0.0001
        if self.now >= self._next_status and self._alive:
            self._next_status = self.now + 1.0
            self._tell()

    def _tell(self):
        quiet = self._received == self._counted
        self._counted = self._received
        status = StreamStatus('hall', StreamState.SPEECH, chunks=self._counted)
        if quiet and self._received:
            status = dataclasses.replace(status, state=StreamState.SILENCE, segments=1)
            self.transcripts.append(Transcript(
                7, 'hall', 0, self._status, STAMP + 250_000_000, STAMP + 900_000_000, text='hey'))
        self.streams['hall'] = status


def play(graph, count, rate):
    told = []

    def tell(transcript, origin_ns):
        told.append((transcript.text, transcript.begin_ns - origin_ns))
        return transcript.status is TranscriptStatus.DONE
    return Player(graph, Bag(count), rate, tell, graph.clock).play(), told


@pytest.mark.parametrize('rate', [0.5, 1, 4])
def test_pace_is_that_of_the_recording(rate):
    graph = Graph()
    outcome, told = play(graph, 40, rate)
    assert outcome == Outcome(sent=40, lost=0, unsuccessful=0)
    assert told == [('hey', 250_000_000)]
    due = graph.sent_at[0] + np.arange(40) * 0.1 / rate
    np.testing.assert_allclose(graph.sent_at, due, atol=0.002)


def test_at_full_speed_no_more_is_sent_than_fits():
    graph = Graph()
    outcome, told = play(graph, 2000, 0)
    assert outcome == Outcome(sent=2000, lost=0, unsuccessful=0)
    assert len(told) == 1
    assert 200 < graph.most_on_the_way <= 250


@pytest.mark.parametrize('rate', [0, 4])
def test_lost_chunks_are_counted(rate):
    outcome, told = play(Graph(lose={3, 30}), 400, rate)
    assert outcome == Outcome(sent=400, lost=2, unsuccessful=0)
    assert len(told) == 1


def test_what_was_not_recognised_is_counted():
    outcome, _ = play(Graph(status=TranscriptStatus.REJECTED), 10, 1)
    assert outcome == Outcome(sent=10, lost=0, unsuccessful=1)


def test_a_graph_that_died():
    with pytest.raises(TransportError, match='no news of hall for 15 s'):
        play(Graph(alive=False), 10, 1)
