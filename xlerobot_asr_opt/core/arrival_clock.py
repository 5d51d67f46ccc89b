"""The time of audio whose messages have no stamp: from when they were sent, and from their count.

A publisher may stall, and then send what it has recorded meanwhile all at once. Its samples follow
one another all the same, so their count tells the time, and when they were sent sets it slowly.
"""

from __future__ import annotations

from xlerobot_asr_opt.core.clocks import NS, SMOOTHING

__all__ = ['ArrivalClock']

_BREAK_NS = 2 * NS
"""A message that is further from its time begins anew: nothing was recorded meanwhile."""


class ArrivalClock:
    """Of the messages of one stream."""

    def __init__(self) -> None:
        self._due_ns: int | None = None
        self._length_ns = 0

    def begin_ns(self, sent_ns: int, length_ns: int, lost: int = 0) -> int:
        """Return the time of the first sample of the next message [ns].

        Args:
            sent_ns: when it was sent, at about the end of its audio [ns].
            length_ns: of its audio [ns].
            lost: messages that are missing in front of it, taken to be as long as the last one.
        """
        begin_ns = sent_ns - length_ns
        if self._due_ns is not None:
            due_ns = self._due_ns + lost * self._length_ns
            error_ns = begin_ns - due_ns
            if abs(error_ns) <= _BREAK_NS:
                begin_ns = due_ns + int(error_ns / SMOOTHING)
        begin_ns = max(begin_ns, 1)
        self._due_ns, self._length_ns = begin_ns + length_ns, length_ns
        return begin_ns
