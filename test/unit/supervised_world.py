"""The manager's world in miniature: four nodes, their launcher and a network round one Supervisor.

A turn is one call of decide(): what a node answers arrives in the turn after, and whatever the
supervisor wants done is done at once and written down.
"""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from xlerobot_asr_opt.core.lifecycle import State, Transition
from xlerobot_asr_opt.core.managed_node import Ask, ChangeState, Heartbeat, Kill, Report
from xlerobot_asr_opt.core.supervision import Outcome, Supervisor
from xlerobot_asr_opt.parameters import ManagerParameters

TURN = 0.02
BEAT = 0.5
NODES = ('cache', 'inference_0', 'scheduler', 'ingest')


@dataclass
class Process:
    """One process of a node.

    Attributes:
        hung: neither beats nor answers.
        stubborn: ends by no signal but SIGKILL.
        beats: time of the next heartbeat [s].
        works: since when it has been at one piece of work [s].
        stands_still: its progress counter does, though it beats.
        changing: the transition under way, which holds the executor.
        done: when that transition is over [s].
        answers: whether its end is answered.
    """

    incarnation: int
    pid: int
    beats: float
    state: State = State.UNCONFIGURED
    progress: int = 0
    hung: bool = False
    stubborn: bool = False
    works: float | None = None
    stands_still: bool = False
    changing: Transition | None = None
    done: float = 0.0
    answers: bool = True


@dataclass(frozen=True)
class Change:
    """A transition that was asked for, and in which state each node really was then."""

    at: float
    node: str
    transition: Transition
    states: dict[str, State]


