"""How nodes are brought up and down in order, watched, and restarted one alone."""

from __future__ import annotations

import itertools
import logging
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervised_world import BEAT, NODES, TURN, World

from xlerobot_asr_opt.core.lifecycle import State, Transition
from xlerobot_asr_opt.core.managed_node import MOST_PAST, Ask, ChangeState, Heartbeat
from xlerobot_asr_opt.core.supervision import (
    ASK_INTERVAL,
    DEAF_AFTER,
    DOUBT_AFTER,
    GRACE,
    LEFT_AFTER,
    MOST_TOLD,
    STALL,
    STARVED,
    WINDOW,
    Supervisor,
)
from xlerobot_asr_opt.parameters import ManagerParameters

UNCONFIGURED, INACTIVE, ACTIVE = State.UNCONFIGURED, State.INACTIVE, State.ACTIVE
CONFIGURE, ACTIVATE = Transition.CONFIGURE, Transition.ACTIVATE
DEACTIVATE, CLEANUP = Transition.DEACTIVATE, Transition.CLEANUP
MIDDLE = 'inference_0'
OTHERS = tuple(name for name in NODES if name != MIDDLE)
NEARLY = 0.15
"""Turns and heartbeats that lie between a cause and what follows from it [s]."""


def every(step: Transition, nodes: tuple[str, ...] = NODES) -> list[tuple[str, str]]:
    return [(name, step.name) for name in nodes]


def waits(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def about(*seconds: float) -> object:
    return pytest.approx(list(seconds), abs=NEARLY)


class TestStartup:
    def test_all_are_configured_at_once_and_activated_one_after_the_other(self):
        world = World()
        world.command(ACTIVE)
        world.until(lambda: not world.missing)
        assert world.steps == every(CONFIGURE) + every(ACTIVATE)
        assert len(set(world.times(CONFIGURE))) == 1
        for change in world.changes[4:]:
            place = NODES.index(change.node)
            assert [change.states[name] for name in NODES] == (
                [ACTIVE] * place + [INACTIVE] * (4 - place))

    def test_a_model_that_loads_holds_up_those_after_it_and_only_their_activation(self):
        world = World()
        world.takes[MIDDLE, CONFIGURE] = 9.0
        world.command(ACTIVE)
        world.wait(8.5)
        assert world.steps == [*every(CONFIGURE), ('cache', 'ACTIVATE')]
        assert [world.state(name) for name in NODES] == [ACTIVE, UNCONFIGURED, INACTIVE, INACTIVE]
        world.wait(1.0)
        assert world.steps[4:] == every(ACTIVATE)
        assert not world.missing

    def test_a_node_that_comes_late_is_waited_for(self):
        world = World(absent=('cache',))
        world.command(ACTIVE)
        world.wait(20.0)
        assert world.steps == every(CONFIGURE, NODES[1:])
        world.start('cache')
        world.wait(0.5)
        assert world.steps[3:] == [('cache', 'CONFIGURE'), *every(ACTIVATE)]

    def test_nobody_is_touched_before_the_first_command(self):
        world = World(states={'cache': ACTIVE, 'ingest': INACTIVE})
        world.wait(3.0)
        assert not world.changes
        assert world.missing == [
            f'{name}: {state}' for name, state in zip(
                NODES[1:], ['unconfigured', 'unconfigured', 'inactive'], strict=True)]

    def test_a_new_supervisor_leaves_alone_what_is_active(self):
        world = World(states=dict.fromkeys(NODES, ACTIVE))
        world.command(ACTIVE)
        world.wait(2.0)
        assert not world.changes
        assert world.outcome.success

    def test_a_new_supervisor_goes_on_from_where_each_node_is(self):
        world = World(states={'cache': ACTIVE, MIDDLE: INACTIVE})
        world.command(ACTIVE)
        world.until(lambda: not world.missing)
        assert world.steps == [
            (MIDDLE, 'ACTIVATE'), *every(CONFIGURE, NODES[2:]), *every(ACTIVATE, NODES[2:])]

    def test_a_question_that_got_lost_is_put_again(self):
        world = World()
        world.lost['cache', Ask] = 2
        world.command(ACTIVE)
        world.until(lambda: not world.missing)
        asked = [at for at, name in world.asked if name == 'cache']
        assert waits(asked) == about(ASK_INTERVAL, ASK_INTERVAL)

    def test_the_end_is_told_once_with_how_long_it_took(self):
        world = World()
        world.takes['cache', CONFIGURE] = 3.0
        world.command(ACTIVE)
        world.wait(10.0)
        assert world.said('all 4 nodes are active, 3.2') == 1
        assert world.said('after the command') == 1


class TestUpAndDown:
    def test_a_pause_deactivates_the_last_first(self):
        world = World.up()
        world.command(INACTIVE)
        world.wait(1.0)
        assert world.steps == every(DEACTIVATE, NODES[::-1])
        for change in world.changes:
            later = NODES[NODES.index(change.node) + 1:]
            assert all(change.states[name] is INACTIVE for name in later)

    def test_a_pause_is_ended_in_the_order_of_startup(self):
        world = World.up()
        world.command(INACTIVE)
        world.wait(1.0)
        world.forget()
        world.takes[MIDDLE, ACTIVATE] = 2.0
        world.command(ACTIVE)
        world.wait(1.0)
        assert world.steps == every(ACTIVATE, NODES[:2])
        world.wait(2.0)
        assert world.steps == every(ACTIVATE)
        assert not world.missing

    def test_a_reset_cleans_up_readers_before_writers_once_all_are_inactive(self):
        world = World.up()
        world.command(UNCONFIGURED)
        world.wait(1.0)
        check_order_of_reset(world)

    def test_a_slow_one_holds_up_a_reset(self):
        world = World.up()
        world.takes['scheduler', DEACTIVATE] = 2.0
        world.takes[MIDDLE, CLEANUP] = 3.0
        world.command(UNCONFIGURED)
        world.until(lambda: not world.supervisor.missing(UNCONFIGURED))
        check_order_of_reset(world)

    def test_a_reset_waits_for_one_that_is_being_activated(self):
        world = World()
        world.takes['ingest', ACTIVATE] = 3.0
        world.command(ACTIVE)
        world.wait(1.0)
        world.forget()
        world.command(UNCONFIGURED)
        world.wait(5.0)
        check_order_of_reset(world)

    @pytest.mark.parametrize('hidden', NODES)
    def test_the_order_of_a_reset_holds_while_one_is_out_of_sight_for_a_moment(self, hidden):
        world = World.up()
        world.hide(hidden, 0.9 * LEFT_AFTER)
        world.command(UNCONFIGURED)
        world.wait(3.0)
        check_order_of_reset(world)

    @pytest.mark.parametrize('moment', [0.04, 0.1, 0.2, 0.3])
    @pytest.mark.parametrize('hidden', NODES)
    def test_it_holds_too_when_the_moment_is_in_the_middle(self, hidden, moment):
        world = World.up()
        world.command(UNCONFIGURED)
        world.wait(moment)
        # What is asked for in this moment gets lost as well.
        world.hide(hidden, 0.9 * LEFT_AFTER)
        world.wait(12.0)
        assert not world.supervisor.missing(UNCONFIGURED)
        seen = {}
        for change in world.changes:
            seen.setdefault((change.node, change.transition.name), change)
        assert list(seen) == every(DEACTIVATE, NODES[::-1]) + every(CLEANUP)

    @pytest.mark.parametrize('step', [DEACTIVATE, CLEANUP])
    def test_the_order_of_a_reset_holds_after_a_refusal(self, step):
        world = World.up()
        world.refuses[MIDDLE, step] = 1
        world.command(UNCONFIGURED)
        world.wait(5.0)
        assert not world.supervisor.missing(UNCONFIGURED)
        check_order_of_reset(world, repeated=(MIDDLE, step.name))

    def test_the_order_of_a_reset_holds_with_a_heartbeat_that_came_late(self):
        world = World.up()
        world.command(UNCONFIGURED)
        world.until(lambda: world.state('cache') is UNCONFIGURED)
        world.beat(MIDDLE, world[MIDDLE], ACTIVE)
        world.wait(3.0)
        check_order_of_reset(world)

    def test_the_order_of_a_reset_holds_when_a_new_supervisor_has_not_seen_all_yet(self):
        world = World(states=dict.fromkeys(NODES, ACTIVE))
        world.hide('ingest', 0.1)
        world.command(UNCONFIGURED)
        world.wait(3.0)
        check_order_of_reset(world)

    def test_the_order_of_a_reset_holds_while_one_that_hangs_is_ended(self):
        """What inference has mapped is not taken away from under it."""
        world = World.up()
        world.hang(MIDDLE, stubborn=True)
        world.until(lambda: world.kills)
        world.command(UNCONFIGURED)
        world.wait(5.0)
        ended = world.kills[-1][0]
        assert world.signals[-1][-1] is signal.SIGKILL
        assert all(change.at >= ended for change in world.changes
                   if change.transition is CLEANUP)

    def test_one_whose_state_is_not_known_is_waited_for_as_long_as_a_transition_may_take(self):
        world = World(
            states=dict.fromkeys(NODES[:3], ACTIVE), absent=('ingest',), transition_timeout=10.0)
        world.command(UNCONFIGURED)
        world.wait(9.9)
        assert not world.changes
        assert world.outcome is None
        world.wait(1.0)
        assert world.steps == every(DEACTIVATE, NODES[2::-1]) + every(CLEANUP, NODES[:3])
        assert not world.outcome.success

    def test_one_whose_process_has_ended_is_not_waited_for(self):
        world = World.up()
        world.respawn = None
        world.die('ingest')
        world.wait(0.1)
        world.command(UNCONFIGURED)
        world.wait(1.0)
        assert world.steps == every(DEACTIVATE, NODES[2::-1]) + every(CLEANUP, NODES[:3])

    def test_one_that_was_given_up_is_not_waited_for(self):
        world = World.up(restarts=0)
        world.refuses['ingest', DEACTIVATE] = 1
        world.command(UNCONFIGURED)
        world.wait(1.0)
        assert world.steps == (
            every(DEACTIVATE, NODES[::-1]) + every(CLEANUP, NODES[:3]))

    def test_a_shutdown_takes_everyone_all_the_way(self):
        world = World.up()
        world.command(State.FINALIZED)
        world.wait(2.0)
        assert world.steps[:4] == every(DEACTIVATE, NODES[::-1])
        assert [step for step in world.steps if step[1] == 'CLEANUP'] == every(CLEANUP)
        assert len(world.steps) == 12
        assert all(world.state(name) is State.FINALIZED for name in NODES)
        assert world.outcome.success
        assert not world.kills

    @pytest.mark.parametrize('moment', [0.0, 0.04, 0.1, 0.14, 0.3, 2.0, 5.1])
    def test_a_shutdown_during_bring_up_ends(self, moment):
        world = World()
        world.takes[MIDDLE, CONFIGURE] = 5.0
        world.command(ACTIVE)
        world.wait(moment)
        world.command(State.FINALIZED)
        world.until(lambda: world.outcome is not None, 12.0)
        assert world.outcome.success
        assert all(world.state(name) is State.FINALIZED for name in NODES)

    def test_a_start_during_a_shutdown_ends(self):
        world = World.up()
        world.takes[MIDDLE, CLEANUP] = 2.0
        world.command(State.FINALIZED)
        world.wait(1.0)
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None, 12.0)
        assert world.outcome.success
        assert all(world.state(name) is ACTIVE for name in NODES)


