"""The manager's services over nodes that live in the test's own process."""

import contextlib
import os

import pytest

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.lifecycle import State
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.nodes.manager import Manager
from xlerobot_asr_opt.parameters import CacheParameters
from xlerobot_asr_opt.ros import memory_watch, names
from xlerobot_asr_opt.ros.managed import ManagedNode

DOMAIN = 47
STAGES = ('reader', 'middle', 'writer')
STARTUP, PAUSE, RESUME, RESET, SHUTDOWN = (
    srv.ManageNodes.Request.STARTUP, srv.ManageNodes.Request.PAUSE,
    srv.ManageNodes.Request.RESUME, srv.ManageNodes.Request.RESET,
    srv.ManageNodes.Request.SHUTDOWN)


class Stage(ManagedNode):
    """A node that writes down its transitions, and refuses the first one if it is told to."""

    def __init__(self, name, journal):
        super().__init__(name, CacheParameters)
        self.refuses = False
        self._note = lambda step: journal.append((name, step))

    def configure(self):
        if self.refuses:
            raise ConfigurationError('no such model')
        self._note('configure')

    def activate(self):
        self._note('activate')

    def deactivate(self):
        self._note('deactivate')

    def cleanup(self):
        self._note('cleanup')


class Graph:
    """A manager and its stages.

    Attributes:
        journal: the transitions of the stages, in order.
    """

    def __init__(self, world):
        self.world = world
        self.journal = []
        self.stages = {name: Stage(name, self.journal) for name in STAGES}
        self.manager = Manager()
        for node in self._nodes:
            world.executor.add_node(node)

    @property
    def _nodes(self):
        return (*self.stages.values(), self.manager)

    def command(self, command):
        """Send a command and wait for what came of it; return that and the transitions."""
        self.journal.clear()
        answer = self.world.call(srv.ManageNodes, names.MANAGE_NODES, command=command)
        return answer, list(self.journal)

    def inactive(self):
        """Ask who is not active; None: everybody is."""
        answer = self.world.call(srv.IsActive, names.IS_ACTIVE)
        assert answer.active == (not answer.inactive)
        return list(answer.inactive)

    def states(self):
        return [stage.state for stage in self.stages.values()]

    def close(self):
        for node in self._nodes:
            self.world.executor.remove_node(node)
            node.destroy_node()


@pytest.fixture
def begin(open_world):
    """Make a graph; its manager does nothing until it is told to."""
    with contextlib.ExitStack() as stack:
        def begin(**parameters):
            known = {'nodes': list(STAGES), 'autostart': False, 'transition_timeout': 10.0}
            world = open_world(node='manager', **known | parameters)
            graph = Graph(world)
            stack.callback(graph.close)
            return graph
        yield begin


def of(step, *stages):
    return [(stage, step) for stage in stages]


def test_startup_configures_all_and_activates_them_in_order(begin):
    graph = begin()
    assert [line.partition(':')[0] for line in graph.inactive()] == list(STAGES)
    answer, steps = graph.command(STARTUP)
    assert (answer.success, answer.message) == (True, '')
    assert sorted(step for step in steps if step[1] == 'configure') == sorted(
        of('configure', *STAGES))
    assert [step for step in steps if step[1] == 'activate'] == of('activate', *STAGES)
    assert graph.inactive() == []


def test_autostart_needs_no_command(begin):
    graph = begin(autostart=True)
    graph.world.spin_until(lambda: graph.states() == [State.ACTIVE] * 3, graph.states)


def test_pause_deactivates_in_reverse_and_resume_activates_in_order(begin):
    graph = begin()
    graph.command(STARTUP)
    answer, steps = graph.command(PAUSE)
    assert answer.success
    assert steps == of('deactivate', *reversed(STAGES))
    assert graph.inactive() == [f'{name}: inactive' for name in STAGES]
    answer, steps = graph.command(RESUME)
    assert answer.success
    assert steps == of('activate', *STAGES)
    assert graph.inactive() == []


