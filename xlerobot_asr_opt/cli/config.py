"""xlerobot-asr config: turns the configuration of an earlier system into one of this graph."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.output import complain, write_text
from xlerobot_asr_opt.cloud_configuration import as_parameter_file, translate
from xlerobot_asr_opt.configuration import read_yaml
from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from xlerobot_asr_opt.cloud_configuration import Translation

__all__ = ['add_parser', 'run']


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser('config', help='read the configuration of an earlier system')
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    importing = actions.add_parser(
        'import', help='translate the settings of a cloud recogniser',
        description='Reads a YAML or JSON file with the settings of a cloud recogniser '
        '(max_sentence_silence, enable_inverse_text_normalization, hotwords ...), writes the '
        'parameters that have the same effect here, and says of every other key why it was left '
        'out. Values that were left out are not shown: they may be secrets.')
    importing.add_argument('file', type=Path, metavar='FILE')
    importing.add_argument(
        '-o', '--output', type=Path, help='parameter file to write (default: standard output)')
    importing.add_argument(
        '--section', default='', help='the only part of the file to read, such as asr.aliyun')


def run(args: argparse.Namespace) -> int:
    """Translate a file; return 1 if nothing of it has an equivalent.

    Raises:
        ConfigurationError: the file is not what it should be, or the output is there already.
        SourceError: the output cannot be written.
    """
    if args.output is not None and args.output.exists():
        raise ConfigurationError(
            f'{args.output} is there already; name another file, or remove it')
    try:
        translation = translate(read_yaml(args.file), args.section)
    except ConfigurationError as error:
        told = str(error)
        raise ConfigurationError(
            told if told.startswith(f'{args.file}: ') else f'{args.file}: {told}') from None
    _tell(translation)
    if not translation.mapped:
        complain('nothing of it has an equivalent: no file was written')
        return 1
    text = as_parameter_file(translation, args.file.name)
    if args.output is None:
        sys.stdout.write(text)
    else:
        write_text(args.output, text)
    return 0


def _tell(translation: Translation) -> None:
    """Say what became of each key."""
    for item in translation.mapped:
        note = f'; {item.note}' if item.note else ''
        complain(f'{item.key}: {item.node}.{item.name} = {item.value!r}{note}')
    for key in translation.left:
        complain(f'{key.key}: left out: {key.why}')
