"""When the manager itself is ended: by its answers alone, and never for a stall of who looks."""

import signal

import pytest

from xlerobot_asr_opt.core.manager_watch import (
    GRACE_S,
    HUNG_S,
    STALL_S,
    START_S,
    STARVED,
    ManagerWatch,
)


class Looks:
    """Somebody who looks once a second at a manager, process 7 unless told otherwise."""

    def __init__(self):
        self.now = 100.0
        self.waited = 0.0
        self.watch = ManagerWatch(lambda: self.now, lambda _pid: self.waited)

    def look(self, *, answers=False, pid=7, seconds=1.0):
        self.now += seconds
        return self.watch.turn(pid, answers=answers)

    def signals(self, seconds, **given):
        """What is sent within so many seconds, by the second in which it is."""
        sent = [(at, self.look(**given)) for at in range(1, int(seconds) + 1)]
        return [(at, number) for at, number in sent if number is not None]


@pytest.fixture
def looks():
    return Looks()


def test_one_that_answers_is_left_alone(looks):
    assert looks.signals(100, answers=True) == []


def test_one_that_answers_no_more_leaves_a_trace_and_is_killed(looks):
    looks.look(answers=True)
    assert looks.signals(HUNG_S + GRACE_S + 0.5) == [
        (HUNG_S, signal.SIGABRT), (HUNG_S + GRACE_S, signal.SIGKILL)]


def test_one_that_missed_some_is_left_alone(looks):
    looks.look(answers=True)
    for _ in range(10):
        assert looks.signals(HUNG_S - 1) == []
        looks.look(answers=True)


def test_a_new_process_has_more_time_to_its_first_answer(looks):
    looks.look(answers=True)
    assert looks.signals(START_S, pid=8) == []
    assert looks.look(pid=8) is signal.SIGABRT


def test_its_successor_is_not_killed_in_its_place(looks):
    looks.look(answers=True)
    assert looks.signals(HUNG_S) != []
    assert looks.look(pid=8) is None
    assert looks.signals(START_S - 1, pid=8) == []


def test_nobody_is_ended_while_none_runs(looks):
    assert looks.signals(3 * START_S, pid=0) == []


def test_a_stall_of_who_looks_is_not_held_against_it(looks):
    looks.look(answers=True)
    assert looks.look(seconds=10 * HUNG_S) is None
    assert looks.signals(HUNG_S - 1) == []
    assert looks.look() is signal.SIGABRT


def test_what_is_shorter_than_a_stall_counts(looks):
    looks.look(answers=True)
    assert looks.look(seconds=STALL_S) is None
    assert looks.look(seconds=STALL_S) is signal.SIGABRT


def test_one_that_has_no_processor_is_given_time_but_not_for_ever(looks):
    looks.look(answers=True)
    sent = []
    for _ in range(int(STARVED * HUNG_S)):
        looks.waited += 0.9
        sent.append(looks.look())
    assert sent == [None] * int(STARVED * HUNG_S - 1) + [signal.SIGABRT]