def check_order_of_reset(world: World, repeated: tuple[str, str] | None = None) -> None:
    """All are deactivated, from the last, before any is cleaned up, from the first."""
    expected = every(DEACTIVATE, NODES[::-1]) + every(CLEANUP)
    if repeated is not None:
        expected.insert(expected.index(repeated), repeated)
    assert world.steps == expected
    for change in world.changes:
        place = NODES.index(change.node)
        if change.transition is DEACTIVATE:
            assert all(change.states[name] is INACTIVE for name in NODES[place + 1:])
        else:
            assert all(change.states[name] is UNCONFIGURED for name in NODES[:place])
            assert ACTIVE not in change.states.values()


class TestRefusals:
    def test_a_refused_transition_is_tried_again_and_the_wait_doubles(self):
        world = World(restart_backoff=0.5)
        world.refuses[MIDDLE, CONFIGURE] = 4
        world.command(ACTIVE)
        world.until(lambda: not world.missing)
        tried = [change.at for change in world.changes
                 if change.node == MIDDLE and change.transition is CONFIGURE]
        assert waits(tried) == about(0.5, 1.0, 2.0, 4.0)
        assert world.said('attempt 3 of 5 in 2 s') == 1
        assert not world.kills

    def test_it_is_given_up_after_so_many_and_the_others_go_on_without_it(self):
        world = World(restarts=2)
        world.refuses[MIDDLE, CONFIGURE] = 99
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None)
        assert len([step for step in world.steps if step == (MIDDLE, 'CONFIGURE')]) == 3
        world.wait(60.0)
        assert all(world.state(name) is ACTIVE for name in OTHERS)
        assert world.missing == [f'{MIDDLE}: given up; configure failed: its log says why']
        assert [report.level for report in world.reports if 'given up' in report.text] == [
            logging.ERROR]
        assert len([step for step in world.steps if step == (MIDDLE, 'CONFIGURE')]) == 3

    def test_those_after_it_wait_until_it_is_given_up(self):
        world = World(restarts=2)
        world.refuses['cache', ACTIVATE] = 99
        world.command(ACTIVE)
        world.wait(2.5)
        assert all(world.state(name) is INACTIVE for name in NODES)
        world.until(lambda: world.outcome is not None)
        assert all(world.state(name) is ACTIVE for name in NODES[1:])

    def test_without_restarts_the_first_failure_is_the_last(self):
        world = World(restarts=0)
        world.refuses['cache', CONFIGURE] = 1
        world.command(ACTIVE)
        world.wait(5.0)
        assert world.missing == ['cache: given up; configure failed: its log says why']

    def test_the_next_command_takes_up_what_was_given_up(self):
        world = World(restarts=1)
        world.refuses[MIDDLE, CONFIGURE] = 2
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None)
        assert not world.outcome.success
        world.command(ACTIVE)
        assert world.outcome is None
        world.until(lambda: world.outcome is not None)
        assert world.outcome.success
        assert world.state(MIDDLE) is ACTIVE

    def test_the_next_command_waits_for_no_backoff(self):
        world = World(restart_backoff=50.0)
        world.refuses[MIDDLE, CONFIGURE] = 1
        world.command(ACTIVE)
        world.wait(5.0)
        assert world.missing
        world.command(ACTIVE)
        world.until(lambda: not world.missing, 1.0)

    def test_one_that_is_not_where_it_was_thought_to_be_fails_once(self):
        world = World(states=dict.fromkeys(NODES, INACTIVE))
        world.wait(1.0 + BEAT / 2)
        world['cache'].state = UNCONFIGURED
        world.command(ACTIVE)
        world.until(lambda: not world.missing)
        assert world.steps[0] == ('cache', 'ACTIVATE')
        assert world.said('attempt') == 1

    def test_the_next_command_begins_to_count_anew(self):
        world = World(restarts=2)
        world.refuses[MIDDLE, CONFIGURE] = 4
        world.command(ACTIVE)
        world.wait(2.0)
        assert world.refuses[MIDDLE, CONFIGURE] == 2
        world.command(ACTIVE)
        world.until(lambda: not world.missing)
        assert world.said('given up') == 0

    def test_failures_are_forgiven_in_time(self):
        world = World.up(restarts=2)
        for _ in range(6):
            world.die(MIDDLE)
            world.wait(WINDOW / 2 + 10.0, step=0.5)
            assert not world.missing
        assert world.said('given up') == 0
        assert world.said('attempt 2 of 2') == 5

    def test_failures_are_not_forgiven_before(self):
        world = World.up(restarts=2)
        for _ in range(3):
            world.die(MIDDLE)
            world.wait(WINDOW / 2 - 10.0, step=0.5)
        assert world.said('given up after 2 restarts') == 1

    def test_one_that_took_long_to_refuse_is_not_hung(self):
        """It loaded a model, which holds its heartbeats, and found that it does not fit."""
        world = World()
        world.wait(1.0)
        world.takes[MIDDLE, CONFIGURE] = 20.0
        world.refuses[MIDDLE, CONFIGURE] = 1
        world.command(ACTIVE)
        world.until(lambda: world.said('configure failed'))
        world.wait(10.0)
        assert not world.kills
        assert world.said('attempt') == 1


