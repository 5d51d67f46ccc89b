"""One stream from chunks to tickets: a real store, and a detector that hears loudness."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from full_store import fill
from scripted_speech import BEGIN_NS, LoudnessDetector, chunks, dialogue, sound

from xlerobot_asr_opt.core.microphone_faults import REMEDIES
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.segment_writer import Request
from xlerobot_asr_opt.core.segmenter import Cutting
from xlerobot_asr_opt.core.stream import Source, Stream
from xlerobot_asr_opt.core.stream_arrays import StreamArrays
from xlerobot_asr_opt.records import Fault, Flag, StreamState

MS = 1_000_000
RATE = 16_000
WINDOW_MS = 32
PRE_ROLL_MS = 250
UTTERANCE = dialogue(1.0, 1.0, 1.0)
"""A second of silence, of speech, of silence."""


class Hall:
    """One stream, and what came of everything that was said into it.

    Attributes:
        now: the clock [s].
        tickets: announced, in order.
        told: remarks, in order.
        states: the stream has been in, in order.
    """

    def __init__(self, directory, silence_warning_s=10.0, **source):
        self.now = 50.0
        self.tickets = []
        self.told = []
        self.store = SegmentStore(directory / 'a.store', 16 << 20)
        source.setdefault('request', Request())
        arrays = StreamArrays(1, Cutting(), LoudnessDetector(), silence_warning_s, gate_db=6.0)
        self.stream = Stream(Source('hall', **source), arrays, 0, self.store, lambda: self.now)
        self.states = [self.stream.state]

    def hear(self, *some):
        """Take chunks; each is a loan that is overwritten behind it."""
        for chunk in some:
            loaned = chunk.samples.copy()
            self._note(self.stream.take(dataclasses.replace(chunk, samples=loaned)))
            loaned[:] = 12345
        return self

    def pause(self):
        self._note(self.stream.pause())
        return self

    def end(self, state):
        self._note(self.stream.end(state))
        return self

    @property
    def status(self):
        return self.stream.status(self.store.kept('hall'))

    def spoken(self, ticket):
        return self.store.samples(ticket.segment)

    def _note(self, tickets):
        self.tickets += tickets
        self.told += self.stream.remarks
        self.stream.remarks.clear()
        if self.stream.state is not self.states[-1]:
            self.states.append(self.stream.state)


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path)
    yield hall
    hall.store.close()


def begin_ms(ticket):
    return (ticket.begin_ns - BEGIN_NS) / MS


def after_pre_roll(speech_ms):
    """Where a segment begins whose speech begins here, to a window."""
    return pytest.approx(speech_ms - PRE_ROLL_MS, abs=WINDOW_MS)


# Speech


def test_speech_becomes_one_segment_of_the_very_samples(hall):
    hall.hear(*chunks(UTTERANCE))
    (ticket,) = hall.tickets
    assert begin_ms(ticket) == after_pre_roll(1000)
    first = round(begin_ms(ticket) * RATE / 1000)
    np.testing.assert_array_equal(
        hall.spoken(ticket), UTTERANCE[first:first + ticket.length])
    assert ticket.end_ns == pytest.approx(BEGIN_NS + 2200 * MS, abs=WINDOW_MS * MS)
    assert hall.status.segments == hall.status.kept == 1


def test_the_state_tells_who_is_speaking(hall):
    hall.hear(*chunks(UTTERANCE)).end(StreamState.ENDED)
    assert hall.states == [
        StreamState.WAITING, StreamState.SILENCE, StreamState.SPEECH, StreamState.SILENCE,
        StreamState.ENDED]
    assert hall.stream.ended


def test_it_is_told_how_long_somebody_has_been_speaking(hall):
    hall.hear(*chunks(dialogue(1.0, 1.0)))
    assert hall.status.speaking_s == pytest.approx(1.25, abs=0.04)


@pytest.mark.parametrize(('rate', 'channels'), [(8_000, 1), (48_000, 2), (96_000, 6)])
def test_any_form_is_heard_at_its_time(hall, rate, channels):
    samples = np.repeat(dialogue(1.0, 1.0, 1.0, rate=rate), channels)
    hall.hear(*chunks(samples, rate=rate, channels=channels)).pause()
    (ticket,) = hall.tickets
    assert begin_ms(ticket) == after_pre_roll(1000)
    assert ticket.end_ns == pytest.approx(BEGIN_NS + 2200 * MS, abs=2 * WINDOW_MS * MS)


def test_tickets_ask_for_what_the_stream_was_opened_with(tmp_path):
    hall = Hall(tmp_path, request=Request('de', 1, 4.0), duration_s=3.0)
    hall.hear(*chunks(UTTERANCE))
    (ticket,) = hall.tickets
    assert (ticket.language, ticket.priority, ticket.budget_s) == ('de', 1, 4.0)
    assert hall.status.duration_s == 3.0


def test_sounds_that_are_too_short_are_counted(hall):
    hall.hear(*chunks(dialogue(1.0, 0.05, 1.0, 0.05, 1.0)))
    assert not hall.tickets
    assert hall.status.clicks == 2


def test_a_pause_of_the_publisher_ends_the_speech(hall):
    hall.hear(*chunks(dialogue(1.0, 1.0)))
    assert not hall.tickets
    assert not hall.stream.idle
    hall.now += 2.0
    hall.pause()
    (ticket,) = hall.tickets
    assert ticket.flags is Flag.INTERRUPTED
    assert ticket.ingest_latency_ms == 2000.0
    assert hall.stream.idle
    assert hall.stream.state is StreamState.SILENCE


def test_a_source_that_breaks_keeps_what_was_heard(hall):
    hall.hear(*chunks(dialogue(1.0, 1.0))).end(StreamState.FAILED)
    (ticket,) = hall.tickets
    assert ticket.flags is Flag.INTERRUPTED
    assert hall.stream.state is StreamState.FAILED


def test_an_end_gives_what_the_filter_has_held_back(hall):
    samples = dialogue(0.5, 1.0, rate=48_000)
    hall.hear(*chunks(samples, rate=48_000)).end(StreamState.ENDED)
    (ticket,) = hall.tickets
    assert begin_ms(ticket) + ticket.length / 16 == pytest.approx(1500, abs=1)


# Chunks that are no good


def test_a_refused_chunk_is_counted_and_told_and_nothing_else(hall):
    good = chunks(UTTERANCE)
    wrong = dataclasses.replace(good[15], rate=100)
    hall.hear(*good[:15], wrong, *good[15:])
    assert hall.status.refused == 1
    assert hall.status.chunks == len(good) + 1
    assert hall.told == ['chunk 15 refused: got a rate of 100 Hz, expected 4000 to 192000']
    (ticket,) = hall.tickets
    assert (ticket.flags, ticket.missing_chunks) == (Flag.NONE, 0)


def test_a_stream_of_refused_chunks_alone_stays_without_audio(hall):
    hall.hear(*(dataclasses.replace(chunk, channels=99) for chunk in chunks(UTTERANCE)))
    assert hall.stream.state is StreamState.WAITING
    assert (hall.status.refused, hall.status.position_s) == (30, 0.0)


@pytest.mark.parametrize(('order', 'duplicated'), [
    ([0, 1, 2, 2, 3], 1), ([0, 1, 2, 3, 1], 1), ([0, 1, 2, 3, 0, 1, 2], 3),
], ids=['at-once', 'later', 'run'])
def test_a_chunk_that_comes_again_is_heard_once(hall, order, duplicated):
    good = chunks(UTTERANCE)
    hall.hear(*(good[10 + index] for index in order), *good[14:])
    hall.pause()
    assert hall.status.duplicated == duplicated
    assert hall.status.position_s == pytest.approx(2.0)
    assert len(hall.tickets) == 1


def test_a_late_chunk_is_missing_where_it_belonged(hall):
    good = chunks(UTTERANCE)
    hall.hear(*good[:14], good[15], good[14], *good[16:])
    (ticket,) = hall.tickets
    assert ticket.missing_chunks == 1
    assert (hall.status.missing, hall.status.duplicated) == (1, 1)
    at = round((1400 - begin_ms(ticket)) * RATE / 1000)
    assert not hall.spoken(ticket)[at:at + 1600].any()
    np.testing.assert_array_equal(hall.spoken(ticket)[at + 1600:at + 3200], good[15].samples)


def test_of_two_publishers_the_first_is_heard(hall):
    ours = chunks(UTTERANCE)
    theirs = chunks(dialogue(0.0, 3.0, seed=9), first=7000, begin_ns=BEGIN_NS - 5000 * MS)
    hall.hear(*(chunk for pair in zip(ours, theirs, strict=True) for chunk in pair)).pause()
    (ticket,) = hall.tickets
    first = round(begin_ms(ticket) * RATE / 1000)
    np.testing.assert_array_equal(
        hall.spoken(ticket), UTTERANCE[first:first + ticket.length])
    assert hall.status.duplicated == 30
    assert hall.status.position_s == pytest.approx(3.0)
    assert any('second publisher' in remark for remark in hall.told)


# Gaps


@pytest.mark.parametrize(('lost', 'counted'), [(slice(14, 16), 2), (slice(3, 5), 0)],
                         ids=['in-speech', 'in-silence'])
def test_a_short_gap_is_filled_and_counted_where_it_is(hall, lost, counted):
    good = chunks(UTTERANCE)
    del good[lost]
    hall.hear(*good)
    (ticket,) = hall.tickets
    assert ticket.missing_chunks == counted
    assert hall.status.missing == 2
    assert begin_ms(ticket) == after_pre_roll(1000)
    assert ticket.end_ns == pytest.approx(BEGIN_NS + 2200 * MS, abs=WINDOW_MS * MS)


def test_a_long_gap_ends_the_speech_that_it_cuts(hall):
    good = chunks(dialogue(1.0, 3.0, 1.0))
    hall.hear(*good[:15], *good[25:])
    first, second = hall.tickets
    assert (first.flags, first.missing_chunks) == (Flag.INTERRUPTED, 10)
    assert begin_ms(first) + first.length / 16 == 1500
    assert (second.flags, second.missing_chunks) == (Flag.NONE, 0)
    assert begin_ms(second) == 2500
    assert hall.status.missing == 10


# Clocks and publishers that begin again


def joined(hall):
    return np.concatenate([hall.spoken(ticket) for ticket in hall.tickets])


def test_a_clock_that_is_set_ahead_costs_a_cut_and_no_sample(hall):
    before = chunks(dialogue(0.0, 1.0))
    after = chunks(dialogue(0.0, 1.0, 1.0, seed=5), first=10, begin_ns=BEGIN_NS + 60_000 * MS)
    hall.hear(*before, *after)
    assert [ticket.flags for ticket in hall.tickets] == [Flag.INTERRUPTED, Flag.NONE]
    assert [begin_ms(ticket) for ticket in hall.tickets] == [0, 60_000]
    spoken = np.concatenate([dialogue(0.0, 1.0), dialogue(0.0, 1.0, seed=5)])
    np.testing.assert_array_equal(joined(hall)[:spoken.size], spoken)
    assert 'stamps jumped ahead by 59.000 s' in hall.told


def test_a_clock_that_is_set_back_does_not_cut(hall):
    good = chunks(UTTERANCE)
    hall.hear(*good[:15], *(
        dataclasses.replace(chunk, stamp_ns=chunk.stamp_ns - 60_000 * MS) for chunk in good[15:]))
    (ticket,) = hall.tickets
    assert begin_ms(ticket) == after_pre_roll(1000)
    assert any('stamps jumped back by 60.000 s' in remark for remark in hall.told)


def test_a_publisher_that_begins_again_ends_what_it_was_saying(hall):
    hall.hear(*chunks(dialogue(0.5, 1.0)), *chunks(UTTERANCE, begin_ns=BEGIN_NS + 9000 * MS))
    first, second = hall.tickets
    assert first.flags is Flag.INTERRUPTED
    assert begin_ms(second) == pytest.approx(9000 + 1000 - PRE_ROLL_MS, abs=WINDOW_MS)
    assert (hall.status.missing, hall.status.duplicated) == (0, 0)
    assert 'the publisher began again, at sequence 0: a new session' in hall.told


def test_a_few_chunks_after_a_pause_wait_for_the_next_pause_at_most(hall):
    """Who presses a button to talk, for a word: too little to tell a new time base by."""
    hall.hear(*chunks(UTTERANCE)).pause()
    hall.hear(*chunks(dialogue(0.0, 0.3), first=30, begin_ns=BEGIN_NS + 9000 * MS))
    assert len(hall.tickets) == 1
    assert not hall.stream.idle
    hall.pause()
    assert begin_ms(hall.tickets[1]) == 9000
    assert hall.stream.idle


def test_another_rate_within_a_session_is_refused_and_a_new_session_may_have_one(hall):
    good = chunks(UTTERANCE)
    other = chunks(dialogue(0.5, 0.5, 1.0, rate=48_000), rate=48_000)
    hall.hear(*good[:10], dataclasses.replace(good[10], rate=48_000), *good[10:], *other)
    assert hall.status.refused == 1
    assert len(hall.tickets) == 2
    assert any('1 channels at 48000 Hz in a session of 1 at 16000 Hz' in remark
               for remark in hall.told)


# A full store


def test_speech_for_which_there_is_no_room_is_counted_and_told(hall):
    fillers = fill(hall.store)
    hall.hear(*chunks(UTTERANCE))
    assert not hall.tickets
    assert (hall.status.dropped, hall.status.segments) == (1, 0)
    assert any('speech is lost' in remark for remark in hall.told)
    hall.store.release(fillers[0])
    hall.hear(*chunks(UTTERANCE, first=30, begin_ns=BEGIN_NS + 3000 * MS))
    assert len(hall.tickets) == 1
    assert hall.status.dropped == 1


# What the meter says


def test_level_and_position_are_those_of_the_audio(hall):
    hall.hear(*chunks(np.full(RATE, 16_384, np.int16)))
    assert hall.status.level_dbfs == pytest.approx(-6.02, abs=0.01)
    assert hall.status.position_s == pytest.approx(1.0)
    assert hall.status.stamp_ns == BEGIN_NS + 1000 * MS


def test_clipping_is_counted_always_and_told_now_and_then(hall):
    loud = sound(21.0, loud=False)
    loud[::1600] = 32767
    hall.hear(*chunks(loud))
    assert hall.status.clipped == 210
    assert [remark for remark in hall.told if 'clipping' in remark] == [
        f'{REMEDIES[Fault.CLIPPING]} (1 samples of one chunk at full scale)'] * 3


def test_a_microphone_that_gives_nothing_is_told_once(hall):
    hall.hear(*chunks(np.zeros(25 * RATE, np.int16)))
    assert hall.told == [
        f'{REMEDIES[Fault.SILENT]} (for 10 s)']


def test_a_microphone_that_falls_silent_again_is_told_again(hall):
    silence = np.zeros(11 * RATE, np.int16)
    hall.hear(*chunks(np.concatenate([silence, sound(1.0, loud=False), silence])))
    assert len(hall.told) == 2
