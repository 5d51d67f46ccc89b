"""Decides which segment goes to which worker, and when its transcript is published.

The dispatcher sees tickets, never samples. It is told what happened (a ticket, an answer of the
cache, a worker's status, a recognition, that time passed) and returns what the node has to do, in
order. It has no thread, no middleware and no clock of its own, so that every case can be played
through in a test.

A ticket becomes an open segment. Open segments with equal samples and language share one job: it
asks the cache, waits in line, is granted to a worker, and granted again if that comes to nothing.
What becomes of the job becomes of each of its segments; it is published when the segment's turn in
its stream has come. A provisional ticket begins a job without a segment, as soon as a worker is
idle: the segment that is announced a moment later, with the same samples, joins it.
docs/scheduling.md has the rules and the reasons.
"""

from __future__ import annotations

import heapq
import logging
import math
import random
from collections import OrderedDict
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_values import cache_key, from_json, to_json
from xlerobot_asr_opt.core.degradation_effects import is_finals_only, refusal
from xlerobot_asr_opt.core.dispatch_records import (
    Action,
    Answer,
    DispatchStatistics,
    Job,
    JobState,
    Lease,
    LookUp,
    OpenSegment,
    Publish,
    Send,
    Settle,
    Show,
    Store,
)
from xlerobot_asr_opt.core.outcomes import (
    ANSWERED,
    Outcome,
    answered,
    expired,
    refused,
    transcript,
)
from xlerobot_asr_opt.core.pauses import Pauses
from xlerobot_asr_opt.core.placement import Placement
from xlerobot_asr_opt.core.stream_order import StreamOrder
from xlerobot_asr_opt.core.worker_pool import WorkerPool
from xlerobot_asr_opt.errors import StoreError
from xlerobot_asr_opt.records import (
    SAMPLE_RATE,
    Acknowledgement,
    Degradation,
    Grant,
    Latency,
    RecognitionStatus,
    TranscriptStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xlerobot_asr_opt.core.forecast import Forecast
    from xlerobot_asr_opt.core.worker_pool import Worker
    from xlerobot_asr_opt.parameters import SchedulerParameters
    from xlerobot_asr_opt.records import Recognition, Ticket, WorkerStatus

__all__ = [
    'Action',
    'DispatchStatistics',
    'Dispatcher',
    'LookUp',
    'Publish',
    'Send',
    'Settle',
    'Show',
    'Store',
]

logger = logging.getLogger(__name__)

SETTLED_REMEMBERED = 10_000
"""Settled segments that are acknowledged again when they are announced again."""

STREAMS_REMEMBERED = 10_000
"""Idle streams whose place and worker are remembered."""

AHEAD_S = 5.0
"""How long an answer that was made ahead waits for its segment: longer than any hangover [s]."""

SPARED = 5
"""Grants of a job that may come to nothing by nobody's fault before it counts as a failure."""


class Dispatcher:
    """The scheduler's decisions.

    Every input returns the actions that follow from it, to be carried out in order. Inputs come
    from one thread.

    Args:
        parameters: of the node scheduler.
        clock: seconds, monotonic.
        chance: whom a worker without work looks at to steal from; None: the same at every start.
    """

    def __init__(
        self, parameters: SchedulerParameters, clock: Callable[[], float],
        chance: random.Random | None = None,
    ) -> None:
        self._parameters = parameters
        self._clock = clock
        self._chance = chance or random.Random(0)  # noqa: S311 - no secret hangs on it
        self._actions: list[Action] = []
        self._settled: OrderedDict[int, TranscriptStatus] = OrderedDict()
        self._outcomes = dict.fromkeys(TranscriptStatus, 0)
        self._admitted = self._granted = self._regranted = self._cache_hits = self._shared = 0
        self._ahead = self._ahead_used = self._foretold = self._stolen = self._partials = 0
        self._jobs_made = 0
        self._degradation = Degradation()
        self._forget()

    def _forget(self) -> None:
        self._pool = WorkerPool()
        self._line = Placement(self._pool, self._chance)
        self._streams: OrderedDict[str, StreamOrder] = OrderedDict()
        self._stuck: dict[StreamOrder, float] = {}
        self._open: dict[int, OpenSegment] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._jobs: dict[tuple[bytes, str], Job] = {}
        self._job_of_grant: dict[int, Job] = {}
        self._lookups: OrderedDict[int, Job] = OrderedDict()
        self._leases: OrderedDict[tuple[int, int], Lease] = OrderedDict()
        self._answered: OrderedDict[Job, float] = OrderedDict()
        self._pauses = Pauses()
        self._waiting = 0

    # Inputs

    def on_ticket(self, ticket: Ticket) -> list[Action]:
        """Ingest announced a segment, for the first time or again, or foretold one."""
        now = self._begin()
        self._pauses.drop(ticket.stream)
        if ticket.provisional:
            self._foresee(ticket, now)
        elif ticket.segment in self._settled:
            outcome = self._settled[ticket.segment]
            self._actions.append(Settle(Acknowledgement(ticket.segment, outcome)))
            order = self._order(ticket)
            order.pass_over(ticket)
            self._release(order, now)
        elif ticket.segment in self._open:
            segment = self._open[ticket.segment]
            self._keep(segment.order, ticket, segment.epoch, now)
        else:
            self._admit(ticket, now)
        return self._end(now)

    def on_cache(self, segment: int, value: str | None, level: str) -> list[Action]:
        """The cache answered a LookUp.

        Args:
            segment: as in the LookUp.
            value: JSON, or None for a miss.
            level: l1, l2 or l3 of a hit.
        """
        now = self._begin()
        job = self._lookups.pop(segment, None)
        if job is not None:
            recognition = _read(value, segment)
            job.looked_up = job.looked_up[0], now
            if recognition is None:
                self._wait(job, now)
            else:
                self._answer(job, Answer(recognition, now, cache=level), now)
        return self._end(now)

    def on_worker(self, status: WorkerStatus) -> list[Action]:
        """A worker said what it can take."""
        now = self._begin()
        offers = self._pool.offers
        change = self._pool.update(status, now)
        if change is not None:
            for lease in list(change.worker.leases):
                self._return(lease, now)
                self._failed(lease, change.fault, change.reason, now)
        if self._pool.offers != offers:
            self._line_up_again(now)
        return self._end(now)

    def on_recognition(self, recognition: Recognition) -> list[Action]:
        """A worker answered a grant: the one that is waited for, or an older one."""
        now = self._begin()
        name = (recognition.segment, recognition.attempt)
        lease = self._leases.get(name)
        if lease is not None and lease.worker.name == recognition.worker:
            is_first = not lease.worker.service.measured
            self._return(lease, now, answered=recognition.status in ANSWERED)
        else:
            lease, is_first = None, False
        job = self._job_of_grant.get(recognition.segment)
        if recognition.status in ANSWERED:
            if lease is not None:
                lease.worker.strikes = 0
            if job is not None:
                self._recognised(job, recognition, now)
        elif job is not None and lease is not None and job.lease is lease:
            self._failed(lease, recognition.status is not RecognitionStatus.TORN,
                         f'{recognition.worker}: {recognition.reason or "no reason given"}', now)
        if is_first and lease is not None and lease.worker.service.measured:
            # What has waited since nothing was known can be judged now.
            self._line_up_again(now)
        return self._end(now)

    def on_tick(self) -> list[Action]:
        """Time passed: every 10 ms, or what precision of refusals and time-outs is wanted."""
        now = self._begin()
        offers = self._pool.offers
        for worker in self._pool.silent(now - self._parameters.worker_timeout):
            # It may be alive and only cut off: what it holds keeps taking its credit.
            for lease in list(worker.leases):
                self._failed(lease, True, f'worker {worker.name} was silent for '
                             f'{self._parameters.worker_timeout:g} s', now)
        if self._pool.offers != offers:
            self._line_up_again(now)
        self._time_out_lookups(now)
        self._time_out_leases(now)
        self._time_out_answers(now)
        self._time_out_streams(now)
        return self._end(now)

    def heed(self, degradation: Degradation) -> None:
        """Take no more than this level allows; what was admitted before goes on."""
        self._degradation = degradation

    def cancel(self, segment: int) -> list[Action]:
        """Withdraw a segment; nothing happens if it is not open or its outcome is known."""
        now = self._begin()
        known = self._open.get(segment)
        if known is not None and known.outcome is None:
            self._decide(known, Outcome(TranscriptStatus.CANCELLED, 'withdrawn'), now)
        return self._end(now)

    def reset(self) -> None:
        """Forget streams, workers and open segments, as when the node is deactivated.

        Open segments count as cancelled, without a transcript: ingest announces them again to
        the next incarnation. What was settled stays known, and the counters go on.
        """
        self._outcomes[TranscriptStatus.CANCELLED] += len(self._open)
        self._stolen += self._line.counters().steal_count
        self._forget()

    def statistics(self) -> DispatchStatistics:
        """A snapshot of the counters."""
        return DispatchStatistics(
            open=len(self._open),
            waiting=self._waiting,
            workers=len(self._pool),
            admitted=self._admitted,
            done=(self._outcomes[TranscriptStatus.DONE]
                  + self._outcomes[TranscriptStatus.NO_SPEECH]),
            rejected=self._outcomes[TranscriptStatus.REJECTED],
            expired=self._outcomes[TranscriptStatus.EXPIRED],
            cancelled=self._outcomes[TranscriptStatus.CANCELLED],
            granted=self._granted,
            regranted=self._regranted,
            cache_hits=self._cache_hits,
            shared=self._shared,
            ahead=self._ahead,
            ahead_used=self._ahead_used,
            partials=self._partials,
            foretold=self._foretold,
            stolen=self._stolen + self._line.counters().steal_count,
        )

    # Around every input

    def _begin(self) -> float:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] < now:
            segment = self._open.get(heapq.heappop(self._deadlines)[1])
            if segment is not None and segment.outcome is None:
                self._come_due(segment, now)
        return now

    def _end(self, now: float) -> list[Action]:
        self._place(now)
        self._look_ahead(now)
        actions, self._actions = self._actions, []
        return actions

    # Admission

    def _admit(self, ticket: Ticket, now: float) -> None:
        budget = ticket.budget_s - ticket.ingest_latency_ms / 1e3
        deadline = now + budget if ticket.budget_s > 0 else math.inf
        order = self._order(ticket)
        segment = OpenSegment(ticket, now, deadline, order)
        self._open[ticket.segment] = segment
        self._admitted += 1
        order.enter(segment)
        self._keep(order, ticket, segment.epoch, now)
        if deadline < now:
            self._decide(segment, expired(ticket), now)
            return
        why = refusal(self._degradation, ticket.length, self._parameters.longest_command)
        if why:
            self._decide(segment, refused(why), now)
            return
        if deadline < math.inf:
            heapq.heappush(self._deadlines, (deadline, ticket.segment))
        job = self._jobs.get((ticket.digest, ticket.language))
        placed = job is not None and not job.state.waits
        if not placed and self._waiting >= self._parameters.waiting:
            self._decide(segment, refused(
                f'{self._waiting} segments wait already, allowed are {self._parameters.waiting}; '
                'add workers or lower the load'), now)
        elif job is None:
            self._begin_job(segment, now)
        else:
            self._join(job, segment, now)

    def _order(self, ticket: Ticket) -> StreamOrder:
        order = self._streams.get(ticket.stream)
        if order is None:
            if len(self._streams) >= STREAMS_REMEMBERED:
                name, oldest = self._streams.popitem(last=False)
                if not oldest.idle:
                    self._streams[name] = oldest
            order = self._streams[ticket.stream] = StreamOrder(ticket)
        else:
            self._streams.move_to_end(ticket.stream)
        return order

    def _begin_job(self, segment: OpenSegment, now: float) -> None:
        job = self._make_job(segment.ticket, segment.deadline)
        self._add_member(job, segment)
        self._start(job, now)

    def _foresee(self, ticket: Ticket, now: float) -> None:
        """Take note of a pause; show a partial text, if that keeps nobody waiting."""
        if is_finals_only(self._degradation):
            return
        if not ticket.partial:
            if self._parameters.look_ahead:
                self._pauses.put(ticket, now)
        elif self._is_new(ticket) and self._has_leisure(ticket.length):
            self._start(self._make_job(ticket, math.inf, foretold=ticket), now)

    def _look_ahead(self, now: float) -> None:
        """Begin what nobody has to answer for yet, as far as that keeps nobody waiting."""
        if self._line:
            return
        for ticket in self._pauses.at(now):
            if self._is_new(ticket) and self._has_leisure(ticket.length):
                self._ahead += 1
                self._start(self._make_job(ticket, math.inf, foretold=ticket), now)
                self._place(now)

    def _is_new(self, ticket: Ticket) -> bool:
        return (ticket.digest, ticket.language) not in self._jobs

    def _has_leisure(self, length: int) -> bool:
        return not self._line and self._pool.is_idle(length)

    def _make_job(self, ticket: Ticket, deadline: float, foretold: Ticket | None = None) -> Job:
        self._jobs_made += 1
        job = Job((ticket.digest, ticket.language), self._jobs_made, ticket.length,
                  ticket.priority, deadline, foretold)
        self._jobs[job.key] = job
        return job

    def _start(self, job: Job, now: float) -> None:
        if not self._ask(job, now):
            self._wait(job, now)

    def _join(self, job: Job, segment: OpenSegment, now: float) -> None:
        self._add_member(job, segment)
        if job.answer is not None:
            self._give(job, job.answer, now)
            return
        urgency = (min(job.priority, segment.ticket.priority), min(job.deadline, segment.deadline))
        if urgency != (job.priority, job.deadline):
            waits = job in self._line
            self._line.discard(job)
            job.priority, job.deadline = urgency
            if waits:
                self._wait(job, now)
        elif job in self._line:
            self._come_due_at(now, segment, now)

    # Members and states: the only places that change the count of those who wait

    def _add_member(self, job: Job, segment: OpenSegment) -> None:
        job.members[segment.ticket.segment] = segment
        segment.job = job
        self._waiting += job.state.waits

    def _remove_member(self, segment: OpenSegment) -> None:
        job = segment.job
        if job is None:
            return
        segment.job = None
        del job.members[segment.ticket.segment]
        self._waiting -= job.state.waits
        if not job.members and job.state.waits:
            self._end_job(job)

    def _move(self, job: Job, state: JobState) -> None:
        self._waiting += (state.waits - job.state.waits) * len(job.members)
        job.state = state

    def _end_job(self, job: Job) -> None:
        self._line.discard(job)
        if job.question is not None:
            self._lookups.pop(job.question, None)
        self._jobs.pop(job.key)
        self._answered.pop(job, None)
        for lease in job.leases:
            self._job_of_grant.pop(lease.grant.segment, None)
        job.lease = None

    # The cache

    def _ask(self, job: Job, now: float) -> bool:
        """Ask the cache, unless it was asked, is not used, or nobody knows the recogniser.

        The same beginning of speech is hardly ever heard twice: for a partial text it is not used.
        """
        recogniser = self._pool.recogniser
        if (job.question is not None or job.partial is not None
                or not self._parameters.use_cache or recogniser is None):
            return False
        self._move(job, JobState.LOOKUP)
        job.question, job.looked_up = job.name, (now, math.inf)
        self._lookups[job.name] = job
        self._actions.append(LookUp(job.name, cache_key(job.key[0], recogniser, job.key[1])))
        return True

    def _time_out_lookups(self, now: float) -> None:
        while self._lookups:
            segment, job = next(iter(self._lookups.items()))
            if now - job.looked_up[0] < self._parameters.cache_timeout:
                return
            del self._lookups[segment]
            job.looked_up = job.looked_up[0], now
            self._wait(job, now)

    # The line and the workers

    def _wait(self, job: Job, now: float) -> None:
        if not job.members and not self._has_leisure(job.length):
            # The pause is still noted.
            self._ahead -= job.is_ahead
            self._end_job(job)
            return
        longest = self._pool.longest
        if longest is not None and job.length > longest:
            self._reject(job, f'the segment has {job.length / SAMPLE_RATE:.1f} s, the workers '
                         f'take at most {longest / SAMPLE_RATE:.1f} s; split it earlier', now)
            return
        self._move(job, JobState.WAITING)
        forecast = self._refuse_late(job, now)
        if self._jobs.get(job.key) is not job:
            return
        self._line.queue(job, _favourite(job), now)
        if forecast is not None:
            for segment in job.members.values():
                self._come_due_at(segment.deadline - forecast.service_s, segment, now)

    def _line_up_again(self, now: float) -> None:
        for job in self._line.clear():
            self._wait(job, now)

    def _place(self, now: float) -> None:
        """Grant as long as somebody waits and somebody has credit for it."""
        while (taken := self._line.next()) is not None:
            job, worker = taken
            if self._ask(job, now):
                continue
            if job.members and now + worker.would_take_s(job.length, now) > job.deadline:
                self._refuse_late(job, now)
                if not job.members:
                    continue
            self._grant(job, worker, now)

    # What cannot be done in time

    def _refuse_late(self, job: Job, now: float) -> Forecast | None:
        """Refuse the segments of a waiting job whose budget cannot suffice; may end the job.

        What can begin at once is never refused: whoever measures nothing any more learns nothing.
        """
        if job.deadline == math.inf:
            return None
        forecast = self._line.forecast(job, now)
        if forecast is not None and forecast.queue_s > 0.0:
            for segment in list(job.members.values()):
                if now + forecast.total_s > segment.deadline:
                    self._foretell(segment, forecast, now)
        return forecast

    def _foretell(self, segment: OpenSegment, forecast: Forecast, now: float) -> None:
        self._foretold += 1
        granted = len(segment.job.leases) if segment.job else 0
        self._decide(segment, refused(forecast.refusal(
            segment.deadline - now, segment.ticket.budget_s), granted), now)

    def _come_due_at(self, latest: float, segment: OpenSegment, now: float) -> None:
        """Look at a segment again when a worker would have to begin with it."""
        if segment.deadline < math.inf:
            heapq.heappush(self._deadlines, (max(now, latest), segment.ticket.segment))

    def _come_due(self, segment: OpenSegment, now: float) -> None:
        """A segment's budget has run out, or will before a worker that began now were done."""
        job = segment.job
        if segment.deadline < now:
            granted = len(job.leases) if job else 0
            self._decide(segment, expired(segment.ticket, granted), now)
        elif job is not None and job.state is JobState.WAITING:
            forecast = self._line.forecast(job, now)
            if forecast is None:
                return
            if now + forecast.service_s > segment.deadline:
                self._foretell(segment, forecast, now)
            else:
                self._come_due_at(segment.deadline - forecast.service_s, segment, now)

    # Grants

    def _grant(self, job: Job, worker: Worker, now: float) -> None:
        grant = Grant(job.name, len(job.leases) + 1, worker.name)
        lease = Lease(job, worker, grant, now)
        self._move(job, JobState.GRANTED)
        job.lease = lease
        job.leases.append(lease)
        worker.leases[lease] = None
        self._leases[grant.segment, grant.attempt] = lease
        self._job_of_grant[grant.segment] = job
        if job.members:
            job.members[grant.segment].order.worker = worker.name
        elif job.foretold is not None and job.is_ahead:
            self._pauses.drop(job.foretold.stream)
        self._granted += 1
        self._regranted += grant.attempt > 1
        self._actions.append(Send(grant))

    def _return(self, lease: Lease, now: float, *, answered: bool = False) -> None:
        """Give the worker its credit back."""
        del self._leases[lease.grant.segment, lease.grant.attempt]
        lease.worker.returned(lease, now, answered=answered)

    def _time_out_leases(self, now: float) -> None:
        before = now - self._parameters.grant_timeout
        while self._leases:
            lease = next(iter(self._leases.values()))
            if lease.granted > before:
                return
            self._return(lease, now)
            self._failed(lease, True, f'worker {lease.worker.name} did not answer within '
                         f'{self._parameters.grant_timeout:g} s', now)

    def _failed(self, lease: Lease, fault: bool, reason: str, now: float) -> None:
        """A grant came to nothing: grant again, elsewhere if that can be, or give up.

        Args:
            lease: that was granted.
            fault: whether the worker, or what was spoken, may be to blame.
            reason: for people.
            now: dispatcher's clock [s].
        """
        job = lease.job
        lease.worker.strikes += fault
        if job.lease is not lease:
            return
        job.lease = None
        if fault:
            job.tried |= {lease.worker.name}
        else:
            job.spared += 1
        job.failures += fault or job.spared > SPARED
        for segment in [segment for segment in job.members.values() if segment.lost]:
            self._decide(segment, refused(f'ingest has lost it; {reason}', len(job.leases)), now)
        if not job.members:
            self._end_job(job)
        elif job.failures >= self._parameters.attempts:
            self._reject(job, f'{len(job.leases)} grants came to nothing; the last: {reason}', now)
        else:
            self._wait(job, now)

    # Outcomes

    def _recognised(self, job: Job, recognition: Recognition, now: float) -> None:
        """Somebody made the text, be it on the first grant or on one that was given up."""
        lease = next((lease for lease in job.leases
                      if lease.grant.segment == recognition.segment
                      and lease.grant.attempt == recognition.attempt
                      and lease.worker.name == recognition.worker), None)
        self._answer(job, Answer(recognition, now, lease=lease), now)
        if lease is not None and self._parameters.use_cache and job.partial is None:
            key = cache_key(job.key[0], recognition.recogniser, job.key[1])
            self._actions.append(Store(key, to_json(recognition)))

    def _answer(self, job: Job, answer: Answer, now: float) -> None:
        """Give a job's answer to all who wait for it, or keep it for who will."""
        if job.members or not job.preview:
            self._give(job, answer, now)
        else:
            if job.partial is not None:
                self._show(job.partial, answer, now)
            self._move(job, JobState.ANSWERED)
            job.answer, job.lease = answer, None
            self._answered[job] = now

    def _show(self, ticket: Ticket, answer: Answer, now: float) -> None:
        """Publish what was said so far, unless more of it has been published."""
        said, lease = answer.recognition, answer.lease
        if (said.status is not RecognitionStatus.DONE or lease is None
                or not self._order(ticket).shows(ticket)):
            return
        stages = Latency(wait=said.wait_ms, features=said.features_ms, encode=said.encode_ms,
                         decode=said.decode_ms)
        outcome = answered(said, 'none', len(lease.job.leases), stages)
        self._partials += 1
        self._actions.append(Show(transcript(ticket, outcome, 1e3 * (now - lease.granted))))

    def _give(self, job: Job, answer: Answer, now: float) -> None:
        """Give all who wait for a job its answer, each with its own times."""
        recognition = answer.recognition
        made_for = job.name if recognition.segment == job.preview else recognition.segment
        self._cache_hits += len(job.members) if answer.cache else 0
        self._ahead_used += job.preview > 0
        for segment in list(job.members.values()):
            own = not answer.cache and segment.ticket.segment == made_for
            stages = _stages(segment, job, answer, own=own)
            level = answer.cache or ('none' if own else 'shared')
            self._shared += level == 'shared'
            self._decide(segment, answered(recognition, level, len(job.leases), stages), now)
        self._finish(job)

    def _time_out_answers(self, now: float) -> None:
        """Let go of what was done ahead in vain: somebody went on speaking."""
        while self._answered:
            job, since = next(iter(self._answered.items()))
            if now - since < AHEAD_S:
                return
            self._end_job(job)

    def _reject(self, job: Job, reason: str, now: float) -> None:
        for segment in list(job.members.values()):
            self._decide(segment, refused(reason, len(job.leases)), now)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        if self._jobs.get(job.key) is job:
            self._end_job(job)

    def _decide(self, segment: OpenSegment, outcome: Outcome, now: float) -> None:
        self._remove_member(segment)
        if segment.order.decide(segment, outcome):
            self._release(segment.order, now)
        else:
            self._publish(segment, outcome, now)

    # Order within a stream

    def _keep(self, order: StreamOrder, ticket: Ticket, epoch: int, now: float) -> None:
        for lost in order.keep(ticket, epoch):
            lost.lost = True
            if lost.job is not None and lost.job.state is not JobState.GRANTED:
                self._decide(lost, refused(
                    f'ingest keeps this stream from segment {ticket.oldest_kept} on and has lost '
                    f'segment {lost.ticket.sequence}; see that nobody else uses the name '
                    f'{ticket.stream!r}'), now)
        self._release(order, now)

    def _release(self, order: StreamOrder, now: float) -> None:
        ready = order.release()
        for segment in ready:
            if segment.outcome is not None:
                self._publish(segment, segment.outcome, now)
        if ready or not order.stuck:
            self._stuck.pop(order, None)
        if order.stuck:
            self._stuck.setdefault(order, now)

    def _time_out_streams(self, now: float) -> None:
        before = now - self._parameters.order_timeout
        late: Iterable[StreamOrder] = [order for order, since in self._stuck.items()
                                       if since <= before]
        for order in late:
            del self._stuck[order]
            order.skip()
            self._release(order, now)

    def _publish(self, segment: OpenSegment, outcome: Outcome, now: float) -> None:
        ticket = segment.ticket
        if outcome.has_answer and now > segment.deadline:
            outcome = expired(ticket, outcome.attempts)
        del self._open[ticket.segment]
        self._outcomes[outcome.status] += 1
        self._settled[ticket.segment] = outcome.status
        if len(self._settled) > SETTLED_REMEMBERED:
            self._settled.popitem(last=False)
        total = ticket.ingest_latency_ms + 1e3 * (now - segment.received)
        self._actions.append(Publish(transcript(ticket, outcome, total)))
        self._actions.append(Settle(Acknowledgement(ticket.segment, outcome.status)))