class TestDeath:
    def test_only_the_one_that_died_is_brought_up_again(self):
        world = World.up()
        world.die(MIDDLE)
        world.until(lambda: not world.missing and world.changes, 1.5)
        assert world.steps == [(MIDDLE, 'CONFIGURE'), (MIDDLE, 'ACTIVATE')]
        assert world.state(MIDDLE) is ACTIVE
        assert not world.kills

    @pytest.mark.parametrize('name', NODES)
    def test_it_waits_for_nobody_else(self, name):
        world = World.up()
        world.respawn = None
        for other in NODES:
            world.die(other)
        world.start(name)
        world.wait(2.0)
        assert world.state(name) is ACTIVE

    def test_it_waits_for_nobody_whom_a_new_supervisor_has_not_seen(self):
        world = World(states=dict.fromkeys(NODES, ACTIVE), absent=('cache',))
        world.command(ACTIVE)
        world.wait(1.0)
        world.die('ingest')
        world.wait(2.0)
        assert world.state('ingest') is ACTIVE

    def test_it_holds_up_nobody_who_has_yet_to_come(self):
        world = World()
        world.takes[MIDDLE, CONFIGURE] = 3.0
        world.command(ACTIVE)
        world.wait(1.0)
        world.respawn = None
        world.die('cache')
        world.wait(3.0)
        assert [world.state(name) for name in NODES[1:]] == [ACTIVE] * 3

    def test_it_waits_for_nobody_else_after_a_command_that_changed_nothing(self):
        world = World.up()
        world.command(ACTIVE)
        world.wait(1.0)
        world.respawn = None
        world.die('cache')
        world.wait(0.1)
        world.die('ingest')
        world.wait(0.1)
        world.start('ingest')
        world.wait(2.0)
        assert world.state('ingest') is ACTIVE

    def test_the_first_restart_is_at_once_and_then_the_wait_doubles(self):
        world = World.up(restart_backoff=2.0)
        world.respawn = 0.1
        waited = []
        for _ in range(4):
            world.die(MIDDLE)
            world.until(lambda: world.missing)
            waited.append(world.until(lambda: not world.missing))
        assert waited == pytest.approx([0.2, 2.0, 4.0, 8.0], abs=2 * NEARLY)

    def test_it_is_one_failure_whether_its_end_or_its_successor_is_noticed_first(self):
        world = World.up()
        pid = world[MIDDLE].pid
        world.die(MIDDLE)
        world.wait(5.0)
        assert world.texts[0] == f'{MIDDLE}: its process (pid {pid}) ended; attempt 1 of 5 in 0 s'
        assert world.said('attempt') == 1

    def test_on_another_host_it_is_found_by_its_successor(self):
        world = World.up()
        world.local, world.respawn = False, 0.1
        world.die(MIDDLE)
        world.until(lambda: not world.missing and world.changes, 2.0)
        assert world.steps == [(MIDDLE, 'CONFIGURE'), (MIDDLE, 'ACTIVATE')]
        assert world.texts[0] == f'{MIDDLE}: its process was replaced; attempt 1 of 5 in 0 s'
        assert world.said('attempt') == 1

    def test_in_the_middle_of_a_transition_it_is_noticed_at_once(self):
        world = World()
        world.wait(1.0)
        world.takes[MIDDLE, CONFIGURE] = 30.0
        world.command(ACTIVE)
        world.wait(1.0)
        world.takes.clear()
        world.die(MIDDLE)
        world.until(lambda: not world.missing, 2.0)

    def test_on_another_host_it_is_noticed_in_the_middle_of_a_transition(self):
        world = World()
        world.wait(1.0)
        world.takes[MIDDLE, CONFIGURE] = 30.0
        world.command(ACTIVE)
        world.wait(1.0)
        world.takes.clear()
        world.local = False
        world.die(MIDDLE)
        world.until(lambda: not world.missing, 2.0)
        assert world.said('its process was replaced') == 1

    def test_before_its_first_heartbeat_it_is_noticed_too(self):
        world = World(silence=0.1)
        world.takes[MIDDLE, CONFIGURE] = 30.0
        world.command(ACTIVE)
        world.wait(1.0)
        world.takes.clear()
        world.die(MIDDLE)
        world.until(lambda: not world.missing, 2.0)
        assert world.said('attempt 1') == 1

    def test_one_that_keeps_dying_is_given_up(self):
        world = World.up(restarts=3, restart_backoff=0.0)
        for _ in range(4):
            assert world.said('given up') == 0
            world.until(lambda: not world.missing)
            world.die(MIDDLE)
            world.wait(0.1)
        world.wait(20.0)
        assert len(world.missing) == 1
        assert world.missing[0].startswith(f'{MIDDLE}: given up; its process (pid ')
        assert world.state(MIDDLE) is UNCONFIGURED

    def test_the_pids_are_those_of_the_processes_that_run(self):
        world = World.up()
        world.respawn = None
        world.die(MIDDLE)
        world.wait(0.1)
        assert world.supervisor.pids == {name: world[name].pid for name in OTHERS}
        world.start(MIDDLE)
        world.wait(1.0)
        assert world.supervisor.pids[MIDDLE] == world[MIDDLE].pid


