"""Jobs in the order of their ranks, with the sum of what stands before any of them.

The ranks stand in sorted buckets of a bounded size, each with the sum of its lengths. So adding,
taking out at either end or anywhere, and summing up what comes before a rank all cost a bisection
and one short slice, at ten thousand jobs as at ten.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ['NOTHING', 'Job', 'Rank', 'RankedLine', 'Work']

MOST = 128
"""Ranks in one bucket before it is halved."""

Demand = tuple[int, frozenset[str]]
Rank = tuple[int, float, int]
"""Round of its stream, deadline, and number of the job, which makes it unique."""


class Job(Protocol):
    """What can wait in a line; none of it changes while it waits.

    Attributes:
        order: counts the jobs: unique, first come first.
        length: what it asks of a worker, in any unit that all jobs share.
        priority: class, 0 is served first.
        deadline: on the clock of the caller, or inf [s].
        stream: whose it is, for fairness.
    """

    @property
    def order(self) -> int: ...  # noqa: D102
    @property
    def length(self) -> int: ...  # noqa: D102
    @property
    def priority(self) -> int: ...  # noqa: D102
    @property
    def deadline(self) -> float: ...  # noqa: D102
    @property
    def stream(self) -> str: ...  # noqa: D102


class Work(NamedTuple):
    """How much waits: jobs, and the sum of their lengths."""

    jobs: int
    length: int


NOTHING = Work(0, 0)


class RankedLine:
    """Ranks with a length each, sorted."""

    def __init__(self) -> None:
        self._buckets: list[list[Rank]] = []
        self._lasts: list[Rank] = []
        self._sums: list[int] = []
        self._lengths: dict[int, int] = {}
        self._sum = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[Rank]:
        for bucket in self._buckets:
            yield from bucket

    @property
    def first(self) -> Rank:
        """The lowest rank; there has to be one."""
        return self._buckets[0][0]

    @property
    def work(self) -> Work:
        """All that stands here."""
        return Work(len(self._lengths), self._sum)

    def add(self, rank: Rank, length: int) -> None:
        """Add a rank that does not stand here."""
        self._lengths[rank[2]] = length
        self._sum += length
        if not self._buckets:
            self._buckets.append([rank])
            self._lasts.append(rank)
            self._sums.append(length)
            return
        at = min(bisect_left(self._lasts, rank), len(self._lasts) - 1)
        bucket = self._buckets[at]
        insort(bucket, rank)
        self._lasts[at] = bucket[-1]
        self._sums[at] += length
        if len(bucket) > MOST:
            self._halve(at)

    def remove(self, rank: Rank) -> None:
        """Take out a rank that stands here."""
        at = bisect_left(self._lasts, rank)
        bucket = self._buckets[at]
        del bucket[bisect_left(bucket, rank)]
        length = self._lengths.pop(rank[2])
        self._sum -= length
        if bucket:
            self._lasts[at] = bucket[-1]
            self._sums[at] -= length
        else:
            del self._buckets[at], self._lasts[at], self._sums[at]

    def last_before(self, rank: Rank) -> Rank | None:
        """The highest rank below this one, which need not stand here; None: there is none."""
        at = bisect_left(self._lasts, rank)
        if at < len(self._lasts):
            place = bisect_left(self._buckets[at], rank)
            if place:
                return self._buckets[at][place - 1]
        return self._lasts[at - 1] if at else None

    def before(self, rank: Rank) -> Work:
        """What stands before a rank, which need not stand here itself."""
        at = bisect_left(self._lasts, rank)
        if at == len(self._lasts):
            return self.work
        bucket = self._buckets[at]
        place = bisect_left(bucket, rank)
        jobs = place + sum(map(len, self._buckets[:at]))
        inside = sum(self._lengths[other[2]] for other in bucket[:place])
        return Work(jobs, inside + sum(self._sums[:at]))

    def _halve(self, at: int) -> None:
        bucket = self._buckets[at]
        left, right = bucket[:MOST // 2], bucket[MOST // 2:]
        total = self._sums[at]
        *_, lower = accumulate(self._lengths[rank[2]] for rank in left)
        self._buckets[at:at + 1] = [left, right]
        self._lasts[at:at + 1] = [left[-1], right[-1]]
        self._sums[at:at + 1] = [lower, total - lower]