class World:
    """One supervisor, and what became of everything it decided.

    Attributes:
        now: the clock [s].
        processes: of each node; None: it does not run.
        respawn: wait of the launcher before it replaces a process [s]; None: it does not.
        silence: before the first heartbeat of a process, the least [s]; a real one beats as soon
            as somebody listens.
        local: whether the supervisor can see that a process has ended.
        reach: whether a signal gets to where it is sent.
        takes: duration of a node's transition [s]; else it is over at once.
        refuses: how often a node still refuses a transition.
        hangs_in: transitions that never end.
        lost: requests, questions and heartbeats that still get lost, by node and type.
        starved: since when a node has had no processor, though it could go on [s].
        unanswered: transitions of a node whose end is still not told.
    """

    def __init__(self, states: dict[str, State] | None = None, absent: tuple[str, ...] = (),
                 silence: float = 0.0, **limits: object) -> None:
        self._turns = 0
        self._numbers = itertools.count(1)
        self._mail: list[Callable[[], None]] = []
        self._hidden: dict[str, float] = {}
        self._respawns: dict[str, float] = {}
        self.respawn: float | None = 0.5
        self.silence = silence
        self.local = True
        self.reach = True
        self.takes: dict[tuple[str, Transition], float] = {}
        self.refuses: Counter[tuple[str, Transition]] = Counter()
        self.hangs_in: set[tuple[str, Transition]] = set()
        self.lost: Counter[tuple[str, type]] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.starved: dict[str, float] = {}
        self.forget()
        self.processes: dict[str, Process | None] = dict.fromkeys(NODES)
        for name in NODES:
            if name not in absent:
                self.start(name).state = (states or {}).get(name, State.UNCONFIGURED)
        self.supervisor = Supervisor(
            NODES, ManagerParameters(**limits), lambda: self.now, self._waited)

    @classmethod
    def up(cls, **limits: object) -> World:
        """A world in which every node was brought up, and nothing is written down yet."""
        world = cls(**limits)
        world.command(State.ACTIVE)
        world.until(lambda: not world.missing)
        world.wait(0.2)
        world.forget()
        return world

    # What a test has happen

    def command(self, goal: State) -> None:
        self.supervisor.command(goal)

    def start(self, name: str) -> Process:
        """A launcher, or a person, starts a process, whether or not there is one."""
        number = next(self._numbers)
        process = Process(10**9 + number, 100 + number, self.now + self.silence * (1 + number % 4))
        self.processes[name] = process
        self._respawns.pop(name, None)
        return process

    def die(self, name: str) -> None:
        self.processes[name] = None
        if self.respawn is not None:
            self._respawns[name] = self.now + self.respawn

    def hang(self, name: str, *, stubborn: bool = False) -> Process:
        process = self[name]
        process.hung, process.stubborn = True, stubborn
        return process

    def starve(self, name: str) -> Process:
        """Others have the processor: the node neither beats nor answers."""
        self.starved[name] = self.now
        return self.hang(name)

    def _waited(self, pid: int) -> float:
        names = [name for name, one in self.processes.items() if one and one.pid == pid]
        return sum(self.now - self.starved.get(name, self.now) for name in names)

    def hide(self, name: str, seconds: float) -> None:
        """The node's services are out of sight, though its heartbeats are not."""
        self._hidden[name] = self.now + seconds

    def beat(self, name: str, process: Process, state: State | None = None) -> None:
        """One heartbeat is heard at once."""
        if self.lost[name, Heartbeat]:
            self.lost[name, Heartbeat] -= 1
            return
        if not process.stands_still:
            process.progress += 1
        working = 0.0 if process.works is None else self.now - process.works
        self.supervisor.heard(Heartbeat(
            name, process.incarnation, process.pid, process.state if state is None else state,
            process.progress, working))

    def stall(self, seconds: float) -> None:
        """The supervisor is held up while the nodes go on; its first turn hears nothing new."""
        self._turns += round(seconds / TURN)
        self._decide()

    def wait(self, seconds: float, step: float = TURN) -> None:
        """Time passes, in turns."""
        end = self._turns + round(seconds / TURN)
        while self._turns < end:
            self.turn(step)

    def until(self, happened: Callable[[], object], most: float = 100.0) -> float:
        """Time passes until something holds; returns how much of it did."""
        begin = self.now
        while not happened():
            assert self.now - begin < most, f'not within {most} s; {self.missing}'
            self.turn()
        return self.now - begin

    def turn(self, step: float = TURN) -> None:
        """Answers come in, nodes and launcher go on, and the supervisor decides."""
        self._turns += round(step / TURN)
        mail, self._mail = self._mail, []
        for deliver in mail:
            deliver()
        for name, at in list(self._respawns.items()):
            if self.now >= at:
                self.start(name)
        for name, process in self.processes.items():
            if process is not None and not process.hung:
                self._go_on(name, process)
        self._decide()

    def forget(self) -> None:
        """What was written down so far is of no interest."""
        self.asked: list[tuple[float, str]] = []
        self.changes: list[Change] = []
        self.kills: list[tuple[float, Kill]] = []
        self.reports: list[Report] = []

    # What a test looks at

    @property
    def now(self) -> float:
        return 1000.0 + TURN * self._turns

    @property
    def missing(self) -> list[str]:
        return self.supervisor.missing()

    @property
    def outcome(self) -> Outcome | None:
        return self.supervisor.outcome()

    @property
    def texts(self) -> list[str]:
        return [report.text for report in self.reports]

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The transitions that were asked for, in order."""
        return [(change.node, change.transition.name) for change in self.changes]

    @property
    def signals(self) -> list[tuple[str, int, signal.Signals]]:
        return [(kill.node, kill.pid, kill.signal) for _, kill in self.kills]

    def said(self, part: str) -> int:
        """How many reports contain a text."""
        return sum(part in text for text in self.texts)

    def times(self, transition: Transition) -> list[float]:
        """When a transition was asked for [s]."""
        return [change.at for change in self.changes if change.transition is transition]

    def state(self, name: str) -> State:
        """In which state a node really is; UNKNOWN: it hangs, or does not run."""
        process = self.processes[name]
        return State.UNKNOWN if process is None or process.hung else process.state

    def __getitem__(self, name: str) -> Process:
        process = self.processes[name]
        assert process is not None
        return process

    # What the nodes do

    def _go_on(self, name: str, process: Process) -> None:
        if process.changing is not None:
            if self.now < process.done:
                return
            transition, process.changing = process.changing, None
            self._end(name, process, transition)
        if self.now >= process.beats:
            process.beats = self.now + BEAT
            self.beat(name, process)

    def _end(self, name: str, process: Process, transition: Transition) -> None:
        """A transition is over; like a real node, one that succeeded beats before it answers."""
        success = not self.refuses[name, transition]
        if success:
            process.state = transition.end
            self.beat(name, process)
        else:
            self.refuses[name, transition] -= 1
            # The answer is sent before the timer of the heartbeats gets its turn.
            process.beats = max(process.beats, self.now + 2 * TURN)
        if process.answers:
            self._mail.append(
                lambda: self.supervisor.changed(name, transition, success=success))

    # What the supervisor wants done

    def _decide(self) -> None:
        running = {process.pid for process in self.processes.values() if process is not None}
        dead = [name for name, pid in self.supervisor.pids.items() if pid not in running]
        for action in self.supervisor.decide(
                [name for name in NODES if self._in_sight(name)], dead if self.local else ()):
            if isinstance(action, Report):
                self.reports.append(action)
            elif isinstance(action, Kill):
                self.kills.append((self.now, action))
                self._kill(action)
            elif self._hears(action):
                self._take(action, self[action.node])

    def _in_sight(self, name: str) -> bool:
        return self.processes[name] is not None and self.now >= self._hidden.get(name, 0.0)

    def _kill(self, action: Kill) -> None:
        process = self.processes[action.node]
        if not self.reach or process is None or process.pid != action.pid:
            return
        if not process.stubborn or action.signal is signal.SIGKILL:
            self.die(action.node)

    def _hears(self, action: Ask | ChangeState) -> bool:
        """Write down what is asked of a node; whether it arrives there."""
        if isinstance(action, Ask):
            self.asked.append((self.now, action.node))
        else:
            self.changes.append(Change(
                self.now, action.node, action.transition,
                {name: self.state(name) for name in NODES}))
        if self.lost[action.node, type(action)]:
            self.lost[action.node, type(action)] -= 1
            return False
        process = self.processes[action.node]
        return (self._in_sight(action.node) and process is not None and not process.hung
                and process.changing is None)

    def _take(self, action: Ask | ChangeState, process: Process) -> None:
        name = action.node
        if isinstance(action, Ask):
            state = process.state
            self._mail.append(lambda: self.supervisor.answered(name, state))
            return
        if process.state is not action.transition.begin:
            transition = action.transition
            self._mail.append(lambda: self.supervisor.changed(name, transition, success=False))
            return
        process.changing = action.transition
        process.hung = process.hung or (name, action.transition) in self.hangs_in
        process.done = self.now + self.takes.get((name, action.transition), 0.0)
        process.answers = not self.unanswered[name]
        self.unanswered[name] -= not process.answers