class TestHanging:
    def test_one_that_hangs_leaves_a_trace_and_is_replaced(self):
        world = World.up(heartbeat_timeout=4.0)
        process = world.hang(MIDDLE)
        waited = world.until(lambda: world.kills)
        assert 4.0 - BEAT < waited <= 4.0 + TURN
        world.until(lambda: not world.missing, 2.0)
        world.wait(10.0)
        assert world.signals == [(MIDDLE, process.pid, signal.SIGABRT)]
        assert world.steps == [(MIDDLE, 'CONFIGURE'), (MIDDLE, 'ACTIVATE')]
        assert [text for text in world.texts if 'attempt' in text] == [
            f'{MIDDLE}: no progress for 4 s; attempt 1 of 5 in 0 s']

    def test_one_that_does_not_end_by_itself_is_ended_after_a_moment(self):
        world = World.up()
        process = world.hang(MIDDLE, stubborn=True)
        world.wait(12.0)
        assert world.signals == [(MIDDLE, process.pid, signal.SIGABRT),
                                 (MIDDLE, process.pid, signal.SIGKILL)]
        assert waits([at for at, _ in world.kills]) == pytest.approx([GRACE], abs=2 * TURN)
        assert world.said('attempt') == 1
        assert not world.missing

    def test_it_is_said_while_it_is_ended(self):
        world = World.up()
        world.hang(MIDDLE, stubborn=True)
        world.until(lambda: world.kills)
        assert world.missing == [f'{MIDDLE}: hung, being ended; no progress for 4 s']

    def test_one_that_no_signal_reaches_and_that_goes_on_after_all_is_itself_again(self):
        world = World.up()
        world.reach = False
        process = world.hang(MIDDLE)
        world.until(lambda: len(world.kills) == 2)
        process.hung = False
        world.until(lambda: not world.missing, 1.0)
        assert world.said('attempt') == 1
        world.die(MIDDLE)
        world.wait(5.0)
        assert world.said(f'its process (pid {process.pid}) ended; attempt 2') == 1

    def test_its_successor_is_not_blamed(self):
        world = World.up()
        world.local = False
        world.hang(MIDDLE)
        world.wait(8.0)
        assert world.said('attempt') == 1
        assert not world.missing

    @pytest.mark.parametrize('works', [False, True])
    def test_it_is_not_blamed_again_while_its_successor_starts(self, works):
        world = World.up(work_timeout=5.0)
        world.local, world.respawn = False, 2.0
        if works:
            world[MIDDLE].works, world[MIDDLE].stubborn = world.now, True
        else:
            world.hang(MIDDLE, stubborn=True)
        world.wait(15.0)
        assert len(world.kills) == 2
        assert world.said('attempt') == 1
        assert not world.missing

    def test_the_successor_of_its_successor_is(self):
        world = World.up()
        world.local = False
        world.hang(MIDDLE)
        world.wait(8.0)
        world.die(MIDDLE)
        world.wait(5.0)
        assert world.said('its process was replaced; attempt 2') == 1

    def test_one_that_has_no_processor_is_not_hung(self):
        world = World.up(heartbeat_timeout=4.0)
        process = world.starve(MIDDLE)
        world.wait(0.9 * STARVED * 4.0)
        process.hung = False
        world.wait(2.0)
        assert not world.kills
        assert not world.reports

    def test_one_that_has_no_processor_for_very_long_is(self):
        world = World.up(heartbeat_timeout=4.0)
        world.starve(MIDDLE)
        waited = world.until(lambda: world.kills)
        assert waited == pytest.approx(STARVED * 4.0, abs=BEAT + TURN)

    def test_one_that_had_no_processor_and_then_hangs_is_found(self):
        world = World.up(heartbeat_timeout=4.0)
        world.starve(MIDDLE)
        world.wait(3.0)
        begin = world.starved[MIDDLE]
        waited = 0.0
        while not world.kills:
            world.starved[MIDDLE] = begin + waited
            world.turn()
            waited += TURN
        assert waited == pytest.approx(4.0, abs=BEAT + TURN)

    @pytest.mark.parametrize('lost', ['questions', 'services'])
    def test_one_that_beats_and_never_answers_is_replaced(self, lost):
        world = World.up()
        if lost == 'questions':
            world.lost[MIDDLE, Ask] = 10**6
        else:
            world.hide(MIDDLE, 2 * DEAF_AFTER)
        world.die(MIDDLE)
        waited = world.until(lambda: world.kills, 2 * DEAF_AFTER)
        assert waited > DEAF_AFTER
        assert world.said(f'it beats, and has not answered for {DEAF_AFTER:g} s; attempt 2') == 1
        world.lost.clear()
        world.until(lambda: not world.missing, 2 * DEAF_AFTER)
        assert [kill.node for _, kill in world.kills] == [MIDDLE]

    def test_one_that_is_not_heard_either_is_not_blamed_for_its_silence(self):
        world = World.up()
        world.hide(MIDDLE, 3 * DEAF_AFTER)
        world.lost[MIDDLE, Heartbeat] = 10**6
        world.wait(2 * DEAF_AFTER)
        assert not world.kills

    def test_heartbeats_without_progress_are_no_sign_of_life(self):
        world = World.up()
        world[MIDDLE].stands_still = True
        world.wait(10.0)
        assert [kill.node for _, kill in world.kills] == [MIDDLE]
        assert world.said('no progress for 4 s') == 1

    def test_one_that_works_too_long_hangs(self):
        world = World.up(work_timeout=20.0)
        world[MIDDLE].works = world.now
        world.wait(19.9)
        assert not world.kills
        world.wait(1.0)
        assert [kill.node for _, kill in world.kills] == [MIDDLE]
        assert world.said('one piece of work took over 20 s') == 1

    def test_what_its_predecessor_worked_at_is_not_held_against_a_process(self):
        world = World.up(work_timeout=20.0)
        world[MIDDLE].works, world[MIDDLE].stubborn = world.now, True
        world.wait(40.0)
        assert len(world.kills) == 2
        assert not world.missing

    def test_one_that_works_on_and_on_piece_by_piece_does_not_hang(self):
        world = World.up(work_timeout=20.0)
        for _ in range(5):
            world[MIDDLE].works = world.now
            world.wait(15.0)
        assert not world.kills

    def test_a_transition_may_take_its_time_without_a_heartbeat(self):
        world = World(transition_timeout=30.0)
        world.takes[MIDDLE, CONFIGURE] = 29.0
        world.command(ACTIVE)
        world.wait(40.0)
        assert not world.kills
        assert not world.missing
        assert world.said('attempt') == 0

    def test_its_answer_is_a_sign_of_life(self):
        world = World(transition_timeout=30.0)
        world.wait(1.0)
        world.takes[MIDDLE, CONFIGURE] = 29.0
        world.command(ACTIVE)
        world.wait(28.0)
        world.lost[MIDDLE, Heartbeat] = 3
        world.wait(10.0)
        assert not world.kills

    def test_a_transition_that_takes_longer_is_ended(self):
        world = World(transition_timeout=30.0)
        world.wait(1.0)
        world.hangs_in.add((MIDDLE, CONFIGURE))
        world.command(ACTIVE)
        world.wait(29.9)
        assert not world.kills
        world.until(lambda: world.kills, 0.5)
        world.hangs_in.clear()
        assert world.signals == [(MIDDLE, world.kills[0][1].pid, signal.SIGABRT)]
        assert world.said('configure took over 30 s; attempt 1 of 5 in 0 s') == 1
        world.until(lambda: not world.missing, 2.0)

    def test_it_is_ended_too_when_the_node_was_there_before_its_first_heartbeat(self):
        """A transition that began then could not be ended: whose process is it?"""
        world = World(silence=0.1, transition_timeout=30.0)
        world.hangs_in.add((MIDDLE, CONFIGURE))
        world.command(ACTIVE)
        world.wait(31.0)
        world.hangs_in.clear()
        world.wait(10.0)
        assert world.signals
        assert not world.missing

    def test_a_transition_that_always_hangs_is_given_up(self):
        world = World(transition_timeout=5.0, restarts=2)
        world.hangs_in.add((MIDDLE, ACTIVATE))
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None)
        assert world.missing == [f'{MIDDLE}: given up; activate took over 5 s']
        assert [sent for *_, sent in world.signals] == [signal.SIGABRT] * 3

    def test_one_that_was_never_heard_is_neither_asked_nor_changed(self):
        """Nobody could end it, if it hung."""
        now = 0.0
        supervisor = Supervisor(['a'], ManagerParameters(), lambda: now)
        supervisor.command(ACTIVE)
        assert supervisor.decide({'a'}) == ()
        supervisor.answered('a', UNCONFIGURED)
        assert supervisor.decide({'a'}) == ()
        supervisor.heard(Heartbeat('a', 1, 7, UNCONFIGURED, 1))
        assert supervisor.decide({'a'}) == (Ask('a'),)
        supervisor.answered('a', UNCONFIGURED)
        assert supervisor.decide({'a'}) == (ChangeState('a', CONFIGURE),)

    def test_only_the_one_that_hangs_is_ended(self):
        world = World.up()
        world.hang(MIDDLE)
        world.wait(60.0)
        assert {kill.node for _, kill in world.kills} == {MIDDLE}
        assert {change.node for change in world.changes} == {MIDDLE}


