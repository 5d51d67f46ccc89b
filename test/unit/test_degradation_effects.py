"""What a level has each node do, and for how long it is believed."""

import pytest

from xlerobot_asr_opt.core.degradation_effects import (
    SMALL,
    VALID_S,
    LevelLease,
    backend_rank,
    is_finals_only,
    refusal,
)
from xlerobot_asr_opt.records import SAMPLE_RATE, Degradation, DegradationLevel

BPU, CPU, CPU_SMALL, FINALS, COMMANDS, REFUSE = DegradationLevel
CHAIN = ('bpu', 'onnxruntime', SMALL)


def order(level, chain=CHAIN, *, forced=False):
    degradation = Degradation(level, forced=forced)
    return sorted(chain, key=lambda name: backend_rank(
        name, degradation, small=SMALL in chain))


@pytest.mark.parametrize('level', [BPU, CPU])
def test_the_order_stays_while_the_level_follows_the_breakers(level):
    assert order(level) == list(CHAIN)


@pytest.mark.parametrize('level', [CPU_SMALL, FINALS, COMMANDS, REFUSE])
def test_the_smaller_model_goes_before_the_others_on_the_cpu(level):
    assert order(level) == ['bpu', SMALL, 'onnxruntime']
    assert order(level, ('onnxruntime', 'scripted')) == ['onnxruntime', 'scripted']


def test_a_level_of_the_cpu_that_is_held_puts_accelerators_last():
    assert order(CPU, forced=True) == ['onnxruntime', SMALL, 'bpu']
    assert order(CPU_SMALL, forced=True) == [SMALL, 'onnxruntime', 'bpu']
    assert order(FINALS, forced=True) == ['bpu', SMALL, 'onnxruntime']


def test_what_each_level_takes():
    short, long = 3 * SAMPLE_RATE, 3 * SAMPLE_RATE + 1
    taken = {level: [not refusal(Degradation(level), length, 3.0) for length in (short, long)]
             for level in DegradationLevel}
    assert taken == {BPU: [True, True], CPU: [True, True], CPU_SMALL: [True, True],
                     FINALS: [True, True], COMMANDS: [True, False], REFUSE: [False, False]}
    assert [level for level in DegradationLevel if is_finals_only(Degradation(level))] == [
        FINALS, COMMANDS, REFUSE]


def test_a_refusal_says_why():
    assert refusal(Degradation(REFUSE, 'too hot'), 1, 3.0) == (
        'the graph is at the level refuse: too hot')
    assert refusal(Degradation(COMMANDS, 'too hot'), 5 * SAMPLE_RATE, 3.0) == (
        'the segment has 5.0 s; at the level commands the longest is 3 s: too hot')


def test_a_level_that_nobody_renews_ends():
    now = 100.0
    lease = LevelLease(lambda: now)
    assert lease.degradation == Degradation()
    lease.renew(Degradation(REFUSE))
    now += VALID_S
    assert lease.degradation.level is REFUSE
    now += 0.1
    assert lease.degradation == Degradation()
    lease.renew(Degradation(FINALS))
    assert lease.degradation.level is FINALS
