"""When a process that ended is started again."""

import pytest

from xlerobot_asr_opt.core.respawning import (
    EXIT_CONFIGURATION,
    MOST_FAILURES,
    STABLE_S,
    Respawning,
)


@pytest.fixture
def rule():
    return Respawning(delay=0.5)


@pytest.mark.parametrize('status', [0, 1, -6, -9, -11])
def test_whatever_ends_is_started_again(rule, status):
    assert rule.after(STABLE_S, status) == 0.5


def test_a_process_that_cannot_run_as_it_was_told_to_is_not(rule):
    assert rule.after(STABLE_S, EXIT_CONFIGURATION) is None


def test_one_that_keeps_ending_at_once_waits_longer_and_is_given_up(rule):
    waits = [rule.after(0.1, 1) for _ in range(MOST_FAILURES + 1)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, None]


def test_a_run_that_lasted_forgives_the_failures_before_it(rule):
    for _ in range(MOST_FAILURES):
        rule.after(0.1, 1)
    assert rule.after(STABLE_S, -9) == 0.5
    assert rule.after(0.1, 1) == 0.5
