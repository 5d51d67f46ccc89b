"""Audio without stamps has the time of its samples' count, whenever its messages come."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.arrival_clock import ArrivalClock

NS = 1_000_000_000
MS = 1_000_000
LENGTH_NS = 100 * MS


def begins(sent_ms, lost=()):
    """The begins that a clock gives messages of 100 ms [ms]."""
    clock = ArrivalClock()
    return [clock.begin_ns(NS + ms * MS, LENGTH_NS, dict(lost).get(index, 0)) / MS - 1000
            for index, ms in enumerate(sent_ms)]


def test_a_steady_publisher_sets_the_time():
    assert begins([100, 200, 300]) == [0, 100, 200]


def test_what_a_stalled_publisher_sends_at_once_was_recorded_one_after_the_other():
    assert begins([100, 200, 900, 900, 900, 900, 900]) == pytest.approx(
        [0, 100, 200, 300, 400, 500, 600], abs=40)


@settings(deadline=None)
@given(st.lists(st.integers(0, 150), min_size=200, max_size=200))
def test_jitter_is_smoothed(jitter):
    sent = [100 * (index + 1) + late for index, late in enumerate(jitter)]
    given_ms = begins(sent)
    steps = [after - before for before, after in itertools.pairwise(given_ms)]
    assert all(97 <= step <= 103 for step in steps)


def test_a_drift_is_followed():
    sent = [round(100.1 * (index + 1)) for index in range(5000)]
    assert begins(sent)[-1] == pytest.approx(sent[-1] - 100, abs=20)


def test_after_a_pause_it_begins_anew():
    assert begins([100, 200, 5000, 5100]) == [0, 100, 4900, 5000]


def test_what_comes_much_too_early_begins_anew():
    assert begins([10_000, 100, 200]) == [9900, 0, 100]


def test_what_is_lost_has_lasted():
    assert begins([100, 400], lost={1: 2}) == pytest.approx([0, 300], abs=5)


def test_the_time_is_never_that_which_stands_for_none():
    assert ArrivalClock().begin_ns(0, LENGTH_NS) == 1
