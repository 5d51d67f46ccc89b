"""The policy through every edge of its table, by a clock that the test turns."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.degradation import (
    EDGES,
    DegradationPolicy,
    Edge,
    Situation,
    level_of,
)
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.records import DegradationLevel

LIMITS = ManagerParameters()
BPU, CPU, CPU_SMALL, FINALS, COMMANDS, REFUSE = DegradationLevel
ROUTES = {
    BPU: (), CPU: (CPU,), CPU_SMALL: (CPU, CPU_SMALL), FINALS: (FINALS,),
    COMMANDS: (FINALS, COMMANDS), REFUSE: (FINALS, COMMANDS, REFUSE)}
"""How to come to each level from the first one."""
every_edge = pytest.mark.parametrize(
    'edge', EDGES, ids=lambda edge: f'{edge.start.word}-{edge.end.word}')


def fitting(edge: Edge) -> Situation:
    """A situation that just suffices for an edge."""
    # Where an edge asks for none: too little to enter a level, too much to leave one.
    pressure = edge.above if edge.above is not None else 0.75
    if edge.below is not None:
        pressure = edge.below - LIMITS.level_hysteresis - 0.01
    return Situation(
        accelerator=edge.accelerator, small=bool(edge.small), pressure=pressure,
        accelerators='what the breakers say', told='the numbers')


def failing(edge: Edge) -> list[Situation]:
    """Situations that miss one part each of what an edge asks for."""
    fits = fitting(edge)
    missed = [_other(fits, **{name: not getattr(edge, name)}) for name in ('accelerator', 'small')
              if getattr(edge, name) is not None]
    if edge.accelerator is not None:
        missed.append(_other(fits, accelerator=None))
    if edge.above is not None:
        missed.append(_other(fits, pressure=edge.above - 0.01))
    if edge.below is not None:
        missed.append(_other(fits, pressure=edge.below - LIMITS.level_hysteresis))
    return missed


def _other(situation: Situation, **fields: object) -> Situation:
    return Situation(**{**vars(situation), **fields})


def patience(edge: Edge) -> float:
    return LIMITS.level_enter if edge.is_worse else LIMITS.level_leave


class Keeper:
    """A policy and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.policy = DegradationPolicy(LIMITS, lambda: self.now)

    def look(self, situation: Situation, after: float = 0.0) -> DegradationLevel:
        self.now += after
        return self.policy.look(situation).level

    def go(self, *levels: DegradationLevel) -> Keeper:
        """Take it along these levels."""
        for level in levels:
            edge = next(edge for edge in EDGES
                        if edge.start is self.policy.degradation.level and edge.end is level)
            self.look(fitting(edge))
            assert self.look(fitting(edge), patience(edge)) is level
        return self


@every_edge
def test_an_edge_is_taken_when_its_condition_has_held_for_its_time(edge):
    keeper = Keeper().go(*ROUTES[edge.start])
    assert keeper.look(fitting(edge)) is edge.start
    assert keeper.look(fitting(edge), patience(edge) - 0.01) is edge.start
    assert keeper.look(fitting(edge), 0.02) is edge.end
    told = keeper.policy.degradation
    expected = 'what the breakers say' if edge.above is edge.below is None else 'the numbers'
    assert expected in told.reason
    assert not told.forced


@every_edge
def test_an_edge_is_not_taken_where_a_part_of_its_condition_is_missing(edge):
    for situation in failing(edge):
        keeper = Keeper().go(*ROUTES[edge.start])
        keeper.look(situation)
        assert keeper.look(situation, 100.0) is not edge.end


@every_edge
def test_a_condition_that_breaks_off_begins_again(edge):
    keeper = Keeper().go(*ROUTES[edge.start])
    keeper.look(fitting(edge))
    rests = failing(edge)[-1]
    keeper.look(rests, patience(edge) / 2)
    keeper.look(fitting(edge), 0.01)
    assert keeper.look(fitting(edge), patience(edge) - 0.02) is edge.start
    assert keeper.look(fitting(edge), 0.03) is edge.end


def test_no_two_edges_lead_the_same_way_and_every_level_is_reached_and_left():
    ways = [(edge.start, edge.end) for edge in EDGES]
    assert len(set(ways)) == len(ways)
    assert {start for start, _ in ways} == {end for _, end in ways} == set(DegradationLevel)


