"""What every managed node has: typed parameters, a heartbeat, transitions that say what failed."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from xlerobot_asr_interfaces.msg import Heartbeat, MemoryReport
from xlerobot_asr_interfaces.srv import ReleaseMemory
from xlerobot_asr_opt.core.lifecycle import State
from xlerobot_asr_opt.core.service_limits import ServiceLimits
from xlerobot_asr_opt.errors import AsrError
from xlerobot_asr_opt.process_memory import own_uss, trim_heap
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.loans import LoanedPublisher
from xlerobot_asr_opt.ros.parameters import declare, undeclared
from xlerobot_asr_opt.ros.timers import steady_timer

__all__ = ['ManagedNode']

HEARTBEAT_PERIOD_S = 0.5
GREETING_PERIOD_S = 0.05
"""Between the first heartbeats: the manager takes no step of a node that it has not heard."""
GREETINGS = 10
"""More than one: whom this side has found may not have found this side yet."""


class ManagedNode(LifecycleNode):
    """A lifecycle node whose subclass fills in configure, activate, deactivate and cleanup.

    Each of these may raise an AsrError: it is logged and the transition fails, which the manager
    sees. Anything else that they raise ends the process, and the launcher starts it anew.
    """

    def __init__(self, name: str, parameters: type) -> None:
        """Declare the parameters and start the heartbeat.

        Args:
            name: default name of the node.
            parameters: its class in parameters.NODES.

        Raises:
            ConfigurationError: a parameter that is unknown or out of bounds.
        """
        super().__init__(name)
        undeclared(self, parameters)
        self.parameters = declare(self, parameters)
        self.incarnation = time.time_ns()
        self.state = State.UNCONFIGURED
        self.limits = ServiceLimits(time.monotonic)
        self._turns = 0
        self._heartbeats = LoanedPublisher(self, Heartbeat, names.HEARTBEATS, names.CONTROL_QOS)
        steady_timer(self, HEARTBEAT_PERIOD_S, self._beat)
        self._greetings = 0
        self._greeting = steady_timer(self, GREETING_PERIOD_S, self._greet)
        self.create_service(ReleaseMemory, names.RELEASE_MEMORY, self._release_memory)

    def configure(self) -> None:
        """Take the resources: files, models, publishers, subscriptions."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; keep the resources."""

    def cleanup(self) -> None:
        """Give the resources back; called in any state, also when nothing was taken."""

    def release(self) -> None:
        """Drop what can be made again, before the heap is trimmed."""

    @property
    def is_active(self) -> bool:
        """Whether the node does its work at present."""
        return self.state is State.ACTIVE

    def is_watched_by(self, report: MemoryReport) -> bool:
        """Whether a report comes from this host's manager: another host may lend to the graph."""
        return any(one.node == self.get_name() for one in report.processes)

    def working_s(self) -> float:
        """Return how long the running piece of work has taken so far [s]; 0: idle."""
        return 0.0

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer the transition."""
        return self._transition(self.configure, State.INACTIVE, undo=self.cleanup)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer the transition."""
        return self._transition(self.activate, State.ACTIVE, undo=self.deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer the transition."""
        return self._transition(self.deactivate, State.INACTIVE)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer the transition."""
        return self._transition(self.cleanup, State.UNCONFIGURED)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer the transition."""
        return self._transition(self.cleanup, State.FINALIZED)

    def _transition(
        self, step: Callable[[], None], reached: State, undo: Callable[[], None] | None = None,
    ) -> TransitionCallbackReturn:
        # The manager has heard it; what it still said of the old state would come late.
        self._greeting.cancel()
        try:
            try:
                step()
            except AsrError as error:
                self.get_logger().error(f'{step.__name__} failed: {error}')
                if undo is not None:
                    undo()
                return TransitionCallbackReturn.FAILURE
        except Exception as error:
            # rclpy would drop it without a word and go on; this it lets pass.
            self.get_logger().fatal(f'{step.__name__} failed:\n{traceback.format_exc()}')
            raise SystemExit(1) from error
        self.state = reached
        self._beat()
        return TransitionCallbackReturn.SUCCESS

    def _greet(self) -> None:
        """Beat quickly at first, as soon as somebody listens."""
        if self._heartbeats.matched:
            self._beat()
            self._greetings += 1
            if self._greetings == GREETINGS:
                self._greeting.cancel()

    def _beat(self) -> None:
        self._turns += 1
        with self._heartbeats.loan() as beat:
            conversions.write_text(beat['node'], self.get_name())
            beat['incarnation'] = self.incarnation
            beat['pid'] = os.getpid()
            beat['state'] = int(self.state)
            beat['progress'] = self._turns
            beat['working'] = self.working_s()

    def _release_memory(
        self, request: ReleaseMemory.Request, response: ReleaseMemory.Response,
    ) -> ReleaseMemory.Response:
        response.before = own_uss()
        refusal = self.limits.refusal(names.RELEASE_MEMORY)
        if refusal:
            self.get_logger().warning(refusal, throttle_duration_sec=1.0)
            response.after = response.before
            return response
        self.release()
        trim_heap()
        response.after = own_uss()
        return response
