"""Brings managed nodes up and down in order, watches them, and restarts one of them alone.

The supervisor decides and never acts: what is observed goes in by heard(), answered() and
changed(), what is wanted by command(), and decide() returns what is to be done.

Each node is in one phase:

    UNKNOWN   once its process was heard and its services are there, its state is asked for, again
       |      and again, until it is told; one that beats and never tells is ended
       |  answered
    RESTING   in a primary state; it takes the next step towards the goal as soon as its gate is
       |  ^   open and its backoff over
       |  |   changed; a refusal counts as a failure and leads to UNKNOWN
    CHANGING  a transition is under way
       |  too long; or, while it rests, a progress counter that stands still
    ENDING    its process is being ended, so that its launcher starts another: UNKNOWN again
    GIVEN_UP  too many failures within ten minutes: left alone until the next command

A process that was not heard is neither asked nor changed: nobody could end it if it hung.

The order of the nodes is kept by gates: see managed_node.gate_is_open().
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from xlerobot_asr_opt.core.lifecycle import State, Transition, next_transition
from xlerobot_asr_opt.core.managed_node import (
    REFUSED,
    Action,
    Ask,
    ChangeState,
    Heartbeat,
    Kill,
    ManagedNode,
    Phase,
    Report,
    gate_is_open,
)
from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['Outcome', 'Supervisor']

ASK_INTERVAL = 0.5
"""Wait for the answer to a question after its state before a node is asked again [s]."""
DOUBT_AFTER = 0.5
"""Time of a transition after which its node is asked: an answer that is sent before the manager's
reader is known to the node is lost, which happens in one start of twenty [s]."""
GRACE = 1.0
"""Time for a process to leave a trace of where it hangs, before it is ended [s]."""
WINDOW = 600.0
"""Failures older than this are forgiven [s]."""
LEFT_AFTER = 1.0
"""Time without a node's services after which it counts as gone: discovery now and then loses
sight of a service for a moment [s]."""
MOST_TOLD = 100
"""Strangers that are told of: whoever invents names for more fills neither log nor memory."""
DEAF_AFTER = 20.0
"""Time for which a process may beat without an answer to what its state is: it does not hear, as
happens when the middleware has lost its port, and would never be brought up [s]."""
BEATS = 2.0
"""A process goes on beating if it is heard again within this time [s]."""
STARVED = 5
"""A node that waits for a processor gets this many times the time before it counts as hung: one
that computes without an end waits, too, where others do."""
STALL = 1.0
"""A supervisor that was not called for this long was held up itself, and blames nobody [s]."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended; message says what is missing."""

    success: bool
    message: str


