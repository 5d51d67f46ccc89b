"""What the dispatcher keeps in mind, and what it tells its node to do."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.outcomes import Outcome
    from xlerobot_asr_opt.core.stream_order import StreamOrder
    from xlerobot_asr_opt.core.worker_pool import Worker
    from xlerobot_asr_opt.records import (
        Acknowledgement,
        Grant,
        Recognition,
        Ticket,
        Transcript,
    )

__all__ = [
    'Action',
    'Answer',
    'DispatchStatistics',
    'Job',
    'JobState',
    'Lease',
    'LookUp',
    'OpenSegment',
    'Publish',
    'Send',
    'Settle',
    'Show',
    'Store',
]


@dataclass(frozen=True)
class LookUp:
    """Ask the cache; the answer goes to Dispatcher.on_cache.

    Attributes:
        segment: names the question.
        key: 32 bytes.
    """

    segment: int
    key: bytes


@dataclass(frozen=True)
class Store:
    """Give the cache a value, JSON as of core/cache_values.py; no answer is waited for."""

    key: bytes
    value: str


@dataclass(frozen=True)
class Send:
    """Publish a grant."""

    grant: Grant


@dataclass(frozen=True)
class Publish:
    """Publish a transcript."""

    transcript: Transcript


@dataclass(frozen=True)
class Show:
    """Publish what was said so far, while its speaker goes on."""

    transcript: Transcript


@dataclass(frozen=True)
class Settle:
    """Publish an acknowledgement."""

    acknowledgement: Acknowledgement


Action = LookUp | Store | Send | Publish | Show | Settle
"""One thing for the node to do; a list of them is carried out in order."""


@dataclass(frozen=True)
class DispatchStatistics:
    """Counters of the dispatcher, names as in SchedulerStatus.msg.

    admitted = done + rejected + expired + cancelled + open, after every input.
    """

    open: int
    waiting: int
    workers: int
    admitted: int
    done: int
    rejected: int
    expired: int
    cancelled: int
    granted: int
    regranted: int
    cache_hits: int
    shared: int
    ahead: int
    ahead_used: int
    foretold: int
    stolen: int
    partials: int


@dataclass(frozen=True)
class Answer:
    """What a job came to.

    Attributes:
        recognition: from a worker or the cache.
        at: dispatcher's clock [s].
        cache: level of the cache that gave it; empty: a worker made it.
        lease: the grant that it answers, None for one of an earlier life and for the cache.
    """

    recognition: Recognition
    at: float
    cache: str = ''
    lease: Lease | None = None


@dataclass(eq=False)
class OpenSegment:
    """A segment that was admitted and has no published transcript yet.

    Attributes:
        ticket: as it was announced.
        received: dispatcher's clock [s].
        deadline: dispatcher's clock, or inf [s].
        order: of its stream.
        place: in the order.
        epoch: of the stream at the time, see StreamOrder.
        job: that is to answer it; None once the outcome is known.
        outcome: None while it is not known.
        lost: ingest does not keep it any more; it cannot be granted again.
    """

    ticket: Ticket
    received: float
    deadline: float
    order: StreamOrder
    place: int = 0
    epoch: int = 0
    job: Job | None = None
    outcome: Outcome | None = None
    lost: bool = False


class JobState(enum.Enum):
    """Where a job stands."""

    LOOKUP = enum.auto()
    """The cache was asked."""
    WAITING = enum.auto()
    """In the queue."""
    GRANTED = enum.auto()
    """A worker has it."""
    ANSWERED = enum.auto()
    """It was done ahead: its answer waits for a segment."""

    @property
    def waits(self) -> bool:
        """Whether a worker is still to be found."""
        return self in (JobState.LOOKUP, JobState.WAITING)


@dataclass(eq=False)
class Lease:
    """One grant, as long as it takes a worker's credit.

    Attributes:
        job: what was granted.
        worker: to whom.
        grant: as it was sent.
        granted: dispatcher's clock [s].
    """

    job: Job
    worker: Worker
    grant: Grant
    granted: float


@dataclass(eq=False)
class Job:
    """One recognition, for all open segments with equal samples and language.

    Attributes:
        key: digest of the samples, and language.
        order: counts the jobs: first come, first served.
        length: samples.
        priority: of the most urgent member, 0 is first.
        deadline: of the most urgent member [s], or inf.
        state: see JobState.
        foretold: the provisional ticket that it was begun for; None: an announced one.
        members: the segments that wait for the answer, by number; none: all were withdrawn, or
            none is announced yet.
        question: the segment that the cache was asked for; None: not asked yet.
        looked_up: begin and end of the cache lookup, empty without one [s].
        lease: the grant whose answer is waited for.
        leases: every grant that was sent.
        failures: grants that came to nothing, the spared ones left out.
        spared: grants that came to nothing by nobody's fault: samples torn on the way, or a
            worker that was deactivated.
        tried: workers that failed on it.
        answer: once it was done ahead.
    """

    key: tuple[bytes, str]
    order: int
    length: int
    priority: int
    deadline: float
    foretold: Ticket | None = None
    state: JobState = JobState.WAITING
    members: dict[int, OpenSegment] = field(default_factory=dict)
    question: int | None = None
    looked_up: tuple[float, float] = (0.0, 0.0)
    lease: Lease | None = None
    leases: list[Lease] = field(default_factory=list)
    failures: int = 0
    spared: int = 0
    tried: frozenset[str] = frozenset()
    answer: Answer | None = None

    @property
    def name(self) -> int:
        """The segment by which it is looked up and granted."""
        return next(iter(self.members), self.preview)

    @property
    def preview(self) -> int:
        """The provisional segment that it was begun for; 0: an announced one."""
        return 0 if self.foretold is None else self.foretold.segment

    @property
    def partial(self) -> Ticket | None:
        """Its ticket, if its text is to be shown while the speaker goes on."""
        return self.foretold if self.foretold is not None and self.foretold.partial else None

    @property
    def is_ahead(self) -> bool:
        """Whether it was begun for what a speaker had said at a pause."""
        return self.foretold is not None and not self.foretold.partial

    @property
    def stream(self) -> str:
        """Whose it is while it waits: the stream of the segment that it would be granted for."""
        for segment in self.members.values():
            return segment.ticket.stream
        return ''
