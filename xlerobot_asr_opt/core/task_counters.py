"""What a WorkStealingScheduler counts of its tasks and its workers."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from xlerobot_asr_opt.core.service_time import ServiceTime

__all__ = ['Outcome', 'TaskCounters', 'TaskWorker']


class Outcome(enum.Enum):
    """How a task ended."""

    SUCCESS = enum.auto()
    """It returned."""
    FAILURE = enum.auto()
    """It raised."""
    REJECTED = enum.auto()
    """It was refused."""
    EXPIRED = enum.auto()
    """Its deadline passed first."""
    CANCELLED = enum.auto()
    """It was withdrawn, or the scheduler stopped before it began."""


@dataclass
class TaskCounters:
    """Counters of tasks; they only rise, but for ``open``.

    Attributes:
        admitted: tasks that were submitted: done + rejected + expired + cancelled + open.
        open: of these, without an outcome.
        outcomes: of the others, by how they ended.
        queue_duration_s: from submission to begin, of all tasks that began [s].
    """

    admitted: int = 0
    open: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    queue_duration_s: float = 0.0

    def admit(self) -> None:
        """Count a task that was submitted."""
        self.admitted += 1
        self.open += 1

    def settle(self, outcome: Outcome) -> None:
        """Count how a task ended."""
        self.open -= 1
        self.outcomes[outcome] += 1


@dataclass(eq=False)
class TaskWorker:
    """One worker: what it runs, and what that has taken so far.

    Attributes:
        name: its number.
        service: what its tasks take.
        length: of the running task.
        began: when the running task began, None: none runs [s].
        busy_duration_s: that tasks have run, the running one left out [s].
        park_count: how often it found nothing to do.
    """

    name: int
    service: ServiceTime = field(default_factory=ServiceTime)
    length: int = 0
    began: float | None = None
    busy_duration_s: float = 0.0
    park_count: int = 0

    def begin(self, length: int, now: float) -> None:
        """Note that a task begins."""
        self.length, self.began = length, now

    def end(self, now: float) -> float:
        """Note that it has ended; returns how long it ran [s]."""
        took = now - (self.began if self.began is not None else now)
        self.began = None
        self.busy_duration_s += took
        self.service.observe(self.length, took)
        return took

    def busy_so_far_s(self, now: float) -> float:
        """How long tasks have run, the running one included [s]."""
        return self.busy_duration_s + (now - self.began if self.began is not None else 0.0)

    def busy_s(self, now: float) -> float:
        """How long it will go on with what it has begun [s]."""
        if self.began is None:
            return 0.0
        return max(0.0, self.service.of_one(self.length) - (now - self.began))