def test_reset_cleans_up_readers_before_writers(begin):
    graph = begin()
    graph.command(STARTUP)
    answer, steps = graph.command(RESET)
    assert answer.success
    assert steps == of('deactivate', *reversed(STAGES)) + of('cleanup', *STAGES)
    assert graph.states() == [State.UNCONFIGURED] * 3


def test_after_a_reset_the_graph_starts_again(begin):
    graph = begin()
    graph.command(STARTUP)
    graph.command(RESET)
    answer, _ = graph.command(STARTUP)
    assert answer.success
    assert graph.inactive() == []


def test_shutdown_is_final(begin):
    graph = begin()
    graph.command(STARTUP)
    answer, _ = graph.command(SHUTDOWN)
    assert answer.success
    assert graph.states() == [State.FINALIZED] * 3


def test_a_command_that_is_none_is_refused_and_changes_nothing(begin):
    graph = begin()
    answer, steps = graph.command(99)
    assert not answer.success
    assert 'got command 99' in answer.message
    assert steps == []


def test_a_stage_that_refuses_fails_the_command_with_its_name(begin):
    graph = begin(restarts=0)
    graph.stages['middle'].refuses = True
    answer, _ = graph.command(STARTUP)
    assert not answer.success
    assert answer.message.startswith('middle: given up; configure failed')
    assert [line.partition(':')[0] for line in graph.inactive()] == ['middle']


def test_a_stage_that_was_given_up_is_taken_up_by_the_next_command(begin):
    graph = begin(restarts=0)
    graph.stages['middle'].refuses = True
    graph.command(STARTUP)
    graph.stages['middle'].refuses = False
    answer, _ = graph.command(STARTUP)
    assert answer.success
    assert graph.inactive() == []


def test_a_later_command_ends_the_earlier_one(begin):
    graph = begin(restart_backoff=600.0)
    graph.stages['writer'].refuses = True
    first = graph.world.ask(srv.ManageNodes, names.MANAGE_NODES, command=STARTUP)
    graph.world.spin_until(
        lambda: graph.stages['middle'].state is State.ACTIVE, graph.states)
    answer, _ = graph.command(RESET)
    assert answer.success
    graph.world.spin_until(first.done, 'the answer to the first')
    assert (first.result().success, first.result().message) == (False, 'a later command came')


def reports(graph):
    heard = []
    graph.world.player.create_subscription(
        msg.MemoryReport, names.MEMORY, heard.append, names.LATCHED_QOS)
    return heard


def test_memory_is_told_of_what_runs_on_this_host(begin):
    graph = begin(memory_period=0.01)
    heard = reports(graph)
    graph.world.spin_until(lambda: heard, 'a report')
    own, = heard[0].processes
    assert (own.node, own.pid) == ('manager', os.getpid())
    assert 0 < own.uss <= own.pss <= own.rss <= heard[0].total
    assert own.verdict == msg.ProcessMemory.VERDICT_TOO_SHORT
    assert heard[0].rung == msg.MemoryReport.RUNG_NORMAL
    assert 0 < heard[0].used < heard[0].limit
    assert not heard[0].steps


def test_readings_come_less_often_where_they_cost_too_much(begin, monkeypatch):
    monkeypatch.setattr(memory_watch, 'COST_SHARE', 1e-6)
    graph = begin(memory_period=0.01)
    heard = reports(graph)
    graph.world.spin_until(lambda: heard, 'a report')
    assert graph.manager._memory._timer.timer_period_ns > 1e9


def test_memory_is_left_alone_where_it_is_not_to_be_watched(begin):
    graph = begin(memory_period=0.0)
    assert not any(name.endswith('/memory')
                   for name, _ in graph.manager.get_publisher_names_and_types_by_node(
                       'manager', graph.manager.get_namespace()))
