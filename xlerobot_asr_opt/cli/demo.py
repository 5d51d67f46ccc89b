"""xlerobot-asr demo: hears a real recording through the whole graph, and shows what that took."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from typing import TYPE_CHECKING

import psutil
from rich.console import Console
from rich.table import Table

from xlerobot_asr_opt.cli.arguments import non_negative
from xlerobot_asr_opt.cli.following import Follower
from xlerobot_asr_opt.cli.output import complain, show
from xlerobot_asr_opt.cli.session import free_namespace, private_store, require_ros
from xlerobot_asr_opt.models.fetch import fetch
from xlerobot_asr_opt.models.layout import asset_path, is_fetched
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import Latency, TranscriptStatus

if TYPE_CHECKING:
    import argparse

    from xlerobot_asr_opt.records import Transcript
    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['add_parser', 'run']

RECORDING = 'two_cities'
NEEDED = ('whisper-tiny.en', 'silero-vad', RECORDING)
PATIENCE_S = 60.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'demo', help='hear a real recording through the whole graph',
        description='Starts the graph, plays a person reading into it, prints what is understood '
        'as it comes, then the latency of each stage, the real-time factor and the memory.')
    parser.add_argument('--speed', type=non_negative, default=1.0, metavar='FACTOR',
                        help='1: real time (default); 0: as fast as the graph takes it')


def run(args: argparse.Namespace) -> int:
    """Play the recording; return 1 if anything of it was not recognised."""
    require_ros()
    from xlerobot_asr_opt.cli.graph import Graph
    from xlerobot_asr_opt.ros.client import GraphClient

    for name in NEEDED:
        if not is_fetched(name):
            complain(f'fetching {name} ...')
            fetch(name)
    with free_namespace() as namespace:
        arguments = GraphArguments(
            source='none', namespace=namespace, log_level='warn',
            # The figures are the recogniser's: nothing may come from an earlier demo's cache.
            parameters=('cache.l3_entries=0',))
        with private_store(arguments) as private, Graph(private) as graph:
            complain(f'the graph is active after {graph.wait_active():.1f} s')
            with GraphClient(namespace) as client:
                client.await_scheduler()
                transcripts, duration_s = _listen(client, args.speed)
            memory = {name: _pss_mb(pid) for name, pid in graph.pids.items()}
    _report(transcripts, duration_s, memory)
    good = all(one.status in (TranscriptStatus.DONE, TranscriptStatus.NO_SPEECH)
               for one in transcripts)
    return 0 if transcripts and good else 1


def _listen(client: GraphClient, speed: float) -> tuple[list[Transcript], float]:
    """Play the recording and show every utterance; return all of them and its length [s]."""
    path = asset_path(RECORDING)
    stream, duration_s, begin_ns = client.open_stream(str(path), speed=speed)
    complain(f'playing {path.name}, {duration_s:.0f} s of a person reading, '
             + (f'at {speed:g} times its pace' if speed else 'as fast as it is taken'))
    follower = Follower(stream)
    transcripts: list[Transcript] = []
    deadline = time.monotonic() + PATIENCE_S + (duration_s / speed if speed else 0.0)
    while not follower.ended and time.monotonic() < deadline:
        client.spin(0.1)
        arrived = [client.transcripts.popleft() for _ in range(len(client.transcripts))]
        for transcript in follower.take(client.streams.pop(stream, None), arrived):
            show(transcript, begin_ns, path.name, as_json=False)
            transcripts.append(transcript)
    return transcripts, duration_s


def _report(transcripts: list[Transcript], duration_s: float, memory: dict[str, float]) -> None:
    """Print the tables of latency and memory, and the real-time factor."""
    console = Console(file=sys.stdout)
    table = Table('stage', 'median ms', 'highest ms', title='Latency of an utterance')
    for field in dataclasses.fields(Latency):
        values = [getattr(one.latency, field.name) for one in transcripts] or [0.0]
        table.add_row(field.name, f'{statistics.median(values):.1f}', f'{max(values):.1f}')
    console.print(table)
    table = Table('process', 'PSS MB', title='Memory')
    for name, megabytes in memory.items():
        table.add_row(name, f'{megabytes:.0f}')
    table.add_row('all', f'{sum(memory.values()):.0f}')
    console.print(table)
    busy_s = sum(one.latency.features + one.latency.encode + one.latency.decode
                 for one in transcripts) / 1e3
    console.print(f'{len(transcripts)} utterances in {duration_s:.0f} s of audio; '
                  f'recogniser {busy_s:.2f} s: real-time factor {busy_s / duration_s:.3f}')


def _pss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_full_info().pss) / 1e6
