"""What is done before memory runs out, in order: one rung at a time, up and down.

    NORMAL    nothing
    RELEASE   every node drops what it can make again, collects garbage and trims its heap; again
       |      after every interval, as long as it is called for
    SHRINK    workers hold one segment at a time
    REFUSE    no new stream is opened; those that are open go on
    RESTART   the node that leaks most is restarted alone; not entered where none leaks

A rung is called for when so much of the ceiling is used, or when a leak is about to meet it, or,
for SHRINK, when tasks wait for memory. It is left when all of these are well below that.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from xlerobot_asr_opt.core.memory_budget import Ceiling
from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['Ladder', 'Pressure', 'Rung', 'Step', 'StepReport']

CALM = 2.0
"""A rung is left when a leak has this many times as long as where it was entered."""


class Rung(enum.IntEnum):
    """How far things have come; numbers as in MemoryReport.msg."""

    NORMAL = 0
    RELEASE = 1
    SHRINK = 2
    REFUSE = 3
    RESTART = 4


@dataclass(frozen=True)
class Pressure:
    """What the ladder decides by.

    Attributes:
        ceiling: the tightest one.
        time_to_limit: until the leaks together meet it [s]; None: nothing leaks.
        stalled: share of the time in which some task waited for memory; None: not told.
        leaking: the node that leaks fastest; empty: none.
    """

    ceiling: Ceiling
    time_to_limit: float | None = None
    stalled: float | None = None
    leaking: str = ''

    def __str__(self) -> str:
        parts = [str(self.ceiling)]
        if self.time_to_limit is not None:
            parts.append(f'{self.leaking} leaks, full in {self.time_to_limit:.0f} s')
        if self.stalled:
            parts.append(f'tasks wait for memory {100 * self.stalled:.0f} % of the time')
        return ', '.join(parts)


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        rung: whose measure is taken, or lifted.
        taken: whether it is taken.
        reason: the numbers.
        node: whom it is about, for RESTART.
    """

    rung: Rung
    taken: bool
    reason: str
    node: str = ''


@dataclass(frozen=True)
class StepReport:
    """What a step has brought.

    Attributes:
        step: the step.
        before: USS of the nodes that it is about [bytes].
        after: the same, when it was done [bytes].
        duration: from its begin until then [s].
    """

    step: Step
    before: int
    after: int
    duration: float

    def __str__(self) -> str:
        what = self.step.rung.name.lower() + (f' {self.step.node}' if self.step.node else '')
        return (f'{what} {"taken" if self.step.taken else "lifted"}: {self.step.reason}; '
                f'{self.before / 1e6:.1f} MB before, {self.after / 1e6:.1f} MB after, '
                f'{self.duration:.2f} s')


class Ladder:
    """Decides which rung memory is on.

    Args:
        limits: thresholds, and how long a step is given to show its effect.
        clock: monotonic time [s].
    """

    def __init__(self, limits: ManagerParameters, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._shares = {
            Rung.RELEASE: limits.memory_release, Rung.SHRINK: limits.memory_shrink,
            Rung.REFUSE: limits.memory_refuse, Rung.RESTART: limits.memory_restart}
        # Each rung has half the time of the one below: 30, 15, 7.5 and 3.75 minutes by default.
        self._times = {
            rung: limits.memory_horizon / 2.0 ** (rung - 1) for rung in self._shares}
        self._rung = Rung.NORMAL
        self._changed = self._repeated = float('-inf')
        self._restarted = float('-inf')

    @property
    def rung(self) -> Rung:
        """The rung that memory is on."""
        return self._rung

    def decide(self, pressure: Pressure) -> Step | None:
        """Return what is to be done now; None: nothing."""
        now = self._clock()
        if now - self._changed < self._limits.memory_settle:
            return None
        wanted = self._wanted(pressure)
        if wanted > self._rung:
            return self._climb(Rung(self._rung + 1), pressure, now)
        if self._rung is not Rung.NORMAL and self._is_calm(pressure):
            step = Step(self._rung, taken=False, reason=str(pressure))
            self._rung, self._changed = Rung(self._rung - 1), now
            return step
        if wanted is Rung.RESTART:
            return self._restart(pressure, now)
        if wanted is not Rung.NORMAL and now - self._repeated >= self._limits.memory_interval:
            self._repeated = now
            return Step(Rung.RELEASE, taken=True, reason=str(pressure))
        return None

    def _climb(self, rung: Rung, pressure: Pressure, now: float) -> Step | None:
        if rung is Rung.RESTART:
            return self._restart(pressure, now)
        self._rung, self._changed = rung, now
        if rung is Rung.RELEASE:
            self._repeated = now
        return Step(rung, taken=True, reason=str(pressure))

    def _restart(self, pressure: Pressure, now: float) -> Step | None:
        if now - self._restarted < self._limits.memory_interval:
            return None
        self._rung = Rung.RESTART
        self._changed = self._restarted = now
        return Step(Rung.RESTART, taken=True, reason=str(pressure), node=pressure.leaking)

    def _wanted(self, pressure: Pressure) -> Rung:
        """Return the highest rung that is called for."""
        wanted = Rung.NORMAL
        for rung, share in self._shares.items():
            if pressure.ceiling.share >= share or (
                    pressure.time_to_limit is not None
                    and pressure.time_to_limit <= self._times[rung]):
                wanted = rung
        if pressure.stalled is not None and pressure.stalled >= self._limits.memory_stalled:
            wanted = max(wanted, Rung.SHRINK)
        return min(wanted, Rung.RESTART if pressure.leaking else Rung.REFUSE)

    def _is_calm(self, pressure: Pressure) -> bool:
        """Whether the present rung can be left."""
        limits, rung = self._limits, self._rung
        soon = CALM * self._times[rung]
        return (pressure.ceiling.share < self._shares[rung] - limits.memory_hysteresis
                and (pressure.time_to_limit is None or pressure.time_to_limit > soon)
                and (rung > Rung.SHRINK or pressure.stalled is None
                     or pressure.stalled < limits.memory_stalled / CALM))