class TestOwnStall:
    @pytest.mark.parametrize('seconds', [STALL + 0.1, 10.0, 300.0])
    def test_nobody_is_blamed_for_it(self, seconds):
        world = World.up()
        world.stall(seconds)
        world.wait(10.0)
        assert not world.kills
        assert not world.reports
        assert not world.changes

    def test_nobody_has_left_because_of_it(self):
        world = World.up()
        world.hide(MIDDLE, 10.5)
        world.wait(0.1)
        world.stall(10.0)
        world.wait(2.0)
        assert not world.reports

    def test_who_hangs_after_it_is_found(self):
        world = World.up()
        world.stall(60.0)
        world.hang(MIDDLE)
        world.until(lambda: world.kills, 5.0)

    def test_who_hangs_after_it_is_found_also_when_a_heartbeat_is_what_ends_it(self):
        world = World.up()
        world.turn(60.0)
        world.hang(MIDDLE)
        world.until(lambda: world.kills, 5.0)

    def test_a_transition_is_not_blamed_for_it(self):
        """Its answer lies there, and the timer that calls decide() comes first."""
        world = World(transition_timeout=30.0)
        world.wait(1.0)
        world.takes[MIDDLE, CONFIGURE] = 3.0
        world.command(ACTIVE)
        world.wait(1.0)
        world.stall(40.0)
        world.wait(5.0)
        assert world.said('attempt') == 0
        assert not world.kills
        assert not world.missing


