"""What all managed nodes have: heartbeats, and transitions that say what failed."""

import os
import time

import pytest

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.lifecycle import State, Transition
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import CacheParameters
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import read_text
from xlerobot_asr_opt.ros.managed import (
    GREETING_PERIOD_S,
    GREETINGS,
    HEARTBEAT_PERIOD_S,
    ManagedNode,
)

DOMAIN = 48


class Stage(ManagedNode):
    """Fails to be configured in the way that it is told to."""

    def __init__(self):
        super().__init__('stage', CacheParameters)
        self.error = self.worse = None
        self.undone = 0

    def configure(self):
        if self.error is not None:
            raise self.error

    def cleanup(self):
        self.undone += 1
        if self.worse is not None:
            raise self.worse


@pytest.fixture
def world(open_world):
    world = open_world()
    world.start(Stage)
    return world


def beat_of(view):
    fields = ('incarnation', 'pid', 'state', 'progress')
    return {'node': read_text(view['node']), **{field: int(view[field]) for field in fields}}


def test_heartbeats_count_and_tell_the_state(world):
    beats = world.listen(msg.Heartbeat, names.HEARTBEATS, beat_of, names.CONTROL_QOS)
    world.spin_until(lambda: len(beats) >= 2, 'two heartbeats')
    assert beats[0]['node'] == 'stage'
    assert beats[0]['pid'] == os.getpid()
    assert beats[0]['incarnation'] == beats[1]['incarnation'] == world.node.incarnation
    assert beats[0]['progress'] < beats[1]['progress']
    assert beats[0]['state'] == State.UNCONFIGURED
    world.bring_up()
    world.spin_until(lambda: beats[-1]['state'] == State.ACTIVE, 'the heartbeat of the new state')


def test_the_first_heartbeats_come_quickly_once_somebody_listens(world):
    late = time.monotonic() + 2 * GREETINGS * GREETING_PERIOD_S
    world.spin_until(lambda: time.monotonic() > late, 'time to pass')
    times = world.listen(
        msg.Heartbeat, names.HEARTBEATS, lambda _: time.monotonic(), names.CONTROL_QOS)
    world.spin_until(lambda: len(times) >= GREETINGS + 2, 'the first heartbeats')
    assert times[GREETINGS - 1] - times[0] < 2 * GREETINGS * GREETING_PERIOD_S
    assert times[-1] - times[-3] > HEARTBEAT_PERIOD_S / 2


def test_an_error_that_was_foreseen_fails_the_transition_and_undoes_it(world, capfd):
    world.node.error = ConfigurationError('no such model')
    assert not world.transit(Transition.CONFIGURE)
    assert world.node.state is State.UNCONFIGURED
    assert world.node.undone == 1
    assert 'configure failed: no such model' in capfd.readouterr().err
    world.node.error = None
    assert world.transit(Transition.CONFIGURE)


def test_any_other_error_ends_the_process_with_its_traceback(world, capfd):
    world.node.error = ZeroDivisionError('in the midst of it')
    with pytest.raises(SystemExit) as ended:
        world.transit(Transition.CONFIGURE)
    assert ended.value.code == 1
    said = capfd.readouterr().err
    assert 'Traceback' in said
    assert 'ZeroDivisionError: in the midst of it' in said


def test_one_that_cannot_be_undone_ends_the_process_too(world, capfd):
    world.node.error, world.node.worse = ConfigurationError('no such model'), OSError('stuck')
    with pytest.raises(SystemExit) as ended:
        world.transit(Transition.CONFIGURE)
    assert ended.value.code == 1
    said = capfd.readouterr().err
    assert 'configure failed: no such model' in said
    assert 'OSError: stuck' in said
    world.node.worse = None
