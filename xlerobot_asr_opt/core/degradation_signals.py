"""Makes one situation of what the graph tells: who answers, and how much presses.

Each signal has a begin and an end, of the manager's parameters: there the pressure is 1 and 4, and
in between it goes evenly. The signal that presses most is the one that counts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.core.degradation import NO_ACCELERATOR, Situation
from xlerobot_asr_opt.core.degradation_effects import ACCELERATORS, SMALL
from xlerobot_asr_opt.core.monitor.judgement import SILENT_AFTER_S, Window
from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.monitor.judgement import (
        BackendReport,
        MemoryReport,
        SchedulerReport,
    )
    from xlerobot_asr_opt.parameters import ManagerParameters
    from xlerobot_asr_opt.records import WorkerStatus

__all__ = ['SIGNALS', 'DegradationSignals', 'pressure']

LATE_WINDOW_S = 30.0
LEAST_UTTERANCES = 5
"""Of fewer, no share is told."""
SIGNALS = {
    'queue': '{:.1f} segments wait for each worker',
    'late': '{:.0%} of the utterances were too late',
    'heat': 'the hottest sensor has {:.0f} degrees',
    'memory': '{:.0%} of the memory are used',
    'silence': 'no worker for {:.0f} s',
}
"""What may press, as in the parameters level_NAME_begin and level_NAME_end, and what is said."""


class Range(NamedTuple):
    """Where a signal begins to press, and where its pressure is 4; begin 0: it never does."""

    begin: float
    end: float


def pressure(value: float, limits: Range) -> float:
    """Return how much a value presses: 1 at the begin, 4 at the end; 0 for NaN.

    Below the begin it falls on as it did, but faster where it would not reach 0 with the value.
    """
    if not limits.begin or math.isnan(value):
        return 0.0
    evenly = 1.0 + 3.0 * (value - limits.begin) / (limits.end - limits.begin)
    return max(0.0, evenly if evenly > 1.0 else min(evenly, value / limits.begin))


class DegradationSignals:
    """Takes what nodes tell, as Monitor does, and gives the situation.

    Args:
        limits: begin and end of each signal.
        clock: monotonic [s].

    Raises:
        ConfigurationError: a signal that ends before it begins.
    """

    def __init__(self, limits: ManagerParameters, clock: Callable[[], float]) -> None:
        self._ranges = {name: _range(limits, name) for name in SIGNALS}
        self._clock = clock
        self._scheduler: SchedulerReport | None = None
        self._told = self._served = -math.inf
        self._workers: dict[str, float] = {}
        self._backends: dict[str, tuple[BackendReport, ...]] = {}
        self._known = Situation()
        self._finished = Window(LATE_WINDOW_S)
        self._memory = self._celsius = math.nan

    def on_scheduler(self, report: SchedulerReport) -> None:
        """Take a SchedulerStatus."""
        now, counters = self._clock(), report.counters
        stopped = self._scheduler is None or now - self._told > SILENT_AFTER_S
        if counters.workers or stopped or not report.active:
            self._served = now
        self._scheduler, self._told = report, now
        self._finished.add(now, (
            counters.foretold + counters.expired,
            counters.done + counters.rejected + counters.expired))

    def on_worker(self, status: WorkerStatus) -> None:
        """Take the status of a worker."""
        if status.active:
            self._workers[status.worker] = self._clock()
        else:
            self._workers.pop(status.worker, None)

    def on_backends(self, worker: str, reports: Sequence[BackendReport]) -> None:
        """Take the state of a worker's backends."""
        self._backends[worker] = tuple(reports)

    def on_memory(self, report: MemoryReport) -> None:
        """Take a MemoryReport of this machine."""
        self._memory = report.used / report.limit if report.limit else math.nan

    def on_heat(self, celsius: float) -> None:
        """Take the temperature of the hottest sensor of this machine; NaN: there is none."""
        self._celsius = celsius

    def situation(self) -> Situation:
        """What is known now."""
        values = self.values()
        presses = {name: pressure(value, self._ranges[name]) for name, value in values.items()}
        worst = max(presses, key=presses.__getitem__)
        if not presses[worst]:
            return self._answering()
        return dataclasses.replace(
            self._answering(), pressure=presses[worst],
            told=f'{SIGNALS[worst].format(values[worst])}, pressure {presses[worst]:.1f}')

    def values(self) -> dict[str, float]:
        """The newest value of each signal; NaN: not told."""
        queue = late = silence = math.nan
        now, report = self._clock(), self._scheduler
        if report is not None and report.active and now - self._told <= SILENT_AFTER_S:
            queue = report.counters.waiting / max(1, report.counters.workers)
            silence = now - self._served
            _, (lost, finished) = self._finished.change()
            late = lost / finished if finished >= LEAST_UTTERANCES else 0.0
        return {'queue': queue, 'late': late, 'heat': self._celsius, 'memory': self._memory,
                'silence': silence}

    def _answering(self) -> Situation:
        """Who answers, without pressure.

        What is configured stays known while no worker is heard, as when one starts anew.
        """
        now = self._clock()
        reports = {worker: self._backends[worker] for worker, heard in self._workers.items()
                   if now - heard <= SILENT_AFTER_S and worker in self._backends}
        if not reports:
            return dataclasses.replace(self._known, accelerator=None)
        own = [(worker, report) for worker, some in sorted(reports.items()) for report in some]
        fast = [one for one in own if one[1].backend in ACCELERATORS]
        slow = [one for one in own if one[1].backend not in ACCELERATORS]
        trusted = [f'{worker}: {report.backend} is trusted' for worker, report in fast
                   if report.state is State.CLOSED]
        # Where there is nothing else, it is asked whatever its breaker says.
        answers = bool(fast) and (bool(trusted) or not slow)
        out = [f'{worker}: {report.backend}: {report.reason or "held by hand"}'
               for worker, report in fast if report.state is not State.CLOSED]
        self._known = Situation(
            accelerator=answers, accelerators='; '.join(trusted or out) or NO_ACCELERATOR,
            has_accelerator=bool(fast), has_cpu=bool(slow),
            small=any(report.backend == SMALL and report.state is State.CLOSED
                      for _, report in slow))
        return self._known


def _range(limits: ManagerParameters, name: str) -> Range:
    begin = getattr(limits, f'level_{name}_begin')
    end = getattr(limits, f'level_{name}_end')
    if begin and end <= begin:
        raise ConfigurationError(
            f'level_{name}_end: got {end:g}, expected more than level_{name}_begin, {begin:g}; '
            f'raise it, or set level_{name}_begin to 0 where this is not to count')
    return Range(begin, end)
