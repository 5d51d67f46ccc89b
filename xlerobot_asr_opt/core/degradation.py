"""Decides at which level of degradation the graph is: a table of edges, and who may take them.

The first three levels say what answers, and follow what the breakers of the backends decide; the
others say what is not taken any more, and follow the pressure: 1 at the begin of trouble, 4 at its
end. docs/degradation.md draws the table.

An edge is taken when its condition has held without a break for level_enter, towards a worse
level, or for level_leave, towards a better one. A level is left when the pressure is
level_hysteresis below that at which it is entered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.records import Degradation, DegradationLevel

__all__ = ['EDGES', 'NO_ACCELERATOR', 'DegradationPolicy', 'Edge', 'Situation', 'level_of']

BPU, CPU, CPU_SMALL, FINALS, COMMANDS, REFUSE = DegradationLevel

NO_SMALL = 'no smaller model answers (inference.small_model)'
NO_ACCELERATOR = 'no accelerator is configured (inference.backends)'
NO_CPU = 'no backend on the CPU is configured (inference.backends)'


@dataclass(frozen=True)
class Situation:
    """What the policy decides by.

    Attributes:
        accelerator: whether an accelerator answers; None: no worker tells.
        accelerators: why it does, or does not.
        has_accelerator: whether one is configured.
        has_cpu: whether a backend on the CPU is configured.
        small: whether a smaller model answers.
        pressure: 1 at the begin of trouble, 4 at its end.
        told: the numbers behind the pressure.
    """

    accelerator: bool | None = None
    accelerators: str = ''
    has_accelerator: bool = True
    has_cpu: bool = True
    small: bool = False
    pressure: float = 0.0
    told: str = 'nothing presses'

    @property
    def best(self) -> DegradationLevel:
        """The level that the graph has while all is well."""
        return BPU if self.has_accelerator else CPU


@dataclass(frozen=True)
class Edge:
    """One way from level to level; all that is given has to hold.

    Attributes:
        start: the level that is left.
        end: the level that is entered.
        above: pressure from which on.
        below: pressure below which, less the hysteresis.
        accelerator: whether an accelerator answers.
        small: whether a smaller model answers.
    """

    start: DegradationLevel
    end: DegradationLevel
    above: float | None = None
    below: float | None = None
    accelerator: bool | None = None
    small: bool | None = None

    @property
    def is_worse(self) -> bool:
        """Whether it leads to a worse level."""
        return self.end > self.start

    @property
    def condition(self) -> str:
        """What has to hold, in words."""
        parts = []
        if self.accelerator is not None:
            parts.append('an accelerator answers' if self.accelerator
                         else 'no accelerator answers')
        if self.small is not None:
            parts.append(f'{"a" if self.small else "no"} smaller model answers')
        if self.above is not None:
            parts.append(f'pressure from {self.above:g} on')
        if self.below is not None:
            parts.append(f'pressure below {self.below:g}, less the hysteresis')
        return ', '.join(parts)

    def holds(self, situation: Situation, hysteresis: float) -> bool:
        """Whether it may be taken now."""
        return ((self.accelerator is None or situation.accelerator is self.accelerator)
                and (self.small is None or situation.small is self.small)
                and (self.above is None or situation.pressure >= self.above)
                and (self.below is None or situation.pressure < self.below - hysteresis))

    def reason(self, situation: Situation) -> str:
        """Why it is taken, with the numbers."""
        if self.below is not None:
            return f'it eases: {situation.told}'
        if self.above is None:
            return situation.accelerators
        skipped = self.start is CPU and self.end is FINALS
        return f'{situation.told}{f"; cpu_small is skipped, {NO_SMALL}" if skipped else ""}'


EDGES = (
    Edge(BPU, CPU, accelerator=False),
    Edge(BPU, FINALS, above=2.0),
    Edge(CPU, BPU, accelerator=True),
    Edge(CPU, CPU_SMALL, small=True, above=1.0),
    Edge(CPU, FINALS, small=False, above=2.0),
    Edge(CPU_SMALL, BPU, accelerator=True),
    Edge(CPU_SMALL, FINALS, above=2.0),
    Edge(CPU_SMALL, CPU, below=1.0),
    Edge(FINALS, COMMANDS, above=3.0),
    Edge(FINALS, BPU, accelerator=True, below=2.0),
    Edge(FINALS, CPU_SMALL, accelerator=False, small=True, below=2.0),
    Edge(FINALS, CPU, accelerator=False, small=False, below=2.0),
    Edge(COMMANDS, REFUSE, above=4.0),
    Edge(COMMANDS, FINALS, below=3.0),
    Edge(REFUSE, COMMANDS, below=4.0),
)
"""Every edge; of two that may be taken, the first one is."""


def level_of(word: str) -> DegradationLevel:
    """Return the level of this name.

    Raises:
        ConfigurationError: there is none.
    """
    for level in DegradationLevel:
        if level.word == word:
            return level
    raise ConfigurationError(
        f'got the level {word!r}, expected one of '
        f'{", ".join(level.word for level in DegradationLevel)}')


class DegradationPolicy:
    """Goes from level to level; one that is forced hides the own one, which goes on below it.

    Args:
        limits: the times and the hysteresis.
        clock: monotonic [s].
    """

    def __init__(self, limits: ManagerParameters, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._level = BPU
        self._reason = 'nothing has called for less'
        self._forced: DegradationLevel | None = None
        self._situation = Situation()
        self._holding: dict[Edge, float] = {}

    def look(self, situation: Situation) -> Degradation:
        """Take at most one edge; return the level that is in force then."""
        now = self._clock()
        self._situation = situation
        ways = [edge for edge in EDGES if edge.start is self._level
                and edge.holds(situation, self._limits.level_hysteresis)]
        self._holding = {edge: self._holding.get(edge, now) for edge in ways}
        for edge in ways:
            patience = (self._limits.level_enter if edge.is_worse
                        else self._limits.level_leave)
            if now - self._holding[edge] >= patience:
                self._level, self._reason = edge.end, edge.reason(situation)
                self._holding = {}
                break
        return self.degradation

    @property
    def degradation(self) -> Degradation:
        """The level that is in force."""
        forced = self._forced is not None
        level = self._level if self._forced is None else self._forced
        reason = self._reason
        if forced:
            reason = f'held by hand; it would be {self._level.word}: {self._reason}'
        return Degradation(level=level, reason=reason, forced=forced,
                           best=self._situation.best, pressure=self._situation.pressure)

    def force(self, level: DegradationLevel) -> None:
        """Hold a level until release().

        Raises:
            ConfigurationError: what it needs is not there.
        """
        there = self._situation
        missing = {BPU: (there.has_accelerator, NO_ACCELERATOR), CPU: (there.has_cpu, NO_CPU),
                   CPU_SMALL: (there.small, NO_SMALL)}
        is_there, why = missing.get(level, (True, ''))
        if not is_there:
            raise ConfigurationError(f'{level.word} cannot be held: {why}')
        self._forced = level

    def release(self) -> None:
        """Go on by what is measured, also in the meantime."""
        self._forced = None
