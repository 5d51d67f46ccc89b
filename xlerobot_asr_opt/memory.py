"""Watches the memory of a graph: what each process has, where it goes, what is to be done."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from xlerobot_asr_opt.core.memory_budget import (
    Ceiling,
    ProcessMemory,
    SystemMemory,
    admit,
    ceilings,
    least_headroom,
    tightest_ceiling,
)
from xlerobot_asr_opt.core.memory_ladder import Ladder, Pressure, Rung, Step
from xlerobot_asr_opt.core.memory_trend import Forecast, MemoryTrend, Trend, Verdict
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.process_memory import MemoryGauge, MemoryReader, own_uss, trim_heap

__all__ = ['PredictiveMemoryManager']

MB = 1e6
MINUTE = 60.0
FRESH_S = 0.5
"""Time for which a reading of the machine is as good as a new one, for admission [s]."""


def _this_process() -> dict[str, int]:
    return {'this': os.getpid()}


class PredictiveMemoryManager:
    """Reads memory, foretells it, and says what is to be done; acts on its own process alone.

    Call sample() every ``parameters.memory_period`` seconds.

    Args:
        parameters: window, horizon, limits and thresholds.
        processes: returns the pids to watch, by name; default: this process.
        reader: of the kernel's figures.
        clock: monotonic time [s].
    """

    def __init__(
        self,
        parameters: ManagerParameters | None = None,
        *,
        processes: Callable[[], Mapping[str, int]] = _this_process,
        reader: MemoryReader | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parameters = parameters or ManagerParameters()
        self._processes = processes
        self._reader = reader or MemoryReader()
        self._gauge = MemoryGauge(self._reader, clock)
        self._clock = clock
        self._ladder = Ladder(self._parameters, clock)
        self._pids: dict[str, int] = {}
        self._windows: dict[str, MemoryTrend] = {}
        self._memory: dict[str, ProcessMemory] = {}
        self._trends: dict[str, Trend] | None = None
        self._system: SystemMemory = self._reader.system()
        self._read_at, self._promised = clock(), 0

    def sample(self) -> dict[str, ProcessMemory]:
        """Read every process once; what cannot be read is left out, what is new begins anew."""
        now = self._clock()
        self._read_system(now)
        pids = self._processes()
        self._memory, self._trends = self._gauge.read(pids), None
        for name, memory in self._memory.items():
            if self._pids.get(name) != pids[name] or name not in self._windows:
                self._windows[name] = MemoryTrend(self._parameters.memory_window)
            self._windows[name].add(now, memory.uss)
        self._pids = dict(pids)
        self._windows = {name: self._windows[name] for name in pids if name in self._windows}
        return self._memory

    def get_memory_stats(self) -> dict[str, Any]:
        """Return what was sampled last and what follows from it.

        Returns:
            processes: by name: pid; uss, pss, rss, forecast, forecast_low and forecast_high
                [bytes], of the USS in ``memory_horizon`` seconds; slope, slope_low and slope_high
                [MB/min]; time_to_limit [s], None where nothing grows towards it; verdict, as in
                Verdict. What a window that is too short does not tell is None.
            system: as in SystemMemory.
            ceiling: the tightest one: name, used and limit [bytes].
            rung: the ladder's, as in Rung.
        """
        ceiling = self.ceiling()
        trends = self.trends()
        return {
            'processes': {name: {
                'pid': self._pids[name], **dataclasses.asdict(memory),
                **_told(trends[name], self._parameters.memory_horizon,
                        memory.uss + ceiling.headroom),
            } for name, memory in self._memory.items()},
            'system': dataclasses.asdict(self._system),
            'ceiling': dataclasses.asdict(ceiling),
            'rung': self._ladder.rung.name,
        }

    def trends(self) -> dict[str, Trend]:
        """Return the trend of every process that was sampled last."""
        if self._trends is None:
            self._trends = {name: self._windows[name].trend() for name in self._memory}
        return self._trends

    def ceiling(self) -> Ceiling:
        """Return the ceiling of which the largest share is used."""
        return tightest_ceiling(self._ceilings())

    def room(self) -> Ceiling:
        """Return the ceiling that leaves the least, as read now, less what was admitted since.

        A reading counts as new for ``FRESH_S``: many streams that open at once cost one.
        """
        now = self._clock()
        if now - self._read_at > FRESH_S:
            self._read_system(now)
        room = least_headroom(self._ceilings())
        return dataclasses.replace(room, used=room.used + self._promised)

    def predict(self, horizon: float | None = None) -> dict[str, Forecast]:
        """Return the USS of each process after so many seconds; of those that can be foretold."""
        horizon = self._parameters.memory_horizon if horizon is None else horizon
        return {name: trend.forecast(horizon) for name, trend in self.trends().items()
                if trend.verdict is not Verdict.TOO_SHORT}

    def decide(self) -> Step | None:
        """Return what is to be done now, before memory runs out; None: nothing."""
        return self._ladder.decide(self.pressure())

    def pressure(self) -> Pressure:
        """Return what the ladder decides by."""
        ceiling = self.ceiling()
        least = self._parameters.leak_slope * MB / MINUTE
        leaks = {name: trend.slope for name, trend in self.trends().items()
                 if trend.verdict is Verdict.GROWING and trend.low > least}
        if not leaks:
            return Pressure(ceiling, stalled=self._system.stalled)
        return Pressure(
            ceiling, ceiling.headroom / sum(leaks.values()), self._system.stalled,
            max(leaks, key=lambda name: leaks[name]))

    @property
    def rung(self) -> Rung:
        """How far things have come."""
        return self._ladder.rung

    def admit(self, what: str, needed: int, cure: str = 'free memory') -> None:
        """Let a model or a stream in, if it fits below every ceiling.

        Args:
            what: names it, for the message.
            needed: what it takes [bytes].
            cure: what to do where it does not fit, for the message.

        Raises:
            MemoryBudgetError: it does not fit; the message has the numbers.
        """
        admit(what, needed, self.room(), cure)
        self._promised += needed

    def _read_system(self, now: float) -> None:
        self._system = self._reader.system()
        self._read_at, self._promised = now, 0

    def _ceilings(self) -> list[Ceiling]:
        return ceilings(
            self._system, self._memory, self._parameters.memory_limit * MB,
            self._parameters.memory_share)

    def cleanup(self) -> dict[str, float]:
        """Collect garbage and trim the heap of this process.

        Returns:
            before, after: unique set size [bytes]; duration [s].
        """
        begin, before = self._clock(), own_uss()
        trim_heap()
        return {'before': before, 'after': own_uss(), 'duration': self._clock() - begin}


def _told(trend: Trend, horizon: float, limit: int) -> dict[str, Any]:
    """Say what a trend says of one process, with None for what it does not."""
    forecast = trend.forecast(horizon)
    per_minute = MINUTE / MB
    figures = {
        'slope': trend.slope * per_minute, 'slope_low': trend.low * per_minute,
        'slope_high': trend.high * per_minute, 'forecast': forecast.expected,
        'forecast_low': forecast.low, 'forecast_high': forecast.high}
    return {
        **{name: value if math.isfinite(value) else None for name, value in figures.items()},
        'time_to_limit': trend.time_to(limit), 'verdict': trend.verdict.value}
