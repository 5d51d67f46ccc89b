"""The way from one lifecycle state to another."""

import itertools

import pytest

from xlerobot_asr_opt.core.lifecycle import State, Transition, next_transition

KNOWN = [state for state in State if state is not State.UNKNOWN]


def way(state, goal):
    """The transitions from state to goal."""
    steps = []
    while (step := next_transition(state, goal)) is not None:
        assert step.begin is state
        steps.append(step)
        state = step.end
    return steps, state


@pytest.mark.parametrize(('begin', 'goal'), itertools.product(KNOWN, KNOWN))
def test_every_state_is_reached_from_every_other_but_finalized(begin, goal):
    _, reached = way(begin, goal)
    assert reached is (State.FINALIZED if begin is State.FINALIZED else goal)


@pytest.mark.parametrize(('begin', 'goal', 'steps'), [
    (State.UNCONFIGURED, State.ACTIVE, [Transition.CONFIGURE, Transition.ACTIVATE]),
    (State.ACTIVE, State.INACTIVE, [Transition.DEACTIVATE]),
    (State.ACTIVE, State.FINALIZED,
     [Transition.DEACTIVATE, Transition.CLEANUP, Transition.SHUTDOWN]),
    (State.INACTIVE, State.UNCONFIGURED, [Transition.CLEANUP]),
])
def test_the_way_is_the_shortest(begin, goal, steps):
    assert way(begin, goal)[0] == steps


@pytest.mark.parametrize('state', State)
def test_nothing_is_asked_of_what_is_not_known(state):
    assert next_transition(State.UNKNOWN, state) is None
    assert next_transition(state, State.UNKNOWN) is None
