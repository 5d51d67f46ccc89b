"""xlerobot-asr listen: shows who speaks and what was said, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from xlerobot_asr_opt.cli.arguments import add_namespace
from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.cli.session import require_ros
from xlerobot_asr_opt.core.microphone_faults import faults_in
from xlerobot_asr_opt.records import StreamState, StreamStatus, Transcript, TranscriptStatus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['add_parser', 'final_line', 'meter', 'partial_line', 'run', 'table']

_METER_WIDTH = 20
_QUIETEST_DBFS = -60.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'listen', help='show what is being said, as it is said',
        description='Shows the level of each stream of a running graph, who speaks, and what was '
        'said, until Ctrl-C. On a terminal the view is live; otherwise it is one line an '
        'utterance.')
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    """Show the graph until Ctrl-C."""
    require_ros()
    from xlerobot_asr_opt.ros.client import GraphClient
    with GraphClient(args.namespace) as client:
        if not client.is_running():
            complain(f'no graph runs in {client.namespace} yet; waiting. This starts one: '
                     'xlerobot-asr up --source mic')
        if sys.stdout.isatty():
            _live(client)
        while True:
            client.spin(0.2)
            for transcript in _taken(client):
                print(final_line(transcript).plain, flush=True)


def _live(client: GraphClient) -> None:
    """Final lines scroll above a table that is drawn anew ten times a second."""
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        while True:
            client.spin(0.1)
            for transcript in _taken(client):
                live.console.print(final_line(transcript))
            live.update(table(client.streams.values()), refresh=True)


def _taken(client: GraphClient) -> Iterable[Transcript]:
    """The transcripts that have arrived, those of silence left out."""
    while client.transcripts:
        transcript = client.transcripts.popleft()
        if transcript.status is not TranscriptStatus.NO_SPEECH:
            yield transcript


def final_line(transcript: Transcript) -> Text:
    """Time, stream, text and latency of one utterance."""
    begin = time.strftime('%H:%M:%S', time.localtime(transcript.begin_ns / 1e9))
    line = Text.assemble((begin, 'dim'), '  ', (transcript.stream, 'cyan'), '  ')
    if transcript.status is TranscriptStatus.DONE:
        line.append(transcript.text)
        line.append(f'  {transcript.latency.total:.0f} ms', 'dim')
    else:
        line.append(f'{transcript.status.name.lower()}: {transcript.reason}', 'red')
    return line


def table(streams: Iterable[StreamStatus]) -> Table:
    """The streams that are open, one a line: name, level, what is happening."""
    grid = Table.grid(padding=(0, 2))
    for status in sorted(streams, key=lambda item: item.stream):
        if status.state is not StreamState.ENDED:
            grid.add_row(Text(status.stream, 'cyan'), meter(status.level_dbfs),
                         partial_line(status))
    return grid


def meter(level_dbfs: float) -> Text:
    """A bar from -60 to 0 dBFS, red where it is about to clip."""
    share = 1 - min(level_dbfs, 0.0) / _QUIETEST_DBFS
    # A level that is not known yet, NaN, is above nothing.
    lit = round(share * _METER_WIDTH) if level_dbfs > _QUIETEST_DBFS else 0
    colour = 'red' if level_dbfs > -3 else 'green'
    return Text.assemble(('█' * lit, colour), ('·' * (_METER_WIDTH - lit), 'dim'))


def partial_line(status: StreamStatus) -> Text:
    """What is happening on a stream."""
    if status.state is StreamState.SPEECH:
        return Text(f'speaking {status.speaking_s:.1f} s', 'bold')
    waiting = f', {status.kept} waiting' if status.kept else ''
    lost = f', {status.missing} chunks lost' if status.missing else ''
    wrong = ''.join(f', {str(fault.name).lower()}' for fault in faults_in(status.faults))
    return Text.assemble((f'{status.state.name.lower()}{waiting}{lost}', 'dim'), (wrong, 'red'))
