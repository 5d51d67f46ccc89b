"""Decides whether a backend is trusted with speech.

                    a fault
       CLOSED ------------------> OPEN <-------.
         ^                         |           | a fault: the back-off doubles
         |                         | back-off  |
         '------- HALF_OPEN <------'-----------'
       enough good    |    ^
       probes in a    '----' a good probe
       row

The first fault opens it: what was said is heard by the next backend meanwhile, so that a false
alarm costs little. A probe is a real utterance, one at a time. A breaker that opens again soon
after it closed goes on with the back-off that it had. docs/degradation.md has the whole chain.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ['Breaker', 'BreakerStatistics', 'Fault', 'Health', 'HealthLimits', 'Rules', 'State']


class State(enum.Enum):
    """Whether a backend gets speech; the value is what people read."""

    CLOSED = 'closed'
    """All that it takes."""
    OPEN = 'open'
    """None, unless every other backend has failed."""
    HALF_OPEN = 'half-open'
    """One utterance at a time, as a probe."""


class Fault(enum.Enum):
    """What opens a breaker; the value is what people read."""

    LOADING = 'loading'
    ERROR = 'error'
    TIMEOUT = 'timeout'
    NAN = 'nan'
    SHAPE = 'shape'
    GARBAGE = 'garbage'
    """A result that no backend may give: see backends/base.py."""
    HEAT = 'heat'
    LOAD = 'load'


LOOKED_AT = frozenset({Fault.HEAT, Fault.LOAD})
"""Faults that are seen without an utterance: to look again costs nothing, so that their back-off
does not grow."""

COOLER_C = 5.0
"""How far below its limit a temperature has to be before a hot backend is tried again [K]."""
LESS_LOAD = 0.1
"""How far below its limit a load has to be before a busy backend is tried again."""


@dataclass(frozen=True)
class Health:
    """What an accelerator says of itself; NaN: it does not say.

    Attributes:
        temperature_c: of the hottest sensor [degrees Celsius].
        load: share of the time in which it was busy of late, 0 to 1.
    """

    temperature_c: float = math.nan
    load: float = math.nan


@dataclass(frozen=True)
class HealthLimits:
    """What an accelerator may say of itself; 0: anything.

    Attributes:
        temperature_c: highest temperature [degrees Celsius].
        load: highest load, 0 to 1.
    """

    temperature_c: float = 0.0
    load: float = 0.0

    def exceeded(self, health: Health, *, recovering: bool) -> tuple[Fault, str] | None:
        """Say what is wrong, for a program and for people; None for nothing.

        Args:
            health: as it was read; NaN exceeds nothing.
            recovering: whether the backend is to be tried again: the limits are lower then.
        """
        heat = self.temperature_c - COOLER_C * recovering
        if self.temperature_c and health.temperature_c > heat:
            return Fault.HEAT, f'{health.temperature_c:.0f} degrees, allowed are {heat:g}'
        load = max(0.0, self.load - LESS_LOAD * recovering)
        if self.load and health.load > load:
            return Fault.LOAD, f'busy for {health.load:.0%} of the time, allowed are {load:.0%}'
        return None


@dataclass(frozen=True)
class Rules:
    """When a breaker opens and closes.

    Attributes:
        backoff_s: time for which it stays open at first [s].
        longest_backoff_s: time at which the doubling ends [s].
        probes: good probes in a row that close it.
    """

    backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    probes: int = 3


@dataclass(frozen=True)
class BreakerStatistics:
    """A snapshot. Counters are since the breaker was made.

    Attributes:
        state: as it acts at present.
        forced: whether somebody has set the state by hand.
        fault: that opened it; None while it is closed by itself.
        reason: the same in words; empty while it is closed by itself.
        retry_s: time until it is half-open [s]; 0 unless it is open by itself.
        backoff_s: for which it was opened last [s].
        opened: times that it opened or stayed open after a probe.
        closed: times that it closed by itself.
        good: answers that were good.
        faults: what went wrong, by kind.
    """

    state: State
    forced: bool = False
    fault: Fault | None = None
    reason: str = ''
    retry_s: float = 0.0
    backoff_s: float = 0.0
    opened: int = 0
    closed: int = 0
    good: int = 0
    faults: Mapping[Fault, int] = field(default_factory=lambda: MappingProxyType({}))


class Breaker:
    """The trust in one backend. Not safe between threads.

    Whoever gets True of ``admit`` calls one of ``succeeded``, ``failed`` and ``withdraw`` once.

    Args:
        rules: when it opens and closes.
        clock: seconds, monotonic.
    """

    def __init__(self, rules: Rules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._forced: State | None = None
        self._open = False
        self._until = 0.0
        self._closed_at = -math.inf
        self._backoff_s = 0.0
        self._probing = False
        self._good_probes = 0
        self._fault: Fault | None = None
        self._reason = ''
        self._good = self._opened = self._closed = 0
        self._faults = dict.fromkeys(Fault, 0)

    @property
    def state(self) -> State:
        """As it acts at present."""
        return self._forced or self._own_state(self._clock())

    @property
    def forced(self) -> bool:
        """Whether somebody has set the state by hand."""
        return self._forced is not None

    @property
    def reason(self) -> str:
        """Why it is open or half-open, in words; empty while it is closed by itself."""
        return self._reason

    def admit(self) -> bool:
        """Say whether the backend gets an utterance now; when half-open, that is a probe."""
        state = self.state
        if state is State.HALF_OPEN:
            admitted = not self._probing
            self._probing = True
            return admitted
        return state is State.CLOSED

    def succeeded(self) -> None:
        """Count a good answer; enough of them in a row close the breaker."""
        now = self._clock()
        self._good += 1
        self._probing = False
        # Who was asked in the back-off, since nobody else was left, proves nothing by it.
        if self._own_state(now) is not State.HALF_OPEN:
            return
        self._good_probes += 1
        if self._good_probes >= self._rules.probes:
            self._open, self._closed_at = False, now
            self._fault, self._reason = None, ''
            self._closed += 1

    def failed(self, fault: Fault, reason: str) -> None:
        """Open the breaker, or keep it open.

        Args:
            fault: what went wrong.
            reason: the same in words.
        """
        now = self._clock()
        state = self._own_state(now)
        self._faults[fault] += 1
        self._probing = False
        self._good_probes = 0
        self._fault, self._reason = fault, reason
        if state is State.OPEN:
            return
        soon = state is State.HALF_OPEN or now - self._closed_at < self._backoff_s
        first = self._rules.backoff_s
        if fault not in LOOKED_AT and soon:
            first = min(max(first, 2 * self._backoff_s), self._rules.longest_backoff_s)
        self._backoff_s = first
        self._open, self._until = True, now + first
        self._opened += 1

    def withdraw(self) -> None:
        """Take an utterance back that told nothing of the backend."""
        self._probing = False

    def force(self, state: State) -> None:
        """Set the state by hand, OPEN or CLOSED, until ``release``; faults are still counted.

        Raises:
            ValueError: HALF_OPEN.
        """
        if state is State.HALF_OPEN:
            raise ValueError('got half-open, expected open or closed')
        self._forced = state

    def release(self) -> None:
        """Go on by what was learnt, also in the meantime."""
        self._forced = None

    def statistics(self) -> BreakerStatistics:
        """A snapshot."""
        state = self.state
        resting = self._open and not self.forced
        return BreakerStatistics(
            state=state, forced=self.forced, fault=self._fault, reason=self._reason,
            retry_s=max(0.0, self._until - self._clock()) if resting else 0.0,
            backoff_s=self._backoff_s, opened=self._opened, closed=self._closed,
            good=self._good, faults=MappingProxyType(dict(self._faults)))

    def _own_state(self, now: float) -> State:
        if not self._open:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN
