"""Does what the memory ladder decides, through services of the nodes, and measures each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter

from xlerobot_asr_interfaces.srv import ReleaseMemory
from xlerobot_asr_opt.core.memory_ladder import Rung, Step, StepReport

if TYPE_CHECKING:
    from rclpy.client import Client
    from rclpy.node import Node

__all__ = ['MemoryActor']

PATIENCE_S = 30.0
"""How long a step waits for the nodes: the new process of a restart loads its model first."""
MEASURES = {Rung.SHRINK: ('inference', 'capacity', 1), Rung.REFUSE: ('ingest', 'streams', 0)}
"""Program, parameter and value of the rungs that set one."""


@dataclass
class _Open:
    """A step under way.

    Attributes:
        step: the step.
        begun: when [s].
        waiting: nodes that have not answered yet.
        before: USS of each node before [bytes].
        after: USS of each node that has answered [bytes].
        pid: for RESTART, the process that is to go.
    """

    step: Step
    begun: float
    waiting: set[str]
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    pid: int = 0


class MemoryActor:
    """Takes and lifts the measures of the ladder, one step at a time.

    Args:
        node: whose clients call.
        executables: program of each managed node, by name.
        processes: returns the pids of the nodes on this host.
        uss: returns the unique set size of a node [bytes]; 0: it cannot be read.
        restart: has a node restarted alone; returns whether that will be done.
        is_active: tells whether a node is active.
        done: takes what a step has brought, and the nodes that have not answered.
    """

    def __init__(
        self, node: Node, executables: Mapping[str, str], *,
        processes: Callable[[], Mapping[str, int]], uss: Callable[[str], int],
        restart: Callable[[str, str], bool], is_active: Callable[[str], bool],
        done: Callable[[StepReport, list[str]], None],
    ) -> None:
        self._processes, self._uss = processes, uss
        self._restart, self._is_active = restart, is_active
        self._done = done
        self._executables = executables
        self._releases = {
            name: node.create_client(ReleaseMemory, f'{name}/release_memory')
            for name in executables}
        tuned = [name for name, executable in executables.items()
                 if executable in {program for program, _, _ in MEASURES.values()}]
        self._gets = {name: node.create_client(GetParameters, f'{name}/get_parameters')
                      for name in tuned}
        self._sets = {name: node.create_client(SetParameters, f'{name}/set_parameters')
                      for name in tuned}
        self._usual: dict[str, Any] = {}
        self._open: _Open | None = None

    def perform(self, step: Step) -> None:
        """Begin a step; one that is still open ends with what is known of it."""
        if self._open is not None:
            self._close()
        work = self._open = _Open(step, time.monotonic(), self._targets(step))
        for name in sorted(work.waiting):
            work.before[name] = self._uss(name)
            if step.rung in MEASURES:
                self._tune(work, name)
            elif step.rung is Rung.RELEASE and step.taken:
                self._call(self._releases, name, ReleaseMemory.Request(),
                           partial(self._released, work, name))
            elif step.taken:
                work.pid = self._processes().get(name, 0)
                if not self._restart(name, step.reason):
                    self._close()
                    return
        self.look()

    def look(self) -> None:
        """End the step under way, if it is done or has taken too long."""
        work = self._open
        if work is None:
            return
        if work.step.rung is Rung.RESTART and work.waiting:
            name = work.step.node
            if self._processes().get(name, work.pid) != work.pid and self._is_active(name):
                self._finished(work, name, self._uss(name))
        if not work.waiting or time.monotonic() - work.begun > PATIENCE_S:
            self._close()

    def _targets(self, step: Step) -> set[str]:
        if step.rung in MEASURES:
            program = MEASURES[step.rung][0]
            return {name for name in self._sets if self._executables[name] == program}
        if not step.taken:
            return set()  # What was released or restarted is not to be undone.
        return {step.node} if step.node else set(self._releases)

    def _tune(self, work: _Open, name: str) -> None:
        """Set the parameter of a measure, or what it was before."""
        _, parameter, value = MEASURES[work.step.rung]
        if not work.step.taken:
            if name in self._usual:
                self._set(work, name, parameter, self._usual.pop(name))
            else:
                work.waiting.discard(name)
            return
        self._call(
            self._gets, name, GetParameters.Request(names=[parameter]),
            lambda answer: self._told(work, name, parameter, value, answer))

    def _told(self, work: _Open, name: str, parameter: str, value: int,
              answer: GetParameters.Response) -> None:
        self._usual.setdefault(name, answer.values[0].integer_value)
        self._set(work, name, parameter, value)

    def _set(self, work: _Open, name: str, parameter: str, value: int) -> None:
        request = SetParameters.Request(
            parameters=[Parameter(parameter, value=value).to_parameter_msg()])
        self._call(self._sets, name, request, lambda answer: self._tuned(work, name, answer))

    def _tuned(self, work: _Open, name: str, answer: SetParameters.Response) -> None:
        if answer.results[0].successful:
            self._finished(work, name, self._uss(name))
            self.look()

    def _released(self, work: _Open, name: str, answer: ReleaseMemory.Response) -> None:
        work.before[name] = answer.before
        self._finished(work, name, answer.after)
        self.look()

    def _finished(self, work: _Open, name: str, after: int) -> None:
        work.waiting.discard(name)
        work.after[name] = after

    def _call(
        self, clients: Mapping[str, Client], name: str, request: Any,
        answered: Callable[[Any], None],
    ) -> None:
        """Ask a node that is there; one that is not stays among those that have not answered."""
        if clients[name].service_is_ready():
            clients[name].call_async(request).add_done_callback(
                lambda future: answered(future.result()))

    def _close(self) -> None:
        work, self._open = self._open, None
        before = sum(work.before[name] for name in work.after)
        self._done(
            StepReport(work.step, before, sum(work.after.values()),
                       time.monotonic() - work.begun),
            sorted(work.waiting))
