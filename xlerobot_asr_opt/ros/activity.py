"""Asks the manager of a graph from outside whether all of its nodes are active."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from xlerobot_asr_interfaces.srv import IsActive

if TYPE_CHECKING:
    from types import TracebackType

    from rclpy.task import Future
    from typing_extensions import Self

__all__ = ['Activity']

RESEND_S = 0.25
"""Time without an answer after which a request counts as lost: a reply that comes before the
client's reader is known goes nowhere [s]."""


class Activity:
    """A client of a manager's ``is_active``, with a context of its own beside the process's.

    Args:
        namespace: of the graph, with its leading slash.
        manager: name of the manager's node.
        domain: ROS_DOMAIN_ID; None: the environment's.
    """

    def __init__(
        self, namespace: str, domain: int | None = None, manager: str = 'manager',
    ) -> None:
        self._context = Context()
        self._context.init(domain_id=domain)
        self._node = Node(
            f'activity_{os.getpid()}', namespace=namespace, context=self._context,
            use_global_arguments=False, enable_rosout=False, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._client = self._node.create_client(IsActive, f'{manager}/is_active')
        self._request: Future | None = None
        self._sent = 0.0

    def poll(self, seconds: float) -> tuple[bool, tuple[str, ...]] | None:
        """Work for at most that long.

        Returns:
            Whether all nodes are active, and "name: what it is and why" of those that are not;
            None while there is no answer.
        """
        if self._request is None and self._client.service_is_ready():
            self._request = self._client.call_async(IsActive.Request())
            self._sent = time.monotonic()
        self._executor.spin_once(timeout_sec=seconds)
        if self._request is None:
            return None
        if not self._request.done():
            if time.monotonic() - self._sent > RESEND_S:
                self._client.remove_pending_request(self._request)
                self._request = None
            return None
        answer, self._request = self._request.result(), None
        return answer.active, tuple(answer.inactive)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()