def _favourite(job: Job) -> str:
    """The worker that served the stream last; empty: none did."""
    for segment in job.members.values():
        return segment.order.worker
    return ''


def _stages(segment: OpenSegment, job: Job, answer: Answer, *, own: bool) -> Latency:
    """Where the time of one segment went; without a grant of its own it only waited."""
    recognition, now = answer.recognition, answer.at
    lease = answer.lease if own else None
    begin, end = job.looked_up
    cache = max(0.0, min(end, now) - max(begin, segment.received))
    until = now if lease is None else lease.granted
    queue = max(0.0, until - segment.received - cache)
    if lease is None:
        return Latency(cache=1e3 * cache, queue=1e3 * queue)
    return Latency(
        cache=1e3 * cache,
        queue=1e3 * queue,
        transport=max(0.0, 1e3 * (now - until) - max(0.0, recognition.worker_ms)),
        wait=recognition.wait_ms,
        features=recognition.features_ms,
        encode=recognition.encode_ms,
        decode=recognition.decode_ms,
        ahead=1e3 * max(0.0, min(segment.received, now) - until))


def _read(value: str | None, segment: int) -> Recognition | None:
    if value is None:
        return None
    try:
        return from_json(value)
    except StoreError as error:
        logger.warning('segment %d: the cache is not believed: %s', segment, error)
        return None
