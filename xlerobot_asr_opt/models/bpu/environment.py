"""The vendor's tools, in a Python 3.10 of their own under the user's cache; never redistributed.

They are installed by pip from the index that it is configured for, on demand, and pinned. What
they import and do not use is stood in for (standins.py): 360 MB in place of several GB. A stamp is
written last, so that an installation that was interrupted is seen, and made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.paths import cache_root, private_directory

__all__ = ['PACKAGES', 'VendorEnvironment', 'find_python', 'vendor_directory']

PACKAGES = (
    'rdkx5-yolo-mapper==1.0.0', 'dgdk==1.0.0', 'dg-nn-toolkit==1.0.0',
    'numpy==1.23.0', 'onnx==1.15.0', 'protobuf==3.20.3', 'multiprocess==0.70.19', 'dill==0.4.1',
    'tqdm==4.70.1', 'tabulate==0.10.0', 'click==8.5.1', 'PyYAML==6.0.4', 'schema==0.7.8',
    'Jinja2==3.1.6', 'MarkupSafe==3.0.4', 'graphviz==0.21')
"""All that the tools need, without what they only import; CPython 3.10 on x86-64."""

TOOLS = PACKAGES[:3]
"""The vendor's own."""

PYTHON = (3, 10)

_STAMP = 'installed.txt'
_STANDINS = Path(__file__).with_name('standins.py')
_INSTALL_TIMEOUT_S = 3600

Report = Callable[[str], None]


@dataclass(frozen=True)
class VendorEnvironment:
    """An environment, installed or not.

    Attributes:
        directory: of the environment.
    """

    directory: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.directory / 'bin' / 'python'

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return self.directory / 'lib' / f'python{PYTHON[0]}.{PYTHON[1]}' / 'site-packages'

    @property
    def executor(self) -> Path:
        """The extension module that runs quantised models."""
        return self.packages / 'hmct' / 'executor' / 'onnxruntime_pybind11_state.so'

    def program(self, name: str) -> Path:
        """One of the vendor's programs, such as hb_mapper."""
        return self.directory / 'bin' / name

    @property
    def variables(self) -> dict[str, str]:
        """What its programs are started with: nothing of ours leaks into them."""
        names = ('HOME', 'TMPDIR', 'LANG')
        kept = {name: os.environ[name] for name in names if name in os.environ}
        return {**kept, 'PATH': f'{self.directory / "bin"}:{os.defpath}'}

    def missing(self) -> str:
        """What is not as it should be; empty if the environment can be used."""
        if not self.directory.is_dir():
            return f'there is no {self.directory}'
        stamp = self.directory / _STAMP
        if not stamp.is_file():
            return f'{self.directory} is half installed'
        if stamp.read_text() != _stamp():
            return f'{self.directory} was made by another version of this package'
        for path in (self.python, self.executor, self.program('hb_mapper')):
            if not path.exists():
                return f'{path} is missing'
        return ''

    def check(self) -> None:
        """See that it can be used.

        Raises:
            ModelError: it cannot; the message says what is missing, and how it is made.
        """
        if missing := self.missing():
            raise ModelError(
                f"the vendor's tools are not usable: {missing}; run "
                '`xlerobot-asr models compile`, which installs them')

    def make(self, report: Report) -> None:
        """Install it, unless it is whole; two processes that do so wait for each other.

        Args:
            report: told of every step.

        Raises:
            ModelError: there is no Python 3.10, or pip failed; the message says why.
            StoreError: the cache directory cannot be made.
        """
        private_directory(self.directory.parent)
        with _locked(self.directory):
            if not (missing := self.missing()):
                return
            python = find_python()
            report(f"installing the vendor's tools (360 MB): {missing}")
            shutil.rmtree(self.directory, ignore_errors=True)
            variables = {**os.environ, **python.variables, 'PYTHONPATH': ''}
            variables.pop('LD_LIBRARY_PATH', None)
            _run([python.command, '-m', 'venv', str(self.directory)], variables)
            _run([str(self.python), '-I', '-m', 'pip', 'install', '--no-deps', '--quiet',
                  '--disable-pip-version-check', '--no-input', *PACKAGES], variables)
            shutil.copyfile(_STANDINS, self.packages / 'sitecustomize.py')
            _run([str(self.program('hb_mapper')), '--version'], self.variables)
            (self.directory / _STAMP).write_text(_stamp())


@dataclass(frozen=True)
class Interpreter:
    """A command that starts Python 3.10, and the variables that it wants."""

    command: str
    variables: Mapping[str, str]


def vendor_directory() -> Path:
    """Where the vendor's environment lies; $XLEROBOT_ASR_BPU_TOOLS names another place.

    Raises:
        StoreError: the cache directory cannot be made.
    """
    own = os.environ.get('XLEROBOT_ASR_BPU_TOOLS')
    return Path(own) if own else cache_root() / 'bpu-tools'


def find_python() -> Interpreter:
    """A Python 3.10, found by running what may be one.

    Raises:
        ModelError: there is none.
    """
    tried = []
    for candidate in _candidates():
        tried.append(candidate.command)
        if _is_wanted(candidate):
            return candidate
    raise ModelError(
        f"the vendor's tools need Python {PYTHON[0]}.{PYTHON[1]}, which is none of "
        f'{", ".join(dict.fromkeys(tried))}; install it (Ubuntu 22.04: python3.10-venv; '
        'elsewhere: pyenv install 3.10), and see that `python3.10` starts it')


def _candidates() -> Iterator[Interpreter]:
    name = f'python{PYTHON[0]}.{PYTHON[1]}'
    yield Interpreter(name, {})
    # pyenv's shims start a version that is installed only if it is asked for.
    root = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv')
    for version in sorted(root.glob(f'versions/{PYTHON[0]}.{PYTHON[1]}.*'), reverse=True):
        yield Interpreter(name, {'PYENV_VERSION': version.name})
        yield Interpreter(str(version / 'bin' / name), {})
    yield Interpreter('python3', {})


def _is_wanted(candidate: Interpreter) -> bool:
    """Whether it starts, is of this version, and can make environments."""
    code = f'import sys, ensurepip, venv; print(sys.version_info[:2] == {PYTHON})'
    variables = {**os.environ, **candidate.variables, 'PYTHONPATH': ''}
    variables.pop('LD_LIBRARY_PATH', None)
    try:
        done = subprocess.run(
            [candidate.command, '-c', code], env=variables, check=False, timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == 'True'


def _run(command: list[str], variables: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command, env=variables, check=False, timeout=_INSTALL_TIMEOUT_S,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f'`{" ".join(command[:4])} ...` could not be run: {error}') from error
    if done.returncode:
        said = '\n'.join(done.stdout.strip().splitlines()[-5:]) or 'nothing was said'
        raise ModelError(
            f'`{" ".join(command[:4])} ...` ended with {done.returncode}:\n{said}\nThe packages '
            'are for CPython 3.10 on x86-64 and come from the index that pip is configured for')


def _stamp() -> str:
    return '\n'.join((*PACKAGES, _STANDINS.read_text()))


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds the environment for this process; the kernel lets go when the process dies."""
    with directory.with_name(f'.{directory.name}.lock').open('wb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
