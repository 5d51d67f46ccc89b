"""Brings managed nodes up and down in order, watches them, and restarts one of them alone.

The supervisor decides and never acts: what is observed goes in by heard(), answered() and
changed(), what is wanted by command(), and decide() returns what is to be done.

Each node is in one phase:

    UNKNOWN   its state is asked for, again and again, until it is told
       |  answered
    RESTING   in a primary state; it takes the next step towards the goal as soon as its gate is
       |  ^   open and its backoff over
       |  |   changed; a refusal counts as a failure and leads to UNKNOWN
    CHANGING  a transition is under way
       |  too long; or, while it rests, a progress counter that stands still
    ENDING    its process is being ended, so that its launcher starts another: UNKNOWN again
    GIVEN_UP  too many failures within ten minutes: left alone until the next command

Gates. All nodes are configured at once, since loading a model takes its time, and activated one
after the other in the order given. Down, all are deactivated in reverse order before the first is
cleaned up, and cleaned up in the order given: a reader of loaned memory (inference) ends before
the writer (ingest). A node that was active before passes its gate alone: the restart of one stage
waits for no other.
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
)
from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['Outcome', 'Supervisor']

ASK_INTERVAL = 0.5
"""Wait for the answer to a question after its state before a node is asked again [s]."""
DOUBT_AFTER = 2.0
"""Time of a transition after which its node is asked, in case an answer was lost [s]."""
GRACE = 1.0
"""Time for a process to leave a trace of where it hangs, before it is ended [s]."""
WINDOW = 600.0
"""Failures older than this are forgiven [s]."""
LEFT_AFTER = 1.0
"""Time without a node's services after which it counts as gone: discovery now and then loses
sight of a service for a moment [s]."""
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
    """

    def __init__(
        self, nodes: Sequence[str], limits: ManagerParameters, clock: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._clock = clock
        now = clock()
        self._nodes = {name: ManagedNode(name, since=now) for name in nodes}
        self._goal = State.UNKNOWN
        self._commanded = now
        self._reached = True
        self._last = now
        self._strangers: set[str] = set()
        self._reports: list[Report] = []

    @property
    def pids(self) -> dict[str, int]:
        """Process of each node that was heard, by the node's name."""
        return {node.name: node.pid for node in self._nodes.values() if node.pid}

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do until something is heard."""
        return self._reached and all(
            node.phase in (Phase.RESTING, Phase.GIVEN_UP) for node in self._nodes.values())

    # What is wanted

    def command(self, goal: State) -> None:
        """Take every node, also those given up, to a primary state; UNKNOWN: leave them be."""
        now = self._clock()
        self._goal, self._commanded, self._reached = goal, now, goal is State.UNKNOWN
        for node in self._nodes.values():
            node.failures.clear()
            node.retry, node.reason, node.was_active = now, '', False
            if node.phase is Phase.GIVEN_UP:
                node.enter(Phase.UNKNOWN, now)

    def outcome(self) -> Outcome | None:
        """How the newest command ended; None while it is under way."""
        now = self._clock()
        missing = self.missing(self._goal)
        if not missing:
            return Outcome(success=True, message='')
        waiting = [node for node in self._nodes.values()
                   if node.counts and not node.at(self._goal)]
        late = now - self._commanded > self._limits.transition_timeout
        if not waiting or (late and all(node.phase is Phase.UNKNOWN for node in waiting)):
            return Outcome(success=False, message='; '.join(missing))
        return None

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
        now = self._clock()
        if beat.incarnation in node.past:
            self._suspect_twin(node, beat, now)
            return
        if beat.incarnation != node.incarnation:
            self._welcome(node, beat, now)
        if beat.progress != node.progress:
            node.progress, node.moved = beat.progress, now
        node.working = beat.working
        if node.phase is Phase.RESTING and beat.state is not node.state:
            node.enter(Phase.UNKNOWN, now)

    def answered(self, name: str, state: State) -> None:
        """Take a node's answer to Ask."""
        node, now = self._nodes[name], self._clock()
        if state is State.UNKNOWN:
            return
        if node.phase is Phase.UNKNOWN:
            fell = node.state in (State.INACTIVE, State.ACTIVE) and state < node.state
            before, node.state = node.state, state
            node.enter(Phase.RESTING, now)
            node.was_active |= state is State.ACTIVE
            if fell:
                self._fail(node, f'left {before.name.lower()} by itself')
        elif node.phase is Phase.CHANGING:
            self._resolve_doubt(node, state, now)

    def changed(self, name: str, transition: Transition, *, success: bool) -> None:
        """Take a node's answer to ChangeState."""
        node, now = self._nodes[name], self._clock()
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
        now = self._clock()
        self._forgive_own_stall(now)
        actions: list[Action] = []
        for node in self._nodes.values():
            if node.name in dead and node.pid:
                self._bury(node, now)
            actions.extend(self._watch(node, now))
            actions.extend(self._advance(node, now, reachable))
        self._notice_goal(now)
        reports, self._reports = self._reports, []
        return (*reports, *actions)

    def _watch(self, node: ManagedNode, now: float) -> Iterator[Action]:
        """End a process that hangs."""
        if node.phase is Phase.ENDING:
            if now - node.since >= GRACE:
                yield Kill(node.name, node.pid, signal.SIGKILL)
                node.moved, node.working = now, 0.0
                node.state = State.UNKNOWN
                node.enter(Phase.UNKNOWN, now)
            return
        reason = self._hangs(node, now)
        if not reason:
            return
        node.blamed = True
        self._fail(node, reason)
        if node.pid:
            yield Kill(node.name, node.pid, signal.SIGABRT)
            if node.phase is not Phase.GIVEN_UP:
                node.enter(Phase.ENDING, now)
        elif node.phase is not Phase.GIVEN_UP:
            node.state = State.UNKNOWN
            node.enter(Phase.UNKNOWN, now)

    def _hangs(self, node: ManagedNode, now: float) -> str:
        """Say why a process counts as hung; empty if it does not."""
        limits = self._limits
        if node.phase is Phase.CHANGING:
            # Loading a model may hold the node's executor, so its heartbeat says nothing here.
            if now - node.since > limits.transition_timeout:
                return f'{node.transition.name.lower()} took over {limits.transition_timeout:g} s'
        elif node.phase in (Phase.UNKNOWN, Phase.RESTING) and node.incarnation is not None:
            if now - node.moved > limits.heartbeat_timeout:
                return f'no progress for {limits.heartbeat_timeout:g} s'
            if node.working > limits.work_timeout:
                return f'one piece of work took over {limits.work_timeout:g} s'
        return ''

    def _advance(
        self, node: ManagedNode, now: float, reachable: Collection[str],
    ) -> Iterator[Action]:
        """Ask what is not known, and take the next step of what rests."""
        if node.phase is Phase.CHANGING:
            if now - node.since > DOUBT_AFTER and now - node.asked > DOUBT_AFTER:
                node.asked = now
                yield Ask(node.name)
        elif node.phase is Phase.UNKNOWN:
            if node.name in reachable and now - node.asked > ASK_INTERVAL:
                node.asked = now
                yield Ask(node.name)
        elif node.phase is Phase.RESTING:
            if node.name in reachable:
                node.reached = now
                if now >= node.retry:
                    yield from self._step(node, now)
            elif now - max(node.reached, node.since) > LEFT_AFTER:
                node.retire(now)
                node.enter(Phase.UNKNOWN, now)
                self._report(logging.WARNING, f'{node.name} has left')

    def _step(self, node: ManagedNode, now: float) -> Iterator[Action]:
        if node.state is State.FINALIZED and self._goal not in (State.UNKNOWN, State.FINALIZED):
            # Only another process leaves this state, and only the launcher can start one.
            if node.pid:
                yield Kill(node.name, node.pid, signal.SIGTERM)
                node.blamed = True
                node.enter(Phase.ENDING, now)
            return
        transition = next_transition(node.state, self._goal)
        if transition is not None and self._gate_is_open(node, transition):
            node.transition = transition
            node.enter(Phase.CHANGING, now)
            node.asked = now
            yield ChangeState(node.name, transition)

    def _gate_is_open(self, node: ManagedNode, transition: Transition) -> bool:
        nodes = list(self._nodes.values())
        place = nodes.index(node)
        earlier, later = nodes[:place], nodes[place + 1:]
        if transition is Transition.ACTIVATE:
            return node.was_active or all(
                other.was_active or other.at(State.ACTIVE) or not other.counts
                for other in earlier)
        if transition is Transition.DEACTIVATE:
            return not any(other.holds(State.ACTIVE) for other in later)
        if transition is Transition.CLEANUP:
            return not (any(other.holds(State.ACTIVE) for other in nodes)
                        or any(other.holds(State.INACTIVE) for other in earlier))
        return True

    # What follows from what was observed

    def _welcome(self, node: ManagedNode, beat: Heartbeat, now: float) -> None:
        """A process that was not heard before."""
        if node.incarnation is not None:
            died = not node.blamed
            node.retire(now)
            if node.phase is not Phase.GIVEN_UP:
                node.enter(Phase.UNKNOWN, now)
                if died:
                    self._fail(node, 'its process was replaced')
        node.incarnation, node.pid, node.blamed = beat.incarnation, beat.pid, False
        node.progress, node.moved, node.working = beat.progress, now, beat.working

    def _bury(self, node: ManagedNode, now: float) -> None:
        """A process that has ended."""
        pid, blamed = node.pid, node.blamed
        node.retire(now)
        node.blamed = False
        if node.phase is not Phase.GIVEN_UP:
            node.enter(Phase.UNKNOWN, now)
            if not blamed:
                self._fail(node, f'its process (pid {pid}) ended')

    def _arrive(self, node: ManagedNode, now: float) -> None:
        """A transition that succeeded."""
        node.state = node.transition.end
        node.enter(Phase.RESTING, now)
        node.moved = now
        if node.state is State.ACTIVE:
            node.was_active, node.reason = True, ''
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

    def _suspect_twin(self, node: ManagedNode, beat: Heartbeat, now: float) -> None:
        """A process that was replaced is heard again: it lives, and there are two."""
        if now - node.past[beat.incarnation] > STALL:
            node.past[beat.incarnation] = float('inf')
            self._report(
                logging.ERROR,
                f'two processes call themselves {node.name} (pid {beat.pid} and {node.pid}): '
                'end one of them, or give it another namespace')

    def _meet(self, beat: Heartbeat) -> None:
        """A node that is not managed."""
        if beat.node not in self._strangers:
            self._strangers.add(beat.node)
            self._report(
                logging.WARNING,
                f'{beat.node} (pid {beat.pid}) is here but not managed; managed are '
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

    def _forgive_own_stall(self, now: float) -> None:
        gap, self._last = now - self._last, now
        if gap > STALL:
            for node in self._nodes.values():
                node.moved += gap
                node.reached += gap

    def _notice_goal(self, now: float) -> None:
        if not self._reached and not self.missing(self._goal):
            self._reached = True
            self._report(
                logging.INFO,
                f'all {len(self._nodes)} nodes are {self._goal.name.lower()}, '
                f'{now - self._commanded:.2f} s after the command')

    def _report(self, level: int, text: str) -> None:
        self._reports.append(Report(level, text))
