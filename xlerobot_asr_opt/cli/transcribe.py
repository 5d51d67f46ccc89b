"""xlerobot-asr transcribe: turns audio files into text."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from xlerobot_asr_opt.cli.arguments import add_json, add_namespace, non_negative
from xlerobot_asr_opt.cli.following import Follower
from xlerobot_asr_opt.cli.output import complain, show
from xlerobot_asr_opt.cli.session import free_namespace, own_graph, running_graph
from xlerobot_asr_opt.errors import AudioError, SourceError, TransportError
from xlerobot_asr_opt.processes import GraphArguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from xlerobot_asr_opt.records import Transcript
    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['add_parser', 'run']

_DISCOVERY_S = 0.5
_SILENCE_S = 15.0
"""A graph that says nothing of a stream for this long, though it does so every second, is dead."""
_LONG_S = 10.0
"""Shorter files need no progress bar."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'transcribe', help='turn audio files into text',
        description='Writes begin, end and text of every utterance in the files. Uses the graph '
        'that runs in the namespace; without one, or with --model, it starts one and ends it.')
    parser.add_argument('files', nargs='+', metavar='FILE', help='WAV, FLAC or OGG')
    add_json(parser)
    parser.add_argument('--model', help='name of a model, or the path of its directory')
    parser.add_argument('--language', default='', metavar='CODE',
                        help="as in ISO 639-1 (default: the model's own, or detected)")
    parser.add_argument('--speed', type=non_negative, default=0.0, metavar='FACTOR',
                        help='1: real time; 0: as fast as the graph takes it (default)')
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    """Transcribe every file; one that fails does not keep the others from being transcribed."""
    files = [file for file in args.files if _exists(file)]
    failed = len(files) < len(args.files)
    if files:
        with _graph(args) as client:
            for file in files:
                try:
                    complete = _transcribe(client, file, args)
                except AudioError as error:
                    complain(f'{file}: {error}')
                    complete = False
                failed = failed or not complete
    return 1 if failed else 0


def _exists(file: str) -> bool:
    if Path(file).is_file():
        return True
    complain(f'{file}: {"not a file" if Path(file).exists() else "no such file"}')
    return False


@contextlib.contextmanager
def _graph(args: argparse.Namespace) -> Iterator[GraphClient]:
    """The graph that runs, unless a model is asked for: it may have another one."""
    if not args.model:
        with running_graph(args.namespace, _DISCOVERY_S) as client:
            if client is not None:
                yield client
                return
    with free_namespace() as namespace, own_graph(GraphArguments(
            model=args.model or '', source='none', namespace=namespace,
            log_level='warn')) as client:
        yield client


def _transcribe(client: GraphClient, file: str, args: argparse.Namespace) -> bool:
    """Show every utterance of one file; return whether all of it was recognised.

    Raises:
        SourceError: the file cannot be read.
        TransportError: the graph has died.
    """
    opened = client.open_stream(
        str(Path(file).resolve()), language=args.language, speed=args.speed)
    if len(args.files) > 1 and not args.json:
        print(f'==> {file} <==', flush=True)
    follower = Follower(opened.stream)
    complete = True
    heard = time.monotonic()
    with _progress(file, opened.duration_s) as move:
        while not follower.ended:
            client.spin(0.1)
            status = client.streams.pop(opened.stream, None)
            if status is not None:
                heard = time.monotonic()
                move(status.position_s)
            for transcript in follower.take(status, _taken(client)):
                shown = show(transcript, opened.begin_ns, file, as_json=args.json)
                complete = complete and shown
            if time.monotonic() - heard > _SILENCE_S:
                raise TransportError(f'{file}: no news of it for {_SILENCE_S:g} s: the graph in '
                                     f'{client.namespace} has died; its log says why')
    if follower.failed:
        raise SourceError('the file broke off')
    return complete


def _taken(client: GraphClient) -> Iterator[Transcript]:
    """The transcripts that have arrived."""
    while client.transcripts:
        yield client.transcripts.popleft()


@contextlib.contextmanager
def _progress(file: str, duration_s: float) -> Iterator[Callable[[float], None]]:
    """A bar on standard error for a long file on a terminal; gives what moves it [s]."""
    console = Console(stderr=True)
    if not console.is_terminal or duration_s < _LONG_S:
        yield lambda _position_s: None
        return
    # What is printed meanwhile goes above the bar; a standard output that is a file stays one.
    with Progress(
        TextColumn('{task.description}', markup=False), BarColumn(), TimeRemainingColumn(),
        console=console, transient=True, redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        task = progress.add_task(Path(file).name, total=duration_s)
        yield lambda position_s: progress.update(task, completed=position_s)
