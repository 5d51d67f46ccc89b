"""Which topics and services each node of a running graph uses, as an SROS2 policy writes it.

The policy (deploy/sros2/policy.xml) allows each process what it does, and nothing else. Names are
relative to the graph's namespace; `~` is the node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import NODES
from xlerobot_asr_opt.processes import executable_of

if TYPE_CHECKING:
    from rclpy.node import Node

__all__ = ['KINDS', 'OPERATOR', 'Uses', 'read_policy', 'uses_of']

Uses = Mapping[str, frozenset[str]]
"""Names of topics and services by one of KINDS."""

KINDS = ('publish', 'subscribe', 'reply', 'request')

OPERATOR = 'operator'
"""The profile of people and of what they run beside the graph."""

_EVERY_NODES = re.compile(
    r'/?(rosout|parameter_events|clock)|.*/(describe_parameters|get_parameters|'
    r'get_parameter_types|list_parameters|set_parameters|set_parameters_atomically|'
    r'get_type_description|get_logger_levels|set_logger_levels)')
"""What every ROS node has: deploy/sros2/common.xml allows it."""


def uses_of(node: Node, name: str, namespace: str) -> Uses:
    """Say what a node of the graph uses, seen from another one.

    Args:
        node: who looks; it must have discovered the graph.
        name: of the node that is looked at.
        namespace: of the graph.
    """
    namespace = '/' + namespace.strip('/')
    found = {
        'publish': node.get_publisher_names_and_types_by_node(name, namespace),
        'subscribe': node.get_subscriber_names_and_types_by_node(name, namespace),
        'reply': node.get_service_names_and_types_by_node(name, namespace),
        'request': node.get_client_names_and_types_by_node(name, namespace),
    }
    return {kind: frozenset(_relative((one for one, _ in names), name, namespace))
            for kind, names in found.items()}


def read_policy(path: Path) -> dict[str, Uses]:
    """Read what a policy allows, by node, without what every node has.

    Raises:
        ConfigurationError: no such file, or not a policy of this form.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - as above
    except (OSError, ET.ParseError) as error:
        raise ConfigurationError(f'{path}: cannot be read as a policy: {error}') from error
    allowed = {}
    for profile in root.iter('profile'):
        node = profile.get('node', '')
        if executable_of(node) not in (*NODES, OPERATOR):
            raise ConfigurationError(f'{path}: got a profile of {node!r}, expected one of '
                                     f'{", ".join((*NODES, OPERATOR))}')
        allowed[node] = {kind: frozenset(
            (one.text or '').strip() for tag in ('topics', 'services')
            for group in profile.iter(tag) if group.get(kind) == 'ALLOW'
            for one in group) for kind in KINDS}
    return allowed


def _relative(names: Iterable[str], node: str, namespace: str) -> Iterable[str]:
    for name in names:
        if _EVERY_NODES.fullmatch(name):
            continue
        own, ours = f'{namespace}/{node}/', f'{namespace}/'
        if name.startswith(own):
            yield f'~/{name[len(own):]}'
        elif name.startswith(ours):
            yield name[len(ours):]
        else:
            yield name
