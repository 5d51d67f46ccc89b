"""The manager node: brings the others up and down in order, and restarts one of them alone."""

from __future__ import annotations

import logging
import os
import sys
import time
from functools import partial

from rclpy.node import Node
from rclpy.task import Future

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.backends.board_health import Board
from xlerobot_asr_opt.core.lifecycle import State, Transition
from xlerobot_asr_opt.core.managed_node import Action, Ask, ChangeState, Kill, Report
from xlerobot_asr_opt.core.service_limits import ServiceLimits
from xlerobot_asr_opt.core.supervision import Outcome, Supervisor
from xlerobot_asr_opt.local_process import is_running, runs_node, signal_node, waited_s
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.processes import executable_of
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import read_heartbeat
from xlerobot_asr_opt.ros.heeding import heeding
from xlerobot_asr_opt.ros.level_keeper import LevelKeeper
from xlerobot_asr_opt.ros.lifecycle_client import LifecycleClient
from xlerobot_asr_opt.ros.memory_watch import MemoryWatch
from xlerobot_asr_opt.ros.monitor import GraphMonitor
from xlerobot_asr_opt.ros.parameters import declare, undeclared
from xlerobot_asr_opt.ros.polled import PolledSubscription
from xlerobot_asr_opt.ros.run import run
from xlerobot_asr_opt.ros.timers import steady_timer

__all__ = ['Manager', 'main']

BUSY_S = 0.02
"""Turn of the supervisor while something is under way: the services of a node that starts are
found by looking, since rclpy hands out no graph events."""
IDLE_S = 0.5
"""Turn of the supervisor while all is well: a process that has ended is found within it."""

GOALS = {
    srv.ManageNodes.Request.STARTUP: State.ACTIVE,
    srv.ManageNodes.Request.PAUSE: State.INACTIVE,
    srv.ManageNodes.Request.RESUME: State.ACTIVE,
    srv.ManageNodes.Request.RESET: State.UNCONFIGURED,
    srv.ManageNodes.Request.SHUTDOWN: State.FINALIZED,
}

logger = logging.getLogger(__name__)


class Manager(Node):
    """Hears heartbeats, serves manage_nodes and is_active, calls the nodes' lifecycle services.

    Watches the nodes' memory, and tells of it on memory. Decides the level of degradation, tells
    of it on level, serves force_level. Tells an operator on /diagnostics.
    """

    def __init__(self) -> None:
        super().__init__('manager')
        undeclared(self, ManagerParameters)
        parameters = declare(self, ManagerParameters)
        self._supervisor = Supervisor(
            parameters.nodes, parameters, time.monotonic, waited_s)
        self._lifecycles = {name: LifecycleClient(self, name) for name in parameters.nodes}
        self._limits = ServiceLimits(time.monotonic)
        self._local: dict[str, int] = {}
        self._waiter: tuple[srv.ManageNodes.Response, Future] | None = None
        self._heartbeats = PolledSubscription(
            self, msg.Heartbeat, names.HEARTBEATS, heeding(names.HEARTBEATS, self._on_heartbeat),
            names.CONTROL_QOS)
        self.create_service(srv.ManageNodes, '~/manage_nodes', self._manage_nodes)
        self.create_service(srv.IsActive, '~/is_active', self._is_active)
        self._timer = steady_timer(self, BUSY_S, self._turn)
        if parameters.memory_period:
            self._memory = MemoryWatch(
                self, parameters, processes=self._processes, restart=self._supervisor.restart,
                is_active=self._supervisor.is_active)
        # A machine that lends has no scheduler: the level is that of the graph it lends to.
        if parameters.level_period and 'scheduler' in parameters.nodes:
            self._level = LevelKeeper(self, parameters, Board().hottest)
        self._monitor = GraphMonitor(self, parameters) if parameters.monitor_period else None
        if parameters.autostart:
            self._supervisor.command(State.ACTIVE)

    def _on_heartbeat(self, message: msg.Heartbeat) -> None:
        beat = read_heartbeat(message)
        self._supervisor.heard(beat)
        if self._monitor is not None:
            self._monitor.heard(beat)

    def _manage_nodes(
        self, request: srv.ManageNodes.Request, response: srv.ManageNodes.Response,
    ) -> srv.ManageNodes.Response | Future:
        """Answer when the nodes have changed, or cannot."""
        goal = GOALS.get(request.command)
        response.message = self._limits.refusal(names.MANAGE_NODES)
        if goal is None:
            response.message = f'got command {request.command}, expected one of {sorted(GOALS)}'
        if response.message:
            return response
        self._answer(Outcome(success=False, message='a later command came'))
        answer = Future()
        self._waiter = response, answer
        self._supervisor.command(goal)
        self._turn()
        return answer

    def _answer(self, outcome: Outcome) -> None:
        """Tell whoever waits how the newest command ended."""
        if self._waiter is not None:
            (response, answer), self._waiter = self._waiter, None
            response.success, response.message = outcome.success, outcome.message
            answer.set_result(response)

    def _is_active(
        self, _request: srv.IsActive.Request, response: srv.IsActive.Response,
    ) -> srv.IsActive.Response:
        response.inactive = self._supervisor.missing()
        response.active = not response.inactive
        return response

    def _turn(self) -> None:
        """Tell the supervisor what was heard, and do what it decides."""
        self._heartbeats.poll()
        reachable = {name for name, node in self._lifecycles.items() if node.is_ready}
        for action in self._supervisor.decide(reachable, self._dead()):
            self._perform(action)
        period = int(1e9 * (IDLE_S if self._supervisor.settled else BUSY_S))
        if self._timer.timer_period_ns != period:
            self._timer.timer_period_ns = period
        outcome = self._supervisor.outcome() if self._waiter is not None else None
        if outcome is not None:
            self._answer(outcome)

    def _perform(self, action: Action) -> None:
        if isinstance(action, Ask):
            self._lifecycles[action.node].ask(partial(self._answered, action.node))
        elif isinstance(action, ChangeState):
            self._lifecycles[action.node].change(
                action.transition, partial(self._changed, action.node, action.transition))
        elif isinstance(action, Report):
            logger.log(action.level, action.text)
        elif isinstance(action, Kill):
            executable = executable_of(action.node)
            if not signal_node(action.pid, action.node, executable, action.signal):
                logger.warning('%s (pid %d) is not on this host', action.node, action.pid)

    def _answered(self, name: str, state: State) -> None:
        self._supervisor.answered(name, state)
        self._turn()

    def _changed(self, name: str, transition: Transition, success: bool) -> None:
        self._supervisor.changed(name, transition, success=success)
        self._turn()

    def _processes(self) -> dict[str, int]:
        """Processes on this host, this one included, by node."""
        heard = self._supervisor.pids
        return {'manager': os.getpid(),
                **{name: pid for name, pid in self._local.items() if heard.get(name) == pid}}

    def _dead(self) -> set[str]:
        """Nodes whose process was seen on this host, and has ended."""
        dead = set()
        for name, pid in self._supervisor.pids.items():
            if self._local.get(name) == pid:
                if not is_running(pid):
                    dead.add(name)
            elif runs_node(pid, name, executable_of(name)):
                self._local[name] = pid
        return dead


def main() -> int:
    """Run the node as a process."""
    return run(Manager)


if __name__ == '__main__':
    sys.exit(main())
