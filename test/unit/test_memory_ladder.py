"""The ladder through every edge, and what still fits below the ceiling."""

import pytest

from xlerobot_asr_opt.core.memory_budget import (
    Ceiling,
    ProcessMemory,
    SystemMemory,
    admit,
    ceilings,
    least_headroom,
    tightest_ceiling,
)
from xlerobot_asr_opt.core.memory_ladder import Ladder, Pressure, Rung, Step, StepReport
from xlerobot_asr_opt.errors import MemoryBudgetError
from xlerobot_asr_opt.parameters import ManagerParameters

LIMITS = ManagerParameters()
ENTERED = {Rung.RELEASE: 0.75, Rung.SHRINK: 0.82, Rung.REFUSE: 0.88, Rung.RESTART: 0.94}
"""Thresholds of LIMITS; 0.05 below is where they are left."""
HOUR = 3600.0


def at(share, **more):
    return Pressure(Ceiling('the machine', round(1000 * share), 1000), **more)


def leak(seconds, share=0.5):
    return at(share, time_to_limit=seconds, leaking='inference_0')


class Climber:
    """A ladder, and a clock that goes on by one settling time before each look."""

    def __init__(self):
        self.now = 100.0
        self.ladder = Ladder(LIMITS, lambda: self.now)

    def look(self, pressure, after=LIMITS.memory_settle):
        self.now += after
        step = self.ladder.decide(pressure)
        return None if step is None else (step.rung, step.taken)

    def climb(self, rung):
        """Take it up to a rung, by leaks, and make it forget when it restarted."""
        while self.ladder.rung < rung:
            assert self.look(leak(LIMITS.memory_horizon / 2 ** self.ladder.rung))
        self.now += LIMITS.memory_interval
        return self


@pytest.fixture
def climber():
    return Climber()


def test_it_rests_where_there_is_room(climber):
    assert climber.look(at(0.74)) is None
    assert climber.look(leak(1801.0)) is None
    assert climber.ladder.rung is Rung.NORMAL


@pytest.mark.parametrize('rung', list(ENTERED))
def test_each_rung_is_entered_at_its_share_and_not_below(rung):
    climber = Climber().climb(rung - 1)
    leaking = {'leaking': 'ingest', 'time_to_limit': HOUR}
    climber.look(at(ENTERED[rung] - 0.001, **leaking))
    assert climber.ladder.rung == rung - 1
    assert climber.look(at(ENTERED[rung], **leaking)) == (rung, True)
    assert climber.ladder.rung is rung


@pytest.mark.parametrize(('rung', 'seconds'), [
    (Rung.RELEASE, 1800.0), (Rung.SHRINK, 900.0), (Rung.REFUSE, 450.0), (Rung.RESTART, 225.0)])
def test_each_rung_is_entered_when_a_leak_is_that_near(rung, seconds):
    climber = Climber().climb(rung - 1)
    climber.look(leak(seconds + 1))
    assert climber.ladder.rung == rung - 1
    assert climber.look(leak(seconds)) == (rung, True)


@pytest.mark.parametrize('rung', list(ENTERED))
def test_each_rung_is_left_well_below_where_it_was_entered(rung):
    climber = Climber().climb(rung)
    # Within the hysteresis nothing is lifted; the rung below may be called for again.
    climber.look(at(ENTERED[rung] - 0.05))
    assert climber.ladder.rung is rung
    assert climber.look(at(ENTERED[rung] - 0.051)) == (rung, False)
    assert climber.ladder.rung == rung - 1


def test_it_stays_while_a_leak_goes_on(climber):
    climber.climb(Rung.SHRINK)
    climber.look(leak(2 * 900.0))
    assert climber.ladder.rung is Rung.SHRINK
    assert climber.look(leak(2 * 900.0 + 1)) == (Rung.SHRINK, False)


def test_every_rung_is_climbed_in_order_and_given_time(climber):
    worst = leak(0.0, share=1.0)
    steps = [climber.look(worst) for _ in range(5)]
    assert steps == [(rung, True) for rung in ENTERED] + [None]
    assert climber.look(worst, after=LIMITS.memory_settle / 2) is None


