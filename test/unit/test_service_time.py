"""What a worker's answers teach about the next one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.ranked_line import Work
from xlerobot_asr_opt.core.service_time import FAR, ServiceTime


def learnt(*observations):
    service = ServiceTime()
    for length, seconds in observations:
        service.observe(length, seconds)
    return service


def test_foretells_nothing_before_anything_was_observed():
    service = ServiceTime()
    assert not service.measured
    assert service.of(Work(3, 48_000)) == 0.0


def test_finds_the_share_of_each_job_and_of_its_length():
    service = learnt(*[(length, 0.05 + 1e-5 * length) for length in (8, 16, 32, 64)
                       for length in (1000 * length,)] * 5)
    assert service.of_one(16_000) == pytest.approx(0.21)
    assert service.of(Work(2, 48_000)) == pytest.approx(0.58)


def test_follows_a_machine_that_slows_down():
    service = learnt(*[(100, 1.0)] * 50, *[(100, 3.0)] * 100)
    assert service.of_one(100) == pytest.approx(3.0, rel=0.02)


def test_a_hiccup_is_no_trend():
    assert learnt(*[(100, 1.0)] * 50, (100, 500.0)).of_one(100) < 1.0 + FAR / 10


def test_a_slow_first_time_is_forgotten():
    assert learnt((100, 20.0), (100, 1.0), (100, 1.0)).of_one(100) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.integers(0, 480_000), st.floats(0.0, 60.0)), max_size=40),
       st.lists(st.integers(0, 480_000), min_size=2, max_size=2))
def test_never_falls_with_the_length_nor_below_zero(observations, lengths):
    service = learnt(*observations)
    short, long = (service.of_one(length) for length in sorted(lengths))
    assert 0.0 <= short <= long
