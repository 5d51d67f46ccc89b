"""xlerobot-asr validate: switches the five stages on, one after the other, and judges each."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.arguments import add_json, positive
from xlerobot_asr_opt.cli.output import complain, write_text
from xlerobot_asr_opt.cli.public_names import public_names
from xlerobot_asr_opt.cli.revisions import changed_lines
from xlerobot_asr_opt.cli.session import require_ros
from xlerobot_asr_opt.cli.validation_report import Report, state
from xlerobot_asr_opt.core.contract import Contract, added, broken, read_contract
from xlerobot_asr_opt.core.validation import (
    BASELINE,
    STAGES,
    Measurement,
    Setting,
    Stage,
    Verdict,
    judged,
)
from xlerobot_asr_opt.errors import AsrError, ConfigurationError, SourceError

if TYPE_CHECKING:
    import argparse

    from xlerobot_asr_opt.cli.validation_runs import Runs

__all__ = ['add_parser', 'contract_path', 'run']

NAMES = tuple(stage.name for stage in STAGES)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'validate', help='measure what each optimisation brings on a recording',
        description='Plays a recording into graphs of its own: performance, concurrency, cache, '
        'latency and compatibility are switched on one after the other, and each is measured '
        'without it and with it. A stage that does not meet its criterion is rolled back. Takes '
        'about three minutes.')
    parser.add_argument('recording', type=Path, metavar='BAG|RECORDING',
                        help='a bag with audio, or a WAV, FLAC or OGG file')
    parser.add_argument(
        '-o', '--output', metavar='DIR', type=Path,
        default=Path(time.strftime('validation_%Y_%m_%d-%H_%M_%S')),
        help='directory to make, for the report and what was measured (default: validation_ and '
        'the time)')
    parser.add_argument('--stages', nargs='+', choices=NAMES, default=list(NAMES),
                        metavar='STAGE', help=f'of {", ".join(NAMES)} (default: all)')
    parser.add_argument('--speed', type=positive, default=4.0, metavar='FACTOR',
                        help='times the recorded pace (default: %(default)g)')
    parser.add_argument('--seconds', type=positive, default=20.0, metavar='N',
                        help='of the recording that are played (default: %(default)g)')
    parser.add_argument('--streams', type=int, default=2, metavar='N',
                        help='how often each stream is heard at once (default: %(default)d)')
    parser.add_argument('--rounds', type=int, default=1, metavar='N',
                        help='how often each stage is measured without and with it, in turn; more '
                        'where other programs use the machine (default: %(default)d)')
    parser.add_argument('--model', default='', help='name of a model, or its directory')
    parser.add_argument('--parameters', nargs='+', default=[], metavar='NODE.PARAMETER=VALUE',
                        help='of every graph, before what the stages change')
    parser.add_argument('--contract', type=Path, metavar='FILE',
                        help='what the graph has to offer (default: as installed)')
    parser.add_argument('--since', metavar='REVISION',
                        help='also tell how many lines changed since, in this git work tree')
    parser.add_argument('--namespace', default='asr_validate', metavar='NAME',
                        help='ROS namespace of the graphs (default: %(default)s)')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Validate; return 1 where a stage was rolled back or the contract is broken."""
    for name, most in (('streams', 16), ('rounds', 100)):
        if not 1 <= (given := getattr(args, name)) <= most:
            raise ConfigurationError(f'--{name}: got {given}, expected 1 to {most}')
    require_ros()
    contract = read_contract(args.contract or contract_path())
    changes = changed_lines(args.since, Path.cwd()) if args.since else None
    from xlerobot_asr_opt.cli.validation_audio import prepare
    from xlerobot_asr_opt.cli.validation_runs import Runs
    _make(args.output)
    topic = f'/{args.namespace.strip("/")}/audio'
    try:
        seconds = prepare(args.recording, args.output / 'bag', topic, args.streams, args.seconds)
    except AsrError:
        shutil.rmtree(args.output)
        raise
    runs = Runs(args.output, args.namespace, topic, args.speed, args.model)
    verdicts, additions = _stages(args, runs, contract)
    report = Report(
        f'{args.recording.name}, {seconds:.0f} s, {args.streams} times at once', _typed(args),
        verdicts, runs.commands, additions, changes)
    _tell(report, args)
    return 0 if all(verdict.accepted for verdict in verdicts) else 1


