"""The lifecycle services of one other node, asked without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lifecycle_msgs.msg
import lifecycle_msgs.srv

from xlerobot_asr_opt.core.lifecycle import State, Transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.client import Client
    from rclpy.node import Node
    from rclpy.task import Future

__all__ = ['LifecycleClient']


class LifecycleClient:
    """Calls get_state and change_state; the answers come by callback, on the node's executor.

    Args:
        node: who asks.
        name: name of the managed node, in the same namespace.
    """

    def __init__(self, node: Node, name: str) -> None:
        self._states = node.create_client(lifecycle_msgs.srv.GetState, f'{name}/get_state')
        self._changes = node.create_client(lifecycle_msgs.srv.ChangeState, f'{name}/change_state')
        self._pending: dict[Client, Future] = {}

    @property
    def is_ready(self) -> bool:
        """Whether both services are there."""
        return self._states.service_is_ready() and self._changes.service_is_ready()

    def ask(self, answered: Callable[[State], None]) -> None:
        """Ask for the state; a transition under way counts as UNKNOWN."""
        self._call(
            self._states, lifecycle_msgs.srv.GetState.Request(),
            lambda future: answered(_primary(future.result().current_state.id)))

    def change(self, transition: Transition, changed: Callable[[bool], None]) -> None:
        """Ask for a transition; the answer is whether it succeeded."""
        request = lifecycle_msgs.srv.ChangeState.Request(
            transition=lifecycle_msgs.msg.Transition(id=int(transition)))
        self._call(self._changes, request, lambda future: changed(future.result().success))

    def _call(self, client: Client, request: Any, done: Callable[[Future], None]) -> None:
        """Send a request; one that is still open was lost, and is forgotten."""
        lost = self._pending.pop(client, None)
        if lost is not None and not lost.done():
            client.remove_pending_request(lost)
        future = self._pending[client] = client.call_async(request)
        future.add_done_callback(done)


def _primary(number: int) -> State:
    return State(number) if number in State.__members__.values() else State.UNKNOWN
