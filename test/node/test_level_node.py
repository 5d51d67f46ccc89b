"""The level of degradation between a manager and who heeds it, in one process."""

import contextlib
import dataclasses

import pytest

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core import degradation_effects
from xlerobot_asr_opt.core.dispatch_records import DispatchStatistics
from xlerobot_asr_opt.nodes.manager import Manager
from xlerobot_asr_opt.records import Degradation, DegradationLevel, WorkerStatus
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.level_watch import LevelWatch
from xlerobot_asr_opt.ros.timers import steady_timer

DOMAIN = 69
CLOSED, OPEN = msg.BackendState.STATE_CLOSED, msg.BackendState.STATE_OPEN
QUICK = {'level_period': 0.02, 'level_enter': 0.3, 'level_leave': 0.3, 'level_heat_begin': 0.0}

COUNTERS = DispatchStatistics(**{
    field.name: int(field.name == 'workers') for field in dataclasses.fields(DispatchStatistics)})


class Room:
    """A manager, and a worker that tells of itself as the test says.

    Attributes:
        told: the newest level of the manager.
        heeded: what a LevelWatch has handed on.
    """

    def __init__(self, world):
        self.world = world
        self.manager = Manager()
        world.executor.add_node(self.manager)
        self.told = None
        self.heeded = []
        player = world.player
        player.create_subscription(
            msg.DegradationLevel, names.LEVEL, self._heard, names.LATCHED_QOS)
        self.watch = LevelWatch(player, self.heeded.append)
        self._worker = world.voice(
            msg.WorkerStatus, names.WORKERS, conversions.write_worker, names.LATCHED_QOS)
        self._backends = player.create_publisher(
            msg.BackendStates, names.BACKENDS, names.LATCHED_QOS)
        steady_timer(player, 0.1, lambda: self._worker.say(
            WorkerStatus('inference_0', 1, True, 2, 480_000, bytes(32))))

    def _heard(self, message):
        self.told = message

    def has(self, **states):
        self._backends.publish(msg.BackendStates(worker='inference_0', backends=[
            msg.BackendState(backend=name, state=state, loaded=True,
                             reason='' if state == CLOSED else '97 degrees, allowed are 95')
            for name, state in states.items()]))

    def until(self, level):
        self.world.spin_until(
            lambda: self.told is not None and self.told.name == level, lambda: str(self.told))
        return self.told

    def force(self, level):
        return self.world.call(srv.ForceLevel, names.FORCE_LEVEL, level=level)

    def close(self):
        if self.manager is not None:
            self.world.executor.remove_node(self.manager)
            self.manager.destroy_node()
            self.manager = None


@pytest.fixture
def begin(open_world):
    with contextlib.ExitStack() as stack:
        def begin(**parameters):
            room = Room(open_world(node='manager', **{
                'nodes': ['scheduler'], 'autostart': False, 'memory_period': 0.0,
                'monitor_period': 0.0, **QUICK} | parameters))
            stack.callback(room.close)
            return room
        yield begin


def test_the_level_follows_the_breakers(begin):
    room = begin()
    room.has(bpu=OPEN, onnxruntime=CLOSED)
    told = room.until('cpu')
    assert told.level == msg.DegradationLevel.LEVEL_CPU
    assert told.reason == 'inference_0: bpu: 97 degrees, allowed are 95'
    assert (told.best, told.forced) == (msg.DegradationLevel.LEVEL_BPU, False)
    room.has(bpu=CLOSED, onnxruntime=CLOSED)
    again = room.until('bpu')
    assert again.reason == 'inference_0: bpu is trusted'
    assert conversions.nanoseconds(again.since) > conversions.nanoseconds(told.since)


def test_a_level_is_held_and_released_by_service(begin):
    room = begin()
    room.has(bpu=CLOSED)
    room.until('bpu')
    assert room.force('finals').success
    assert room.until('finals').forced
    room.world.spin_until(lambda: room.heeded, 'who heeds it')
    assert room.heeded[-1].level is DegradationLevel.FINALS
    refused = room.force('FINALS')
    assert not refused.success
    assert "got the level 'FINALS', expected one of bpu, cpu, cpu_small" in refused.message
    assert room.until('finals').forced
    assert room.force('').success
    assert not room.until('bpu').forced


def test_a_queue_has_less_taken_step_by_step_and_more_again(begin):
    room = begin(level_queue_begin=1.0, level_queue_end=4.0)
    room.has(scripted=CLOSED)
    waiting = [8]
    scheduler = room.world.voice(
        msg.SchedulerStatus, names.SCHEDULER, conversions.write_scheduler, names.LATCHED_QOS)
    steady_timer(room.world.player, 0.05, lambda: scheduler.say(
        1, True, dataclasses.replace(COUNTERS, waiting=waiting[0])))
    for level in ('finals', 'commands', 'refuse'):
        assert room.until(level).reason == '8.0 segments wait for each worker, pressure 8.0'
    waiting[0] = 0
    for level in ('commands', 'finals', 'bpu'):
        assert room.until(level).reason == 'it eases: nothing presses'


def test_the_level_of_a_dead_manager_ends(begin, monkeypatch):
    monkeypatch.setattr(degradation_effects, 'VALID_S', 1.5)
    room = begin()
    assert room.force('refuse').success
    room.world.spin_until(
        lambda: room.watch.degradation.level is DegradationLevel.REFUSE, 'the level')
    room.close()
    room.world.spin_until(lambda: room.watch.degradation == Degradation(), 'its end')
    assert room.heeded[-1] == Degradation()


@pytest.mark.parametrize('parameters', [{'level_period': 0.0}, {'nodes': ['inference_desk_0']}])
def test_who_is_not_to_decide_tells_nothing(begin, parameters):
    room = begin(**parameters)
    assert not any(name.endswith('/level')
                   for name, _ in room.manager.get_publisher_names_and_types_by_node(
                       'manager', room.manager.get_namespace()))
