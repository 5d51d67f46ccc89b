"""Chunks that are late, doubled, lost, foreign or wrongly stamped."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.continuity import Continuity, Link
from xlerobot_asr_opt.records import Chunk

SECOND = 1_000_000_000
MS = 1_000_000
LENGTH = 100 * MS
BEGIN = 1_000 * SECOND


def chunk(sequence, stamp_ns=None, *, frames=1600, rate=16_000, channels=1, publisher=1):
    """Make a chunk that is stamped BEGIN at sequence 0; its samples tell its publisher."""
    stamp_ns = BEGIN + sequence * LENGTH if stamp_ns is None else stamp_ns
    samples = np.full(frames * channels, publisher, np.int16)
    return Chunk('a', sequence, stamp_ns, rate, channels, samples)


def sort(chunks, continuity=None):
    """Run chunks through; return the arrivals, those of the last flush included."""
    continuity = continuity or Continuity()
    arrivals = [arrival for item in chunks for arrival in continuity.sort(item)]
    return arrivals + continuity.flush()


def sequences(arrivals):
    return [arrival.chunk.sequence for arrival in arrivals]


def links(arrivals):
    return [arrival.link for arrival in arrivals]


def run_forwards(arrivals):
    """Whether times never run backwards within a session."""
    return all(
        later.link is Link.FIRST or earlier.time_ns <= later.time_ns
        for earlier, later in itertools.pairwise(arrivals))


# A publisher that does everything right


@given(st.integers(0, 2**40), st.integers(1, 40))
def test_chunks_in_order_are_taken_at_their_stamps(first, count):
    arrivals = sort([chunk(first + step, BEGIN + step * LENGTH) for step in range(count)])
    assert links(arrivals) == [Link.FIRST] + [Link.NEXT] * (count - 1)
    assert [arrival.time_ns for arrival in arrivals] == [
        BEGIN + step * LENGTH for step in range(count)]


def test_stamps_that_tremble_are_smoothed():
    random = np.random.default_rng(0)
    chunks = [chunk(n, BEGIN + n * LENGTH + int(random.normal(0, 10 * MS))) for n in range(200)]
    arrivals = sort(chunks)
    steps = np.diff([arrival.time_ns for arrival in arrivals])
    assert abs(steps - LENGTH).max() < 1 * MS


def test_a_clock_that_is_slow_is_followed():
    chunks = [chunk(n, BEGIN + n * (LENGTH + 20_000)) for n in range(3000)]
    arrivals = sort(chunks)
    assert abs(arrivals[-1].time_ns - chunks[-1].stamp_ns) < 5 * MS


def test_without_stamps_samples_are_counted():
    arrivals = sort([chunk(n, 0) for n in range(20)])
    assert sequences(arrivals) == list(range(20))
    assert [arrival.time_ns for arrival in arrivals] == [n * LENGTH for n in range(20)]


def test_a_lost_chunk_of_a_stream_without_stamps_is_filled():
    arrivals = sort([chunk(n, 0) for n in range(9) if n != 4])
    assert links(arrivals)[4] is Link.FILL
    assert (arrivals[4].fill, arrivals[4].missing) == (1600, 1)


# What the network does


@settings(deadline=None)
@given(st.sets(st.integers(1, 58)))
def test_holes_are_counted_and_everything_else_is_heard(lost):
    continuity = Continuity()
    delivered = [n for n in range(60) if n not in lost]
    arrivals = sort([chunk(n) for n in delivered], continuity)
    assert sequences(arrivals) == delivered
    assert continuity.missing == len(lost) == sum(arrival.missing for arrival in arrivals)
    assert (continuity.duplicated, continuity.refused) == (0, 0)
    for arrival in arrivals:
        assert arrival.time_ns == arrival.chunk.stamp_ns
        if arrival.link is Link.FILL:
            assert arrival.fill == arrival.missing * 1600
        elif arrival.missing:
            assert arrival.link is Link.BREAK


@pytest.mark.parametrize(('lost', 'link'), [(1, Link.FILL), (2, Link.FILL), (3, Link.BREAK)])
def test_short_holes_are_filled_and_long_ones_break(lost, link):
    arrivals = sort([chunk(0), chunk(1 + lost), chunk(2 + lost)])
    assert arrivals[1].link is link


def test_an_outage_of_many_minutes_is_a_hole():
    continuity = Continuity()
    arrivals = sort([chunk(n) for n in (*range(3), *range(9_000, 9_006))], continuity)
    assert sequences(arrivals) == [0, 1, 2, *range(9_000, 9_006)]
    assert arrivals[3].link is Link.BREAK
    assert continuity.missing == 8_997


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=20))
def test_doubled_chunks_are_heard_once(again):
    """A copy may come any time, until a second after its original."""
    order = list(range(31))
    for number, later in again:
        order.insert(order.index(number) + later, number)
    continuity = Continuity()
    arrivals = sort([chunk(n) for n in order], continuity)
    assert sequences(arrivals) == list(range(31))
    assert continuity.duplicated == len(again)
    assert continuity.missing == 0


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 8))
def test_a_late_chunk_is_dropped_and_told(late, by):
    order = [n for n in range(31) if n != late]
    order.insert(late + by, late)
    continuity = Continuity()
    arrivals = sort([chunk(n) for n in order], continuity)
    assert sequences(arrivals) == [n for n in range(31) if n != late]
    assert (continuity.missing, continuity.duplicated) == (1, 1)
    assert 'does not follow' in continuity.remarks[0]


# Other publishers


STRANGERS = st.tuples(
    st.sampled_from([0, 1, 3, 17, 1_000, 2**33]),
    st.sampled_from([-3_600 * SECOND, -7 * SECOND, 450 * MS, 9 * SECOND, 3_600 * SECOND]))


@settings(deadline=None, max_examples=200)
@given(STRANGERS, st.integers(1, 10), st.data())
def test_of_two_publishers_the_first_is_kept_whole(stranger, head_start, data):
    """Both send at the same pace; whose chunk comes first varies.

    A stranger whose numbers and stamps are ahead by the same is left out: so is one publisher
    after a hole.
    """
    sequence, shift_ns = stranger
    ahead_ns = (sequence - head_start) * LENGTH
    assume(shift_ns < 0 or not ahead_ns / 2 - SECOND < shift_ns < 2 * ahead_ns + SECOND)
    continuity = Continuity()
    arrivals = [item for n in range(head_start) for item in continuity.sort(chunk(n))]
    for n in range(40):
        pair = [chunk(head_start + n),
                chunk(sequence + n, BEGIN + (head_start + n) * LENGTH + shift_ns, publisher=2)]
        if data.draw(st.booleans()):
            pair.reverse()
        for item in pair:
            arrivals += continuity.sort(item)
    arrivals += continuity.flush()
    assert {int(arrival.chunk.samples[0]) for arrival in arrivals} == {1}
    assert sequences(arrivals) == list(range(head_start + 40))
    assert continuity.duplicated == 40
    assert any('second publisher' in remark for remark in continuity.remarks)


def test_a_second_publisher_is_heard_when_the_first_has_gone():
    continuity = Continuity()
    both = [item for n in range(5, 15)
            for item in (chunk(n), chunk(n + 100, BEGIN + n * LENGTH + SECOND, publisher=2))]
    alone = [chunk(n + 100, BEGIN + n * LENGTH + SECOND, publisher=2) for n in range(15, 25)]
    arrivals = sort([*both, *alone], continuity)
    assert [int(arrival.chunk.samples[0]) for arrival in arrivals] == [1] * 10 + [2] * 11


@pytest.mark.parametrize('count', [1, 2, 3, 4, 30])
@pytest.mark.parametrize('pause_ns', [-50 * SECOND, 0, 300 * MS, 60 * SECOND])
def test_a_publisher_that_begins_again_loses_nothing(count, pause_ns):
    continuity = Continuity()
    before = [chunk(n) for n in range(50)]
    again = [chunk(n, BEGIN + (50 + n) * LENGTH + pause_ns) for n in range(count)]
    arrivals = sort([*before, *again], continuity)
    assert sequences(arrivals) == [*range(50), *range(count)]
    assert links(arrivals)[50] is Link.FIRST
    assert [arrival.time_ns for arrival in arrivals[50:]] == [item.stamp_ns for item in again]
    assert (continuity.missing, continuity.duplicated) == (0, 0)


def test_a_recording_that_is_played_twice_is_heard_twice():
    arrivals = sort([chunk(n) for n in (*range(40), *range(40))])
    assert sequences(arrivals) == [*range(40), *range(40)]


# Clocks


@settings(deadline=None, max_examples=200)
@given(st.integers(-3_600 * SECOND, 3_600 * SECOND), st.integers(1, 20), st.integers(4, 20))
def test_a_clock_that_is_set_costs_nothing(jump_ns, before, after):
    continuity = Continuity()
    chunks = [chunk(n, BEGIN * 9 + n * LENGTH + (jump_ns if n >= before else 0))
              for n in range(before + after)]
    arrivals = sort(chunks, continuity)
    assert sequences(arrivals) == list(range(before + after))
    assert run_forwards(arrivals)
    assert (continuity.missing, continuity.duplicated, continuity.refused) == (0, 0, 0)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(4, 12), st.integers(-20 * SECOND, 20 * SECOND)),
                max_size=6))
def test_a_clock_that_is_set_again_and_again_costs_nothing(spans):
    chunks, shift = [], 100 * SECOND
    for count, jump in spans:
        shift += jump
        chunks += [chunk(len(chunks) + n, BEGIN + (len(chunks) + n) * LENGTH + shift)
                   for n in range(count)]
    arrivals = sort(chunks)
    assert sequences(arrivals) == list(range(len(chunks)))
    assert run_forwards(arrivals)


def test_a_clock_that_is_set_ahead_breaks_and_goes_on_there():
    arrivals = sort([chunk(n, BEGIN + n * LENGTH + 5 * SECOND * (n >= 6)) for n in range(12)])
    assert arrivals[6].link is Link.BREAK
    assert arrivals[6].time_ns == BEGIN + 6 * LENGTH + 5 * SECOND


def test_a_clock_that_is_set_back_goes_on_by_the_count_of_samples():
    continuity = Continuity()
    arrivals = sort(
        [chunk(n, BEGIN + n * LENGTH - 5 * SECOND * (n >= 6)) for n in range(100)], continuity)
    assert [arrival.time_ns for arrival in arrivals[:50]] == [
        BEGIN + n * LENGTH for n in range(50)]
    assert set(links(arrivals[1:])) == {Link.NEXT}
    assert any('jumped back by 5.000 s' in remark for remark in continuity.remarks)


def test_one_wrong_stamp_changes_nothing():
    arrivals = sort([chunk(n, BEGIN + n * LENGTH + 30 * SECOND * (n == 6)) for n in range(12)])
    assert links(arrivals) == [Link.FIRST] + [Link.NEXT] * 11
    assert abs(arrivals[6].time_ns - BEGIN - 6 * LENGTH) < 10 * MS


@given(st.lists(st.integers(-190, 190), min_size=2, max_size=60), st.sampled_from([1, 16, 160]))
def test_times_of_the_shortest_chunks_run_forwards(errors_ms, frames):
    length = frames * SECOND // 16_000
    arrivals = sort([
        chunk(n, BEGIN + n * length + error * MS, frames=frames)
        for n, error in enumerate(errors_ms)])
    assert run_forwards(arrivals)


# Forms


def test_another_form_begins_a_session_at_sequence_0():
    continuity = Continuity()
    arrivals = sort([
        *(chunk(n) for n in range(9)),
        *(chunk(n, BEGIN + (9 + n) * LENGTH, rate=48_000, channels=2, frames=4800)
          for n in range(6))], continuity)
    assert links(arrivals)[9] is Link.FIRST
    assert len(arrivals) == 15
    assert continuity.refused == 0


def test_another_form_within_a_session_is_refused():
    continuity = Continuity()
    arrivals = sort([chunk(n, rate=8_000 if n in (4, 5) else 16_000) for n in range(9)],
                    continuity)
    assert sequences(arrivals) == [0, 1, 2, 3, 6, 7, 8]
    assert continuity.refused == 2
    assert '1 channels at 8000 Hz in a session of 1 at 16000 Hz' in continuity.remarks[0]


# Anything


ANY_CHUNK = st.builds(
    chunk, st.integers(0, 40) | st.integers(0, 2**64 - 1),
    st.just(0) | st.integers(0, 5 * SECOND) | st.integers(0, 2**62),
    frames=st.sampled_from([1, 160, 1600]), rate=st.sampled_from([8_000, 16_000]))


@settings(deadline=None, max_examples=300)
@given(st.lists(ANY_CHUNK, max_size=60))
def test_every_chunk_is_either_taken_or_counted(chunks):
    continuity = Continuity()
    arrivals = sort(chunks, continuity)
    assert len(arrivals) + continuity.duplicated + continuity.refused == len(chunks)
    assert run_forwards(arrivals)
    assert all(arrival.missing >= 0 and arrival.fill >= 0 for arrival in arrivals)
    assert continuity.missing == sum(arrival.missing for arrival in arrivals)


def test_a_jump_of_the_numbering_alone_is_no_loss():
    """A sequence that is set by hand does not stand for ten thousand hours of lost audio."""
    continuity = Continuity()
    arrivals = sort([
        *(chunk(n) for n in range(9)),
        *(chunk(2**62 + n, BEGIN + (9 + n) * LENGTH) for n in range(9))], continuity)
    assert len(arrivals) == 18
    assert links(arrivals)[9] is Link.FIRST
    assert continuity.missing == 0


def test_held_chunks_are_copied():
    """The samples of a chunk are a loan, and end when sort returns."""
    continuity = Continuity()
    arrivals = []
    for item in [chunk(20, publisher=1), *(chunk(n, publisher=7) for n in range(9))]:
        arrivals += [int(arrival.chunk.samples[0]) for arrival in continuity.sort(item)]
        item.samples[:] = 0
    assert arrivals == [1, *[7] * 9]
