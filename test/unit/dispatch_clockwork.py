"""Whole loads before one Dispatcher in virtual time: workers that take their time, and a tick.

World does at once what the dispatcher wants done; here a worker answers a grant when it is over
with it, one after the other as a real one does.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from typing import TYPE_CHECKING, NamedTuple

from dispatch_world import World

from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xlerobot_asr_opt.records import Grant

TICK_S = 0.01


class Spoken(NamedTuple):
    """One segment of a load: when it is announced, of which stream, and what a worker takes."""

    at: float
    stream: str
    service_s: float
    budget_s: float = 0.0
    priority: int = 0


class Clockwork:
    """A World whose workers need time.

    Attributes:
        world: told of everything.
        spoken: what was announced, by segment.
        begun: when a worker began with each segment, since the start [s].
        busy_s: how long each worker has worked [s].
        end_s: when the last answer came, since the start [s].
        follows: what is spoken once a segment was answered; its time counts from there.
    """

    def __init__(
        self, workers: int, capacity: int = 1, *, tick_s: float = TICK_S, **parameters,
    ) -> None:
        self.world = World(**{'worker_timeout': 1e6, 'grant_timeout': 600.0, **parameters})
        self.spoken: dict[int, Spoken] = {}
        self.begun: dict[int, float] = {}
        self.busy_s = {f'w{number}': 0.0 for number in range(workers)}
        self.end_s = 0.0
        self.follows: Callable[[Spoken], Iterable[Spoken]] = lambda _spoken: ()
        self._tick_s = tick_s
        self._start = self.world.now
        self._free_at = dict.fromkeys(self.busy_s, self._start)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._delivered = 0
        for name in self.busy_s:
            self.world.worker(name, capacity=capacity)

    def run(self, load: Iterable[Spoken]) -> None:
        """Play a load to its end."""
        for spoken in load:
            self._announce(self._start, spoken)
        while self._events:
            at, _, event = heapq.heappop(self._events)
            while self.world.now + self._tick_s < at:
                self.world.now += self._tick_s
                self.world.carry_out(self.world.dispatcher.on_tick())
                self._deliver()
            self.world.now = at
            event()
            self._deliver()

    def waits_s(self) -> list[tuple[Spoken, float]]:
        """How long each segment waited for a worker to begin with it [s]."""
        return [(spoken, self.begun[segment] - spoken.at)
                for segment, spoken in self.spoken.items() if segment in self.begun]

    def _at(self, at: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), event))

    def _announce(self, origin: float, spoken: Spoken) -> None:
        at = origin + spoken.at
        self._at(at, lambda: self._speak(spoken._replace(at=at - self._start)))

    def _speak(self, spoken: Spoken) -> None:
        segment = self.world.speak(
            spoken.stream, length=max(1, round(SAMPLE_RATE * spoken.service_s)),
            budget_s=spoken.budget_s, priority=spoken.priority)
        self.spoken[segment] = spoken

    def _deliver(self) -> None:
        """Hand what was granted to the workers, behind what they hold."""
        for grant in self.world.grants[self._delivered:]:
            took = self.spoken[grant.segment].service_s
            begin = max(self.world.now, self._free_at[grant.worker])
            self._free_at[grant.worker] = begin + took
            self.busy_s[grant.worker] += took
            self.begun[grant.segment] = begin - self._start
            self._at(begin + took, functools.partial(self._answer, grant))
        self._delivered = len(self.world.grants)

    def _answer(self, grant: Grant) -> None:
        self.end_s = self.world.now - self._start
        self.world.answer(grant)
        for spoken in self.follows(self.spoken[grant.segment]):
            self._announce(self.world.now, spoken)
