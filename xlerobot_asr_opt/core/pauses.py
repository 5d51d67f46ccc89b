"""The pauses of speakers at which what they said has not been looked at yet."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xlerobot_asr_opt.records import Ticket

__all__ = ['PATIENCE_S', 'Pauses']

PATIENCE_S = 0.4
"""Time after which a pause has become the end, or was none: longer than what the default hangover
leaves behind the tail, and a chunk [s]."""


class Pauses:
    """Provisional tickets that wait for an idle worker; a stream has its newest one alone."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, tuple[float, Ticket]] = OrderedDict()

    def put(self, ticket: Ticket, now: float) -> None:
        """Have a ticket wait, in place of the stream's last one, since now [s]."""
        self.drop(ticket.stream)
        self._waiting[ticket.stream] = now, ticket

    def drop(self, stream: str) -> None:
        """Forget the pause of a stream, if it has one: it is looked at, or over."""
        self._waiting.pop(stream, None)

    def at(self, now: float) -> Iterator[Ticket]:
        """Give what still waits, oldest first, since its speech ends first.

        Tickets may be put and dropped between two of them.
        """
        while self._waiting:
            stream, (since, _) = next(iter(self._waiting.items()))
            if now - since <= PATIENCE_S:
                break
            del self._waiting[stream]
        yield from [ticket for _, ticket in self._waiting.values()]
