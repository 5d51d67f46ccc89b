"""Many streams heard together: each as if it were alone, and none judged that is only a room."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_speech import LoudnessDetector, sound

from xlerobot_asr_opt.core.hearing import Hearing
from xlerobot_asr_opt.core.segmenter import Audio, Begin, Click, Cutting, End, Pause
from xlerobot_asr_opt.core.vad import WINDOW, SileroDetector
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.models.speech import read
from xlerobot_asr_opt.records import CHUNK_CAPACITY

GATE_DB = 6.0
RATE = 16_000


class Counting:
    """A detector that counts the windows that it is asked about."""

    def __init__(self, detector):
        self._detector = detector
        self.judged = 0

    def tracks(self, rows):
        self._tracks = self._detector.tracks(rows)
        return self

    def begin(self, rows):
        self._tracks.begin(rows)

    def probabilities(self, rows, frames):
        self.judged += frames.shape[0] * frames.shape[1]
        return self._tracks.probabilities(rows, frames)


def pieces(samples, sizes):
    """Cut int16[n] into pieces of the sizes in turn, none longer than a chunk."""
    begin, turn = 0, 0
    while begin < samples.size:
        size = sizes[turn % len(sizes)]
        yield samples[begin:begin + size]
        begin, turn = begin + size, turn + 1


def hear(streams, detector, *, sizes=(CHUNK_CAPACITY,), gate_db=GATE_DB, order=None):
    """Hear int16[n] of each stream side by side; return the events of each.

    sizes: of the chunks, one list for all streams or one each. order: their rows.
    """
    rows = range(len(streams)) if order is None else order
    hearing = Hearing(len(streams), Cutting(), detector, gate_db)
    cuts = sizes if isinstance(sizes, list) else [sizes] * len(streams)
    waiting = {row: pieces(samples, cut)
               for row, samples, cut in zip(rows, streams, cuts, strict=True)}
    events = {row: [] for row in rows}
    while waiting:
        now = {row: piece for row, some in waiting.items()
               if (piece := next(some, None)) is not None}
        waiting = {row: waiting[row] for row in now}
        chunks = np.full((len(now), CHUNK_CAPACITY), 12345, np.int16)
        for chunk, piece in zip(chunks, now.values(), strict=True):
            chunk[:piece.size] = piece
        if now:
            lengths = np.array([piece.size for piece in now.values()])
            for row, some in hearing.push(np.array(list(now)), chunks, lengths):
                events[row] += some
    return [_joined(events[row] + hearing.finish(row)) for row in rows]


def _joined(events):
    """Make events that can be compared: audio in one piece, as it is told in any pieces."""
    told = []
    for event in events:
        if isinstance(event, Audio):
            if told and told[-1][0] == 'audio':
                told[-1] = ('audio', told[-1][1] + event.samples.tolist())
            else:
                told.append(('audio', event.samples.tolist()))
        else:
            told.append((type(event).__name__, tuple(event)))
    return told


def spans(events):
    """Begin and end of the segments among events as they are told."""
    begins = [values[0] for name, values in events if name == Begin.__name__]
    ends = [values[0] for name, values in events if name in (End.__name__, Click.__name__)
            and values]
    return list(zip(begins, ends, strict=False))


@pytest.fixture(scope='module')
def silero():
    return SileroDetector(asset_path('silero-vad'))


@pytest.fixture(scope='module')
def recording():
    return read(asset_path('two_cities'))


@pytest.fixture(scope='module')
def room(recording):
    """int16[n]: the room of the recording, in which nobody speaks."""
    return recording[1349 * WINDOW:1384 * WINDOW]


def quiet(room, seconds):
    return np.resize(np.concatenate([room, room[::-1]]), round(seconds * RATE))


TALKS = st.lists(
    st.tuples(st.integers(0, 1500), st.booleans()), min_size=1, max_size=5,
).map(lambda parts: np.concatenate([
    sound(milliseconds / 1000, loud=loud, seed=index)
    for index, (milliseconds, loud) in enumerate(parts)]))
SIZES = st.lists(st.integers(200, CHUNK_CAPACITY), min_size=1, max_size=3)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(TALKS, SIZES), min_size=1, max_size=4),
       st.randoms(use_true_random=False))
def test_a_stream_is_heard_as_if_it_were_alone_in_chunks_of_any_size(streams, random):
    order = list(range(len(streams)))
    random.shuffle(order)
    talks, sizes = [talk for talk, _ in streams], [size for _, size in streams]
    together = hear(talks, LoudnessDetector(), sizes=sizes, order=order)
    for talk, events in zip(talks, together, strict=True):
        assert hear([talk], LoudnessDetector()) == [events]


def test_silero_hears_a_stream_as_if_it_were_alone(silero, recording, room):
    """The same bits for any neighbours and any chunks: the same bag gives the same transcripts."""
    streams = [
        np.concatenate([quiet(room, 3.0 + 0.1 * number), recording[begin * RATE:][:3 * RATE],
                        quiet(room, 1.5)])
        for number, begin in enumerate((2, 9, 14, 20, 25, 31, 2))]
    sizes = [(1600,), (777, 160), (512,), (1600, 3), (1234,), (480,), (1599,)]
    together = hear(streams, silero, sizes=sizes, order=[3, 0, 6, 2, 5, 1, 4])
    for stream, events in zip(streams, together, strict=True):
        assert spans(events)
        assert hear([stream], silero) == [events]


def test_the_gate_loses_no_segment_of_a_recording(silero, recording, room):
    """Between long pauses, where it has shut, and the detector has gone on without it."""
    utterances = [recording[begin * RATE:end * RATE]
                  for begin, end in ((1, 4), (13, 16), (27, 31))]
    stream = np.concatenate([part for utterance in utterances for part in (
        quiet(room, 5.0), utterance)] + [quiet(room, 1.0)])
    ((gated,), (plain,)) = (hear([stream], silero, gate_db=gate_db) for gate_db in (GATE_DB, 0.0))
    assert len(spans(gated)) == len(spans(plain)) >= len(utterances)
    for found, wanted in zip(spans(gated), spans(plain), strict=True):
        assert wanted[0] - 8 * WINDOW <= found[0] <= wanted[0]
        assert found[1] == pytest.approx(wanted[1], abs=2 * WINDOW)


def test_a_room_in_which_nobody_speaks_is_hardly_judged(silero, room):
    counting = Counting(silero)
    seconds = 30.0
    hear([quiet(room, seconds)], counting)
    learning = 3.0
    assert counting.judged < (learning + 0.1 * (seconds - learning)) * RATE / WINDOW


def test_a_loud_room_is_judged_all_the_time(silero):
    """Speech may be no louder than such a room."""
    counting = Counting(silero)
    noise = np.random.default_rng(0).normal(0, 150, 10 * RATE).astype(np.int16)
    hear([noise], counting)
    assert counting.judged == -(-noise.size // WINDOW)


def test_without_a_gate_every_window_is_judged(silero, room):
    counting = Counting(silero)
    hear([quiet(room, 5.0)], counting, gate_db=0.0)
    assert counting.judged == -(-5 * RATE // WINDOW)


def test_a_noise_that_stays_becomes_the_room(silero):
    """A fan that is switched on opens the gate for some seconds."""
    counting = Counting(silero)
    rng = np.random.default_rng(0)
    low, high = (rng.normal(0, level, 10 * RATE).astype(np.int16) for level in (10, 60))
    hear([np.concatenate([low, high])], counting)
    assert counting.judged < 10 * RATE / WINDOW


def test_a_pause_is_told_while_the_gate_is_open():
    talk = np.concatenate([sound(3.0, loud=False), sound(1.0, loud=True), sound(1.0, loud=False)])
    (events,) = hear([talk], LoudnessDetector())
    assert [name for name, _ in events if name != 'audio'] == [
        Begin.__name__, Pause.__name__, End.__name__]
