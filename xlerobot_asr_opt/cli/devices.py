"""xlerobot-asr devices: lists the microphones."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.sources.microphone import Device, devices

if TYPE_CHECKING:
    import argparse

__all__ = ['add_parser', 'run']


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'devices', help='list the microphones',
        description='Lists the microphones; a star marks the default. A name, a part of it or '
        'the number chooses one: xlerobot-asr up --source mic --device NAME.')
    parser.add_argument('--json', action='store_true', help='one JSON object a line')


def run(args: argparse.Namespace) -> int:
    """List them; return 1 if there are none."""
    listed = devices()
    for device in listed:
        print(json.dumps(dataclasses.asdict(device), ensure_ascii=False) if args.json
              else _line(device))
    if not listed:
        complain('no microphone: this machine has no input device; see `arecord -l`')
    return 0 if listed else 1


def _line(device: Device) -> str:
    """One device for people; a star marks the default."""
    mark = '*' if device.is_default else ' '
    channels = '1 channel' if device.channels == 1 else f'{device.channels} channels'
    return f'{mark} {device.index:3}  {device.name}  ({device.api}, {channels}, {device.rate} Hz)'
