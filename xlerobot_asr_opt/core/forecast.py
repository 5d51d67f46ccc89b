"""Foretells when a job that has to wait would be done, to refuse at once what would be too late.

The workers share what waits, since they steal from each other. So a job that waits begins, at the
earliest, when all that is served before it has flowed into the workers like water: first into the
one that is free soonest, until it is level with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ['Forecast', 'earliest_begin']


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
