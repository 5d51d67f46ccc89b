"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import math

__all__ = ['add_json', 'add_namespace', 'non_negative', 'positive']


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Add --namespace."""
    parser.add_argument('--namespace', default='asr', metavar='NAME',
                        help='ROS namespace of the graph (default: %(default)s)')


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument('--json', action='store_true',
                        help='one JSON object a line on standard output')


def positive(text: str) -> float:
    """A number above 0."""
    value = non_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f'got {text}, expected a number above 0')
    return value


def non_negative(text: str) -> float:
    """A number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f'got {text}, expected a number of 0 or more')
    return value
