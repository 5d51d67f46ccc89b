"""xlerobot-asr analyze: where the time of a run went, and what to do next."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.cli.arguments import add_json, add_namespace, positive
from xlerobot_asr_opt.cli.output import complain, write_text
from xlerobot_asr_opt.errors import ConfigurationError, SourceError, TransportError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from rich.table import Table

    from xlerobot_asr_opt.core.performance import PerformanceIntegrator
    from xlerobot_asr_opt.core.performance_records import RecordedRun
    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['add_parser', 'print_report', 'record_live', 'run']

_STAGE_COLUMNS = ('target', 'p50', 'p90', 'p95', 'p99', 'max', 'gap', 'after')
_RESOURCE_COLUMNS = ('target', 'p50', 'p95', 'max', 'gap', 'unit')


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'analyze', help='say where the time of a run went, and what to do next',
        description='Holds every stage and resource of a run against its target, and ranks what '
        'would make it faster by the gain in the end-to-end latency or the capacity. A run is a '
        'bag with transcripts (xlerobot-asr record), a file of --save, or the graph that runs.')
    parser.add_argument('run_path', type=Path, nargs='?', metavar='BAG|RUN.json',
                        help='what was recorded')
    parser.add_argument('--live', action='store_true',
                        help='listen to the graph that runs, and sample its processes')
    parser.add_argument('--seconds', type=positive, default=30.0, metavar='N',
                        help='how long to listen (default: %(default)g); Ctrl-C ends earlier')
    parser.add_argument('--save', type=Path, metavar='RUN.json', help='keep what was measured')
    parser.add_argument('--html', type=Path, metavar='FILE',
                        help='draw waterfall, percentiles, cores and memory on one page')
    parser.add_argument('--target', action='append', default=[], dest='targets',
                        metavar='STAGE=MS', help='another target; may be given again')
    add_json(parser)
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    """Analyse; return 1 where no utterance can be analysed."""
    from xlerobot_asr_opt.core.performance import PerformanceIntegrator
    from xlerobot_asr_opt.core.performance_records import read_targets
    targets = read_targets(args.targets)
    if args.live == (args.run_path is not None):
        raise ConfigurationError('expected either a BAG or RUN.json, or --live for the graph that '
                                 'runs')
    recorded = _live(args) if args.live else _read(args.run_path)
    if args.save is not None:
        from xlerobot_asr_opt.cli.run_file import write_run
        write_run(args.save, recorded)
    integrator = PerformanceIntegrator(recorded, targets)
    if args.json:
        print('\n'.join(json.dumps(row, ensure_ascii=False) for row in _rows(integrator)))
    else:
        print_report(integrator)
    if args.html is not None:
        from xlerobot_asr_opt.cli.performance_page import performance_page
        write_text(args.html, performance_page(integrator, str(args.run_path or args.namespace)))
    if not integrator.usable:
        complain('no utterance was recognised in this run: nothing can be said of its stages')
    return 0 if integrator.usable else 1


def _read(path: Path) -> RecordedRun:
    """A run from a file or a bag."""
    if path.suffix == '.json':
        from xlerobot_asr_opt.cli.run_file import read_run
        return read_run(path)
    from xlerobot_asr_opt.core.performance_records import RecordedRun, Utterance
    from xlerobot_asr_opt.sources.transcripts import read_transcripts
    return RecordedRun(tuple(Utterance(transcript, time_ns)
                             for time_ns, transcript in read_transcripts(path)))


def _live(args: argparse.Namespace) -> RecordedRun:
    """Listen to the graph that runs.

    Raises:
        TransportError: none runs in the namespace.
        SourceError: nobody spoke.
    """
    from xlerobot_asr_opt.cli.session import running_graph
    with running_graph(args.namespace, 1.0) as client:
        if client is None:
            raise TransportError(f'no active graph in /{args.namespace.strip("/")}: start one '
                                 'with `xlerobot-asr up`, or name its --namespace')
        complain(f'listening to {client.namespace} for {args.seconds:g} s; Ctrl-C ends')
        recorded = record_live(client, args.seconds)
    if not recorded.utterances:
        raise SourceError(f'no transcript within {args.seconds:g} s: somebody has to speak; '
                          '`xlerobot-asr replay BAG` plays a recording into this graph')
    return recorded


def record_live(client: GraphClient, seconds: float) -> RecordedRun:
    """Collect transcripts and samples until the time is over or Ctrl-C."""
    from xlerobot_asr_opt.cli.node_samples import find_nodes, sampling
    from xlerobot_asr_opt.core.performance_records import RecordedRun, Utterance
    utterances: list[Utterance] = []
    with sampling(functools.partial(find_nodes, client.namespace)) as samples:
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                client.spin(min(left, 0.2))
                now_ns = time.time_ns()
                while client.transcripts:
                    utterances.append(Utterance(client.transcripts.popleft(), now_ns))
        except KeyboardInterrupt:
            complain('ended early')
    return RecordedRun(tuple(utterances), tuple(samples), os.cpu_count() or 0)


def print_report(integrator: PerformanceIntegrator) -> None:
    """Print the tables of stages and resources, and what to do next."""
    from rich.console import Console
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    gaps = integrator.analyze_performance_gaps()
    console.print(_table('Stages [ms]', gaps['stages'], _STAGE_COLUMNS))
    if integrator.run.resources:
        console.print(_table('Resources', gaps['resources'], _RESOURCE_COLUMNS))
    else:
        console.print('cores and memory: not sampled; `xlerobot-asr analyze --live` samples them')
    console.print(_summary(gaps))
    for number, path in enumerate(integrator.identify_optimization_paths(), 1):
        console.print(f'{number}. {path_line(path)}\n   {path["command"]}\n   {path["evidence"]}')


def _table(title: str, rows: dict[str, dict[str, Any]], columns: Sequence[str]) -> Table:
    """A table that fits into 80 columns."""
    from rich import box
    from rich.table import Table
    table = Table(title=title, title_justify='left', box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column('', no_wrap=True)
    for name in columns:
        table.add_column('delays' if name == 'after' else name, no_wrap=True,
                         justify='left' if name == 'unit' else 'right')
    for name, row in rows.items():
        table.add_row(name, *(_cell(row[column]) for column in columns))
    return table


def path_line(path: dict[str, Any]) -> str:
    """One remedy in a line."""
    if path['kind'] == 'capacity':
        gain = f'{path["capacity_percent"]:.0f} % more utterances/s'
    elif not path['gain_ms']:
        gain = f'nothing at its target, {path["limit_ms"]:.2f} ms at zero'
    else:
        gain = (f'{path["gain_ms"]:.2f} ms ({path["gain_percent"]:.0f} %) less in the mean at '
                f'its target, {path["limit_ms"]:.2f} ms at zero')
    return f'{path["bottleneck"]}: {path["advice"]}; {gain}'


def _summary(gaps: dict[str, Any]) -> str:
    """What became of the utterances, and how busy the graph was."""
    outcomes, load = gaps['outcomes'], gaps['load']
    counted = ', '.join(f'{count} {name.replace("_", " ")}' for name, count in outcomes.items()
                        if isinstance(count, int) and count and name != 'count')
    text = f'{outcomes["count"]} utterances: {counted or "none"}'
    if load['window_s']:
        text += (f'; in {load["window_s"]:.1f} s {load["rate"]:.2f}/s, {load["in_system"]:.2f} in '
                 'the graph at a time')
    return text


def _rows(integrator: PerformanceIntegrator) -> list[dict[str, Any]]:
    """Every row of the analysis, for programs."""
    gaps = integrator.analyze_performance_gaps()
    rows = [{'row': kind, 'name': name, **row}
            for kind, table in (('stage', gaps['stages']), ('resource', gaps['resources']))
            for name, row in table.items()]
    return [*rows, {'row': 'outcomes', **gaps['outcomes']}, {'row': 'load', **gaps['load']},
            *({'row': 'path', 'rank': rank, **path} for rank, path in enumerate(
                integrator.identify_optimization_paths(), 1))]


def _cell(value: object) -> str:
    if value is None:
        return ''
    return f'{value:.2f}' if isinstance(value, float) else str(value)
