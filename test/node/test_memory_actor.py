"""The measures of the memory ladder on nodes that live in the test's own process."""

import pytest

from xlerobot_asr_opt.core.lifecycle import Transition
from xlerobot_asr_opt.core.memory_ladder import Rung, Step
from xlerobot_asr_opt.nodes.ingest import IngestNode
from xlerobot_asr_opt.records import Chunk
from xlerobot_asr_opt.ros import memory_actor
from xlerobot_asr_opt.ros.memory_actor import MemoryActor

DOMAIN = 49
EXECUTABLES = {'ingest': 'ingest', 'absent': 'cache'}
USS = 50_000_000


class Acting:
    """An actor beside a real ingest node.

    Attributes:
        reports: what the steps have brought, and who has not answered.
        pids: processes of the nodes, as the actor is told.
        restarts: restarts that were asked for.
        active: nodes that count as active.
    """

    def __init__(self, world):
        self.world, self.reports, self.restarts = world, [], []
        self.pids, self.active, self.restartable = {'ingest': 7}, {'ingest'}, True
        self.actor = MemoryActor(
            world.player, EXECUTABLES, processes=lambda: self.pids, uss=lambda _name: USS,
            restart=self._restart, is_active=lambda name: name in self.active,
            done=lambda *report: self.reports.append(report))

    def _restart(self, *asked):
        self.restarts.append(asked)
        return self.restartable

    def begin(self, rung, *, taken=True, node=''):
        self.reports.clear()
        self.actor.perform(Step(rung, taken, 'the reason', node))

    def take(self, rung, **more):
        """Take a step to its end; return what it has brought."""
        self.begin(rung, **more)
        self.world.spin_until(lambda: self.actor.look() or self.reports, 'the end of the step')
        return self.reports[0]


@pytest.fixture
def acting(open_world, monkeypatch):
    monkeypatch.setattr(memory_actor, 'PATIENCE_S', 0.5)
    world = open_world()
    world.start(IngestNode)
    assert world.transit(Transition.CONFIGURE)
    acting = Acting(world)
    world.spin_until(
        lambda: all(clients['ingest'].service_is_ready() for clients in (
            acting.actor._releases, acting.actor._gets, acting.actor._sets)), 'services')
    return acting


def test_nodes_release_memory_and_the_silent_one_is_named(acting):
    report, silent = acting.take(Rung.RELEASE)
    assert silent == ['absent']
    assert report.before > 0
    assert report.after > 0
    assert report.duration >= 0.5


def test_new_streams_are_refused_and_heard_again(acting):
    ingest = acting.world.node._ingest
    ingest.open('old')
    report, silent = acting.take(Rung.REFUSE)
    assert (report.before, report.after, silent) == (USS, USS, [])
    assert acting.world.node.parameters.streams == 0
    chunk = {'sequence': 0, 'stamp_ns': 0, 'rate': 16000, 'channels': 1,
             'samples': bytes_of_silence()}
    ingest.accept(Chunk('new', **chunk))
    ingest.accept(Chunk('old', **chunk))
    assert {one.stream: one.chunks for one in ingest.statuses()} == {'old': 1}
    acting.take(Rung.REFUSE, taken=False)
    assert acting.world.node.parameters.streams == 64
    ingest.accept(Chunk('new', **chunk))
    assert {one.stream for one in ingest.statuses()} == {'old', 'new'}


def bytes_of_silence():
    import numpy as np
    return np.zeros(1600, np.int16)


def test_lifting_what_was_not_taken_changes_nothing(acting):
    acting.take(Rung.REFUSE, taken=False)
    assert acting.world.node.parameters.streams == 64


def test_a_measure_that_nobody_can_take_is_over_at_once(acting):
    report, silent = acting.take(Rung.SHRINK)
    assert (report.before, report.after, silent) == (0, 0, [])


def test_a_restart_is_done_when_the_next_process_is_active(acting):
    acting.begin(Rung.RESTART, node='ingest')
    assert acting.restarts == [('ingest', 'the reason')]
    acting.pids, acting.active = {}, set()
    acting.actor.look()
    acting.pids = {'ingest': 8}
    acting.actor.look()
    assert not acting.reports
    acting.active = {'ingest'}
    acting.actor.look()
    (report, silent), = acting.reports
    assert (report.before, report.after, silent) == (USS, USS, [])


def test_a_restart_that_is_not_possible_is_told(acting):
    acting.restartable = False
    acting.begin(Rung.RESTART, node='ingest')
    assert acting.reports[0][1] == ['ingest']


def test_a_step_that_is_overtaken_ends_with_what_is_known(acting):
    acting.begin(Rung.RESTART, node='ingest')
    acting.actor.perform(Step(Rung.RELEASE, taken=False, reason=''))
    assert [(report.step.rung, silent) for report, silent in acting.reports] == [
        (Rung.RESTART, ['ingest']), (Rung.RELEASE, [])]
