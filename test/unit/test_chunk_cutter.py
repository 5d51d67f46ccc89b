"""Messages of any length become chunks that ingest follows without a break."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.chunk_cutter import ChunkCutter
from xlerobot_asr_opt.core.chunk_rows import chunk_of, name_of
from xlerobot_asr_opt.core.continuity import Continuity, Link
from xlerobot_asr_opt.errors import AudioError
from xlerobot_asr_opt.records import CHUNK_CAPACITY

NS = 1_000_000_000


def chunks_of(rows):
    return [chunk_of(name_of(row['stream'].tobytes()), row) for row in rows]


def tone(frames, channels=1, begin=0):
    return np.arange(begin, begin + frames * channels).astype(np.int16)


@settings(deadline=None)
@given(
    frames=st.integers(1, 20_000), channels=st.integers(1, 32),
    rate=st.sampled_from([8000, 16_000, 44_100, 48_000]))
def test_the_pieces_are_the_message(frames, channels, rate):
    samples = tone(frames, channels)
    chunks = chunks_of(ChunkCutter('hall').cut(samples, rate, channels, 7 * NS))
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), samples)
    sizes = [chunk.samples.size for chunk in chunks]
    assert max(sizes) <= CHUNK_CAPACITY
    assert max(sizes) - min(sizes) <= channels
    assert all(size % channels == 0 for size in sizes)
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert {(chunk.stream, chunk.rate, chunk.channels) for chunk in chunks} == {
        ('hall', rate, channels)}
    begun = 0
    for chunk in chunks:
        assert chunk.stamp_ns == 7 * NS + begun * NS // rate
        begun += chunk.samples.size // channels


@settings(deadline=None)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=8))
def test_messages_follow_one_another_without_a_break(lengths):
    cutter, continuity, begun, arrivals = ChunkCutter('hall'), Continuity(), 0, []
    for frames in lengths:
        stamp_ns = NS + begun * NS // 16_000
        for chunk in chunks_of(cutter.cut(tone(frames), 16_000, 1, stamp_ns)):
            arrivals += continuity.sort(chunk)
        begun += frames
    assert arrivals[0].link is Link.FIRST
    assert all(arrival.link is Link.NEXT for arrival in arrivals[1:])
    assert sum(arrival.chunk.samples.size for arrival in arrivals) == sum(lengths)
    assert continuity.missing == continuity.duplicated == continuity.refused == 0


def test_a_lost_message_is_counted_by_its_chunks():
    cutter, continuity = ChunkCutter('hall'), Continuity()
    for stamp_ns, lost in ((NS, 0), (NS + 400_000_000, 1)):
        for chunk in chunks_of(cutter.cut(tone(3200), 16_000, 1, stamp_ns, lost)):
            continuity.sort(chunk)
    assert continuity.missing == 2


def test_another_form_begins_again():
    cutter = ChunkCutter('hall')
    cutter.cut(tone(3200), 16_000, 1, NS)
    assert [chunk.sequence for chunk in chunks_of(cutter.cut(tone(3200), 48_000, 1, NS))] == [0, 1]


def test_without_a_stamp_no_piece_has_one():
    assert {chunk.stamp_ns for chunk in chunks_of(
        ChunkCutter('hall').cut(tone(3200), 16_000, 1, 0))} == {0}


@pytest.mark.parametrize(('samples', 'rate', 'channels', 'said'), [
    (tone(100), 3999, 1, 'got a rate of 3999 Hz, expected 4000 to 192000'),
    (tone(100), 16_000, 0, 'got 0 channels, expected 1 to 32'),
    (tone(100), 16_000, 33, 'got 33 channels, expected 1 to 32'),
    (tone(0), 16_000, 1, 'got no samples'),
    (tone(3), 16_000, 2, 'got 3 samples of 2 channels, expected whole frames'),
    (np.zeros(61 * 4000, np.int16), 4000, 1, 'got 61 s of audio in one, expected at most 60'),
])
def test_what_no_stream_can_hear_is_refused(samples, rate, channels, said):
    with pytest.raises(AudioError, match=said):
        ChunkCutter('hall').cut(samples, rate, channels, NS)
