"""Many streams: who is heard, when their speech ends, and what is kept until acknowledged."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from full_store import fill
from scripted_speech import BEGIN_NS, LoudnessDetector, chunks, dialogue, rows

from xlerobot_asr_opt.core.ingest import STREAM_BYTES, Ingest
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.errors import AudioError, ConfigurationError, MemoryBudgetError, StoreError
from xlerobot_asr_opt.parameters import IngestParameters
from xlerobot_asr_opt.records import Acknowledgement, Flag, StreamState, TranscriptStatus

UTTERANCE = dialogue(0.5, 1.0, 0.8)
UNFINISHED = dialogue(0.5, 1.0)
SECOND = 1_000_000_000


class House:
    """An Ingest on a real store, and a clock that moves when a test says so.

    Attributes:
        now: the clock [s].
        left: memory for streams [bytes].
        tickets: announced, in order.
    """

    def __init__(self, path, **parameters):
        self.now = 100.0
        self.left = math.inf
        self.tickets = []
        self.store = SegmentStore(path / 'a.store', 16 << 20)
        self.ingest = Ingest(
            IngestParameters(**parameters), self.store, LoudnessDetector(), lambda: self.now,
            self.admit)

    def admit(self, what, needed):
        """Let streams in as long as there is memory left."""
        if needed > self.left:
            raise MemoryBudgetError(f'{what} needs {needed} bytes')
        self.left -= needed

    def hear(self, *some):
        """Take chunks as they come by topic: all at once, in memory that is used again."""
        loaned = rows(some)
        self.tickets += self.ingest.accept_all(loaned)
        loaned['samples'] = 12345

    def hear_one_by_one(self, *some):
        """Take chunks as files and microphones bring them."""
        for chunk in some:
            self.tickets += self.ingest.accept(chunk)

    def finish(self, stream):
        self.tickets += self.ingest.finish(stream)

    def wait(self, seconds, step=0.5):
        """Time passes; ingest looks at its streams now and then."""
        for _ in range(round(seconds / step)):
            self.now += step
            self.tickets += self.ingest.tick()

    def status(self, stream='hall'):
        return next(one for one in self.ingest.statuses() if one.stream == stream)

    @property
    def streams(self):
        return [status.stream for status in self.ingest.statuses()]

    def acknowledge(self, segment):
        self.ingest.acknowledge(Acknowledgement(segment, TranscriptStatus.DONE))


@pytest.fixture
def build(tmp_path):
    """Builds a house; a second one finds the store of the first, as after a restart."""
    houses = []

    def build(**parameters):
        for house in houses:
            house.store.close()
        houses.append(House(tmp_path, **parameters))
        return houses[-1]

    yield build
    houses[-1].store.close()


@pytest.fixture
def house(build):
    return build()


# Streams that come by topic


def test_a_stream_is_opened_by_its_first_chunk(house):
    house.hear(*chunks(UTTERANCE))
    (ticket,) = house.tickets
    assert ticket.stream == 'hall'
    np.testing.assert_array_equal(
        house.ingest.samples(ticket.segment)[-1000:],
        UTTERANCE[:round((ticket.end_ns - BEGIN_NS) * 16e3 / 1e9)][-1000:])


def test_streams_are_heard_side_by_side(house):
    both = zip(chunks(UTTERANCE, 'hall'), chunks(UTTERANCE, 'kitchen'), strict=True)
    house.hear(*itertools.chain.from_iterable(both))
    assert [ticket.stream for ticket in house.tickets] == ['hall', 'kitchen']
    assert [ticket.sequence for ticket in house.tickets] == [0, 0]


def test_two_seconds_without_audio_end_the_speech(house):
    house.hear(*chunks(UNFINISHED))
    house.wait(1.5)
    assert not house.tickets
    house.wait(0.5)
    (ticket,) = house.tickets
    assert ticket.flags is Flag.INTERRUPTED
    assert house.status().state is StreamState.SILENCE


@pytest.mark.parametrize('spoil', [
    lambda chunk: dataclasses.replace(chunk, rate=1),
    lambda chunk: dataclasses.replace(chunk, samples=np.zeros(0, np.int16)),
], ids=['rate', 'empty'])
def test_chunks_that_are_refused_are_no_audio(house, spoil):
    """A driver that goes over to empty chunks when it is muted does not keep speech open."""
    house.hear(*chunks(UNFINISHED))
    for chunk in chunks(np.zeros(8 * 1600, np.int16), first=15):
        house.hear(spoil(chunk))
        house.wait(0.5)
    assert len(house.tickets) == 1
    assert house.status().refused == 8


def test_a_minute_without_a_chunk_ends_the_stream(house):
    house.hear(*chunks(UTTERANCE))
    house.wait(59.5)
    assert house.status().state is StreamState.SILENCE
    house.wait(0.5)
    assert house.status().state is StreamState.ENDED
    house.wait(60.0)
    assert len(house.tickets) == 1


def test_a_stream_that_brings_refused_chunks_only_has_not_ended(house):
    for sequence in range(130):
        house.hear(dataclasses.replace(chunks(UTTERANCE)[0], sequence=sequence, rate=1))
        house.wait(1.0)
    assert house.status().refused == 130


def test_a_stream_that_has_ended_begins_anew_with_its_next_chunk(house):
    house.hear(*chunks(UTTERANCE))
    house.wait(60.0)
    house.hear(*chunks(UTTERANCE, begin_ns=BEGIN_NS + 90 * SECOND))
    assert [ticket.sequence for ticket in house.tickets] == [0, 1]
    assert (house.status().segments, house.status().kept) == (1, 2)


def test_speech_after_a_pause_is_another_segment(house):
    house.hear(*chunks(UNFINISHED))
    house.wait(30.0)
    house.hear(*chunks(UTTERANCE, first=15, begin_ns=BEGIN_NS + 31 * SECOND))
    _, second = house.tickets
    assert second.begin_ns - BEGIN_NS == pytest.approx(31.25 * SECOND, abs=0.04 * SECOND)
    assert house.status().missing == 0


# Streams that somebody owns


def test_a_stream_that_is_owned_ends_when_its_owner_says_so(house):
    house.ingest.open('file', duration_s=1.5)
    house.hear(*chunks(UNFINISHED, 'file'))
    house.wait(120.0)
    assert not house.tickets
    assert house.status('file').state is StreamState.SPEECH
    house.finish('file')
    assert len(house.tickets) == 1
    assert house.status('file').state is StreamState.ENDED
    assert house.status('file').duration_s == 1.5


def test_a_source_that_broke_has_its_speech_announced(house):
    house.ingest.open('file')
    house.hear(*chunks(UNFINISHED, 'file'))
    (ticket,) = house.ingest.fail('file')
    assert ticket.flags is Flag.INTERRUPTED
    assert house.status('file').state is StreamState.FAILED


def test_the_language_of_a_stream_goes_before_the_parameters(build):
    house = build(language='de', budget=4.0)
    house.ingest.open('file', language='en')
    house.hear(*chunks(UTTERANCE), *chunks(UTTERANCE, 'file'))
    assert [ticket.language for ticket in house.tickets] == ['de', 'en']
    assert [house.ingest.language(ticket.segment) for ticket in house.tickets] == ['de', 'en']
    assert {ticket.budget_s for ticket in house.tickets} == {4.0}


def test_urgent_streams_are_of_a_class_before_the_others(build):
    house = build(urgent_streams=('stop',))
    house.ingest.open('file')
    house.hear(*chunks(UTTERANCE, 'file'), *chunks(UTTERANCE, 'stop'))
    assert [(ticket.stream, ticket.priority) for ticket in house.tickets] == [
        ('file', 1), ('stop', 0)]


def test_a_name_that_is_open_is_refused_until_it_has_ended(house):
    house.ingest.open('file')
    with pytest.raises(AudioError, match='file is open already; choose another name'):
        house.ingest.open('file')
    house.finish('file')
    assert house.ingest.open('file') == 'file'


# What is refused


BAD_NAMES = ['', 'x' * 64, 'ü' * 32, 'a\nb', 'a\ufffd']


@pytest.mark.parametrize('name', BAD_NAMES, ids=['empty', 'long', 'bytes', 'line', 'no-utf8'])
def test_a_name_that_cannot_be_carried(house, name, caplog):
    with pytest.raises(AudioError, match='expected 1 to 63 bytes of printable UTF-8'):
        house.ingest.open(name)
    house.hear_one_by_one(*chunks(UTTERANCE, name))
    assert (house.tickets, house.streams) == ([], [])
    assert 'a chunk is not heard' in caplog.text


LONG = 'a-language-that-does-not-exist'


def test_a_language_that_cannot_be_carried(house):
    with pytest.raises(ConfigurationError, match=f"got '{LONG}', expected at most 15 bytes"):
        house.ingest.open('file', language=LONG)
    assert house.streams == []
    with pytest.raises(ConfigurationError, match='expected at most 15 bytes'):
        Ingest(IngestParameters(language=LONG), house.store, LoudnessDetector(), lambda: 0.0)


def test_more_streams_than_are_allowed(build, caplog):
    house = build(streams=2)
    house.ingest.open('one')
    house.hear(chunks(UTTERANCE, 'two')[0], chunks(UTTERANCE, 'three')[0])
    assert house.streams == ['one', 'two']
    assert 'raise the parameter streams' in caplog.text
    with pytest.raises(AudioError, match='2 streams are open, and no more are allowed'):
        house.ingest.open('four')


def test_streams_for_which_no_memory_is_left(build, caplog):
    house = build()
    house.left = 2 * STREAM_BYTES + 1
    house.ingest.open('one')
    house.hear(chunks(UTTERANCE, 'two')[0], chunks(UTTERANCE, 'three')[0])
    assert house.streams == ['one', 'two']
    assert 'a chunk is not heard: stream three needs 150000 bytes' in caplog.text
    with pytest.raises(MemoryBudgetError, match='stream four needs'):
        house.ingest.open('four')
    house.hear(*chunks(UTTERANCE, 'two')[1:])
    assert house.tickets


def test_streams_that_have_ended_make_room_the_first_of_them_first(build):
    house = build(streams=2)
    for name in ('one', 'two'):
        house.ingest.open(name)
        house.finish(name)
    house.ingest.open('three')
    assert house.streams == ['two', 'three']


SPOILED = {
    'duplicated': (lambda good: [*good[:9], good[8], *good[9:]], {'duplicated': 1}),
    'out-of-order': (lambda good: [*good[:8], good[9], good[8], *good[10:]],
                     {'duplicated': 1, 'missing': 1}),
    'gap': (lambda good: [*good[:8], *good[10:]], {'missing': 2}),
    'two-publishers': (
        lambda good: [chunk for pair in zip(good, chunks(
            dialogue(2.3), first=500, begin_ns=BEGIN_NS - 90 * SECOND), strict=True)
            for chunk in pair],
        {'duplicated': 23}),
    'clock-ahead': (
        lambda good: [dataclasses.replace(chunk, stamp_ns=chunk.stamp_ns + (
            3600 * SECOND if chunk.sequence >= 3 else 0)) for chunk in good], {}),
    'clock-back': (
        lambda good: [dataclasses.replace(chunk, stamp_ns=chunk.stamp_ns - (
            3600 * SECOND if chunk.sequence >= 3 else 0)) for chunk in good], {}),
    'channels': (
        lambda good: [*good[:9], dataclasses.replace(good[9], channels=3), *good[9:]],
        {'refused': 1}),
}


@pytest.mark.parametrize('kind', SPOILED)
def test_a_stream_that_is_spoiled_counts_it_and_goes_on(house, kind):
    spoil, counted = SPOILED[kind]
    house.hear(*spoil(chunks(UTTERANCE)))
    house.wait(2.0)
    status = house.status()
    assert {name: getattr(status, name) for name in ('duplicated', 'missing', 'refused')} == {
        'duplicated': 0, 'missing': 0, 'refused': 0, **counted}
    assert len(house.tickets) == 1
    assert house.tickets[0].missing_chunks == counted.get('missing', 0)


def test_a_chunk_that_cannot_be_read_is_counted_under_its_name(house, caplog):
    house.hear(*chunks(UTTERANCE)[:5])
    unread = rows(chunks(UTTERANCE)[5:6])
    unread['length'] = 1601
    house.ingest.accept_all(unread)
    assert (house.status().refused, house.status().chunks) == (1, 6)
    assert ('hall: chunk 5 refused: got a length of 1601, expected at most 1600 samples'
            in caplog.text)


def test_a_bad_stream_does_not_flood_the_log(house, caplog):
    bad = dataclasses.replace(chunks(UTTERANCE)[0], rate=1)
    for sequence in range(50):
        house.hear(dataclasses.replace(bad, sequence=sequence))
        house.now += 0.125
    assert len(caplog.messages) == 7
    assert caplog.messages[-1].endswith('(7 more like it)')


def test_a_loss_is_told_at_once_however_much_is_said_beside_it(house, caplog):
    bad = dataclasses.replace(chunks(UTTERANCE)[0], rate=1)
    fill(house.store)
    for chunk in chunks(UTTERANCE):
        house.hear(dataclasses.replace(bad, sequence=chunk.sequence), chunk)
        house.now += 0.01
    assert [line for line in caplog.messages if 'speech is lost' in line]
    house.hear(dataclasses.replace(bad, stream='kitchen'))
    assert caplog.messages[-1].startswith('kitchen: chunk 0 refused')


# Keeping


def test_a_segment_is_kept_until_it_is_acknowledged(house):
    house.hear(*chunks(UTTERANCE))
    (ticket,) = house.tickets
    assert house.status().kept == 1
    room_s = house.ingest.room_s()
    house.acknowledge(ticket.segment)
    assert house.status().kept == 0
    assert house.ingest.room_s() > room_s
    with pytest.raises(StoreError, match='is not kept'):
        house.ingest.samples(ticket.segment)
    house.acknowledge(ticket.segment)


def test_everything_that_is_kept_is_announced_again_oldest_first(house):
    for begin in (0, 10, 20):
        house.hear(*chunks(UTTERANCE, begin_ns=BEGIN_NS + begin * SECOND))
    first, *rest = house.tickets
    house.acknowledge(first.segment)
    assert house.ingest.unacknowledged() == [
        dataclasses.replace(ticket, oldest_kept=1) for ticket in rest]


def test_what_an_earlier_life_kept_is_announced_and_counted_on(build):
    house = build()
    house.hear(*chunks(UTTERANCE))
    (kept,) = house.tickets
    samples = house.ingest.samples(kept.segment).copy()
    house = build()
    (again,) = house.ingest.unacknowledged()
    assert again == dataclasses.replace(kept, flags=Flag.RECOVERED)
    np.testing.assert_array_equal(house.ingest.samples(again.segment), samples)
    house.hear(*chunks(UTTERANCE))
    assert house.tickets[0].sequence == 1
    assert house.tickets[0].oldest_kept == 0


def test_speech_without_room_is_counted_and_told_and_what_follows_is_kept(house, caplog):
    house.hear(*chunks(UTTERANCE))
    fillers = fill(house.store)
    house.hear(*chunks(UTTERANCE, first=23, begin_ns=BEGIN_NS + 23 * SECOND // 10))
    assert (house.status().dropped, len(house.tickets)) == (1, 1)
    assert house.ingest.room_s() == 0.0
    assert 'hall: speech is lost: segment store full' in caplog.text
    house.acknowledge(fillers[0])
    house.hear(*chunks(UTTERANCE, first=46, begin_ns=BEGIN_NS + 46 * SECOND // 10))
    assert (house.status().dropped, len(house.tickets)) == (1, 2)


# What has changed


def test_states_are_told_when_they_change(house):
    def changed():
        return [(status.stream, status.state) for status in house.ingest.changed()]

    good = chunks(UTTERANCE)
    house.hear(*good[:3])
    assert changed() == [('hall', StreamState.SILENCE)]
    house.hear(*good[3:5])
    assert changed() == []
    house.hear(*good[5:10])
    assert changed() == [('hall', StreamState.SPEECH)]
    house.hear(*good[10:])
    assert changed() == [('hall', StreamState.SILENCE)]
    house.acknowledge(house.tickets[0].segment)
    assert changed() == [('hall', StreamState.SILENCE)]
    house.wait(60.0)
    assert changed() == [('hall', StreamState.ENDED)]


def partials(house):
    return [ticket for ticket in house.ingest.previews() if ticket.partial]


def test_partial_texts_are_asked_for_as_long_as_they_are_wanted(build):
    house = build(partials=0.3)
    spoken = iter(chunks(dialogue(0.5, 6.0)))

    def hear(seconds):
        """Hear that much more of the speech; return what is asked for."""
        asked = []
        for _ in range(round(seconds / 0.1)):
            house.hear(next(spoken))
            asked += partials(house)
        return asked
    assert hear(2.0)
    house.ingest.show_partials(wanted=False)
    assert not hear(2.0)
    house.hear(*chunks(UNFINISHED, 'porch'))
    assert not partials(house)
    house.ingest.show_partials(wanted=True)
    assert hear(2.0)
