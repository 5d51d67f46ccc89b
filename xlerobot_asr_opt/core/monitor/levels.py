"""Watches the level of degradation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.monitor.judgement import SILENT_AFTER_S, Judgement, Level, worst
from xlerobot_asr_opt.records import Degradation, DegradationLevel

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.monitor.metrics import Metrics
    from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['LevelWatch']


class LevelWatch:
    """Judges by DegradationLevel."""

    def __init__(self, parameters: ManagerParameters, metrics: Metrics) -> None:
        self._limits = parameters
        self._metrics = metrics
        self._told: Degradation | None = None
        self._heard = -math.inf

    def heard(self, degradation: Degradation, now: float) -> None:
        """Take a level."""
        self._told, self._heard = degradation, now

    def current(self, now: float) -> Degradation | None:
        """The newest level; None: it was not told of of late."""
        return self._told if now - self._heard <= SILENT_AFTER_S else None

    def judge(self, now: float) -> Judgement:
        """Say whether the graph does less than it could."""
        if not self._limits.level_period:
            return Judgement('level', Level.OK, 'not decided: manager.level_period is 0')
        told = self.current(now)
        if told is None:
            return Judgement('level', Level.STALE, 'the level was not told of yet'
                             if self._told is None else
                             f'the level was not told of for {now - self._heard:.0f} s')
        text = f'{told.level.word}: {told.reason}'
        findings = []
        if told.level >= DegradationLevel.COMMANDS:
            findings.append((Level.ERROR, text))
        elif told.level > told.best or told.forced:
            findings.append((Level.WARN, text))
        return worst('level', findings, text, {
            'level': told.level.word, 'best': told.best.word, 'pressure': told.pressure,
            'forced': 'yes' if told.forced else 'no'})

    def measure(self, now: float) -> None:
        """Set the gauges."""
        told = self.current(now)
        self._metrics.replace(
            'asr_degradation_level', {} if told is None else {(): int(told.level)})
        self._metrics.replace(
            'asr_degradation_pressure', {} if told is None else {(): told.pressure})