class TestLostMessages:
    def test_a_request_that_got_lost_is_repeated_and_is_no_failure(self):
        world = World()
        world.lost[MIDDLE, ChangeState] = 1
        world.command(ACTIVE)
        took = world.until(lambda: not world.missing)
        assert took == pytest.approx(2 * DOUBT_AFTER, abs=2 * NEARLY)
        assert world.steps.count((MIDDLE, 'CONFIGURE')) == 2
        assert world.said('attempt') == 0

    def test_an_answer_that_got_lost_is_not_missed(self):
        world = World()
        world.unanswered[MIDDLE] = 1
        world.command(ACTIVE)
        took = world.until(lambda: not world.missing)
        assert took == pytest.approx(DOUBT_AFTER, abs=2 * NEARLY)
        assert world.steps == every(CONFIGURE) + every(ACTIVATE)
        assert world.said('attempt') == 0

    def test_a_question_may_overtake_the_request_once(self):
        world = World.up()
        world.takes['ingest', DEACTIVATE] = 5.0
        world.command(INACTIVE)
        world.wait(DOUBT_AFTER + NEARLY)
        world.supervisor.answered('ingest', ACTIVE)
        world.wait(5.0)
        assert world.steps == every(DEACTIVATE, NODES[::-1])

    def test_doubts_of_one_transition_are_not_counted_for_the_next(self):
        world = World.up()
        for goal in (INACTIVE, ACTIVE, INACTIVE):
            world.forget()
            world.takes['ingest', DEACTIVATE] = world.takes['ingest', ACTIVATE] = 3.0
            world.command(goal)
            world.until(lambda: world.changes and world.changes[-1].node == 'ingest')
            world.wait(DOUBT_AFTER + NEARLY)
            world.supervisor.answered('ingest', ACTIVE if goal is INACTIVE else INACTIVE)
            world.until(lambda goal=goal: not world.supervisor.missing(goal))
            assert len(world.steps) == 4

    def test_a_node_in_a_transition_that_answers_is_let_be(self):
        world = World()
        world.takes[MIDDLE, CONFIGURE] = 9.0
        world.command(ACTIVE)
        for _ in range(7):
            world.wait(1.0)
            world.supervisor.answered(MIDDLE, State.UNKNOWN)
        assert world.steps.count((MIDDLE, 'CONFIGURE')) == 1

    def test_the_end_of_an_earlier_transition_is_not_taken_for_that_of_a_later(self):
        world = World.up()
        world.takes['ingest', DEACTIVATE] = 1.0
        world.command(INACTIVE)
        world.wait(0.5)
        world.supervisor.changed('ingest', ACTIVATE, success=True)
        world.supervisor.changed('ingest', CONFIGURE, success=False)
        world.wait(0.2)
        assert world.steps == [('ingest', 'DEACTIVATE')]
        assert not world.reports

    def test_an_answer_that_does_not_tell_is_none(self):
        world = World.up()
        world.beat(MIDDLE, world[MIDDLE], INACTIVE)
        world.supervisor.answered(MIDDLE, State.UNKNOWN)
        assert world.missing == [f'{MIDDLE}: not answering for 0.0 s']
        world.wait(1.0)
        assert not world.missing
        assert not world.reports

    def test_an_answer_that_nobody_waits_for_changes_nothing(self):
        world = World.up()
        world.supervisor.changed(MIDDLE, ACTIVATE, success=False)
        world.supervisor.answered(MIDDLE, UNCONFIGURED)
        world.wait(2.0)
        assert not world.changes
        assert not world.reports


class TestOutOfSight:
    def test_a_moment_changes_nothing(self):
        world = World.up()
        for _ in range(5):
            world.hide(MIDDLE, 0.9 * LEFT_AFTER)
            world.wait(0.9 * LEFT_AFTER)
            assert not world.missing
            world.wait(TURN)
        assert not world.reports
        assert not world.asked
        assert not world.changes

    def test_longer_than_a_moment_it_has_left(self):
        world = World.up()
        world.respawn, world.local = None, False
        world.die(MIDDLE)
        world.until(lambda: world.missing)
        world.wait(3.0)
        assert world.missing == [f'{MIDDLE}: not answering for 3.0 s']
        assert world.texts == [f'{MIDDLE} has left']
        assert not world.kills

    def test_one_that_has_left_comes_back_without_blame(self):
        world = World.up()
        world.respawn, world.local = None, False
        world.die(MIDDLE)
        world.wait(60.0)
        world.start(MIDDLE)
        world.until(lambda: not world.missing, 2.0)
        assert world.steps == [(MIDDLE, 'CONFIGURE'), (MIDDLE, 'ACTIVATE')]
        assert world.said('attempt') == 0

    def test_the_same_process_that_comes_back_is_asked_and_is_found_active(self):
        world = World.up()
        world.hide(MIDDLE, 1.3 * LEFT_AFTER)
        world.wait(1.2 * LEFT_AFTER)
        assert world.missing
        world.wait(0.3 * LEFT_AFTER)
        assert not world.missing
        assert not world.changes
        assert not world.kills

    def test_the_same_process_that_comes_back_is_no_twin(self):
        world = World.up()
        world.hide(MIDDLE, 5.0)
        world.wait(10.0)
        assert world.said('two processes') == 0

    def test_the_same_process_that_comes_back_is_watched_again(self):
        world = World.up()
        world.hide(MIDDLE, 2.0)
        world.wait(5.0)
        world.hang(MIDDLE)
        world.wait(10.0)
        assert [kill.node for _, kill in world.kills] == [MIDDLE]
        assert world.state(MIDDLE) is ACTIVE

    def test_one_that_ends_while_it_is_away_is_not_blamed(self):
        world = World.up()
        world.respawn = 20.0
        world.hide(MIDDLE, 10.0)
        world.wait(5.0)
        world.die(MIDDLE)
        world.until(lambda: not world.missing)
        assert world.said('attempt') == 0

    def test_what_did_not_happen_while_it_was_away_is_not_held_against_it(self):
        """The network was cut: nothing of it came through."""
        world = World.up()
        process = world.hang(MIDDLE)
        world.hide(MIDDLE, 30.0)
        world.wait(30.0)
        world.wait(1.0)
        process.hung = False
        world.wait(2.0)
        assert world.texts == [f'{MIDDLE} has left']
        assert not world.kills
        assert not world.missing

    def test_one_that_was_never_there_is_not_asked(self):
        world = World(absent=(MIDDLE,))
        world.command(ACTIVE)
        world.wait(5.0)
        assert MIDDLE not in [name for _, name in world.asked]
        assert world.missing[0] == f'{MIDDLE}: not answering for 5.0 s'


