"""A deque of waiting jobs for each worker, and stealing between them.

A job is queued with one worker. That worker, the owner, takes from the near end: the lowest
priority class, in it the earliest round of what is fair to the streams, in it the earliest
deadline (fair_line.py). A worker that finds nothing of its own looks at two others by chance, of
those that hold something of the round that is due, and steals from the one where more waits: from
the far end of that round, what would be served last in it and has not started. So the near end
stays with its worker, and nobody is idle while a job that it may take waits anywhere.

Classes and rounds are kept between the deques too: what is of a more urgent class, or of a round
earlier by more than SLACK, is stolen before anything of one's own is taken. Every OLDEST_EVERY-th
job that a worker takes is the oldest of those that stand first in a class of its own deque, so
that a lower class does not starve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from xlerobot_asr_opt.core.fair_line import FairLine, Shares
from xlerobot_asr_opt.core.ranked_line import NOTHING, Demand, Job, Rank, Work

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Hashable

    Fits = Callable[[Demand], bool]

__all__ = ['ANYBODY', 'OLDEST_EVERY', 'Demand', 'StealCounters', 'WorkStealingDeques']

OLDEST_EVERY = 16
"""One job in this many is taken by age, whatever its class."""

SLACK = 1
"""Rounds by which a worker's own jobs may be ahead of others before it looks after those."""

ANYBODY: Demand = (0, frozenset())
"""The demand of a job that every worker may take."""

J = TypeVar('J', bound=Job)


@dataclass(frozen=True)
class StealCounters:
    """Counters of the deques, named as Tokio's; they only rise.

    Attributes:
        local_schedule_count: jobs queued with the worker that they prefer.
        remote_schedule_count: jobs queued with another one.
        steal_operations: looks into the deques of others, fruitless ones included.
        steal_count: jobs that were stolen.
    """

    local_schedule_count: int = 0
    remote_schedule_count: int = 0
    steal_operations: int = 0
    steal_count: int = 0


class _Place(NamedTuple, Generic[J]):
    """Where a job waits."""

    job: J
    deque: _Deque
    rank: Rank
    demand: Demand


class _Deque:
    """What waits for one worker, by class."""

    def __init__(self) -> None:
        self.classes: dict[int, FairLine] = {}
        self.taken = 0


