"""A managed node as its supervisor sees it, the gates, the words between supervisor and shell."""

from __future__ import annotations

import enum
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from xlerobot_asr_opt.core.lifecycle import State, Transition

__all__ = [
    'MOST_PAST', 'REFUSED', 'Action', 'Ask', 'ChangeState', 'Heartbeat', 'Kill', 'ManagedNode',
    'Phase', 'Report', 'gate_is_open',
]

MOST_PAST = 16
"""Processes of a node that are remembered: none is heard again after so many others."""
REFUSED = 'failed: its log says why'
"""Marks, in what is said of a node, that it refused a transition."""


class Phase(enum.Enum):
    """What the supervisor is doing about a node."""

    UNKNOWN = 'unknown'
    RESTING = 'resting'
    CHANGING = 'changing'
    ENDING = 'ending'
    GIVEN_UP = 'given up'


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life; fields as in Heartbeat.msg, working in seconds."""

    node: str
    incarnation: int
    pid: int
    state: State
    progress: int
    working: float = 0.0


@dataclass(frozen=True)
class Ask:
    """Ask the node for its state; the answer goes to answered()."""

    node: str


@dataclass(frozen=True)
class ChangeState:
    """Ask the node for a transition; the answer goes to changed()."""

    node: str
    transition: Transition


@dataclass(frozen=True)
class Kill:
    """Send a signal to the node's process, if it runs on this host."""

    node: str
    pid: int
    signal: signal.Signals


@dataclass(frozen=True)
class Report:
    """Tell a person; level as in logging."""

    level: int
    text: str


Action = Ask | ChangeState | Kill | Report


@dataclass
class ManagedNode:
    """One node as the supervisor sees it; times are of its clock.

    Attributes:
        since: when the phase began.
        asked: when its state was asked for last.
        reached: when its services were there last.
        incarnation: of its process; None: it was not heard, or it has ended.
        met: since when its process has been heard again and again.
        heard: when its process was heard last.
        moved: when its progress counter was other than before.
        waited: how long its process had waited for a processor by then.
        past: the newest processes that it had before, and when each was known to be over.
        excused: the end of its process was foreseen, and is no failure.
        unwanted: its process is to make way for another, although it works.
        was_active: since the order of activation was kept last.
    """

    name: str
    phase: Phase = Phase.UNKNOWN
    state: State = State.UNKNOWN
    since: float = 0.0
    asked: float = float('-inf')
    reached: float = float('-inf')
    transition: Transition = Transition.CONFIGURE
    doubts: int = 0
    incarnation: int | None = None
    pid: int = 0
    progress: int = 0
    met: float = 0.0
    waited: float = 0.0
    heard: float = float('-inf')
    moved: float = 0.0
    working: float = 0.0
    past: dict[int, float] = field(default_factory=dict)
    failures: deque[float] = field(default_factory=deque)
    excused: bool = False
    unwanted: bool = False
    retry: float = 0.0
    reason: str = ''
    was_active: bool = False

    @property
    def counts(self) -> bool:
        """Whether the other nodes and a command's outcome wait for this one."""
        return self.phase is not Phase.GIVEN_UP

    def at(self, *states: State) -> bool:
        """Whether the node rests in one of the states."""
        return self.phase is Phase.RESTING and self.state in states

    def may_hold(self, state: State, now: float, patience: float) -> bool:
        """Whether the node may be in a state, or on its way into it or out of it.

        Of one that cannot be asked this is assumed for so long, unless its process has ended.
        """
        if self.phase is Phase.RESTING:
            return self.state is state
        if self.phase is Phase.CHANGING:
            return state in (self.transition.begin, self.transition.end)
        has_ended = self.incarnation is None and bool(self.past)
        return self.counts and not has_ended and now - self.since <= patience

    def enter(self, phase: Phase, now: float) -> None:
        """Begin a phase."""
        self.phase, self.since = phase, now
        self.doubts = 0
        if phase is Phase.UNKNOWN:
            self.asked, self.working = float('-inf'), 0.0

    def retire(self, now: float) -> None:
        """Forget the process, not the node: a later process is another incarnation."""
        if self.incarnation is not None:
            self.past[self.incarnation] = now
            for incarnation in list(self.past)[:-MOST_PAST]:
                del self.past[incarnation]
        self.incarnation, self.pid, self.state = None, 0, State.UNKNOWN
        self.unwanted = False

    def forgive(self, gap: float) -> None:
        """Leave out of account a time in which nothing could be observed."""
        self.since += gap
        self.asked += gap
        self.reached += gap
        self.met += gap
        self.moved += gap
        self.past = {incarnation: over + gap for incarnation, over in self.past.items()}

    def describe(self, now: float) -> str:
        """State and what is being done about it, in words."""
        duration = f'for {now - self.since:.1f} s'
        text = {
            Phase.UNKNOWN: f'not answering {duration}',
            Phase.RESTING: self.state.name.lower(),
            Phase.CHANGING: f'{self.transition.name.lower()} {duration}',
            Phase.ENDING: 'hung, being ended',
            Phase.GIVEN_UP: 'given up',
        }[self.phase]
        return f'{text}; {self.reason}' if self.reason else text


def gate_is_open(
    nodes: Sequence[ManagedNode], node: ManagedNode, transition: Transition, now: float,
    patience: float,
) -> bool:
    """Whether the order of the nodes lets one of them take a step.

    All are configured at once, since loading a model takes its time, and activated one after the
    other in the order given. Down, all are deactivated in reverse order before the first is
    cleaned up, and cleaned up in the order given: a reader of loaned memory (inference) ends
    before the writer (ingest). One that was active before passes its gate alone: the restart of
    one stage waits for no other.

    Args:
        nodes: all, in the order of bring-up.
        node: the one that could take the step.
        transition: the step.
        now: time [s].
        patience: how long, on the way down, a node whose state is not known is waited for [s];
            it may be in any state until its process has ended.
    """
    def may(others: Sequence[ManagedNode], state: State) -> bool:
        return any(other.may_hold(state, now, patience) for other in others)

    place = nodes.index(node)
    earlier, later = nodes[:place], nodes[place + 1:]
    if transition is Transition.ACTIVATE:
        return node.was_active or all(
            other.was_active or other.at(State.ACTIVE) or not other.counts for other in earlier)
    if transition is Transition.DEACTIVATE:
        return not may(later, State.ACTIVE)
    if transition is Transition.CLEANUP:
        return not may(nodes, State.ACTIVE) and not may(earlier, State.INACTIVE)
    return True