class TestHeartbeats:
    def test_one_that_somebody_else_took_down_is_brought_back(self):
        world = World.up()
        world[MIDDLE].state = UNCONFIGURED
        world.wait(2.0)
        assert world.steps == [(MIDDLE, 'CONFIGURE'), (MIDDLE, 'ACTIVATE')]
        assert world.texts[0] == f'{MIDDLE}: left active by itself; attempt 1 of 5 in 0 s'
        assert not world.missing

    def test_one_that_somebody_else_took_up_is_not_blamed(self):
        world = World.up()
        world.command(INACTIVE)
        world.wait(1.0)
        world.forget()
        world[MIDDLE].state = ACTIVE
        world.wait(1.0)
        assert world.steps == [(MIDDLE, 'DEACTIVATE')]
        assert world.said('attempt') == 0

    def test_one_that_came_late_is_found_out_by_a_question(self):
        world = World.up()
        world.beat(MIDDLE, world[MIDDLE], INACTIVE)
        assert world.missing
        world.wait(0.1)
        assert not world.missing
        assert [name for _, name in world.asked] == [MIDDLE]
        assert not world.changes
        assert not world.reports

    def test_two_of_a_name_are_told_of_once(self):
        world = World.up()
        first, second = world[MIDDLE], world.start(MIDDLE)
        for _ in range(20):
            world.wait(BEAT)
            world.beat(MIDDLE, first)
        assert [text for text in world.texts if 'two processes' in text] == [
            f'two processes call themselves {MIDDLE} (pid {first.pid} and {second.pid}): '
            'end one of them, or give it another namespace']
        assert [report.level for report in world.reports if 'two' in report.text] == [
            logging.ERROR]
        assert world.said('attempt') == 1
        assert world.supervisor.pids[MIDDLE] == second.pid

    def test_the_one_that_is_left_of_two_is_taken_in(self):
        world = World.up()
        first, second = world[MIDDLE], world.start(MIDDLE)
        world.wait(2.0)
        assert world.supervisor.pids[MIDDLE] == second.pid
        world.processes[MIDDLE] = first
        world.wait(2.0)
        assert world.supervisor.pids[MIDDLE] == first.pid
        assert not world.missing
        world.hang(MIDDLE)
        world.wait(5.0)
        assert [kill.pid for _, kill in world.kills] == [first.pid]

    def test_the_last_heartbeat_of_one_that_died_is_no_twin(self):
        world = World.up()
        first = world[MIDDLE]
        world.die(MIDDLE)
        world.wait(0.8 * STALL)
        world.beat(MIDDLE, first)
        world.wait(2.0)
        assert world.said('two processes') == 0
        assert world.supervisor.pids[MIDDLE] == world[MIDDLE].pid

    def test_strangers_are_told_of_once_each(self):
        world = World.up()
        for _ in range(3):
            for name in ('stranger', 'another'):
                world.supervisor.heard(Heartbeat(name, 1, 7, ACTIVE, 0))
                world.turn()
        assert world.texts == [
            f'{name} (pid 7) is here, but not managed from here; managed are {", ".join(NODES)}'
            for name in ('stranger', 'another')]

    def test_of_many_strangers_most_are_passed_over(self):
        world = World.up()
        for number in range(3 * MOST_TOLD):
            world.supervisor.heard(Heartbeat(f'stranger {number}', 1, 7, ACTIVE, 0))
        world.turn()
        assert len(world.texts) == MOST_TOLD
        assert len(world.supervisor._told) == MOST_TOLD

    def test_of_the_processes_before_the_newest_are_remembered(self):
        world = World.up()
        first = world[MIDDLE]
        for _ in range(3 * MOST_PAST):
            last = world[MIDDLE]
            world.beat(MIDDLE, world.start(MIDDLE))
        node = world.supervisor._nodes[MIDDLE]
        assert len(node.past) == MOST_PAST
        assert last.incarnation in node.past
        assert first.incarnation not in node.past

    def test_one_that_is_finalized_but_wanted_is_replaced(self):
        world = World.up()
        process = world[MIDDLE]
        process.state = State.FINALIZED
        world.wait(3.0)
        assert world.signals == [(MIDDLE, process.pid, signal.SIGTERM)]
        assert world.steps == [(MIDDLE, 'CONFIGURE'), (MIDDLE, 'ACTIVATE')]
        assert not world.missing

    def test_one_that_is_finalized_and_does_not_go_is_ended(self):
        world = World.up()
        world[MIDDLE].state, world[MIDDLE].stubborn = State.FINALIZED, True
        world.wait(5.0)
        assert [sent for *_, sent in world.signals] == [signal.SIGTERM, signal.SIGKILL]
        assert not world.missing

    def test_a_start_after_a_shutdown_replaces_all_and_blames_nobody(self):
        world = World.up()
        world.command(State.FINALIZED)
        world.wait(2.0)
        world.command(ACTIVE)
        world.until(lambda: not world.missing, 3.0)
        assert [sent for *_, sent in world.signals] == [signal.SIGTERM] * 4
        assert world.said('attempt') == 0


class TestOutcome:
    def test_is_open_until_all_are_there(self):
        world = World()
        world.command(ACTIVE)
        while world.missing:
            assert world.outcome is None
            world.turn()
        assert (world.outcome.success, world.outcome.message) == (True, '')

    def test_is_failure_once_nothing_but_what_was_given_up_is_missing(self):
        world = World(restarts=0)
        world.refuses['cache', CONFIGURE] = world.refuses['ingest', ACTIVATE] = 1
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None)
        assert not world.outcome.success
        assert world.outcome.message == (
            'cache: given up; configure failed: its log says why; '
            'ingest: given up; activate failed: its log says why')
        assert world.state('scheduler') is ACTIVE

    def test_is_failure_when_one_does_not_answer_for_too_long(self):
        world = World(absent=('ingest',), transition_timeout=10.0)
        world.command(ACTIVE)
        world.wait(10.0)
        assert world.outcome is None
        world.wait(0.1)
        assert not world.outcome.success
        assert world.outcome.message == 'ingest: not answering for 10.1 s'

    def test_is_failure_too_when_others_wait_for_the_one_that_does_not_answer(self):
        world = World(absent=('cache',), transition_timeout=10.0)
        world.command(ACTIVE)
        world.wait(20.0)
        assert world.outcome is not None
        assert not world.outcome.success

    def test_is_open_while_one_is_under_way_however_late(self):
        world = World(transition_timeout=10.0)
        world.takes[MIDDLE, CONFIGURE] = world.takes['ingest', ACTIVATE] = 9.0
        world.command(ACTIVE)
        world.wait(17.0)
        assert world.outcome is None
        world.wait(2.0)
        assert world.outcome.success

    def test_is_open_while_a_refusal_is_looked_into_however_late(self):
        world = World(transition_timeout=10.0)
        world.takes[MIDDLE, CONFIGURE] = 9.0
        world.refuses[MIDDLE, CONFIGURE] = 2
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None)
        assert world.outcome.success

    def test_is_of_the_newest_command(self):
        world = World.up()
        world.command(INACTIVE)
        assert world.outcome is None
        world.wait(1.0)
        assert world.outcome.success
        assert len(world.missing) == 4

    def test_a_pause_is_told_apart_from_a_failure(self):
        world = World.up()
        world.command(INACTIVE)
        world.wait(1.0)
        assert world.missing == [f'{name}: inactive' for name in NODES]


class TestMissing:
    def test_tells_what_a_node_is_about(self):
        world = World(absent=('cache',))
        world.takes[MIDDLE, CONFIGURE] = 9.0
        world.refuses['scheduler', CONFIGURE] = 1
        world.command(ACTIVE)
        world.wait(0.5)
        assert world.missing == [
            'cache: not answering for 0.5 s',
            f'{MIDDLE}: configure for 0.5 s',
            'scheduler: unconfigured; configure failed: its log says why',
            'ingest: inactive',
        ]

    def test_forgets_the_reason_with_success(self):
        world = World()
        world.refuses['cache', ACTIVATE] = 1
        world.command(ACTIVE)
        world.until(lambda: not world.missing)
        world.wait(1.0)
        world.beat('cache', world['cache'], INACTIVE)
        assert world.missing == ['cache: not answering for 0.0 s']

    def test_forgets_the_reason_with_the_next_command(self):
        world = World(restarts=0)
        world.refuses['cache', CONFIGURE] = 1
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None)
        world.command(ACTIVE)
        assert world.missing == ['cache: not answering for 0.0 s']


