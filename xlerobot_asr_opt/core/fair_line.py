"""The jobs of one priority class, in an order that is fair to their streams.

Start-time fair queueing (Goyal, Vin and Cheng, 1996), in rounds that all deques share. A job
begins where the last one of its stream ended, or at the round that is served now if its stream
asked for less than that; so a stream's first job stands in the present round whatever the others
have heaped up, and a hog's hundredth a hundred usual jobs later. Within a round the earliest
deadline is first, then who came first. While nobody asks for more than his share, all stand in
one round, and what is left is earliest deadline first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.ranked_line import NOTHING, RankedLine, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from xlerobot_asr_opt.core.ranked_line import Demand, Job, Rank

__all__ = ['FairLine', 'Shares']

REMEMBERED = 64
"""Streams that are remembered beyond twice as many as jobs wait before they are swept."""


class Shares:
    """What the streams of a class have asked for, whatever the worker.

    Args:
        quantum: length of a usual job: what a stream may ask for in one round.
    """

    def __init__(self, quantum: int) -> None:
        self._quantum = quantum
        self._ends: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def rank(self, job: Job, present: int) -> Rank:
        """The rank of a job that comes now.

        Args:
            job: of any stream.
            present: the first round in which anything waits, in any deque.
        """
        return self._begin(job, present) // self._quantum, job.deadline, job.order

    def charge(self, job: Job, present: int, waiting: int) -> Rank:
        """Count a job that is queued, with so many that wait, against its stream."""
        begin = self._begin(job, present)
        self._ends[job.stream] = begin + job.length
        if len(self._ends) > 2 * waiting + REMEMBERED:
            begun = present * self._quantum
            self._ends = {stream: end for stream, end in self._ends.items() if end > begun}
        return begin // self._quantum, job.deadline, job.order

    def _begin(self, job: Job, present: int) -> int:
        return max(present * self._quantum, self._ends.get(job.stream, 0))


class FairLine:
    """The jobs of one class before one worker; those with equal demands stand in one lane.

    Only the ends of a lane are ever looked at: a job that the asking worker must not take does not
    hold up the others, and a decision costs as much as there are lanes, which are a handful.
    """

    def __init__(self) -> None:
        self._lanes: dict[Demand, RankedLine] = {}
        self._jobs = 0

    def __len__(self) -> int:
        return self._jobs

    @property
    def round(self) -> int:
        """The first round in which anything waits here; something has to."""
        if len(self._lanes) == 1:
            for lane in self._lanes.values():
                return lane.first[0]
        return min(lane.first[0] for lane in self._lanes.values())

    def push(self, rank: Rank, length: int, demand: Demand) -> None:
        """Add a job."""
        lane = self._lanes.get(demand)
        if lane is None:
            lane = self._lanes[demand] = RankedLine()
        lane.add(rank, length)
        self._jobs += 1

    def discard(self, rank: Rank, demand: Demand) -> None:
        """Take a job out."""
        lane = self._lanes[demand]
        lane.remove(rank)
        self._jobs -= 1
        if not lane:
            del self._lanes[demand]

    def first(self, fits: Callable[[Demand], bool]) -> Rank | None:
        """The rank that is served first, of those in a lane that fits."""
        if len(self._lanes) == 1:
            for demand, lane in self._lanes.items():
                return lane.first if fits(demand) else None
        return min((lane.first for demand, lane in self._lanes.items() if fits(demand)),
                   default=None)

    def last(self, fits: Callable[[Demand], bool]) -> Rank | None:
        """The rank that is served last, of those in a lane that fits."""
        return max((lane.last for demand, lane in self._lanes.items() if fits(demand)),
                   default=None)

    @property
    def work(self) -> Work:
        """All that stands here."""
        return _total([lane.work for lane in self._lanes.values()])

    def before(self, rank: Rank) -> Work:
        """What is served before this rank."""
        return _total([lane.before(rank) for lane in self._lanes.values()])


def _total(works: list[Work]) -> Work:
    if not works:
        return NOTHING
    if len(works) == 1:
        return works[0]
    return Work(sum(work.jobs for work in works), sum(work.length for work in works))
