"""Runs a peer beside us: in an environment of its own, and each lane in a process of its own."""

import contextlib
import os
import subprocess
import sys


def environment(directory, wanted, *install):
    """Make an environment that has a peer, unless it is there; return its Python.

    Args:
        directory: of the environment; its name is the peer's.
        wanted: what was asked for, in words; another one makes it anew.
        install: arguments of pip install.
    """
    python, stamp = directory / 'bin' / 'python', directory / 'installed.txt'
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f'installing {directory.name} into build/bench (once)', file=sys.stderr)
        for command in (
                [sys.executable, '-m', 'venv', '--clear', directory],
                [python, '-I', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check',
                 *install]):
            subprocess.run(command, check=True, stdout=sys.stderr,
                           env=os.environ | {'PYTHONPATH': ''})
        stamp.write_text(wanted)
    return python


@contextlib.contextmanager
def process(python, script, lane, *arguments, text=True):
    """Start one recogniser, and wait until it is loaded; its pipes carry text, or bytes."""
    variables = dict(os.environ)
    if lane == 'peer':  # the libraries of our environment are not for the peer's
        variables.pop('LD_LIBRARY_PATH', None)
    command = [*map(str, python), *map(str, (script, lane, *arguments))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=text, env=variables,
    ) as child:
        try:
            if not child.stdout.readline():
                raise RuntimeError(f'{command} has ended with {child.wait()}')
            yield child
        finally:
            child.kill()