def _stages(args: argparse.Namespace, runs: Runs, contract: Contract,
            ) -> tuple[list[Verdict], list[str]]:
    """Measure and judge every stage beside those that were accepted before.

    Returns:
        The verdicts, and what the graph has beside the contract.
    """
    accepted = BASELINE.plus(Setting(tuple(args.parameters)))
    verdicts: list[Verdict] = []
    additions: list[str] = []
    for stage in (stage for stage in STAGES if stage.name in args.stages):
        if stage.name == 'compatibility':
            first = verdicts[0] if verdicts else _pairs(runs, stage, accepted, 1)
            verdict, additions = _compatibility(args, runs, contract, stage, accepted, first)
        else:
            verdict = _pairs(runs, stage, accepted, args.rounds)
        verdicts.append(verdict := judged(verdict))
        complain(f'{stage.name}: {state(verdict)}')
        if verdict.accepted:
            accepted = verdict.setting
    return verdicts, additions


def _pairs(runs: Runs, stage: Stage, accepted: Setting, rounds: int) -> Verdict:
    """Measure without the stage and with it, in turn, so that a slow hour slows both."""
    setting = accepted.plus(stage.change)
    pairs, names = [], []
    for turn in range(1, rounds + 1):
        pair = (f'{stage.name}_before_{turn}', f'{stage.name}_{turn}')
        pairs.append((
            runs.measure(pair[0], accepted, recorded_pace=stage.recorded_pace),
            runs.measure(pair[1], setting, recorded_pace=stage.recorded_pace,
                         passes=stage.passes)))
        names.append(pair)
    before, after = (functools.reduce(Measurement.plus, side) for side in zip(*pairs, strict=True))
    references, with_it = zip(*names, strict=True)
    return Verdict(stage, setting, references, with_it, before, after)


def _compatibility(args: argparse.Namespace, runs: Runs, contract: Contract, stage: Stage,
                   accepted: Setting, first: Verdict) -> tuple[Verdict, list[str]]:
    """Compare the graph with all that was accepted with the contract, and with the first one.

    Returns:
        The verdict, and what the graph has beside the contract.
    """
    found: list[Contract] = []
    after = runs.measure(
        stage.name, accepted, ask=lambda: found.append(_survey(args.namespace, contract)))
    after = dataclasses.replace(after, problems=tuple(broken(contract, found[0])))
    return (Verdict(stage, accepted, first.references, (stage.name,), first.before, after),
            added(contract, found[0]))


def _survey(namespace: str, contract: Contract) -> Contract:
    """What the running graph and the package offer."""
    from xlerobot_asr_opt.ros.contract import GraphSurvey
    with GraphSurvey(namespace) as graph:
        found = graph.found({*contract['topics'], *contract['services']})
        return {**found, 'names': public_names()}


def contract_path() -> Path:
    """Where the contract is installed.

    Raises:
        ConfigurationError: nowhere on AMENT_PREFIX_PATH.
    """
    for prefix in filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        path = Path(prefix) / 'share' / 'xlerobot_asr_opt' / 'config' / 'contract.json'
        if path.is_file():
            return path
    raise ConfigurationError('config/contract.json is not installed: build the workspace, or '
                             'name it with --contract')


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise SourceError(f'{directory}: cannot be made: {error.strerror}; name another one with '
                          '--output') from error


def _typed(args: argparse.Namespace) -> str:
    """The command line that makes the same report."""
    words = ['xlerobot-asr', 'validate', str(args.recording), '--speed', f'{args.speed:g}',
             '--seconds', f'{args.seconds:g}', '--streams', str(args.streams),
             '--rounds', str(args.rounds)]
    if len(args.stages) < len(NAMES):
        words += ['--stages', *args.stages]
    words += ['--model', args.model] if args.model else []
    words += ['--parameters', *args.parameters] if args.parameters else []
    words += ['--since', args.since] if args.since else []
    return shlex.join(words)


def _tell(report: Report, args: argparse.Namespace) -> None:
    """Write the report, and show it."""
    paths = {args.output / 'report.md': report.markdown(),
             args.output / 'report.html': report.html()}
    for path, text in paths.items():
        write_text(path, text)
    if args.json:
        print('\n'.join(json.dumps(dataclasses.asdict(row), ensure_ascii=False)
                        for row in report.rows()))
    else:
        print('\n'.join(report.summary()))
