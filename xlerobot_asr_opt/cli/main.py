"""The entry point xlerobot-asr: finds the command's module and imports no other."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from xlerobot_asr_opt.errors import AsrError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType, ModuleType

__all__ = ['COMMANDS', 'Command', 'main']

INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE


class Command(NamedTuple):
    """One command: its module in this package has add_parser(subparsers) and run(args) -> int."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command('demo', 'demo', 'hear a real recording through the whole graph'),
    Command('transcribe', 'transcribe', 'turn audio files into text'),
    Command('listen', 'listen', 'show what is being said, as it is said'),
    Command('top', 'top', 'show how a running graph is doing, live'),
    Command('up', 'up', 'start the graph'),
    Command('status', 'status', 'say whether the graph is active'),
    Command('replay', 'replay', 'play a bag into the graph and show its transcripts'),
    Command('record', 'record', 'record audio and transcripts into a bag'),
    Command('analyze', 'analyze', 'say where the time of a run went, and what to do next'),
    Command('validate', 'validate', 'measure what each optimisation brings on a recording'),
    Command('models', 'models', 'list, fetch and remove models'),
    Command('config', 'config', 'read the configuration of an earlier system'),
    Command('devices', 'devices', 'list the microphones'),
    Command('doctor', 'doctor', 'say what is right and wrong with this machine'),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name; None: those of the process.

    Returns:
        0: done; 1: something failed, which standard error tells; 2: wrong usage; 130: interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog='xlerobot-asr', description='Speech recognition for robots, as a ROS 2 graph.',
        epilog='xlerobot-asr COMMAND --help says more about one command.')
    parser.add_argument('--version', action='version', version=_version())
    parser.add_argument('-v', '--verbose', action='store_true', help='log what is done')
    modules = _add_commands(parser, argv)
    args = parser.parse_args(argv)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO if args.verbose else logging.WARNING,
        format='%(levelname)s %(name)s: %(message)s')
    signal.signal(signal.SIGTERM, _terminate)
    return _run(modules[args.command], args)


def _add_commands(parser: argparse.ArgumentParser, argv: Sequence[str]) -> dict[str, ModuleType]:
    """Add every command's name, and the arguments of the one that argv asks for."""
    asked = next((item for item in argv if not item.startswith('-')), None)
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    modules = {}
    for command in COMMANDS:
        if command.name == asked:
            module = importlib.import_module(f'xlerobot_asr_opt.cli.{command.module}')
            module.add_parser(subparsers)
            modules[command.name] = module
        else:
            subparsers.add_parser(command.name, help=command.help, add_help=False)
    return modules


def _run(module: ModuleType, args: argparse.Namespace) -> int:
    """Run a command, and turn what ends it early into a message and an exit code."""
    try:
        code = int(module.run(args))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, for example head; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except AsrError as error:
        print(f'xlerobot-asr {args.command}: {error}', file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    return code


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """End by SIGTERM as by an error, so that a graph that was started is ended too."""
    raise SystemExit(128 + number)


def _version() -> str:
    try:
        return importlib.metadata.version('xlerobot_asr_opt')
    except importlib.metadata.PackageNotFoundError:
        return 'not installed'


if __name__ == '__main__':
    raise SystemExit(main())
