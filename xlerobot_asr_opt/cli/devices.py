"""xlerobot-asr devices: lists the microphones, or says what is wrong with one of them."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from xlerobot_asr_opt.cli.arguments import positive
from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.core.audio import level_dbfs
from xlerobot_asr_opt.core.microphone_faults import Ailment, ailments
from xlerobot_asr_opt.records import Fault
from xlerobot_asr_opt.sources.microphone import Device, Microphone, devices

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from xlerobot_asr_opt.records import Chunk

__all__ = ['add_parser', 'run']

_POLL_S = 0.05
_LOSING = Ailment(
    Fault.NONE, 'audio was lost in the driver',
    'something keeps this machine from reading it in time: look at the load (top)')


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'devices', help='list the microphones, or check one',
        description='Lists the microphones; a star marks the default. A name, a part of it or '
        'the number chooses one: xlerobot-asr up --source mic --device NAME. With --check it '
        'listens to one for a moment, while you speak, and says what is wrong with it and what '
        'to do; ends with 1 if something is.')
    parser.add_argument('--check', nargs='?', const='', metavar='NAME',
                        help='listen to this microphone; without a name, to the default')
    parser.add_argument('--seconds', type=positive, default=3.0,
                        help='for which it is listened to (default: %(default)g)')
    parser.add_argument('--json', action='store_true', help='one JSON object a line')


def run(args: argparse.Namespace) -> int:
    """List them, or check one; return 1 if there are none, or something is wrong.

    Raises:
        SourceError: the microphone to check cannot be opened, or has stopped.
    """
    if args.check is not None:
        return check(args.check, args.seconds, as_json=args.json)
    listed = devices()
    for device in listed:
        print(json.dumps(dataclasses.asdict(device), ensure_ascii=False) if args.json
              else _line(device))
    if not listed:
        complain('no microphone: this machine has no input device; see `arecord -l`')
    return 0 if listed else 1


def check(
    name: str, seconds: float, *, as_json: bool, portaudio: Any = None,
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Listen to a microphone, and show what is wrong with it; return 1 if something is.

    Args:
        name: of a device, a part of it, or its number; empty: the default.
        seconds: for which it is listened to.
        as_json: one JSON object, in place of lines for people.
        portaudio: see Microphone.
        clock: monotonic [s].
        sleep: waits so many seconds.

    Raises:
        SourceError: it cannot be opened, or has stopped.
    """
    microphone = Microphone(name, 'check', lambda: round(clock() * 1e9), portaudio)
    device = microphone.device
    chunks: list[Chunk] = []
    complain(f'listening to {device.name} for {seconds:g} s: say something')
    try:
        until = clock() + seconds
        while clock() < until:
            sleep(_POLL_S)
            chunks += microphone.take()
    finally:
        microphone.close()
    samples = np.concatenate([np.zeros(0, np.int16), *(chunk.samples for chunk in chunks)])
    listened = seconds if not chunks else 0.0 if microphone.overflows else _lasted(chunks)
    found = ailments(samples.reshape(-1, microphone.channels), microphone.rate, listened)
    found += [_LOSING] if microphone.overflows else []
    level = level_dbfs(samples)
    if as_json:
        print(json.dumps({
            'device': device.name, 'rate': microphone.rate, 'channels': microphone.channels,
            'level': level if samples.any() else None,
            'findings': [{'fault': one.fault.name, 'text': one.text, 'remedy': one.remedy}
                         for one in found]}, ensure_ascii=False))
    else:
        print(f'{"WARN" if found else "OK":4}  {device.name}: {microphone.rate} Hz, '
              f'{_channels(microphone.channels)}, {level:.0f} dBFS')
        for one in found:
            print(f'      {one.text}\n      -> {one.remedy}')
    return 1 if found else 0


def _lasted(chunks: list[Chunk]) -> float:
    """Return the time that the chunks took, by when they came [s]; 0: one alone shows none."""
    if len(chunks) < 2:
        return 0.0
    between_s = (chunks[-1].stamp_ns - chunks[0].stamp_ns) / 1e9
    return between_s * len(chunks) / (len(chunks) - 1)


def _line(device: Device) -> str:
    """One device for people; a star marks the default."""
    mark = '*' if device.is_default else ' '
    return (f'{mark} {device.index:3}  {device.name}  ({device.api}, '
            f'{_channels(device.channels)}, {device.rate} Hz)')


def _channels(count: int) -> str:
    return '1 channel' if count == 1 else f'{count} channels'
