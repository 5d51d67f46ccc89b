"""The scheduler's world in miniature: ingest, workers and a cache round one Dispatcher.

Whatever the dispatcher wants done is done at once and written down; time passes only when a test
says so.
"""

from __future__ import annotations

import hashlib
import itertools

from xlerobot_asr_opt.core.dispatch import Dispatcher, LookUp, Publish, Send, Settle, Show, Store
from xlerobot_asr_opt.parameters import SchedulerParameters
from xlerobot_asr_opt.records import (
    Flag,
    Grant,
    Recognition,
    RecognitionStatus,
    Ticket,
    Transcript,
    WorkerStatus,
)

LONGEST = 480_000
RECOGNISER = hashlib.blake2b(b'a model', digest_size=32).digest()
OTHER_RECOGNISER = hashlib.blake2b(b'another model', digest_size=32).digest()


def digest(samples: str) -> bytes:
    return hashlib.blake2b(samples.encode(), digest_size=32).digest()


class World:
    """One dispatcher, and what became of everything it was told.

    Attributes:
        now: the clock [s].
        kept: what ingest keeps, by segment, in the order of its announcement.
        grants: sent, in order.
        questions: of the cache, not answered yet.
        values: what the cache was given, by key.
        transcripts: published, in order.
        shown: partial ones, in order.
    """

    def __init__(self, **parameters: object) -> None:
        self.now = 1000.0
        self.kept: dict[int, Ticket] = {}
        self.grants: list[Grant] = []
        self.questions: list[LookUp] = []
        self.values: dict[bytes, str] = {}
        self.transcripts: list[Transcript] = []
        self.shown: list[Transcript] = []
        self.settled: list[int] = []
        parameters.setdefault('use_cache', False)
        self.dispatcher = Dispatcher(SchedulerParameters(**parameters), lambda: self.now)
        self._tickets: dict[int, Ticket] = {}
        self._sequences: dict[str, int] = {}
        self._previews = itertools.count(1)

    # What a test has happen

    def speak(self, stream: str = 'a', samples: str = '', *, skip: int = 0, **fields) -> int:
        """Ingest hears a segment, keeps and announces it; returns its identity.

        Args:
            stream: name.
            samples: stands for the samples; empty: like no others.
            skip: numbers of the stream that are left out before it.
            fields: of the ticket.
        """
        sequence = self._sequences.get(stream, 0) + skip
        self._sequences[stream] = sequence + 1
        segment = 1000 * ord(stream) + sequence
        while segment in self._tickets:
            segment += 500
        fields.setdefault('oldest_kept', min(
            [ticket.sequence for ticket in self.kept.values() if ticket.stream == stream],
            default=sequence - skip))
        ticket = Ticket(
            segment=segment, stream=stream, sequence=sequence, begin_ns=sequence * 10**9,
            length=fields.pop('length', 16_000), digest=digest(samples or f'{segment}'), **fields)
        self._tickets[segment] = self.kept[segment] = ticket
        self.carry_out(self.dispatcher.on_ticket(ticket))
        return segment

    def pause(self, stream: str = 'a', samples: str = '', **fields) -> int:
        """Ingest foretells a segment; returns the identity that this has until it is announced."""
        segment = next(self._previews)
        self.carry_out(self.dispatcher.on_ticket(Ticket(
            segment=segment, stream=stream, sequence=self._sequences.get(stream, 0),
            oldest_kept=0, begin_ns=0, length=fields.pop('length', 16_000),
            digest=digest(samples or f'preview {segment}'),
            flags=fields.pop('flags', Flag.PROVISIONAL), **fields)))
        return segment

    def count_from(self, sequence: int, stream: str = 'a') -> None:
        """The next segment of a stream has this number."""
        self._sequences[stream] = sequence

    def keep_again(self, segment: int) -> None:
        """The acknowledgement of a segment has not reached ingest."""
        kept = {**self.kept, segment: self._tickets[segment]}
        self.kept = dict(sorted(kept.items()))

    def announce(self) -> None:
        """Ingest announces all that it keeps, in order."""
        for ticket in list(self.kept.values()):
            self.carry_out(self.dispatcher.on_ticket(ticket))

    def worker(self, name: str = 'w', *, incarnation: int = 1, active: bool = True,
               capacity: int = 1, longest: int = LONGEST, recogniser: bytes = RECOGNISER) -> None:
        """A worker says what it can take."""
        self.carry_out(self.dispatcher.on_worker(
            WorkerStatus(name, incarnation, active, capacity, longest, recogniser)))

    def answer(self, grant: Grant, text: str = '', *, worker: str = '',
               status: RecognitionStatus = RecognitionStatus.DONE, **fields) -> None:
        """A worker answers a grant."""
        fields.setdefault('recogniser', RECOGNISER)
        self.carry_out(self.dispatcher.on_recognition(Recognition(
            grant.segment, grant.attempt, worker or grant.worker, status,
            text=text or f'text of {grant.segment}', **fields)))

    def fail(self, grant: Grant, reason: str = 'out of memory') -> None:
        self.answer(grant, status=RecognitionStatus.FAILED, reason=reason)

    def tear(self, grant: Grant) -> None:
        self.answer(grant, status=RecognitionStatus.TORN, reason='overwritten')

    def cache_says(self, value: str | None, level: str = 'l1') -> None:
        """The cache answers the oldest question."""
        self.carry_out(self.dispatcher.on_cache(self.questions.pop(0).segment, value, level))

    def wait(self, seconds: float, *alive: str, step: float = 0.0, **status) -> None:
        """Time passes, in steps if wanted; these workers say that they are alive."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + (step or seconds))
            for name in alive:
                self.worker(name, **status)
            self.carry_out(self.dispatcher.on_tick())

    def restart(self) -> None:
        """The scheduler is deactivated and activated; ingest announces all that it keeps."""
        self.dispatcher.reset()
        self.questions.clear()
        self.announce()

    # What a test looks at

    @property
    def statistics(self):
        return self.dispatcher.statistics()

    @property
    def texts(self) -> list[str]:
        return [transcript.text for transcript in self.transcripts]

    def sequences(self, stream: str = 'a') -> list[int]:
        """The published segments of a stream, in order."""
        return [said.sequence for said in self.transcripts if said.stream == stream]

    # What the dispatcher wants done

    def carry_out(self, actions) -> None:
        for action in actions:
            if isinstance(action, LookUp):
                self.questions.append(action)
            elif isinstance(action, Store):
                self.values[action.key] = action.value
            elif isinstance(action, Send):
                self.grants.append(action.grant)
            elif isinstance(action, Publish):
                self.transcripts.append(action.transcript)
            elif isinstance(action, Show):
                self.shown.append(action.transcript)
            elif isinstance(action, Settle):
                self.settled.append(action.acknowledgement.segment)
                self.kept.pop(action.acknowledgement.segment, None)
        self.check_count()

    def check_count(self) -> None:
        """What was admitted is somewhere."""
        count = self.statistics
        assert count.admitted == (
            count.open + count.done + count.rejected + count.expired + count.cancelled)
        assert 0 <= count.waiting <= count.open
