"""The breaker: what opens it, how long it stays open, what closes it, and who may overrule it."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xlerobot_asr_opt.core.breaker import (
    COOLER_C,
    LESS_LOAD,
    LOOKED_AT,
    Breaker,
    Fault,
    Health,
    HealthLimits,
    Rules,
    State,
)

RULES = Rules(backoff_s=1.0, longest_backoff_s=8.0, probes=3)
MEASURED = sorted(set(Fault) - LOOKED_AT, key=lambda fault: fault.value)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(RULES, clock)


def fail(breaker, fault=Fault.ERROR):
    breaker.failed(fault, f'it was {fault.value}')


def probe(breaker):
    assert breaker.admit()
    breaker.succeeded()


@pytest.mark.parametrize('fault', Fault)
def test_the_first_fault_opens_it_and_says_why(breaker, fault):
    assert breaker.admit()
    fail(breaker, fault)
    assert not breaker.admit()
    told = breaker.statistics()
    assert (told.state, told.fault, told.reason) == (State.OPEN, fault, f'it was {fault.value}')
    assert (told.retry_s, told.opened, told.faults[fault]) == (1.0, 1, 1)


def test_after_the_back_off_there_is_one_probe_at_a_time(breaker, clock):
    fail(breaker)
    clock.now += 0.999
    assert not breaker.admit()
    clock.now += 0.001
    assert breaker.state is State.HALF_OPEN
    assert [breaker.admit(), breaker.admit()] == [True, False]
    breaker.succeeded()
    assert breaker.admit()


def test_only_enough_good_probes_in_a_row_close_it(breaker, clock):
    fail(breaker)
    clock.now += 1.0
    probe(breaker)
    probe(breaker)
    assert breaker.admit()
    fail(breaker)
    clock.now += 2.0
    for state in (State.HALF_OPEN, State.HALF_OPEN, State.CLOSED):
        probe(breaker)
        assert breaker.state is state
    assert breaker.statistics().closed == 1
    assert (breaker.statistics().fault, breaker.reason) == (None, '')


def test_a_probe_that_told_nothing_is_no_probe(breaker, clock):
    fail(breaker)
    clock.now += 1.0
    for _ in range(5):
        assert breaker.admit()
        breaker.withdraw()
    assert breaker.state is State.HALF_OPEN


@pytest.mark.parametrize('fault', MEASURED)
def test_the_back_off_doubles_up_to_a_limit(breaker, clock, fault):
    found = []
    for _ in range(5):
        fail(breaker, fault)
        found.append(breaker.statistics().retry_s)
        clock.now += found[-1]
    assert found == [1.0, 2.0, 4.0, 8.0, 8.0]


@pytest.mark.parametrize('fault', LOOKED_AT)
def test_what_can_be_looked_at_is_looked_at_again_soon(breaker, clock, fault):
    for _ in range(4):
        fail(breaker, fault)
        assert breaker.statistics().retry_s == 1.0
        clock.now += 1.0


def test_one_that_opens_again_soon_after_it_closed_goes_on_doubling(breaker, clock):
    def recover():
        clock.now += breaker.statistics().retry_s
        for _ in range(RULES.probes):
            probe(breaker)

    fail(breaker)
    recover()
    clock.now += 0.5
    fail(breaker)
    assert breaker.statistics().retry_s == 2.0
    recover()
    clock.now += 2.0
    fail(breaker)
    assert breaker.statistics().retry_s == 1.0


def test_a_late_fault_does_not_lengthen_the_back_off(breaker, clock):
    fail(breaker)
    clock.now += 0.75
    fail(breaker, Fault.TIMEOUT)
    assert breaker.statistics().retry_s == 0.25
    assert breaker.statistics().opened == 1


def test_an_answer_in_the_back_off_proves_nothing(breaker, clock):
    fail(breaker)
    for _ in range(RULES.probes):
        breaker.succeeded()
    clock.now += 1.0
    assert breaker.state is State.HALF_OPEN


def test_it_can_be_forced_and_released(breaker):
    breaker.force(State.OPEN)
    assert not breaker.admit()
    assert breaker.statistics().forced
    breaker.force(State.CLOSED)
    fail(breaker)
    assert breaker.admit()
    assert breaker.statistics().faults[Fault.ERROR] == 1
    breaker.release()
    assert breaker.state is State.OPEN
    with pytest.raises(ValueError, match='expected open or closed'):
        breaker.force(State.HALF_OPEN)


def test_a_snapshot_stays_as_it_was(breaker):
    before = breaker.statistics()
    fail(breaker)
    assert before.faults[Fault.ERROR] == 0
    with pytest.raises(TypeError):
        before.faults[Fault.ERROR] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.opened = 5


LIMITS = HealthLimits(temperature_c=90.0, load=0.8)


@pytest.mark.parametrize(('health', 'recovering', 'fault'), [
    (Health(), False, None),
    (Health(90.0, 0.8), False, None),
    (Health(90.5, 0.9), False, Fault.HEAT),
    (Health(70.0, 0.81), False, Fault.LOAD),
    (Health(90.0 - COOLER_C + 0.5), True, Fault.HEAT),
    (Health(90.0 - COOLER_C, 0.8 - LESS_LOAD), True, None),
    (Health(load=0.75), True, Fault.LOAD),
])
def test_health_has_limits_and_lower_ones_on_the_way_back(health, recovering, fault):
    found = LIMITS.exceeded(health, recovering=recovering)
    assert (found and found[0]) == fault
    assert HealthLimits().exceeded(health, recovering=recovering) is None


def test_health_is_told_in_words():
    assert LIMITS.exceeded(Health(97.4), recovering=False)[1] == '97 degrees, allowed are 90'
    assert LIMITS.exceeded(Health(load=0.95), recovering=False)[1] == (
        'busy for 95% of the time, allowed are 80%')


@given(st.lists(st.floats(0.0, 20.0), max_size=30), st.sampled_from(MEASURED))
def test_the_back_off_never_leaves_its_bounds(waits, fault):
    clock = Clock()
    breaker = Breaker(RULES, clock)
    for wait in waits:
        if breaker.admit():
            fail(breaker, fault)
            backoff = breaker.statistics().backoff_s
            assert RULES.backoff_s <= backoff <= RULES.longest_backoff_s
            assert breaker.statistics().retry_s == pytest.approx(backoff)
        clock.now += wait


class Trust(RuleBasedStateMachine):
    """Every order of events, beside a plain account of what was seen."""

    @initialize(probes=st.integers(1, 4))
    def begin(self, probes):
        self.clock = Clock()
        self.breaker = Breaker(Rules(1.0, 8.0, probes), self.clock)
        self.probes = probes
        self.outstanding = 0
        self.good_in_a_row = 0
        self.failures = 0
        self.before = self.breaker.statistics()

    @rule()
    def ask(self):
        state, forced = self.breaker.state, self.breaker.forced
        admitted = self.breaker.admit()
        if state is State.HALF_OPEN:
            assert admitted == (not self.outstanding)
        else:
            assert admitted == (state is State.CLOSED)
        if admitted and not forced and state is State.HALF_OPEN:
            self.outstanding = 1

    @precondition(lambda self: self.breaker.state is not State.OPEN)
    @rule()
    def good(self):
        self.breaker.succeeded()
        self.outstanding = 0
        self.good_in_a_row += 1
        if self.breaker.statistics().closed > self.before.closed:
            assert self.good_in_a_row >= self.probes

    @rule(fault=st.sampled_from(Fault))
    def bad(self, fault):
        self.breaker.failed(fault, fault.value)
        self.outstanding = self.good_in_a_row = 0
        self.failures += 1
        if not self.breaker.forced:
            assert not self.breaker.admit()

    @rule()
    def say_nothing(self):
        self.breaker.withdraw()
        self.outstanding = 0

    @rule(seconds=st.floats(0.0, 10.0))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(state=st.sampled_from([State.OPEN, State.CLOSED]))
    def force(self, state):
        self.breaker.force(state)
        assert self.breaker.state is state

    @rule()
    def release(self):
        self.breaker.release()

    @invariant()
    def counters_only_grow_and_agree(self):
        told = self.breaker.statistics()
        for counter in ('opened', 'closed', 'good'):
            assert getattr(told, counter) >= getattr(self.before, counter)
        assert sum(told.faults.values()) == self.failures
        assert told.closed <= told.opened <= self.failures
        assert (told.state is State.CLOSED) or told.forced or told.reason
        assert math.isfinite(told.retry_s)
        self.before = told


TestTrust = Trust.TestCase
