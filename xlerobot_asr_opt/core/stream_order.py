"""The order of one stream: what may be published next.

Ingest counts the segments of a stream without a hole, announces them in order, and says with every
ticket which is the oldest that it still keeps. So a missing number is on its way, unless it is
below the oldest kept. Three things break the count, and none may hold up the stream for good:

* the scheduler is new: it begins at the oldest kept of the first ticket;
* the stream is new (its count went down): the new epoch goes behind the old one;
* a number never comes: the caller gives up by skip(), after a time.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.dispatch_records import OpenSegment
    from xlerobot_asr_opt.core.outcomes import Outcome
    from xlerobot_asr_opt.records import Ticket

__all__ = ['StreamOrder']


class StreamOrder:
    """Puts the outcomes of one stream in the order of its speech.

    Every segment gets a place: its sequence number, shifted with every epoch so that places only
    rise.

    Attributes:
        worker: name of the worker that served the stream last.
    """

    def __init__(self, ticket: Ticket) -> None:
        self.worker = ''
        self._shift = 0
        self._epoch = 0
        self._next = _oldest(ticket)
        self._end = self._next
        self._entries: dict[int, OpenSegment | None] = {}
        self._places: list[int] = []
        self._held = 0
        # The place and the length of the newest partial text.
        self._shown = -1, 0

    @property
    def idle(self) -> bool:
        """Whether nothing is in it."""
        return not self._entries

    @property
    def stuck(self) -> bool:
        """Whether an outcome is held back by something that may never come."""
        if not self._held:
            return False
        first = self._places[0]
        entry = self._entries[first]
        return first > self._next or (entry is not None and entry.epoch != self._epoch)

    def enter(self, segment: OpenSegment) -> None:
        """Give a new segment its place."""
        ticket = segment.ticket
        place = self._shift + ticket.sequence
        if place < self._next or place in self._entries:
            self._epoch += 1
            self._shift = self._end - _oldest(ticket)
            place = self._shift + ticket.sequence
        segment.place, segment.epoch = place, self._epoch
        self._put(place, segment)

    def shows(self, ticket: Ticket) -> bool:
        """Whether a partial text is news: of a segment to come, and longer than the one before."""
        place = self._shift + ticket.sequence
        if place < self._next or (place, ticket.length) <= self._shown:
            return False
        self._shown = place, ticket.length
        return True

    def pass_over(self, ticket: Ticket) -> None:
        """Do not wait for a segment that was settled before this order began."""
        place = self._shift + ticket.sequence
        if place >= self._next and place not in self._entries:
            self._put(place, None)

    def keep(self, ticket: Ticket, epoch: int) -> list[OpenSegment]:
        """Wait for nothing below the oldest that ingest keeps.

        Returns:
            The undecided segments below it: ingest has lost them. They are out of the order.
        """
        if epoch != self._epoch:
            return []
        oldest = self._shift + _oldest(ticket)
        self._next = max(self._next, oldest)
        self._end = max(self._end, oldest)
        if not self._places or self._places[0] >= oldest:
            return []
        lost = [entry for place, entry in self._entries.items()
                if place < oldest and entry is not None
                and entry.outcome is None and entry.epoch == epoch]
        self._detach(lost)
        return lost

    def decide(self, segment: OpenSegment, outcome: Outcome) -> bool:
        """Note the outcome of a segment; False: it is out of the order and can be published."""
        segment.outcome = outcome
        inside = self._entries.get(segment.place) is segment
        self._held += inside
        return inside

    def release(self) -> list[OpenSegment]:
        """Take out the decided segments whose turn it is, in order."""
        ready = []
        while self._places and self._places[0] <= self._next:
            first = self._places[0]
            entry = self._entries[first]
            if entry is not None:
                if entry.outcome is None:
                    break
                ready.append(entry)
                self._held -= 1
            heapq.heappop(self._places)
            del self._entries[first]
            self._next = max(self._next, first + 1)
        return ready

    def skip(self) -> None:
        """Give up what the stream is stuck behind: a hole, or segments of an older epoch."""
        self._detach([entry for entry in self._entries.values()
                      if entry is not None
                      and entry.outcome is None and entry.epoch != self._epoch])
        self._next = max(self._next, self._places[0])

    def _put(self, place: int, segment: OpenSegment | None) -> None:
        self._entries[place] = segment
        heapq.heappush(self._places, place)
        self._end = max(self._end, place + 1)

    def _detach(self, segments: list[OpenSegment]) -> None:
        if segments:
            for segment in segments:
                del self._entries[segment.place]
            self._places = sorted(self._entries)


def _oldest(ticket: Ticket) -> int:
    """The oldest kept, which cannot be younger than the ticket's own segment."""
    return min(ticket.oldest_kept, ticket.sequence)
