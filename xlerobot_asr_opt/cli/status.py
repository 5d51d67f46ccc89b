"""xlerobot-asr status: says whether a graph is active, for people, scripts and health checks."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.cli.session import require_ros
from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from xlerobot_asr_opt.records import Degradation
    from xlerobot_asr_opt.ros.activity import Activity

__all__ = ['add_parser', 'run']

LEVEL_S = 1.5
"""How long the level is waited for, beside the answer: it is told once a second [s]."""

POLL_S = 0.05
"""Time for which an answer is waited for before it is looked at the clock [s]."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'status', help='say whether the graph is active',
        description='Asks the manager of a running graph whether all of its nodes are active, and '
        'hears at which level of degradation it is. Ends with 1 if a node is not active, or if no '
        'manager answers.')
    parser.add_argument(
        '--namespace', default='asr', help='ROS namespace of the graph (default: asr)')
    parser.add_argument(
        '--manager', default='manager',
        help='name of its manager: manager_NAME on a machine that lends (default: manager)')
    parser.add_argument(
        '--timeout', type=float, default=5.0,
        help='longest wait for an answer in s (default: 5)')
    parser.add_argument('--json', action='store_true', help='one JSON object')


def run(args: argparse.Namespace) -> int:
    """Ask once; return 0 if all nodes are active.

    Raises:
        ConfigurationError: the timeout is no time, or ROS is not there.
    """
    if not (math.isfinite(args.timeout) and args.timeout > 0):
        raise ConfigurationError(f'--timeout: got {args.timeout:g}, expected more than 0 s')
    require_ros()
    from xlerobot_asr_opt.ros.activity import Activity

    namespace = '/' + args.namespace.strip('/')
    until = time.monotonic() + args.timeout
    answer = None
    with Activity(namespace, manager=args.manager) as activity:
        activity.watch_level()
        while answer is None and time.monotonic() < until:
            answer = activity.poll(POLL_S)
        level = _level(activity, min(until, time.monotonic() + LEVEL_S)) if answer else None
    active, inactive = answer or (False, (f'{args.manager}: does not answer',))
    if args.json:
        print(json.dumps({
            'namespace': namespace, 'active': active, 'inactive': inactive,
            'level': None if level is None else {
                'name': level.level.word, 'reason': level.reason, 'forced': level.forced,
                'best': level.best.word}}, ensure_ascii=False))
        return 0 if active else 1
    if active:
        print(f'{namespace} is active')
    else:
        for line in inactive:
            complain(line)
    if level is not None:
        print(f'level {level.level.word}: {level.reason}')
    return 0 if active else 1


def _level(activity: Activity, until: float) -> Degradation | None:
    """Wait for the level; None: nobody tells it, as where manager.level_period is 0."""
    level: Degradation | None = activity.degradation
    while level is None and time.monotonic() < until:
        activity.poll(POLL_S)
        level = activity.degradation
    return level