class TestSettled:
    def test_is_so_when_all_is_well_and_only_then(self):
        world = World()
        world.command(ACTIVE)
        while world.missing:
            assert not world.supervisor.settled
            world.turn()
        assert world.supervisor.settled
        world.die(MIDDLE)
        world.turn()
        assert not world.supervisor.settled
        world.until(lambda: not world.missing)
        assert world.supervisor.settled

    def test_is_so_when_all_else_was_given_up(self):
        world = World(restarts=0)
        world.refuses['cache', CONFIGURE] = 1
        world.command(ACTIVE)
        world.until(lambda: world.outcome is not None)
        world.wait(1.0)
        assert world.supervisor.settled


def work_for_ever(world: World, name: str) -> None:
    world[name].works = world.now


def move(world: World, name: str, state: State) -> None:
    """Somebody else takes a node to another state."""
    world[name].state = state


MISHAPS = {
    'stall': lambda world, _name, seconds: world.stall(seconds),
    'hide': World.hide,
    'hang in': lambda world, name, step: world.hangs_in.add((name, step)),
    'refuse': lambda world, name, step, times: world.refuses.update({(name, step): times}),
    'slow': lambda world, name, step, seconds: world.takes.update({(name, step): seconds}),
    'lose': lambda world, name, kind, times: world.lost.update({(name, kind): times}),
    'unanswered': lambda world, name, times: world.unanswered.update({name: times}),
}
TO_A_PROCESS = {
    'die': World.die,
}
TO_A_PROCESS_THAT_WAS_HEARD = {
    # Before its first heartbeat nobody knows which process to end.
    'hang': lambda world, name, stubborn: world.hang(name, stubborn=stubborn),
    'work for ever': work_for_ever,
}
TO_AN_IDLE_PROCESS = {
    'late heartbeat': lambda world, name, state: world.beat(name, world[name], state),
    'move': move,
}
STEPS = st.sampled_from([CONFIGURE, ACTIVATE])
STATES = st.sampled_from([UNCONFIGURED, INACTIVE, ACTIVE])
FAULTS = st.one_of(
    st.tuples(st.just('stall'), st.floats(0.0, 2.0)),
    st.tuples(st.just('hide'), st.floats(0.0, 6.0)),
    st.tuples(st.just('hang in'), STEPS),
    st.tuples(st.just('refuse'), STEPS, st.integers(1, 7)),
    st.tuples(st.just('slow'), STEPS, st.floats(0.0, 6.0)),
    st.tuples(st.just('lose'), st.sampled_from([Ask, ChangeState]), st.integers(1, 3)),
    st.tuples(st.just('unanswered'), st.integers(1, 2)),
    st.tuples(st.just('die')),
    st.tuples(st.just('hang'), st.booleans()),
    st.tuples(st.just('work for ever')),
    st.tuples(st.just('late heartbeat'), STATES),
    st.tuples(st.just('move'), st.sampled_from([UNCONFIGURED, INACTIVE, State.FINALIZED])),
)


def strike(world: World, name: str, fault: str, *how: object) -> None:
    """One mishap to a node, if it has a process that it can happen to."""
    process = world.processes[name]
    table = dict(MISHAPS)
    if process is not None:
        table |= TO_A_PROCESS
        if process.progress:
            table |= TO_A_PROCESS_THAT_WAS_HEARD
        if process.changing is None and not process.hung and process.state != State.FINALIZED:
            table |= TO_AN_IDLE_PROCESS
    if fault in table:
        table[fault](world, name, *how)


@given(
    faults=st.lists(
        st.tuples(st.floats(0.0, 3.0), st.sampled_from(NODES), FAULTS), max_size=12),
    restarts=st.integers(0, 4), local=st.booleans(), silence=st.sampled_from([0.0, 0.1]))
@settings(max_examples=80, deadline=None)
def test_whatever_happens_each_is_active_or_given_up_in_the_end(
        faults, restarts, local, silence):
    world = World(silence=silence, restarts=restarts, restart_backoff=0.25,
                  transition_timeout=8.0, work_timeout=6.0, heartbeat_timeout=2.0)
    world.local = local
    world.command(ACTIVE)
    watch = Watch(world)
    for pause, name, (fault, *how) in faults:
        watch.wait(pause)
        strike(world, name, fault, *how)
    watch.wait(1.0)
    world.hangs_in.clear()
    world.takes.clear()
    world.lost.clear()
    world.unanswered.clear()
    watch.wait(60.0, step=0.1)
    missing = dict(text.split(': ', 1) for text in world.missing)
    for name in NODES:
        if name in missing:
            verdict, _, reason = missing[name].partition('; ')
            assert verdict == 'given up'
            assert reason
        else:
            assert world.state(name) is ACTIVE
    assert world.outcome.success is not bool(missing)


class Watch:
    """Sees that nobody's first activation comes before an earlier node was active or given up."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._active: set[str] = set()
        self._given_up: set[str] = set()

    def wait(self, seconds: float, step: float = TURN) -> None:
        end = self._world.now + seconds
        while self._world.now < end:
            self._world.turn(step)
            self._look()

    def _look(self) -> None:
        world = self._world
        self._active |= {name for name in NODES if world.state(name) is ACTIVE}
        self._given_up |= {text.partition(':')[0] for text in world.missing
                           if 'given up' in text}
        for change in world.changes:
            if change.transition is ACTIVATE and change.node not in self._active:
                earlier = NODES[:NODES.index(change.node)]
                assert (self._active | self._given_up).issuperset(earlier)
        world.changes.clear()


class TestARestartOnRequest:
    def test_one_node_makes_way_for_another_process_and_that_is_no_failure(self):
        world = World.up()
        before = world[MIDDLE].pid
        assert world.supervisor.restart(MIDDLE, 'it leaks')
        world.until(lambda: world.processes[MIDDLE] is None)
        assert world.signals == [(MIDDLE, before, signal.SIGTERM)]
        world.until(lambda: world.supervisor.is_active(MIDDLE))
        assert world[MIDDLE].pid != before
        assert [name for name, _ in world.steps] == [MIDDLE] * 2
        assert world.said('is restarted alone: it leaks') == 1
        assert not world.said('attempt')
        world.wait(5.0)
        assert len(world.kills) == 1

    def test_one_that_does_not_heed_it_is_killed(self):
        world = World.up()
        world.hang(MIDDLE, stubborn=True)
        before = world[MIDDLE].pid
        world.supervisor.restart(MIDDLE, 'it leaks')
        world.until(lambda: world.processes[MIDDLE] is None)
        assert [number for _, pid, number in world.signals if pid == before] == [
            signal.SIGTERM, signal.SIGKILL]

    def test_one_that_restarts_already_or_was_not_heard_is_left_alone(self):
        world = World.up()
        assert world.supervisor.restart(MIDDLE, 'it leaks')
        world.turn()
        assert not world.supervisor.restart(MIDDLE, 'it leaks')
        assert not World(absent=(MIDDLE,)).supervisor.restart(MIDDLE, 'it leaks')