def test_a_step_is_given_time_to_show_its_effect(climber):
    assert climber.look(at(0.9)) == (Rung.RELEASE, True)
    assert climber.look(at(0.9), after=LIMITS.memory_settle - 0.1) is None
    assert climber.look(at(0.9), after=0.1) == (Rung.SHRINK, True)


def test_nothing_is_restarted_where_nothing_leaks(climber):
    for _ in range(10):
        climber.look(at(1.0))
    assert climber.ladder.rung is Rung.REFUSE


def test_memory_is_released_again_and_again(climber):
    assert climber.look(at(0.8)) == (Rung.RELEASE, True)
    assert climber.look(at(0.8)) is None
    assert climber.look(at(0.8), after=LIMITS.memory_interval) == (Rung.RELEASE, True)
    assert climber.ladder.rung is Rung.RELEASE


def test_a_second_restart_waits(climber):
    climber.climb(Rung.RESTART)
    worst = leak(0.0, share=1.0)
    assert climber.look(worst) == (Rung.RESTART, True)
    assert climber.look(worst) is None
    assert climber.look(worst, after=LIMITS.memory_interval) == (Rung.RESTART, True)


def test_tasks_that_wait_for_memory_have_work_made_smaller(climber):
    waiting = at(0.3, stalled=LIMITS.memory_stalled)
    assert [climber.look(waiting) for _ in range(3)] == [
        (Rung.RELEASE, True), (Rung.SHRINK, True), None]
    assert climber.look(at(0.3, stalled=0.11)) is None
    assert climber.look(at(0.3, stalled=0.09)) == (Rung.SHRINK, False)
    assert climber.look(at(0.3, stalled=0.09)) == (Rung.RELEASE, False)


def test_a_step_says_why_and_whom():
    climber = Climber().climb(Rung.REFUSE)
    climber.now += LIMITS.memory_settle
    step = climber.ladder.decide(leak(60.0, share=0.95))
    assert step == Step(
        Rung.RESTART, taken=True, node='inference_0',
        reason='0.0 of 0.0 MB (95 %) of the machine, inference_0 leaks, full in 60 s')
    assert str(StepReport(step, 90_000_000, 40_000_000, 1.5)) == (
        f'restart inference_0 taken: {step.reason}; 90.0 MB before, 40.0 MB after, 1.50 s')


# Ceilings and admission

SYSTEM = SystemMemory(total=1000, available=600)
NODES = {'cache': ProcessMemory(100, 120, 200), 'ingest': ProcessMemory(50, 60, 90)}


@pytest.mark.parametrize(('system', 'limit', 'expected'), [
    (SYSTEM, 0, Ceiling('the machine', 400, 900)),
    (SYSTEM, 200, Ceiling('memory_limit', 180, 200)),
    (SYSTEM, 2000, Ceiling('the machine', 400, 900)),
    (SystemMemory(1000, 600, group_limit=300, group_used=150), 0,
     Ceiling('the control group', 150, 270)),
    (SystemMemory(1000, 600, group_limit=300, group_used=50), 0,
     Ceiling('the machine', 400, 900)),
])
def test_the_tightest_ceiling_counts(system, limit, expected):
    assert tightest_ceiling(ceilings(system, NODES, limit, 0.9)) == expected


def test_the_least_headroom_may_be_of_another_ceiling_than_the_tightest_one():
    system = SystemMemory(1000, 200, group_limit=100, group_used=10)
    found = ceilings(system, NODES, 0, 0.9)
    assert tightest_ceiling(found).name == 'the machine'
    assert least_headroom(found) == Ceiling('the control group', 10, 90)


def test_what_does_not_fit_is_refused_with_the_numbers():
    ceiling = Ceiling('the machine', 1_500_000_000, 2_000_000_000)
    admit('whisper-base', 500_000_000, ceiling)
    with pytest.raises(MemoryBudgetError) as refusal:
        admit('whisper-base', 500_000_001, ceiling)
    assert str(refusal.value).startswith(
        'whisper-base needs 500.0 MB, but 500.0 MB are left: 1500.0 of 2000.0 MB (75 %) of '
        'the machine are used')


def test_above_the_ceiling_nothing_fits():
    with pytest.raises(MemoryBudgetError, match=r'0\.0 MB are left'):
        admit('a stream', 1, Ceiling('the machine', 3, 2))
