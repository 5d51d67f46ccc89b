"""Foretells when a job that has to wait would be done, to refuse at once what would be too late.

The workers share what waits, since they steal from each other. So a job that waits begins, at the
earliest, when all that is served before it has flowed into the workers like water: first into the
one that is free soonest, until it is level with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from xlerobot_asr_opt.core.ranked_line import Job
    from xlerobot_asr_opt.core.service_time import ServiceTime
    from xlerobot_asr_opt.core.work_stealing import WorkStealingDeques

__all__ = ['Forecast', 'Server', 'earliest_begin', 'foretell']


class Server(Protocol):
    """A worker, as far as its time can be foretold."""

    @property
    def name(self) -> Hashable:
        """Whose deque is meant."""

    @property
    def service(self) -> ServiceTime:
        """What a job takes it."""

    def busy_s(self, now: float) -> float:
        """How long it will take for what it has begun [s]."""


@dataclass(frozen=True)
class Forecast:
    """What a job that waits would need.

    Attributes:
        queue_s: until a worker begins with it [s].
        service_s: that the worker takes for it [s].
        workers: how many may take it.
    """

    queue_s: float
    service_s: float
    workers: int

    @property
    def total_s(self) -> float:
        """From now to its answer [s]."""
        return self.queue_s + self.service_s

    def refusal(self, left_s: float, budget_s: float) -> str:
        """Say why a job with so much of its budget left is refused."""
        workers = f'{self.workers} worker' + ('s' if self.workers > 1 else '')
        return (f'needs about {1e3 * self.total_s:.0f} ms: {1e3 * self.queue_s:.0f} ms queued '
                f'before it on {workers}, {1e3 * max(0.0, left_s):.0f} ms are left of its budget '
                f'of {1e3 * budget_s:.0f} ms; add workers, raise the budget or lower the load')


def foretell(
    job: Job, workers: Sequence[Server], deques: WorkStealingDeques[Any], now: float,
) -> Forecast | None:
    """What a job would need that waits, or were queued, now.

    Args:
        job: to be judged.
        workers: who may take it.
        deques: where all that waits is queued.
        now: on the clock of the caller [s].

    Returns:
        None: nobody can know, since one of the workers has not answered yet, or there is none.
    """
    if not workers or not all(worker.service.measured for worker in workers):
        return None
    rank = deques.rank(job)
    queue_s = sum(worker.service.of(deques.before(job.priority, rank, worker.name))
                  for worker in workers)
    begin_s = earliest_begin([worker.busy_s(now) for worker in workers], queue_s)
    service_s = min(worker.service.of_one(job.length) for worker in workers)
    return Forecast(begin_s, service_s, len(workers))


def earliest_begin(busy_s: Iterable[float], queue_s: float) -> float:
    """When the first worker is free once all that waits has been begun, at the earliest [s].

    Args:
        busy_s: for each worker, until when it works on what it holds [s].
        queue_s: work that is served before, by any of them [s].
    """
    levels = sorted(busy_s)
    level = levels[0]
    for count, upper in enumerate(levels[1:], start=1):
        room = count * (upper - level)
        if room >= queue_s:
            return level + queue_s / count
        queue_s -= room
        level = upper
    return level + queue_s / len(levels)
