"""A node in a graph that is looked at from outside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ['Guest']


class Guest:
    """A node with a context and an executor of its own, beside those of the process.

    Args:
        name: of the node; the process's number is added.
        namespace: of the graph, with its leading slash.
        domain: ROS_DOMAIN_ID; None: the environment's.
    """

    def __init__(self, name: str, namespace: str, domain: int | None = None) -> None:
        self._name = name
        self._namespace = namespace
        self._domain = domain
        self._join()

    def _join(self) -> None:
        """Come as a new node, which the graph has not heard of."""
        self._context = Context()
        self._context.init(domain_id=self._domain)
        self._node = Node(
            f'{self._name}_{os.getpid()}', namespace=self._namespace, context=self._context,
            use_global_arguments=False, enable_rosout=False, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def close(self) -> None:
        """Leave; a second call does nothing."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
