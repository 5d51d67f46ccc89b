"""What is heard while the robot itself speaks: nothing, or who cuts in."""

import dataclasses
import itertools
import logging

import numpy as np
import pytest
from scripted_speech import BEGIN_NS, LoudnessDetector, chunks, dialogue, rows

from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.parameters import IngestParameters
from xlerobot_asr_opt.records import StreamState

UTTERANCE = dialogue(0.5, 1.0, 1.5)
CHUNK_S = 0.1


class Room:
    """An ingest in real time: every chunk moves the clock by its length."""

    def __init__(self, path, **parameters):
        self.now = 100.0
        self.tickets, self.cut_in = [], []
        self._sequence = 0
        self.store = SegmentStore(path / 'a.store', 16 << 20)
        self.ingest = Ingest(
            IngestParameters(robot_speaking='/tts', **parameters), self.store,
            LoudnessDetector(), lambda: self.now)

    def hear(self, samples, stream='hall'):
        """Hear a whole recording, in chunks of 0.1 s, on a live stream."""
        for chunk in chunks(samples, stream, first=self._sequence,
                            begin_ns=BEGIN_NS + self._sequence * 100_000_000):
            self.tickets += self.ingest.accept_all(rows([chunk]))
            self._sequence += 1
            self.cut_in += self.ingest.cutting_in()
            self.now += CHUNK_S
        return self

    def robot(self, speaking):
        self.tickets += self.ingest.robot_speaks(speaking)
        return self

    def wait(self, seconds):
        self.now += seconds
        self.tickets += self.ingest.tick()
        return self

    @property
    def status(self):
        return self.ingest.statuses(['hall'])[0]


@pytest.fixture
def room(tmp_path):
    rooms = []

    def room(**parameters):
        rooms.append(Room(tmp_path, **parameters))
        return rooms[-1]

    yield room
    for one in rooms:
        one.store.close()


def test_what_is_heard_while_the_robot_speaks_is_dropped_and_counted(room):
    room = room().robot(True).hear(UTTERANCE)
    assert not room.tickets
    assert (room.status.muted, room.status.missing, room.status.refused) == (30, 0, 0)
    assert room.status.state is StreamState.SILENCE
    assert room.status.position_s == pytest.approx(3.0)
    room.robot(False).wait(0.4).hear(UTTERANCE)
    (ticket,) = room.tickets
    assert room.status.muted == 30
    # The stream's own time and numbers went on meanwhile.
    assert ticket.begin_ns == pytest.approx(BEGIN_NS + 3_500_000_000 - 250_000_000, abs=4e7)
    assert ticket.missing_chunks == 0


def test_what_was_being_said_when_the_robot_began_is_announced(room):
    room = room().hear(dialogue(0.5, 1.0))
    assert not room.tickets
    room.robot(True)
    (ticket,) = room.tickets
    assert ticket.end_ns == pytest.approx(BEGIN_NS + 1_500_000_000, abs=4e7)
    room.hear(UTTERANCE)
    assert len(room.tickets) == 1


def test_the_room_rings_for_the_tail(room):
    room = room(robot_speaking_tail=0.45).robot(True).hear(UTTERANCE).robot(False)
    room.hear(np.concatenate([dialogue(0.0, 0.4), UTTERANCE]))
    assert room.status.muted == 35
    assert len(room.tickets) == 1


def test_a_true_is_not_believed_for_ever(room, caplog):
    room = room(robot_speaking_limit=5.0).robot(True).hear(UTTERANCE).wait(2.1)
    with caplog.at_level(logging.WARNING):
        room.hear(UTTERANCE)
    assert len(room.tickets) == 1
    assert '/tts said that the robot speaks, and nothing since for 5 s' in caplog.text


def test_a_true_that_is_repeated_is_believed(room):
    room = room(robot_speaking_limit=5.0).robot(True)
    for _ in range(4):
        room.hear(UTTERANCE).robot(True)
    assert not room.tickets