class Supervisor:
    """Decides what is to be done about a set of managed nodes.

    Args:
        nodes: their names, in the order of bring-up.
        limits: timeouts, backoff and number of restarts.
        clock: monotonic time [s].
        waited: how long a process has been ready to run without a processor so far [s].
    """

    def __init__(
        self, nodes: Sequence[str], limits: ManagerParameters, clock: Callable[[], float],
        waited: Callable[[int], float] = lambda _pid: 0.0,
    ) -> None:
        self._limits = limits
        self._waited = waited
        self._clock = clock
        now = clock()
        self._nodes = {name: ManagedNode(name, since=now) for name in nodes}
        self._goal = State.UNKNOWN
        self._commanded = now
        self._reached = True
        self._last = now
        self._told: set[str | int] = set()
        self._reports: list[Report] = []

    @property
    def pids(self) -> dict[str, int]:
        """Process of each node that was heard, by the node's name."""
        return {node.name: node.pid for node in self._nodes.values() if node.pid}

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do until something is heard."""
        resting = tuple(State) if self._goal is State.UNKNOWN else (self._goal,)
        return all(not node.counts or node.at(*resting) for node in self._nodes.values())

    # What is wanted

    def command(self, goal: State) -> None:
        """Take every node, also those given up, to a primary state; UNKNOWN: leave them be."""
        now = self._time()
        self._goal, self._commanded, self._reached = goal, now, goal is State.UNKNOWN
        for node in self._nodes.values():
            node.failures.clear()
            node.retry, node.reason = now, ''
            # On the way up from elsewhere the order counts; whoever is up already has kept it.
            node.was_active = goal is State.ACTIVE and (node.was_active or node.at(State.ACTIVE))
            if node.phase is Phase.GIVEN_UP:
                node.enter(Phase.UNKNOWN, now)

    def restart(self, name: str, reason: str) -> bool:
        """Have one node's process end, so that its launcher starts another; it is no failure.

        Returns:
            Whether it will be done: nobody can end a process that was not heard.
        """
        node = self._nodes[name]
        if not node.pid or not node.counts or node.phase is Phase.ENDING:
            return False
        node.unwanted = True
        self._report(logging.WARNING, f'{name} is restarted alone: {reason}')
        return True

    def is_active(self, name: str) -> bool:
        """Whether a node rests in ACTIVE."""
        return self._nodes[name].at(State.ACTIVE)

    def outcome(self) -> Outcome | None:
        """How the newest command ended; None while it is under way."""
        now = self._clock()
        missing = self.missing(self._goal)
        if not missing:
            return Outcome(success=True, message='')
        if any(node.counts and not node.at(self._goal) and not self._is_stuck(node, now)
               for node in self._nodes.values()):
            return None
        return Outcome(success=False, message='; '.join(missing))

    def missing(self, goal: State = State.ACTIVE) -> list[str]:
        """Return "name: what it is and why" of every node that is not in the state."""
        now = self._clock()
        return [f'{node.name}: {node.describe(now)}'
                for node in self._nodes.values() if not node.at(goal)]

    # What is observed

    def heard(self, beat: Heartbeat) -> None:
        """Take a sign of life."""
        node = self._nodes.get(beat.node)
        if node is None:
            self._meet(beat)
            return
        now = self._time()
        if beat.incarnation in node.past and not self._is_back(node, beat, now):
            return
        if beat.incarnation != node.incarnation:
            self._welcome(node, beat, now)
        if beat.progress != node.progress:
            node.progress, node.moved = beat.progress, now
            node.waited = self._waited(node.pid)
        if now - node.heard > BEATS:
            node.met = now
        node.heard = now
        node.working = beat.working
        if node.phase is Phase.RESTING and beat.state is not node.state:
            node.enter(Phase.UNKNOWN, now)

    def answered(self, name: str, state: State) -> None:
        """Take a node's answer to Ask."""
        node, now = self._nodes[name], self._time()
        if state is State.UNKNOWN or node.incarnation is None:
            return
        if node.phase is Phase.UNKNOWN:
            before = node.state
            self._rest(node, state, now)
            if before in (State.INACTIVE, State.ACTIVE) and state < before:
                self._fail(node, f'left {before.name.lower()} by itself')
        elif node.phase is Phase.CHANGING:
            self._resolve_doubt(node, state, now)

    def changed(self, name: str, transition: Transition, *, success: bool) -> None:
        """Take a node's answer to ChangeState."""
        node, now = self._nodes[name], self._time()
        if node.phase is not Phase.CHANGING or node.transition is not transition:
            return
        if success:
            self._arrive(node, now)
            return
        node.state = State.UNKNOWN
        node.enter(Phase.UNKNOWN, now)
        self._fail(node, f'{transition.name.lower()} {REFUSED}', at_once=False)

    # What is to be done

    def decide(
        self, reachable: Collection[str], dead: Collection[str] = (),
    ) -> tuple[Action, ...]:
        """Return what is to be done now.

        Args:
            reachable: nodes whose lifecycle services are there.
            dead: nodes whose process, as in pids, is known to have ended.
        """
        now = self._time()
        actions: list[Action] = []
        for node in self._nodes.values():
            if node.name in dead and node.pid:
                self._bury(node, f'its process (pid {node.pid}) ended', now)
            if node.name in reachable:
                node.reached = now
            elif node.phase is Phase.UNKNOWN:
                # Out of sight it cannot answer, and may be gone: nobody is blamed for that.
                node.moved = now
            actions.extend(self._watch(node, now))
        # Only now, since the gate of one depends on what has become of the others.
        for node in self._nodes.values():
            actions.extend(self._advance(node, now, in_sight=node.name in reachable))
        self._notice_goal(now)
        reports, self._reports = self._reports, []
        return (*reports, *actions)

    def _watch(self, node: ManagedNode, now: float) -> Iterator[Action]:
        """End a process that hangs."""
        if node.phase is Phase.ENDING:
            if now - node.since >= GRACE:
                yield Kill(node.name, node.pid, signal.SIGKILL)
                node.state = State.UNKNOWN
                node.enter(Phase.UNKNOWN, now)
        elif node.unwanted:
            yield self._end(node, signal.SIGTERM, now)
        elif reason := self._hangs(node, now):
            yield self._end(node, signal.SIGABRT, now)
            self._fail(node, reason)

    def _hangs(self, node: ManagedNode, now: float) -> str:
        """Say why a process counts as hung; empty if it does not."""
        limits = self._limits
        if node.phase is Phase.CHANGING:
            # Loading a model may hold the node's executor, so its heartbeat says nothing here.
            if now - node.since > limits.transition_timeout:
                return f'{node.transition.name.lower()} took over {limits.transition_timeout:g} s'
        elif node.phase in (Phase.UNKNOWN, Phase.RESTING) and node.incarnation is not None:
            if self._stands_still(node, now - max(node.moved, node.since)):
                return f'no progress for {limits.heartbeat_timeout:g} s'
            if node.working > limits.work_timeout:
                return f'one piece of work took over {limits.work_timeout:g} s'
            if (node.phase is Phase.UNKNOWN and now - max(node.since, node.met) > DEAF_AFTER
                    and now - node.heard < BEATS):
                return f'it beats, and has not answered for {DEAF_AFTER:g} s'
        return ''

    def _stands_still(self, node: ManagedNode, seconds: float) -> bool:
        """Whether a node that has made no progress for so long hangs, or only had no processor."""
        limit = self._limits.heartbeat_timeout
        if seconds <= limit:
            return False
        return (seconds - (self._waited(node.pid) - node.waited) > limit
                or seconds > STARVED * limit)

    def _advance(
        self, node: ManagedNode, now: float, *, in_sight: bool,
    ) -> Iterator[Action]:
        """Ask what is not known, and take the next step of what rests."""
        if node.phase is Phase.CHANGING:
            if now - node.since > DOUBT_AFTER and now - node.asked > DOUBT_AFTER:
                node.asked = now
                yield Ask(node.name)
        elif node.phase is Phase.UNKNOWN:
            is_heard = node.incarnation is not None
            if is_heard and in_sight and now - node.asked > ASK_INTERVAL:
                node.asked = now
                yield Ask(node.name)
        elif node.phase is Phase.RESTING:
            if in_sight and now >= node.retry:
                yield from self._step(node, now)
            elif now - max(node.reached, node.since) > LEFT_AFTER:
                node.state, node.excused = State.UNKNOWN, True
                node.enter(Phase.UNKNOWN, now)
                self._report(logging.WARNING, f'{node.name} has left')

    def _step(self, node: ManagedNode, now: float) -> Iterator[Action]:
        if node.state is State.FINALIZED and self._goal not in (State.UNKNOWN, State.FINALIZED):
            # Only another process leaves this state, and only the launcher can start one.
            yield self._end(node, signal.SIGTERM, now)
            return
        transition = next_transition(node.state, self._goal)
        if transition is not None and self._gate_is_open(node, transition, now):
            node.transition = transition
            node.enter(Phase.CHANGING, now)
            node.asked = now
            yield ChangeState(node.name, transition)

    def _gate_is_open(self, node: ManagedNode, transition: Transition, now: float) -> bool:
        patience = self._limits.transition_timeout
        return gate_is_open(list(self._nodes.values()), node, transition, now, patience)

    def _is_stuck(self, node: ManagedNode, now: float) -> bool:
        """Whether a node does not answer for too long, or waits for others at its gate."""
        if node.phase is Phase.UNKNOWN:
            return now - max(node.since, self._commanded) > self._limits.transition_timeout
        transition = next_transition(node.state, self._goal)
        return (node.phase is Phase.RESTING and transition is not None
                and not self._gate_is_open(node, transition, now))

    # What follows from what was observed

    def _welcome(self, node: ManagedNode, beat: Heartbeat, now: float) -> None:
        """A process that was not heard before."""
        if node.incarnation is not None:
            self._bury(node, 'its process was replaced', now)
        node.past.pop(beat.incarnation, None)
        node.incarnation, node.pid = beat.incarnation, beat.pid
        node.progress, node.moved, node.met = beat.progress, now, now
        node.waited = self._waited(beat.pid)

    def _bury(self, node: ManagedNode, reason: str, now: float) -> None:
        """A process that has ended, or must have."""
        excused, node.excused = node.excused, False
        node.retire(now)
        if node.counts:
            node.enter(Phase.UNKNOWN, now)
            if not excused:
                self._fail(node, reason)

    def _end(self, node: ManagedNode, number: signal.Signals, now: float) -> Kill:
        """A process that is to make way for another."""
        node.excused = True
        node.enter(Phase.ENDING, now)
        return Kill(node.name, node.pid, number)

    def _rest(self, node: ManagedNode, state: State, now: float) -> None:
        """A process that has told its state: it lives, whatever was thought of it."""
        node.state, node.excused = state, False
        node.enter(Phase.RESTING, now)
        if self._goal in (State.ACTIVE, State.UNKNOWN):
            node.was_active |= state is State.ACTIVE

    def _arrive(self, node: ManagedNode, now: float) -> None:
        """A transition that succeeded."""
        self._rest(node, node.transition.end, now)
        if node.state is State.ACTIVE:
            node.reason = ''
        self._report(logging.INFO, f'{node.name} is {node.state.name.lower()}')

    def _resolve_doubt(self, node: ManagedNode, state: State, now: float) -> None:
        """A transition without an answer: did the request get lost, or the answer?"""
        if state is node.transition.end:
            self._arrive(node, now)
        elif state is node.transition.begin:
            # The question may have overtaken the request once; it does not do so twice.
            node.doubts += 1
            if node.doubts == 2:
                node.enter(Phase.RESTING, now)

    def _is_back(self, node: ManagedNode, beat: Heartbeat, now: float) -> bool:
        """A process that was thought to be over is heard: is it the only one?"""
        if now - node.past[beat.incarnation] <= STALL:
            return False  # What it said last came late.
        if node.incarnation is not None:
            self._report_once(
                beat.incarnation, logging.ERROR,
                f'two processes call themselves {node.name} (pid {beat.pid} and {node.pid}): '
                'end one of them, or give it another namespace')
        return node.incarnation is None

    def _meet(self, beat: Heartbeat) -> None:
        """A node that is not managed, at least not by this manager."""
        self._report_once(
            beat.node, logging.INFO,
            f'{beat.node} (pid {beat.pid}) is here, but not managed from here; managed are '
            f'{", ".join(self._nodes)}')

    def _fail(self, node: ManagedNode, reason: str, *, at_once: bool = True) -> None:
        """Count a failure, and set the time of the next attempt or give the node up."""
        now = self._clock()
        node.reason = reason
        node.failures.append(now)
        while now - node.failures[0] > WINDOW:
            node.failures.popleft()
        count, most = len(node.failures), self._limits.restarts
        if count > most:
            node.enter(Phase.GIVEN_UP, now)
            self._report(
                logging.ERROR, f'{node.name}: {reason}; given up after {most} restarts')
            return
        doublings = count - 2 if at_once else count - 1
        wait = self._limits.restart_backoff * 2.0 ** doublings if doublings >= 0 else 0.0
        node.retry = now + wait
        self._report(
            logging.WARNING, f'{node.name}: {reason}; attempt {count} of {most} in {wait:g} s')

    def _time(self) -> float:
        """Return the time, at the begin of every call, and forgive all a stall before it."""
        now = self._clock()
        gap, self._last = now - self._last, now
        if gap > STALL:
            for node in self._nodes.values():
                node.forgive(gap)
        return now

    def _notice_goal(self, now: float) -> None:
        if not self._reached and not self.missing(self._goal):
            self._reached = True
            self._report(
                logging.INFO,
                f'all {len(self._nodes)} nodes are {self._goal.name.lower()}, '
                f'{now - self._commanded:.2f} s after the command')

    def _report(self, level: int, text: str) -> None:
        self._reports.append(Report(level, text))

    def _report_once(self, about: str | int, level: int, text: str) -> None:
        if about not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(about)
            self._report(level, text)
