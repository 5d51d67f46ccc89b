"""Builds packages of messages that are not part of the workspace, once, under build/."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class NotBuildableError(Exception):
    """The environment lacks what builds messages; the text says what."""


def environment_with(source, name):
    """Build the packages of a directory, if need be, and say how a process finds them.

    Args:
        source: relative to the checkout; each folder in it, or it itself, is a package.
        name: of the folder under build/ that takes what is built.

    Returns:
        The variables that a process needs to import the packages, as os.environ has them.

    Raises:
        NotBuildableError: the generators of messages, or colcon, are not there.
        subprocess.CalledProcessError: the build failed; its output is on standard error.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    if not any((Path(prefix) / 'share' / 'rosidl_default_generators').is_dir()
               for prefix in prefixes if prefix):
        raise NotBuildableError('rosidl_default_generators is not on AMENT_PREFIX_PATH')
    if importlib.util.find_spec('colcon_core') is None:
        raise NotBuildableError('colcon is not installed in this environment')
    base = ROOT / 'build' / name
    files = sorted(path for path in (ROOT / source).rglob('*') if path.is_file())
    state = hashlib.sha256(f'{sys.executable} {prefixes}'.encode())
    for path in files:
        state.update(str(path.relative_to(ROOT)).encode() + b'\0' + path.read_bytes())
    stamp = base / 'complete'
    if not stamp.is_file() or stamp.read_text() != state.hexdigest():
        _build(source, base)
        stamp.write_text(state.hexdigest())
    packages = [re.search(r'<name>(\w+)</name>', path.read_text())[1]
                for path in files if path.name == 'package.xml']
    return _variables([base / 'install' / package for package in packages])


def _build(source, base):
    print(f'building {source} (a minute, once)', file=sys.stderr)
    subprocess.run(
        [sys.executable, '-m', 'colcon', 'build', '--base-paths', source,
         '--build-base', str(base / 'build'), '--install-base', str(base / 'install'),
         '--cmake-args', f'-DPython3_EXECUTABLE={sys.executable}', '-DCMAKE_BUILD_TYPE=Debug'],
        cwd=ROOT, check=True, stdout=sys.stderr,
        env=os.environ | {
            'CMAKE_PREFIX_PATH': os.environ['AMENT_PREFIX_PATH'],
            'COLCON_DEFAULTS_FILE': os.devnull,
            'COLCON_LOG_PATH': str(base / 'log'),
        })


def _variables(installs):
    paths = {'AMENT_PREFIX_PATH': [], 'LD_LIBRARY_PATH': [], 'PYTHONPATH': []}
    for install in installs:
        (package,) = install.glob(f'**/*-packages/{install.name}')
        paths['AMENT_PREFIX_PATH'].append(str(install))
        paths['LD_LIBRARY_PATH'].append(str(install / 'lib'))
        paths['PYTHONPATH'].append(str(package.parent))
    return {name: os.pathsep.join([*values, *filter(None, [os.environ.get(name)])])
            for name, values in paths.items()}
