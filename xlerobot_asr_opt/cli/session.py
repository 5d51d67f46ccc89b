"""The graph that a command works with: the one that runs, or one of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib
import itertools
import tempfile
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.models.paths import private_directory, state_root
from xlerobot_asr_opt.processes import GraphArguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = [
    'a_graph', 'free_namespace', 'own_graph', 'private_store', 'require_ros', 'running_graph',
]


def require_ros() -> None:
    """Make sure that ROS and our messages are there, before something needs them.

    Raises:
        ConfigurationError: one of them cannot be imported.
    """
    try:
        importlib.import_module('rclpy')
        importlib.import_module('xlerobot_asr_interfaces.msg')
    except ImportError as error:
        raise ConfigurationError(
            f'ROS cannot be used: {error}. Source ROS 2 and this workspace, or . ./env.sh; '
            'xlerobot-asr doctor says more') from None


@contextlib.contextmanager
def running_graph(namespace: str, discovery_s: float) -> Iterator[GraphClient | None]:
    """A client of the graph that runs in a namespace, or None where none is found in that time."""
    require_ros()
    from xlerobot_asr_opt.ros.client import GraphClient
    with GraphClient(namespace) as client:
        yield client if client.is_running(discovery_s) else None


@contextlib.contextmanager
def private_store(arguments: GraphArguments) -> Iterator[GraphArguments]:
    """The arguments with a segment store that is thrown away after the block.

    What a killed command left is not told to the next one.
    """
    with tempfile.TemporaryDirectory(prefix='xlerobot-asr-store-') as directory:
        store = f'ingest.store_directory={directory}'
        yield dataclasses.replace(arguments, parameters=(store, *arguments.parameters))


@contextlib.contextmanager
def own_graph(arguments: GraphArguments) -> Iterator[GraphClient]:
    """A client of a graph that is started for it, and ended with the block.

    Raises:
        AsrError: the graph does not start.
    """
    require_ros()
    from xlerobot_asr_opt.cli.graph import Graph
    from xlerobot_asr_opt.ros.client import GraphClient
    with private_store(arguments) as private, Graph(private) as graph:
        complain('starting the graph ...')
        graph.wait_active()
        with GraphClient(arguments.namespace) as client:
            client.await_scheduler()
            yield client


@contextlib.contextmanager
def a_graph(
    namespace: str, arguments: GraphArguments, discovery_s: float,
) -> Iterator[tuple[GraphClient, bool]]:
    """A client of the graph that runs in namespace, else of one started from arguments.

    Yields:
        The client, and whether the graph ran already.
    """
    with running_graph(namespace, discovery_s) as client:
        if client is not None:
            yield client, True
            return
    with own_graph(arguments) as client:
        yield client, False


@contextlib.contextmanager
def free_namespace() -> Iterator[str]:
    """A namespace that no other command of this user has: few names, used again and again."""
    directory = private_directory(state_root() / 'run')
    for number in itertools.count():
        with (directory / f'transcribe-{number}.lock').open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f'asr_transcribe_{number}'
            return
