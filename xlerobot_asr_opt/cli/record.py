"""xlerobot-asr record: records a graph into a bag, or makes a bag of an audio file."""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.arguments import add_namespace, positive
from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.cli.session import require_ros
from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.sources.bag import STORAGES, BagWriter
from xlerobot_asr_opt.sources.definitions import AUDIO_CHUNK_TYPE, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['add_parser', 'bag_of_file', 'run']

_DISCOVERY_S = 3.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'record', help='record audio and transcripts into a bag',
        description='Records AudioChunk, Transcript and StreamStatus messages into a bag that '
        '`ros2 bag` and `xlerobot-asr replay` read, until Ctrl-C. With --from it makes a bag of '
        'an audio file, for which no graph is needed.')
    parser.add_argument(
        '-o', '--output', metavar='BAG', type=Path,
        default=Path(time.strftime('asr_%Y_%m_%d-%H_%M_%S')),
        help='directory to make (default: asr_ and the time)')
    parser.add_argument('--storage', choices=STORAGES, default=STORAGES[0],
                        help='(default: %(default)s)')
    parser.add_argument(
        '--topics', nargs='+', metavar='TOPIC', default=[],
        help='topics to record (default: audio, transcript and streams of the namespace)')
    parser.add_argument('--duration', type=positive, metavar='SECONDS', help='end after this time')
    parser.add_argument('--from', dest='file', type=Path, metavar='FILE',
                        help='make the bag of this WAV, FLAC or OGG file')
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    """Record until the time is over or Ctrl-C."""
    if args.file is not None:
        topic = args.topics[0] if args.topics else f'/{args.namespace.strip("/")}/audio'
        return _report(args.output, bag_of_file(args.file, args.output, topic, args.storage))
    require_ros()
    from xlerobot_asr_opt.ros.client import GraphClient
    with GraphClient(args.namespace) as client:
        topics = _wanted(client, args.topics)
        with BagWriter(args.output, args.storage) as bag:
            for name, kind in topics.items():
                bag.add_topic(name, kind)
                client.subscribe_raw(name, kind, functools.partial(bag.write, name))
            complain(f'recording {", ".join(topics)} into {args.output}; Ctrl-C ends')
            _spin(client, args.duration)
            return _report(args.output, bag.counts)


def _spin(client: GraphClient, duration: float | None) -> None:
    """Work until the time is over; Ctrl-C is the usual end of a recording."""
    deadline = time.monotonic() + (duration or float('inf'))
    try:
        while (left := deadline - time.monotonic()) > 0:
            client.spin(min(left, 0.2))
    except KeyboardInterrupt:
        return


def _wanted(client: GraphClient, topics: list[str]) -> Mapping[str, str]:
    """Full name and type of each topic to record."""
    from xlerobot_asr_opt.ros import names
    from xlerobot_asr_opt.ros.client import RECORDED
    if not topics:
        kinds = {names.AUDIO: 'AudioChunk', names.TRANSCRIPT: 'Transcript',
                 names.STREAMS: 'StreamStatus'}
        return {client.resolve(name): f'{PACKAGE}/msg/{kind}' for name, kind in kinds.items()}
    wanted = [client.resolve(topic) for topic in topics]
    client.spin_until(lambda: all(name in client.topics() for name in wanted), _DISCOVERY_S)
    known = client.topics()
    for name in wanted:
        kinds_found = known.get(name, ['nothing'])
        if kinds_found[0] not in RECORDED:
            raise SourceError(f'{name} carries {", ".join(kinds_found)}, expected one of '
                              f'{", ".join(RECORDED)}; `ros2 bag record` records any type')
    return {name: known[name][0] for name in wanted}


def bag_of_file(file: Path, output: Path, topic: str, storage: str = STORAGES[0],
                ) -> Mapping[str, int]:
    """Make a bag of an audio file, as if it had been heard on a topic from now on.

    Returns:
        Messages written, by topic.

    Raises:
        SourceError: the file cannot be read, or the bag cannot be written.
    """
    from xlerobot_asr_opt.sources.file import AudioFile
    with AudioFile(file) as recording, BagWriter(output, storage) as bag:
        bag.add_topic(topic, AUDIO_CHUNK_TYPE)
        for chunk in recording.chunks(file.stem, time.time_ns()):
            bag.write_chunk(topic, chunk)
        return bag.counts


def _report(path: Path, counts: Mapping[str, int]) -> int:
    """Say what was recorded."""
    complain(f'{path}: ' + ', '.join(f'{count} of {name}' for name, count in counts.items()))
    if not any(counts.values()):
        complain('nothing was recorded: does the graph run, and in this namespace and domain?')
        return 1
    return 0
