"""The one table of processes: what launch/asr.launch.py and ``xlerobot-asr up`` both start.

    cache, inference_0 .. inference_n-1, scheduler, ingest, manager

or, on a machine that lends its processor to a graph elsewhere, with the name of that machine:

    inference_NAME_0 .. inference_NAME_n-1, manager_NAME

Everything that can be wrong with an argument or with the configuration file is found here, before
the first process starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.configuration import Values, parse_override, read_file
from xlerobot_asr_opt.core.topic_entries import topic_entry
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import NODES, ManagerParameters, Parameter, parameter
from xlerobot_asr_opt.parameters import table as parameter_table
from xlerobot_asr_opt.ros.profile import middleware_environment

__all__ = ['GraphArguments', 'Process', 'executable_of', 'process_table', 'read_arguments']

RESPAWN_DELAY = 0.5
"""Wait before a process that ended is started again [s]."""

ENVIRONMENT = {
    # A node that hangs is ended with SIGABRT, and one that crashes does so by itself: both leave
    # the stack of every thread in the log.
    'PYTHONFAULTHANDLER': '1',
}


@dataclass(frozen=True)
class GraphArguments:
    """What a person says about the whole graph; empty: as configured."""

    model: str = parameter('', 'Name of a model, or the path of its directory.')
    source: str = parameter(
        '', 'Where audio comes from; empty: what is named of files, device and topics, or topics.',
        choices=('', 'topic', 'file', 'mic', 'none'))
    topics: tuple[str, ...] = parameter(
        (), 'Audio topics to read, written as the parameter topics of ingest.')
    files: tuple[str, ...] = parameter((), 'WAV, FLAC or OGG files to read.')
    device: str = parameter('', 'Name of the microphone, or a part of it.')
    processes: int = parameter(1, 'Number of inference processes.', low=1, high=16)
    lend: str = parameter(
        '', 'Name of this machine, where it lends inference processes to the graph of the same '
        'namespace that runs on another one; empty: the whole graph runs here.')
    zero_copy: str = parameter(
        'data_sharing', 'How segments reach the inference processes.',
        choices=('data_sharing', 'loan', 'off'))
    namespace: str = parameter('asr', 'ROS namespace of all nodes.')
    config: str = parameter('', 'ROS parameter file, such as config/asr.yaml.')
    backends: tuple[str, ...] = parameter(
        (), 'What runs the model, in order of preference.',
        choices=('bpu', 'onnxruntime', 'bpu_exact', 'scripted'))
    script: str = parameter('', 'YAML file that the scripted backend answers from.')
    parameters: tuple[str, ...] = parameter(
        (), 'Single parameters as node.parameter=value; they win over all else.')
    use_sim_time: bool = parameter(False, 'Take the time from /clock.')
    log_level: str = parameter(
        'info', 'Least severe message that is logged.',
        choices=('debug', 'info', 'warn', 'error', 'fatal'))


@dataclass(frozen=True)
class Process:
    """One process of the graph.

    Attributes:
        executable: name of the console script, and stem of the module in nodes/.
        name: name of the node.
        namespace: ROS namespace, with its leading slash.
        parameters: what differs from the defaults; bool, int, float, str or tuple of str.
        environment: variables to add to the environment.
        log_level: least severe message that is logged.
        managed: a lifecycle node that the manager brings up.
        stop_stage: stages end one after the other: the manager before it can miss anybody, readers
            of loaned memory before its writer.
        respawn: start the process again when it ended.
        respawn_delay: wait before that [s].
    """

    executable: str
    name: str
    namespace: str
    parameters: Mapping[str, Any]
    environment: Mapping[str, str]
    log_level: str
    managed: bool
    stop_stage: int
    respawn: bool = True
    respawn_delay: float = RESPAWN_DELAY

    @property
    def full_name(self) -> str:
        """Namespace and name."""
        return f'{self.namespace}/{self.name}'

    @property
    def log_arguments(self) -> tuple[str, ...]:
        """The --ros-args that set the log level, of the node's own logger alone."""
        logger = self.full_name.strip('/').replace('/', '.')
        return '--log-level', f'{logger}:={self.log_level}'


def read_arguments(texts: Mapping[str, str]) -> GraphArguments:
    """Build the arguments from text, as ``ros2 launch`` hands it over; lists are comma-separated.

    Raises:
        ConfigurationError: an unknown name, or a value of another type or out of bounds.
    """
    declared = {item.name: item for item in parameter_table(GraphArguments)}
    unknown = sorted(set(texts) - set(declared))
    if unknown:
        raise ConfigurationError(f'unknown {", ".join(unknown)}; known: {", ".join(declared)}')
    return GraphArguments(**{
        name: declared[name].check(_from_text(text, declared[name]))
        for name, text in texts.items()})


