"""What a running graph offers: its topics, services and parameters, as seen from outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameterTypes, ListParameters

from xlerobot_asr_opt.errors import TransportError
from xlerobot_asr_opt.parameters import NODES
from xlerobot_asr_opt.ros.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rclpy.client import Client

__all__ = ['GraphSurvey']

ANSWER_S = 10.0
SETTLED_S = 1.0
"""Nothing new was discovered for this long: all of an idle machine is known [s]."""
OURS = ('xlerobot_asr_interfaces/', 'std_msgs/', 'std_srvs/')
"""Types of the topics and services that the graph is used by; the others are every ROS node's."""
EVERY_NODE = ('use_sim_time', 'start_type_description_service')
"""Parameters that ROS itself declares, some distributions more than others."""
KINDS = {
    ParameterType.PARAMETER_BOOL: 'bool',
    ParameterType.PARAMETER_INTEGER: 'integer',
    ParameterType.PARAMETER_DOUBLE: 'double',
    ParameterType.PARAMETER_STRING: 'string',
    ParameterType.PARAMETER_STRING_ARRAY: 'string_array',
    # rclpy declares an empty list of strings as one of bytes.
    ParameterType.PARAMETER_BYTE_ARRAY: 'string_array',
}


class GraphSurvey(Guest):
    """Looks at a graph with a node of its own.

    Args:
        namespace: of the graph.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = '/' + namespace.strip('/')
        super().__init__('survey', self._namespace)

    def found(self, wanted: Collection[str] = ()) -> dict[str, dict[str, str]]:
        """Topics, services and parameters by name, with their types; names are relative.

        Args:
            wanted: topics and services that are waited for, as long as an answer is.

        Raises:
            TransportError: a node does not answer.
        """
        self._discover({f'{self._namespace}/{name}' for name in wanted})
        return {
            'topics': self._ours(self._node.get_topic_names_and_types()),
            'services': self._ours(self._node.get_service_names_and_types()),
            'parameters': self._parameters(),
        }

    def _discover(self, wanted: set[str]) -> None:
        """Work until nothing new has come for a while and what is wanted is there."""
        known: set[str] = set()
        since = time.monotonic()
        until = since + ANSWER_S
        while (now := time.monotonic()) < until:
            self._executor.spin_once(timeout_sec=0.1)
            names = {name for name, _ in (*self._node.get_topic_names_and_types(),
                                          *self._node.get_service_names_and_types())}
            if names != known:
                known, since = names, now
            if now - since >= SETTLED_S and wanted <= names:
                return

    def _ours(self, names: Iterable[tuple[str, list[str]]]) -> dict[str, str]:
        prefix = f'{self._namespace}/'
        return {name.removeprefix(prefix): types[0] for name, types in sorted(names)
                if name.startswith(prefix) and types[0].startswith(OURS)}

    def _parameters(self) -> dict[str, str]:
        """Type of every parameter that a node of each kind has, as node.parameter."""
        running = {name for name, space in self._node.get_node_names_and_namespaces()
                   if space == self._namespace}
        found = {}
        for executable in NODES:
            node = f'{executable}_0' if f'{executable}_0' in running else executable
            listed = self._call(ListParameters, f'{node}/list_parameters',
                                ListParameters.Request()).result.names
            names = sorted(name for name in listed
                           if name not in EVERY_NODE and '.' not in name)
            types = self._call(GetParameterTypes, f'{node}/get_parameter_types',
                               GetParameterTypes.Request(names=names)).types
            found.update({f'{executable}.{name}': KINDS.get(kind, f'type {kind}')
                          for name, kind in zip(names, types, strict=True)})
        return found

    def _call(self, kind: type, name: str, request: Any) -> Any:
        client = self._node.create_client(kind, name)
        try:
            return self._answer(client, request)
        finally:
            self._node.destroy_client(client)

    def _answer(self, client: Client, request: Any) -> Any:
        until = time.monotonic() + ANSWER_S
        while time.monotonic() < until:
            if not client.service_is_ready():
                self._executor.spin_once(timeout_sec=0.05)
                continue
            future = client.call_async(request)
            resend = time.monotonic() + 1.0
            while not future.done() and time.monotonic() < resend:
                self._executor.spin_once(timeout_sec=0.05)
            if future.done():
                return future.result()
            client.remove_pending_request(future)
        raise TransportError(f'{client.service_name} did not answer within {ANSWER_S:g} s')
