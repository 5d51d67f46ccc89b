"""xlerobot-asr up: starts the graph on a machine without launch_ros, and keeps it running."""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.cli.child_output import LogDirectory, to_standard_error
from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.cli.service_manager import Pulse, ServiceManager
from xlerobot_asr_opt.core.manager_watch import ManagerWatch
from xlerobot_asr_opt.errors import AsrError
from xlerobot_asr_opt.local_process import waited_s
from xlerobot_asr_opt.models.paths import state_root
from xlerobot_asr_opt.parameters import Parameter, table
from xlerobot_asr_opt.processes import GraphArguments

if TYPE_CHECKING:
    from xlerobot_asr_opt.ros.activity import Activity

__all__ = ['Graph', 'add_graph_arguments', 'add_parser', 'read_graph_arguments', 'run']

TURN_S = 0.5
"""Interval at which it is looked whether anything still runs, and the manager is asked [s]."""
ANSWER_S = 0.5
"""Time in which the manager has to answer one turn's question: a request that got lost is repeated
within it [s]."""
POLL_S = 0.02
"""Interval at which it is looked whether the answer is there [s]."""

logger = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'up', help='start the graph',
        description='Starts every node of the graph, starts again what ends, and ends all of it '
        'on Ctrl-C. The same arguments and processes as ros2 launch asr.launch.py.')
    add_graph_arguments(parser)
    parser.add_argument(
        '--quiet', action='store_true',
        help="write the nodes' output to files of the state directory, not to standard error")


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one option for each field of GraphArguments."""
    for item in table(GraphArguments):
        parser.add_argument(f'--{item.name.replace("_", "-")}', help=_help(item), **_kind(item))


def read_graph_arguments(args: argparse.Namespace) -> GraphArguments:
    """Build the arguments of the graph from the parsed command line."""
    given: dict[str, Any] = {
        item.name: getattr(args, item.name) for item in table(GraphArguments)}
    # Names of topics and backends have no comma; that of a file, or a parameter's value, may.
    for names in ('topics', 'backends'):
        given[names] = [name for text in given[names] for name in text.split(',') if name]
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return GraphArguments(**values)


def run(args: argparse.Namespace) -> int:
    """Run the graph until SIGINT, SIGTERM or SIGHUP.

    Raises:
        ConfigurationError: a process cannot run as it was told to, then or later.
        AsrError: the graph does not start, or nothing of it could be kept running.
    """
    logging.getLogger('xlerobot_asr_opt').setLevel(logging.INFO)
    enough = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: enough.set())
    write = to_standard_error
    if args.quiet:
        write = LogDirectory(state_root() / 'log')
        print(f'log files: {write.directory}', file=sys.stderr)
    service = ServiceManager(os.environ, os.getpid())
    with Graph(read_graph_arguments(args), write=write) as graph:
        try:
            graph.wait_active(timeout=math.inf, interrupted=enough.is_set)
            _keep(graph, service, enough)
        finally:
            service.tell('STOPPING=1')
    return 0


def _keep(graph: Graph, service: ServiceManager, enough: threading.Event) -> None:
    """Watch a graph that is active, until it is enough."""
    watch = ManagerWatch(time.monotonic, waited_s)
    with graph.activity() as activity:
        pulse = None
        if service.watchdog_s:
            pulse = Pulse(service.watchdog_s, service.tell, time.monotonic)
        if not enough.is_set():
            service.tell('READY=1')
        while not enough.wait(TURN_S):
            graph.check()
            if graph.wait(timeout=0.0):
                raise AsrError('no process could be kept running')
            answers = _answers(activity)
            number = watch.turn(graph.manager_pid, answers=answers)
            if number is not None:
                logger.warning(
                    'the manager (pid %d) does not answer: %s', graph.manager_pid, number.name)
                graph.signal_manager(number)
            if pulse:
                pulse.turn(answers=answers)


def _answers(activity: Activity) -> bool:
    """Say whether the manager answers in time, whatever it answers."""
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        if activity.poll(POLL_S) is not None:
            return True
    return False


def _help(item: Parameter) -> str:
    default = f' (default: {item.default})' if item.default not in ((), '', False) else ''
    return f'{item.description}{default}'.replace('%', '%%')


def _kind(item: Parameter) -> dict[str, Any]:
    """How argparse reads a value of the declared type."""
    if isinstance(item.default, bool):
        return {'action': 'store_true'}
    if isinstance(item.default, tuple):
        return {'nargs': '+', 'action': 'extend', 'default': [], 'metavar': item.name.upper()}
    choices = tuple(choice for choice in item.choices if choice) or None
    return {'type': type(item.default), 'default': item.default, 'choices': choices}
