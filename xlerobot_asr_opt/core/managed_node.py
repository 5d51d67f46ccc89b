"""One managed node as its supervisor sees it, and the words between supervisor and shell."""

from __future__ import annotations

import enum
import signal
from collections import deque
from dataclasses import dataclass, field

from xlerobot_asr_opt.core.lifecycle import State, Transition

__all__ = [
    'REFUSED', 'Action', 'Ask', 'ChangeState', 'Heartbeat', 'Kill', 'ManagedNode', 'Phase',
    'Report',
]

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
    """One node as the supervisor sees it; times are of its clock."""

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
    moved: float = 0.0
    working: float = 0.0
    past: dict[int, float] = field(default_factory=dict)
    failures: deque[float] = field(default_factory=deque)
    blamed: bool = False
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

    def holds(self, state: State) -> bool:
        """Whether the node is in a state, or on its way into it or out of it."""
        if self.phase is Phase.CHANGING:
            return state in (self.transition.begin, self.transition.end)
        return self.at(state)

    def enter(self, phase: Phase, now: float) -> None:
        """Begin a phase."""
        self.phase, self.since = phase, now
        self.doubts = 0
        if phase is Phase.UNKNOWN:
            self.asked = float('-inf')

    def retire(self, now: float) -> None:
        """Forget the process, not the node: a later process is another incarnation."""
        if self.incarnation is not None:
            self.past[self.incarnation] = now
        self.incarnation, self.pid, self.state = None, 0, State.UNKNOWN

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