class WorkStealingDeques(Generic[J]):
    """The deques of all workers.

    What nobody can take yet stands in a deque without an owner, the worker None; whoever fits
    takes from its near end.

    Args:
        chance: draws the victims.
        quantum: length of a usual job, for the fairness between streams.
    """

    def __init__(self, chance: random.Random, quantum: int = 1) -> None:
        self._chance = chance
        self._quantum = quantum
        self._deques: dict[Hashable, _Deque] = {None: _Deque()}
        self._places: dict[int, _Place[J]] = {}
        self._shares: dict[int, Shares] = {}
        self._local = self._remote = self._operations = self._stolen = 0

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, job: J) -> bool:
        return job.order in self._places

    def counters(self) -> StealCounters:
        """A snapshot."""
        return StealCounters(self._local, self._remote, self._operations, self._stolen)

    def push(self, job: J, worker: Hashable, demand: Demand = ANYBODY, *,
             preferred: bool = False) -> None:
        """Queue a job with a worker.

        Args:
            job: must not change while it waits.
            worker: whom it waits for first; None: nobody can take it yet.
            demand: what it asks of a worker; jobs of equal demands stand in one lane.
            preferred: whether it is the worker that the job prefers, for the counters.
        """
        deque = self._deques.get(worker)
        if deque is None:
            deque = self._deques[worker] = _Deque()
        shares = self._shares.get(job.priority)
        if shares is None:
            shares = self._shares[job.priority] = Shares(self._quantum)
        rank = shares.charge(job)
        line = deque.classes.get(job.priority)
        if line is None:
            line = deque.classes[job.priority] = FairLine()
        line.push(rank, job.length, demand)
        self._places[job.order] = _Place(job, deque, rank, demand)
        self._local += preferred
        self._remote += not preferred

    def discard(self, job: J) -> None:
        """Take a job out, if it waits here."""
        place = self._places.pop(job.order, None)
        if place is None:
            return
        line = place.deque.classes[job.priority]
        line.discard(place.rank, place.demand)
        if not line:
            del place.deque.classes[job.priority]
        shares = self._shares[job.priority]
        shares.discharge(place.rank)
        if not shares.waits:
            del self._shares[job.priority]

    def take(self, worker: Hashable, fits: Fits) -> J | None:
        """Take the job that a worker is to begin now, its own or a stolen one.

        Args:
            worker: who takes it.
            fits: whether the worker may take jobs of a demand.

        Returns:
            The job, which is out of the deques; None: nothing waits that it may take.
        """
        if not self._places:
            return None
        own = self._deques.get(worker)
        if len(self._shares) > 1:
            oldest = self._by_age(own, fits) if own is not None else None
            if oldest is not None:
                return self._take(oldest, own)
        for priority in sorted(self._shares):
            rank = self._next(own, priority, fits)
            if rank is not None:
                return self._take(rank, own)
        return None

    def holds(self, worker: Hashable) -> bool:
        """Whether anything is queued with this worker."""
        deque = self._deques.get(worker)
        return deque is not None and bool(deque.classes)

    def rank(self, job: J) -> Rank:
        """The rank within its class of a job that waits, or were queued now."""
        place = self._places.get(job.order)
        if place is not None:
            return place.rank
        shares = self._shares.get(job.priority)
        return shares.rank(job) if shares is not None else (0, job.deadline, job.order)

    def before(self, priority: int, rank: Rank, worker: Hashable) -> Work:
        """What this worker serves before a rank of a class."""
        deque = self._deques.get(worker)
        if deque is None or not deque.classes:
            return NOTHING
        jobs = length = 0
        for other, line in deque.classes.items():
            if other <= priority:
                work = line.before(rank) if other == priority else line.work
                jobs, length = jobs + work.jobs, length + work.length
        return Work(jobs, length)

    def clear(self) -> list[J]:
        """Take all jobs out, in the order in which they came, and forget the workers."""
        jobs = sorted((place.job for place in self._places.values()), key=lambda job: job.order)
        self._deques = {None: _Deque()}
        self._places.clear()
        self._shares.clear()
        return jobs

    def _take(self, rank: Rank, own: _Deque | None) -> J:
        place = self._places[rank[2]]
        self.discard(place.job)
        if own is not None and place.deque is own:
            own.taken += 1
        elif place.deque is not self._deques[None]:
            self._stolen += 1
        return place.job

    def _next(self, own: _Deque | None, priority: int, fits: Fits) -> Rank | None:
        """What a worker takes of a class: its own, unless that can wait for another's."""
        mine = self._first(own, priority, fits) if own is not None else None
        if mine is not None and mine[0] <= self._shares[priority].present + SLACK:
            return mine
        other = self._steal(priority, own, fits)
        return other if mine is None or (other is not None and other[0] < mine[0]) else mine

    def _first(self, deque: _Deque, priority: int, fits: Fits) -> Rank | None:
        line = deque.classes.get(priority)
        return line.first(fits) if line is not None else None

    def _by_age(self, own: _Deque, fits: Fits) -> Rank | None:
        """Whom to serve by age alone; None: it is not the turn of age."""
        if own.taken % OLDEST_EVERY != OLDEST_EVERY - 1:
            return None
        firsts = (line.first(fits) for line in own.classes.values())
        return min((rank for rank in firsts if rank is not None), key=lambda rank: rank[2],
                   default=None)

    def _steal(self, priority: int, own: _Deque | None, fits: Fits) -> Rank | None:
        """Look at two others by chance; the far end of what is due where more waits."""
        self._operations += 1
        victims: list[FairLine] = []
        due = 0
        for owner, deque in self._deques.items():
            if owner is None or deque is own:
                continue
            rank = self._first(deque, priority, fits)
            if rank is None or (victims and rank[0] > due):
                continue
            if victims and rank[0] < due:
                victims.clear()
            due = rank[0]
            victims.append(deque.classes[priority])
        if len(victims) > 2:
            victims = self._chance.sample(victims, 2)
        if victims:
            return max(victims, key=len).last(due, fits)
        return self._first(self._deques[None], priority, fits)