def test_a_stream_that_is_opened_meanwhile_is_deaf_too(room):
    room = room().robot(True).hear(UTTERANCE, 'kitchen')
    assert not room.tickets
    assert room.ingest.statuses(['kitchen'])[0].muted == 30


def test_a_file_is_heard_all_the_same(room):
    room = room().robot(True)
    room.ingest.open('file')
    room.hear(UTTERANCE, 'file')
    assert [ticket.stream for ticket in room.tickets] == ['file']


def test_a_microphone_is_deaf(room):
    room = room().robot(True)
    room.ingest.open('mic', live=True)
    for chunk in chunks(UTTERANCE, 'mic'):
        room.tickets += room.ingest.accept(chunk)
    assert not room.tickets


def test_other_rates_are_muted_alike(room):
    room = room().robot(True)
    loud = dialogue(0.5, 1.0, 1.0, rate=48_000)
    for chunk in chunks(loud, rate=48_000):
        room.tickets += room.ingest.accept_all(rows([chunk]))
    assert not room.tickets
    assert room.status.muted == len(chunks(loud, rate=48_000))


# Barge-in


def test_who_begins_to_speak_while_the_robot_speaks_is_heard_and_told_once(room):
    room = room(while_robot_speaks='barge_in').robot(True).hear(UTTERANCE)
    assert room.cut_in == ['hall']
    assert (len(room.tickets), room.status.muted) == (1, 0)
    room.hear(UTTERANCE)
    assert room.cut_in == ['hall', 'hall']


def test_who_speaks_while_the_robot_is_silent_cuts_nobody_off(room):
    room = room(while_robot_speaks='barge_in').hear(UTTERANCE)
    room.hear(dialogue(0.5, 1.0)).robot(True)
    room.hear(dialogue(0.5))
    assert room.cut_in == []
    room.robot(False).hear(UTTERANCE)
    assert room.cut_in == []


@pytest.mark.parametrize(('after_s', 'told'), [(0.0, ['hall']), (0.4, ['hall']), (2.0, [])])
def test_speech_has_to_last(room, after_s, told):
    room = room(while_robot_speaks='barge_in', barge_in_after=after_s).robot(True)
    assert room.hear(UTTERANCE).cut_in == told


def test_a_file_cuts_nobody_off(room):
    room = room(while_robot_speaks='barge_in').robot(True)
    room.ingest.open('file')
    assert room.hear(UTTERANCE, 'file').cut_in == []


def test_a_stream_that_ends_while_it_is_waited_for_is_forgotten(room):
    room = room(while_robot_speaks='barge_in', barge_in_after=5.0).robot(True)
    room.hear(dialogue(0.5, 1.0))
    room.tickets += room.ingest.finish('hall')
    assert room.ingest.cutting_in() == []


@pytest.mark.parametrize('size', [400, 1600])
def test_muting_is_the_same_alone_and_in_batches(tmp_path, size):
    def hear(folder, together):
        folder.mkdir()
        room = Room(folder)
        told = []
        for robot in (False, True, False):
            room.robot(robot).wait(0.5)
            each = [chunks(UTTERANCE, name, size=size, first=100 * len(told),
                           begin_ns=BEGIN_NS + 4_000_000_000 * len(told))
                    for name in ('hall', 'kitchen')]
            both = [dataclasses.replace(one) for pair in zip(*each, strict=True) for one in pair]
            if together:
                room.tickets += room.ingest.accept_all(rows(both))
            else:
                room.tickets += itertools.chain.from_iterable(map(room.ingest.accept, both))
            told.append(len(room.tickets))
        digests = sorted((one.stream, one.digest) for one in room.tickets)
        muted = [one.muted for one in room.ingest.statuses()]
        room.store.close()
        return told, digests, muted

    first, second = hear(tmp_path / 'a', together=True), hear(tmp_path / 'b', together=False)
    assert first == second
    assert first[0][1] == first[0][0]
