"""Writes requirements/locked/: every package that is installed, with the hashes of all its files.

    python3 tools/lock_requirements.py           writes them anew
    python3 tools/lock_requirements.py --check   tells whether a robot and a PC find all of them

Run it after a change of requirements/*.txt. The hashes are what the package index that uv is set
up for says of every file of a version: wheels of all platforms and Pythons, and the source. uv
itself goes into an environment under build/lock. Only the standard library is used.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / 'requirements'
LOCKED = FILES / 'locked'
UV = 'uv==0.13.9'
ENVIRONMENT = ROOT / 'build' / 'lock'
LOWEST = '3.10.6'
ANYWHERE = "sys_platform == 'linux' and python_version < '3.14'"
# What is installed together: by the name of the locked file, the files that say what is wanted,
# and where it must fit. Humble has Python 3.10, Jazzy and Kilted have 3.12.
SETS = {
    'wheels': (('jazzy', 'build', 'run', 'dev'), ANYWHERE),
    'sourced': (('sourced', 'build', 'run', 'dev'),
                "sys_platform == 'linux' and python_version < '3.13'"),
    'deploy': (('deploy',), ANYWHERE),
    'fuzz': (('fuzz',), ANYWHERE),
}
HEAD = '# Written by tools/lock_requirements.py from {}: do not edit.\n'
# Interpreters and platforms on which each set must be complete; the wheels of ROS are for x86_64.
PLACES = {
    'wheels': [(python, 'x86_64-manylinux_2_28')
               for python in (LOWEST, '3.11.2', '3.12.3', '3.13.1')],
    'sourced': [(python, f'{machine}-manylinux_2_28')
                for python in (LOWEST, '3.12.3') for machine in ('x86_64', 'aarch64')],
}


def uv():
    """Return the path of uv, installed if it is not there."""
    program = ENVIRONMENT / 'bin' / 'uv'
    if not program.is_file():
        subprocess.run([sys.executable, '-m', 'venv', '--clear', ENVIRONMENT], check=True)
        subprocess.run([ENVIRONMENT / 'bin' / 'python', '-I', '-m', 'pip', 'install', '--quiet',
                        UV], check=True)
    return program


def lock(name, wanted, where):
    """Write one locked file."""
    LOCKED.mkdir(exist_ok=True)
    sources = [FILES / f'{one}.txt' for one in wanted]
    with tempfile.TemporaryDirectory() as place:
        Path(place, 'pyproject.toml').write_text(
            f'[tool.uv]\nenvironments = {json.dumps([where])}\n')
        done = subprocess.run(
            [uv(), 'pip', 'compile', '--universal', '--python-version', LOWEST,
             '--no-python-downloads', '--generate-hashes', '--no-header', '--no-annotate',
             '--quiet', '--constraint', FILES / 'constraints.txt', *sources],
            check=True, stdout=subprocess.PIPE, cwd=place,
            env={**os.environ, 'UV_NO_PROGRESS': '1'})
    told = ', '.join(f'{one}.txt' for one in (*wanted, 'constraints'))
    (LOCKED / f'{name}.txt').write_text(HEAD.format(told) + done.stdout.decode())


def check(name, python, platform):
    """Tell whether every package of a set has a wheel there; returns whether it does."""
    done = subprocess.run(
        [uv(), 'pip', 'install', '--dry-run', '--quiet', '--require-hashes', '--no-config',
         '--no-python-downloads', '--target', ROOT / 'build' / 'lock' / 'nowhere',
         '--python-version', python, '--python-platform', platform,
         '--requirement', LOCKED / f'{name}.txt'],
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(f'{name}, Python {python}, {platform}: '
          f'{"complete" if done.returncode == 0 else done.stdout.decode().strip()}')
    return done.returncode == 0


def main():
    """Do what the arguments ask for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--check', action='store_true', help='look for wheels, write nothing')
    if parser.parse_args().check:
        found = [check(name, *place) for name, places in PLACES.items() for place in places]
        return int(not all(found))
    for name, (wanted, where) in SETS.items():
        lock(name, wanted, where)
    return 0


if __name__ == '__main__':
    sys.exit(main())
