"""Does what the memory ladder decides and measures each step.

The nodes read the rungs SHRINK and REFUSE in MemoryReport, which is latched, and heed them by
themselves: so does a node that is started meanwhile, and a manager that is started anew lifts what
the one before it had called for. The other two are asked for here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xlerobot_asr_interfaces.srv import ReleaseMemory
from xlerobot_asr_opt.core.memory_ladder import Rung, Step, StepReport

if TYPE_CHECKING:
    from rclpy.client import Client
    from rclpy.node import Node
    from rclpy.task import Future

__all__ = ['MemoryActor']

PATIENCE_S = 30.0
"""How long a step waits for the nodes: the new process of a restart loads its model first."""


@dataclass
class _Open:
    """A step under way.

    Attributes:
        step: the step.
        begun: when [s].
        waiting: nodes that are not done yet.
        before: USS of each node before [bytes].
        after: USS of each node that is done [bytes].
        pid: for RESTART, the process that is to go.
        asked: for RELEASE, the requests by their clients: rclpy keeps those without an answer.
    """

    step: Step
    begun: float
    waiting: set[str]
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    pid: int = 0
    asked: list[tuple[Client, Future]] = field(default_factory=list)


class MemoryActor:
    """Takes one step after the other.

    Args:
        node: whose clients call.
        nodes: names of the managed nodes.
        processes: returns the pids of the nodes on this host.
        uss: returns the unique set size of a node [bytes]; 0: it cannot be read.
        restart: has a node restarted alone; returns whether that will be done.
        is_active: tells whether a node is active.
        done: takes what a step has brought, and the nodes that were not done in time.
    """

    def __init__(
        self, node: Node, nodes: Collection[str], *,
        processes: Callable[[], Mapping[str, int]], uss: Callable[[str], int],
        restart: Callable[[str, str], bool], is_active: Callable[[str], bool],
        done: Callable[[StepReport, list[str]], None],
    ) -> None:
        self._processes, self._uss = processes, uss
        self._restart, self._is_active = restart, is_active
        self._done = done
        self._releases = {
            name: node.create_client(ReleaseMemory, f'{name}/release_memory') for name in nodes}
        self._open: _Open | None = None

    def perform(self, step: Step) -> None:
        """Begin a step; one that is still open ends with what is known of it."""
        if self._open is not None:
            self._close()
        nodes = {step.node} if step.node else set(self._releases)
        work = self._open = _Open(step, time.monotonic(), nodes)
        for name in sorted(nodes):
            work.before[name] = self._uss(name)
            if step.taken and step.rung is Rung.RELEASE:
                self._release(work, name)
        if step.taken and step.rung is Rung.RESTART:
            work.pid = self._processes().get(step.node, 0)
            if not self._restart(step.node, step.reason):
                self._close()

    def look(self) -> None:
        """See how far the step under way has come; call it after every reading."""
        work = self._open
        if work is None:
            return
        if not (work.step.taken and work.step.rung in (Rung.RELEASE, Rung.RESTART)):
            # The nodes have heard of it since the reading before.
            for name in sorted(work.waiting):
                self._finish(work, name, self._uss(name))
        elif work.step.rung is Rung.RESTART:
            name = work.step.node
            if self._processes().get(name, work.pid) != work.pid and self._is_active(name):
                self._finish(work, name, self._uss(name))
        if work is self._open and time.monotonic() - work.begun > PATIENCE_S:
            self._close()

    def _release(self, work: _Open, name: str) -> None:
        """Ask a node that is there; one that is not stays among those that are not done."""
        def answered(future: Future) -> None:
            work.before[name] = future.result().before
            self._finish(work, name, future.result().after)

        if self._releases[name].service_is_ready():
            future = self._releases[name].call_async(ReleaseMemory.Request())
            work.asked.append((self._releases[name], future))
            future.add_done_callback(answered)

    def _finish(self, work: _Open, name: str, after: int) -> None:
        """Note that a node is done; the last one ends the step, unless that has ended already."""
        work.waiting.discard(name)
        work.after[name] = after
        if work is self._open and not work.waiting:
            self._close()

    def _close(self) -> None:
        work, self._open = self._open, None
        for client, future in work.asked:
            if not future.done():
                client.remove_pending_request(future)
        before = sum(work.before[name] for name in work.after)
        self._done(
            StepReport(work.step, before, sum(work.after.values()),
                       time.monotonic() - work.begun),
            sorted(work.waiting))
