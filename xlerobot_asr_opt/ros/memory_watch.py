"""Watches the memory of the nodes for the manager: reads, publishes, and acts by the ladder."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.memory_ladder import Rung, StepReport
from xlerobot_asr_opt.core.memory_trend import Verdict
from xlerobot_asr_opt.memory import PredictiveMemoryManager
from xlerobot_asr_opt.process_memory import MemoryReader
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.memory_actor import MemoryActor
from xlerobot_asr_opt.ros.timers import steady_timer

if TYPE_CHECKING:
    from rclpy.node import Node

    from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['COST_SHARE', 'MemoryWatch']

LOOK_EVERY = 5
"""Readings between two looks at the trends, which cost more."""
COST_SHARE = 0.01
"""Most of a core that watching may take: readings come less often where they cost more."""
KEPT_STEPS = 16
"""Steps that every report tells of: a report that is missed loses none."""
VERDICTS = {
    Verdict.TOO_SHORT.value: msg.ProcessMemory.VERDICT_TOO_SHORT,
    Verdict.NO_TREND.value: msg.ProcessMemory.VERDICT_NO_TREND,
    Verdict.GROWING.value: msg.ProcessMemory.VERDICT_GROWING,
    Verdict.SHRINKING.value: msg.ProcessMemory.VERDICT_SHRINKING,
}

logger = logging.getLogger(__name__)


class MemoryWatch:
    """Reads the memory of the nodes every memory_period, publishes MemoryReport, acts.

    Args:
        node: the manager.
        parameters: its own.
        processes: returns the pids of the nodes on this host.
        restart: has a node restarted alone, with a reason; returns whether that will be done.
        is_active: tells whether a node is active.
    """

    def __init__(
        self, node: Node, parameters: ManagerParameters, *,
        processes: Callable[[], Mapping[str, int]], restart: Callable[[str, str], bool],
        is_active: Callable[[str], bool],
    ) -> None:
        self._node = node
        self._period = parameters.memory_period
        self._processes = processes
        self._reader = MemoryReader()
        self._memory = PredictiveMemoryManager(
            parameters, processes=processes, reader=self._reader)
        self._actor = MemoryActor(
            node, parameters.nodes, processes=processes, uss=self._uss, restart=restart,
            is_active=is_active, done=self._done)
        self._publisher = node.create_publisher(
            msg.MemoryReport, names.MEMORY, names.LATCHED_QOS)
        self._steps: deque[msg.MemoryStep] = deque(maxlen=KEPT_STEPS)
        self._verdicts: dict[str, str] = {}
        self._readings, self._cost = 0, 0.0
        self._timer = steady_timer(node, self._period, self._turn)

    def _turn(self) -> None:
        begin = time.thread_time()
        self._memory.sample()
        self._readings += 1
        self._actor.look()
        if self._readings % LOOK_EVERY == 0:
            self._look()
        self._cost += time.thread_time() - begin
        if self._readings % LOOK_EVERY == 0:
            period = max(self._period, self._cost / LOOK_EVERY / COST_SHARE)
            self._timer.timer_period_ns = int(1e9 * period)
            self._cost = 0.0

    def _look(self) -> None:
        self._tell_verdicts()
        step = self._memory.decide()
        if step is not None:
            logger.warning('memory: %s %s: %s', step.rung.name.lower(),
                           'begins' if step.taken else 'ends', step.reason)
            self._actor.perform(step)
        self._publish()

    def _tell_verdicts(self) -> None:
        """Log what has changed since the last look, where it is a trend."""
        for name, told in self._memory.get_memory_stats()['processes'].items():
            verdict = told['verdict']
            if verdict != self._verdicts.get(name) and verdict == Verdict.GROWING.value:
                logger.info(
                    '%s grows by %.2f MB/min (%.2f to %.2f)', name, told['slope'],
                    told['slope_low'], told['slope_high'])
            self._verdicts[name] = verdict

    def _uss(self, name: str) -> int:
        memory = self._reader.process(self._processes().get(name, 0))
        return 0 if memory is None else memory.uss

    def _now(self) -> Time:
        return self._node.get_clock().now().to_msg()

    def _done(self, report: StepReport, silent: list[str]) -> None:
        """Tell what a step has brought."""
        logger.info('memory: %s%s', report,
                    f'; no answer of {", ".join(silent)}' if silent else '')
        self._steps.append(msg.MemoryStep(
            stamp=self._now(), rung=int(report.step.rung), taken=report.step.taken,
            node=report.step.node, reason=report.step.reason, before=report.before,
            after=report.after, duration=report.duration))
        self._publish()

    def _publish(self) -> None:
        stats = self._memory.get_memory_stats()
        system, ceiling = stats['system'], stats['ceiling']
        self._publisher.publish(msg.MemoryReport(
            stamp=self._now(), total=system['total'],
            available=system['available'], stalled=_number(system['stalled']),
            ceiling=ceiling['name'], used=ceiling['used'], limit=ceiling['limit'],
            rung=int(Rung[stats['rung']]), steps=list(self._steps),
            processes=[_process_message(*item) for item in stats['processes'].items()]))


def _process_message(name: str, told: Mapping[str, Any]) -> msg.ProcessMemory:
    """Return what is told of one process as a message."""
    whole = {key: told[key] for key in ('pid', 'uss', 'pss', 'rss')}
    return msg.ProcessMemory(
        node=name, verdict=VERDICTS[told['verdict']], **whole,
        **{key: _number(value) for key, value in told.items()
           if key != 'verdict' and key not in whole})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
