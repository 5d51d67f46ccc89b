"""xlerobot-asr doctor: says what is right and wrong with this machine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.checks import MACHINE, Finding
from xlerobot_asr_opt.cli.checks_bpu import BPU
from xlerobot_asr_opt.cli.checks_ros import ROS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

__all__ = ['add_parser', 'examine', 'run']

_COLOURS = {'OK': '32', 'WARN': '33', 'FAIL': '31'}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'doctor', help='say what is right and wrong with this machine',
        description='Says what is right and wrong with this machine, and what to do about it. '
        'Ends with 1 if a line says FAIL.')
    parser.add_argument('--json', action='store_true', help='one JSON object a line')


def run(args: argparse.Namespace) -> int:
    """Run every check and show it at once."""
    failed = False
    for name, finding in examine((*MACHINE, *BPU, *ROS)):
        failed = failed or finding.state == 'FAIL'
        if args.json:
            print(json.dumps({'check': name, **finding._asdict()}, ensure_ascii=False), flush=True)
        else:
            print(_line(name, finding, colour=sys.stdout.isatty()), flush=True)
    return 1 if failed else 0


def examine(
    checks: Iterable[tuple[str, Callable[[], Finding]]],
) -> Iterator[tuple[str, Finding]]:
    """Give the finding of each check as it is made."""
    for name, check in checks:
        yield name, check()


def _line(name: str, finding: Finding, *, colour: bool) -> str:
    """One finding, and below it what to do."""
    state = f'{finding.state:4}'
    if colour:
        state = f'\033[{_COLOURS[finding.state]}m{state}\033[0m'
    line = f'{state}  {name:16}{finding.text}'
    return f'{line}\n{"":22}-> {finding.advice}' if finding.advice else line