def test_the_accelerator_wins_where_two_edges_may_be_taken():
    keeper = Keeper().go(CPU)
    both = Situation(accelerator=True, pressure=2.0)
    keeper.look(both)
    assert keeper.look(both, LIMITS.level_leave) is BPU


def test_who_is_looked_at_often_goes_where_less_patience_is_asked_for():
    keeper = Keeper().go(CPU)
    both = Situation(accelerator=True, pressure=2.0)
    assert [keeper.look(both, 1.0) for _ in range(3)] == [CPU, CPU, FINALS]


def test_a_level_that_is_skipped_is_told_of():
    keeper = Keeper().go(CPU, FINALS)
    assert keeper.policy.degradation.reason == (
        'the numbers; cpu_small is skipped, no smaller model answers '
        '(inference.small_model)')


def test_a_graph_without_an_accelerator_is_well_on_the_cpu():
    keeper = Keeper()
    slow = Situation(accelerator=False, has_accelerator=False)
    keeper.look(slow)
    assert keeper.look(slow, LIMITS.level_enter) is CPU
    assert keeper.policy.degradation.best is CPU


@pytest.mark.parametrize('level', list(DegradationLevel))
def test_a_level_that_is_held_hides_the_own_one_until_it_is_released(level):
    keeper = Keeper()
    there = Situation(accelerator=True, small=True, pressure=2.0, told='the numbers')
    keeper.look(there)
    keeper.policy.force(level)
    assert keeper.look(there, LIMITS.level_enter) is level
    told = keeper.policy.degradation
    assert told.forced
    assert told.reason == 'held by hand; it would be finals: the numbers'
    keeper.policy.release()
    assert keeper.policy.degradation.level is FINALS
    assert not keeper.policy.degradation.forced


@pytest.mark.parametrize(('level', 'lacks', 'named'), [
    (BPU, {'has_accelerator': False}, 'inference.backends'),
    (CPU, {'has_cpu': False}, 'inference.backends'),
    (CPU_SMALL, {'small': False}, 'inference.small_model')])
def test_a_level_that_needs_what_is_not_configured_is_not_held(level, lacks, named):
    keeper = Keeper()
    keeper.look(Situation(accelerator=True, **lacks))
    with pytest.raises(ConfigurationError, match=f'{level.word} cannot be held: .*{named}'):
        keeper.policy.force(level)
    assert not keeper.policy.degradation.forced


def test_every_level_has_a_name_and_no_other_is_taken():
    assert [level_of(level.word) for level in DegradationLevel] == list(DegradationLevel)
    with pytest.raises(ConfigurationError, match="got the level 'CPU', expected one of bpu, cpu,"):
        level_of('CPU')


situations = st.builds(
    Situation, accelerator=st.sampled_from([None, False, True]), small=st.booleans(),
    pressure=st.floats(0.0, 5.0))
looks = st.lists(
    st.tuples(st.floats(0.01, 30.0), situations | st.just(Situation(
        accelerator=True, pressure=4.5)) | st.just(Situation(accelerator=True))),
    min_size=20, max_size=120)


@settings(deadline=None)
@given(looks)
def test_it_never_changes_faster_than_its_times_allow(happened):
    keeper = Keeper()
    changes = [(-1e9, BPU)]
    for after, situation in happened:
        level = keeper.look(situation, after)
        if level is not changes[-1][1]:
            changes.append((keeper.now, level))
    for (before, start), (now, end) in itertools.pairwise(changes):
        assert any(edge.start is start and edge.end is end for edge in EDGES)
        least = LIMITS.level_enter if end > start else LIMITS.level_leave
        assert now - before >= least - 1e-6


@settings(deadline=None)
@given(looks)
def test_what_holds_long_enough_ends_where_it_calls_for(happened):
    keeper = Keeper()
    for after, situation in happened:
        keeper.look(situation, after)
    for situation, level in ((Situation(accelerator=True, pressure=4.0), REFUSE),
                             (Situation(accelerator=True), BPU),
                             (Situation(accelerator=False, small=True, pressure=1.0),
                              CPU_SMALL)):
        for _ in DegradationLevel:
            keeper.look(situation)
            keeper.look(situation, LIMITS.level_leave)
        assert keeper.policy.degradation.level is level