def process_table(arguments: GraphArguments) -> tuple[Process, ...]:
    """List the processes of a graph in the order in which they are brought up, the manager last.

    Raises:
        ConfigurationError: an argument, the configuration file or an override is not valid.
    """
    for item in parameter_table(GraphArguments):
        item.check(getattr(arguments, item.name))
    namespace = _namespace(arguments.namespace)
    workers, names = _names(arguments)
    executables = {f'{namespace}/{name}': executable_of(name) for name in names}
    values = _values(arguments, executables)
    for text in values.get(f'{namespace}/ingest', {}).get('topics', ()):
        topic_entry(text)
    _order(values[f'{namespace}/{names[-1]}'], names[:-1])
    # Segments for another machine come over the network: nothing of theirs can be shared.
    sharing = [] if arguments.lend else workers
    environment = {
        **ENVIRONMENT, **middleware_environment(arguments.zero_copy, namespace, sharing)}
    return tuple(
        Process(
            executable=executable, name=node.rpartition('/')[2], namespace=namespace,
            parameters=_without_defaults(values[node], executable),
            environment={**environment, **_enclave(node)},
            log_level=arguments.log_level, managed=executable != 'manager',
            stop_stage={'manager': 0, 'inference': 1}.get(executable, 2))
        for node, executable in executables.items())


def executable_of(node: str) -> str:
    """Return the program of a node: inference for inference_0, and for inference_desk_0."""
    return node.partition('_')[0]


def _enclave(node: str) -> dict[str, str]:
    """Name the enclave of a process, whose keys lie under its node's name, where SROS2 is on."""
    is_on = os.environ.get('ROS_SECURITY_ENABLE', '').lower() == 'true'
    return {'ROS_SECURITY_ENCLAVE_OVERRIDE': node} if is_on else {}


def _names(arguments: GraphArguments) -> tuple[list[str], list[str]]:
    """Return the names of the inference processes, and of all, the manager last."""
    lender = arguments.lend
    if not re.fullmatch(r'\w*', lender, re.ASCII):
        raise ConfigurationError(f'lend: got {lender!r}, expected letters, digits and _')
    prefix = f'inference_{lender}_' if lender else 'inference_'
    workers = [f'{prefix}{index}' for index in range(arguments.processes)]
    if lender:
        return workers, [*workers, f'manager_{lender}']
    return workers, ['cache', *workers, 'scheduler', 'ingest', 'manager']


def _values(arguments: GraphArguments, executables: Mapping[str, str]) -> Values:
    """Merge file, arguments and overrides; the later wins."""
    values: Values = {node: {} for node in executables}
    layers = [read_file(Path(arguments.config), executables)] if arguments.config else []
    layers.append(_from_arguments(arguments, executables))
    layers.extend(parse_override(text, executables) for text in arguments.parameters)
    for layer in layers:
        for node, some in layer.items():
            values[node].update(some)
    return values


def _from_arguments(arguments: GraphArguments, executables: Mapping[str, str]) -> Values:
    named = {'file': arguments.files, 'mic': arguments.device, 'topic': arguments.topics}
    source = arguments.source or next((name for name, value in named.items() if value), '')
    given = {
        'ingest': {'source': source,
                   **{name: getattr(arguments, name) for name in ('topics', 'files', 'device')}},
        'inference': {name: getattr(arguments, name) for name in ('model', 'backends', 'script')},
    }
    values: Values = {}
    for node, executable in executables.items():
        values[node] = {key: value for key, value in given.get(executable, {}).items() if value}
        if arguments.use_sim_time:
            values[node]['use_sim_time'] = True
    return values


def _order(manager: dict[str, Any], nodes: list[str]) -> None:
    """Tell the manager its nodes; a configured order of its own must name the same ones."""
    configured = manager.get('nodes', ManagerParameters.nodes)
    if configured == ManagerParameters.nodes:
        manager['nodes'] = tuple(nodes)
    elif sorted(configured) != sorted(nodes):
        raise ConfigurationError(
            f'manager.nodes: got {", ".join(configured)}, expected {", ".join(nodes)} in any '
            'order; leave it out for this one')


def _without_defaults(values: Mapping[str, Any], executable: str) -> dict[str, Any]:
    """Leave out what the node takes anyhow: the log and ``ps`` then show what was chosen."""
    defaults = {item.name: item.default for item in parameter_table(NODES[executable])}
    return {key: value for key, value in values.items() if value != defaults.get(key, False)}


def _namespace(text: str) -> str:
    tokens = text.strip('/').split('/')
    if not all(re.fullmatch(r'[A-Za-z_]\w*', token, re.ASCII) for token in tokens):
        raise ConfigurationError(
            f'namespace: got {text!r}, expected letters, digits and _, not beginning with a digit')
    return '/' + '/'.join(tokens)


def _from_text(text: str, declared: Parameter) -> Any:
    """Read text as the declared type; what does not fit is left to its check."""
    default = declared.default
    if isinstance(default, tuple):
        return tuple(item.strip() for item in text.split(',') if item.strip())
    if isinstance(default, bool):
        return {'true': True, 'false': False}.get(text.lower(), text)
    if isinstance(default, int) and re.fullmatch(r'[+-]?\d+', text):
        return int(text)
    return text
