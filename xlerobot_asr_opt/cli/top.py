"""xlerobot-asr top: how a running graph is doing, live."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from xlerobot_asr_opt.cli.arguments import add_json, add_namespace
from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.cli.session import require_ros
from xlerobot_asr_opt.core.monitor.judgement import Level
from xlerobot_asr_opt.core.monitor.monitor import Monitor
from xlerobot_asr_opt.parameters import ManagerParameters

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from xlerobot_asr_opt.core.monitor.judgement import Judgement
    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['add_parser', 'frame', 'run', 'view']

PERIOD_S = 1.0
FIRST_S = 8.0
"""How long --once waits until the graph has told of itself: memory comes every ten seconds, the
rest every second."""
STREAMS = 20
"""Streams that fit on a screen."""
NUMBERS = ('requests', 'latency', 'losses', 'backends', 'cache', 'level')
"""Parts of a frame that are numbers by name."""
COLOURS = {Level.OK: 'green', Level.WARN: 'yellow', Level.ERROR: 'red', Level.STALE: 'blue'}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'top', help='show how a running graph is doing, live',
        description='Shows the nodes of a running graph with their memory, its streams, '
        'latency, losses, backends, cache and level, and what its manager thinks of them, once a '
        'second, until Ctrl-C.')
    add_namespace(parser)
    add_json(parser)
    parser.add_argument('--once', action='store_true', help='show it once, and end')


def run(args: argparse.Namespace) -> int:
    """Show the graph until Ctrl-C, or once."""
    require_ros()
    from xlerobot_asr_opt.ros.client import GraphClient
    monitor = Monitor(ManagerParameters(nodes=()), time.monotonic)
    with GraphClient(args.namespace) as client:
        client.watch(monitor)
        if not client.is_running():
            complain(f'no graph is active in {client.namespace}' + (
                '' if args.once else ' yet; waiting') + '. This starts one: xlerobot-asr up')
            if args.once:
                return 1
        if args.once:
            client.spin_until(lambda: _is_known(client, monitor), FIRST_S)
            _print(frame(client.namespace, monitor, client.judgements), as_json=args.json)
            return 0
        if args.json or not sys.stdout.isatty():
            while True:
                _spin(client)
                _print(frame(client.namespace, monitor, client.judgements), as_json=args.json)
        with Live(auto_refresh=False, screen=True) as live:
            while True:
                _spin(client)
                live.update(view(frame(client.namespace, monitor, client.judgements)),
                            refresh=True)


def frame(
    namespace: str, monitor: Monitor, judged: Mapping[str, Judgement],
) -> dict[str, Any]:
    """What is shown once, as JSON takes it.

    Args:
        namespace: of the graph.
        monitor: has heard the graph; it is asked to judge.
        judged: what the graph's manager thinks; empty: it does not tell, and the defaults of its
            parameters are judged by.
    """
    now = time.monotonic()
    # Judged here in any case: the windows of what is shown want a sample each second.
    own = {judgement.name: judgement for judgement in monitor.judge()}
    sides = own | dict(judged)
    report = monitor.memory.report
    memory = {process.node: process for process in report.processes} if report else {}
    # The manager watches its own memory, and sends no heartbeat.
    states = {**dict.fromkeys(memory, 'running'), **sides['nodes'].values,
              **monitor.nodes.states(now)}
    nodes = [
        {'node': name, 'state': state,
         'pss_bytes': memory[name].pss if name in memory else None,
         'slope_mb_per_min': _number(memory[name].slope) if name in memory else None}
        for name, state in sorted(states.items())]
    counters = monitor.requests.counters
    return {
        'namespace': namespace, 'time': round(time.time(), 3),
        'judged_by': 'manager' if judged else 'defaults',
        'judgements': [
            {'name': one.name, 'level': one.level.name, 'message': one.message}
            for one in sides.values()],
        'nodes': nodes,
        'requests': {} if counters is None else {
            name: getattr(counters, name) for name in (
                'open', 'waiting', 'workers', 'admitted', 'done', 'rejected', 'expired',
                'cancelled', 'regranted', 'shared', 'ahead_used')},
        **{name: {key: _number(value) for key, value in sides[name].values.items()}
           for name in ('latency', 'losses', 'backends', 'cache', 'level')},
        'streams': [
            {'stream': status.stream, 'state': status.state.name.lower(),
             'level_dbfs': _number(status.level_dbfs), 'rate': _number(rate),
             'missing': status.missing, 'segments': status.segments, 'kept': status.kept,
             'dropped': status.dropped}
            for status, rate in monitor.streams.statuses(now)],
    }


def view(told: Mapping[str, Any]) -> RenderableType:
    """A frame for people."""
    judged = Table.grid(padding=(0, 2))
    for one in told['judgements']:
        level = Level[one['level']]
        judged.add_row(Text(one['name'], 'bold'), Text(one['level'], COLOURS[level]),
                       Text(one['message']))
    nodes = _table(('node', 'state', 'PSS [MB]', 'trend [MB/min]'), [
        (one['node'], one['state'], _cell(one['pss_bytes'], 1e-6, '.0f'),
         _cell(one['slope_mb_per_min'], 1, '+.2f')) for one in told['nodes']])
    streams = _table(
        ('stream', 'state', 'dBFS', 'x real time', 'segments', 'kept', 'chunks lost', 'dropped'), [
            (one['stream'], one['state'], _cell(one['level_dbfs'], 1, '.0f'),
             _cell(one['rate'], 1, '.2f'), *(str(one[key]) for key in (
                 'segments', 'kept', 'missing', 'dropped')))
            for one in told['streams'][:STREAMS]])
    more = len(told['streams']) - STREAMS
    parts: list[RenderableType] = [
        Text(f'{told["namespace"]}  {time.strftime("%H:%M:%S", time.localtime(told["time"]))}'
             + ('' if told['judged_by'] == 'manager' else
                '  (the manager tells no diagnostics: judged by the defaults)'), 'bold'),
        judged, nodes,
        *(_line(name, told[name]) for name in NUMBERS if told[name]),
        streams]
    if more > 0:
        parts.append(Text(f'and {more} more streams', 'dim'))
    return Group(*parts)


def _line(name: str, numbers: Mapping[str, Any]) -> Text:
    told = (f'{key} {value:g}' if isinstance(value, float) else f'{key} {value}'
            for key, value in numbers.items())
    return Text(f'{name}: {", ".join(told)}', 'dim')


def _spin(client: GraphClient) -> None:
    """Hear the graph for a second."""
    client.spin_until(lambda: False, PERIOD_S)
    client.transcripts.clear()


def _is_known(client: GraphClient, monitor: Monitor) -> bool:
    """Whether the graph has told of itself all that a frame shows, but for streams."""
    judged = client.judgements.get('nodes')
    if judged is None or monitor.requests.counters is None or monitor.memory.report is None:
        return False
    return set(judged.values) <= set(monitor.nodes.states(time.monotonic()))


def _print(told: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(told, ensure_ascii=False), flush=True)
    else:
        Console().print(view(told))


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style='dim')
    for index, head in enumerate(heads):
        table.add_column(head, justify='left' if index < 2 else 'right')
    for row in rows:
        # Names come from outside: Text takes no markup from them.
        table.add_row(*map(Text, row))
    return table


def _cell(value: float | None, factor: float, form: str) -> str:
    return '' if value is None else format(factor * value, form)


def _number(value: float | str) -> float | str | None:
    """A number of six digits for JSON, which knows no NaN; words as they are."""
    if isinstance(value, str):
        return value
    return float(f'{value:.6g}') if math.isfinite(value) else None
