"""A managed node that does nothing but live, for tests of those that manage it.

Its faults are chosen by the environment variable STAGE_FAULT:

    refuse     configure fails
    slow       configure takes a second
    exit       the process ends with the status of a wrong parameter
    SIGUSR1 to a running one has its executor hang.
"""

import contextlib
import os
import signal
import sys
import time

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from xlerobot_asr_interfaces.msg import Heartbeat

FAULT = os.environ.get('STAGE_FAULT', '')
STATES = {'unconfigured': 1, 'inactive': 2, 'active': 3, 'finalized': 4}


class Stage(LifecycleNode):
    def __init__(self):
        super().__init__('stage')
        self.incarnation = time.time_ns()
        self.turns = 0
        self.hangs = False
        self.beats = self.create_publisher(Heartbeat, 'heartbeats', 100)
        self.create_timer(0.1, self.beat)

    def beat(self):
        while self.hangs:
            time.sleep(0.01)
        self.turns += 1
        beat = Heartbeat(
            incarnation=self.incarnation, pid=os.getpid(), progress=self.turns,
            state=STATES.get(self._state_machine.current_state[1], 0))
        name = self.get_name().encode()
        beat.node[:len(name)] = list(name)
        self.beats.publish(beat)

    def on_configure(self, state):
        if FAULT == 'slow':
            time.sleep(1.0)
        if FAULT == 'refuse':
            self.get_logger().error('configure failed: no such model')
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS


def main():
    if FAULT == 'exit':
        print('[FATAL] threads: got 99, expected 0 to 64', file=sys.stderr)
        return 2
    rclpy.init()
    node = Stage()
    signal.signal(signal.SIGUSR1, lambda *_: setattr(node, 'hangs', True))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        executor.spin()
    return 0


if __name__ == '__main__':
    sys.exit(main())
