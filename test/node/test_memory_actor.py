"""The measures of the memory ladder on nodes that live in the test's own process."""

import numpy as np
import pytest

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.memory_ladder import Rung, Step
from xlerobot_asr_opt.nodes.inference import InferenceNode
from xlerobot_asr_opt.nodes.ingest import IngestNode
from xlerobot_asr_opt.records import Chunk
from xlerobot_asr_opt.ros import memory_actor, names
from xlerobot_asr_opt.ros.conversions import read_worker
from xlerobot_asr_opt.ros.memory_actor import MemoryActor

DOMAIN = 49
USS = 50_000_000
SILENCE = Chunk('', 0, 0, 16000, 1, np.zeros(1600, np.int16))


class Acting:
    """An actor beside a real ingest node, and a node that is not there.

    Attributes:
        reports: what the steps have brought, and who was not done.
        pids: processes of the nodes, as the actor is told.
        restarts: restarts that were asked for.
        active: nodes that count as active.
    """

    def __init__(self, world):
        self.world, self.reports, self.restarts = world, [], []
        self.pids, self.active, self.restartable = {'ingest': 7}, {'ingest'}, True
        self.actor = MemoryActor(
            world.player, ('ingest', 'absent'), processes=lambda: self.pids,
            uss=lambda _name: USS, restart=self._restart,
            is_active=lambda name: name in self.active,
            done=lambda *report: self.reports.append(report))

    def _restart(self, *asked):
        self.restarts.append(asked)
        return self.restartable

    def begin(self, rung, *, taken=True, node=''):
        self.actor.perform(Step(rung, taken, 'the reason', node))

    def end(self):
        """Work until the step has ended; return what it has brought."""
        self.world.spin_until(lambda: self.actor.look() or self.reports, 'the end of the step')
        return self.reports.pop()


@pytest.fixture
def acting(open_world, monkeypatch):
    monkeypatch.setattr(memory_actor, 'PATIENCE_S', 0.5)
    world = open_world()
    world.start(IngestNode)
    acting = Acting(world)
    world.spin_until(acting.actor._releases['ingest'].service_is_ready, 'the service')
    return acting


def test_nodes_release_memory_and_the_silent_one_is_named(acting, monkeypatch):
    monkeypatch.setattr(memory_actor, 'PATIENCE_S', 60.0)
    acting.begin(Rung.RELEASE)
    acting.world.spin_until(
        lambda: acting.actor._open.waiting == {'absent'}, 'the answer of ingest')
    monkeypatch.setattr(memory_actor, 'PATIENCE_S', 0.0)
    report, silent = acting.end()
    assert silent == ['absent']
    assert report.before > 0
    assert report.after > 0
    assert report.duration > 0


def test_an_answer_that_comes_too_late_changes_nothing(acting):
    acting.begin(Rung.RELEASE)
    acting.begin(Rung.SHRINK)
    (_, silent), = acting.reports
    assert silent == ['absent', 'ingest']
    acting.reports.clear()
    acting.world.executor.spin_once(0.5)
    report, silent = acting.end()
    assert (report.step.rung, report.before, silent) == (Rung.SHRINK, 2 * USS, [])


def test_requests_without_an_answer_are_not_kept(acting):
    client = acting.actor._releases['ingest']
    for _ in range(20):
        acting.begin(Rung.RELEASE)
        assert len(client._pending_requests) == 1
    acting.begin(Rung.SHRINK)
    assert not client._pending_requests
    acting.world.spin_for(0.3)
    assert len(acting.reports) == 20


@pytest.mark.parametrize('taken', [True, False])
@pytest.mark.parametrize('rung', [Rung.SHRINK, Rung.REFUSE])
def test_what_the_nodes_heed_by_themselves_is_measured_with_the_next_reading(acting, rung, taken):
    acting.begin(rung, taken=taken)
    assert not acting.reports
    acting.actor.look()
    (report, silent), = acting.reports
    assert (report.before, report.after, silent) == (2 * USS, 2 * USS, [])


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
    assert acting.reports.pop()[1] == ['ingest']
    acting.restartable = True
    acting.begin(Rung.RESTART, node='ingest')
    assert acting.end()[1] == ['ingest'], 'its next process did not come'


# What the nodes heed

def voice(world):
    publisher = world.player.create_publisher(msg.MemoryReport, names.MEMORY, names.LATCHED_QOS)

    def say(rung, *nodes):
        processes = [msg.ProcessMemory(node=node) for node in nodes or (world.node.get_name(),)]
        publisher.publish(msg.MemoryReport(
            rung=int(rung), used=95_000_000, limit=100_000_000, ceiling='the machine',
            processes=processes))
    return say


def test_ingest_opens_no_stream_while_memory_is_short(open_world, caplog):
    world = open_world()
    say = voice(world)
    world.start(IngestNode)
    world.bring_up()
    ingest = world.node._ingest

    def hear(stream):
        ingest.accept(Chunk(stream, 0, 0, 16000, 1, SILENCE.samples))
        return {one.stream: one.chunks for one in ingest.statuses()}
    assert hear('old') == {'old': 1}
    say(Rung.REFUSE)
    world.spin_until(lambda: ingest.refusing, 'the report')
    assert hear('new') == {'old': 1}
    assert ('stream new is not opened: memory is short, 95 of 100 MB of the machine are used'
            in caplog.text)
    assert list(hear('old')) == ['old']
    say(Rung.NORMAL, 'inference_desk_0')  # of another host, which lends to this graph
    world.spin_for(0.3)
    assert ingest.refusing
    say(Rung.SHRINK)
    world.spin_until(lambda: not ingest.refusing, 'the report')
    assert hear('new')['new'] == 1


def test_an_ingest_that_is_started_meanwhile_heeds_it_too(open_world):
    world = open_world()
    voice(world)(Rung.RESTART, 'ingest')
    world.start(IngestNode)
    world.bring_up()
    world.spin_until(lambda: world.node._ingest.refusing, 'the report')


def test_a_worker_holds_one_segment_while_memory_is_short(open_world, tmp_path):
    script = tmp_path / 'script.yaml'
    script.write_text('answers:\n- {text: one}\n')
    world = open_world(
        '__node:=inference_0', node='inference_0', backends=['scripted'], script=str(script))
    say = voice(world)
    heard = world.listen(
        msg.WorkerStatus, names.WORKERS, lambda view: read_worker(view).capacity,
        names.LATCHED_QOS)
    world.start(InferenceNode)
    world.bring_up()
    for rung, capacity in [(Rung.RELEASE, 2), (Rung.SHRINK, 1), (Rung.REFUSE, 1),
                           (Rung.RELEASE, 2)]:
        say(rung)
        heard.clear()
        world.spin_until(lambda: heard and heard[-1] == capacity, f'{rung}')  # noqa: B023
