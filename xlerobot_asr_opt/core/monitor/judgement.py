"""A judgement in plain words, the records it is made from, and a window over counters."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.breaker import State
    from xlerobot_asr_opt.core.dispatch_records import DispatchStatistics
    from xlerobot_asr_opt.core.memory_ladder import Rung

__all__ = [
    'SILENT_AFTER_S', 'BackendReport', 'Judgement', 'Level', 'MemoryReport', 'ProcessMemory',
    'SchedulerReport', 'Window', 'percentile', 'worst',
]

SILENT_AFTER_S = 5.0
"""What is sent at 1 Hz or more often and was not heard for this long is stale [s]."""
SAMPLES = 120
"""Samples that a window keeps at most."""


class Level(enum.IntEnum):
    """DiagnosticStatus levels."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


GRAVITY = (Level.OK, Level.WARN, Level.STALE, Level.ERROR)
"""What is known to be wrong is graver than what is not known."""


@dataclass(frozen=True)
class Judgement:
    """What is thought of one side of the graph.

    Attributes:
        name: of the side, one word.
        level: how bad it is.
        message: why, with the numbers.
        values: name to number, unit in the name.
    """

    name: str
    level: Level
    message: str
    values: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class SchedulerReport:
    """A SchedulerStatus."""

    active: bool
    counters: DispatchStatistics


@dataclass(frozen=True)
class BackendReport:
    """One backend of one worker; fields as in BackendState.msg."""

    backend: str
    state: State
    forced: bool
    reason: str
    good: int
    failures: int
    opened: int
    abandoned: int


@dataclass(frozen=True)
class ProcessMemory:
    """Memory of one node's process [bytes]; slope in MB/min, NaN where it is not known."""

    node: str
    uss: int
    pss: int
    slope: float
    growing: bool


@dataclass(frozen=True)
class MemoryReport:
    """A MemoryReport [bytes]; stalled is a share of the time, NaN where it is not told."""

    ceiling: str
    used: int
    limit: int
    available: int
    stalled: float
    rung: Rung
    processes: tuple[ProcessMemory, ...]


class Window:
    """Samples of some counters over the newest seconds, thinned so that it stays small.

    Args:
        seconds: its length [s].
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, tuple[float, ...]]] = deque()

    def add(self, now: float, values: Iterable[float]) -> None:
        """Take a sample; one that is lower than the one before it begins the window anew."""
        sample = tuple(values)
        samples = self._samples
        if samples and any(new < old for new, old in zip(sample, samples[-1][1], strict=True)):
            samples.clear()
        if len(samples) > 1 and now - samples[-2][0] < self._seconds / SAMPLES:
            samples.pop()
        samples.append((now, sample))
        # The newest sample that is older than the window is where its change is counted from.
        while len(samples) > 1 and now - samples[1][0] >= self._seconds:
            samples.popleft()

    def change(self) -> tuple[float, tuple[float, ...]]:
        """Time between the oldest and the newest sample [s], and what was added meanwhile."""
        if not self._samples:
            return 0.0, ()
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return end - begin, tuple(new - old for new, old in zip(last, first, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed, by the nearest rank.

    NaN of no values.
    """
    if not values:
        return float('nan')
    return float(np.percentile(values, 100 * share, method='inverted_cdf'))


def worst(
    name: str, findings: Sequence[tuple[Level, str]], good: str, values: Mapping[str, float | str],
) -> Judgement:
    """Sum findings up: the gravest level, and the words of all that reach it; good for none."""
    level = max((level for level, _ in findings), key=GRAVITY.index, default=Level.OK)
    told = [text for found, text in findings if found is level]
    return Judgement(name, level, '; '.join(told) if level else good, values)
