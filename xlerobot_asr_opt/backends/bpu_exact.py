"""The board's arithmetic on x86: the vendor's quantised model, in a process of its own.

For tests and verification only: it is some hundred times slower than the board, and gives the same
integers (docs/bpu.md has the comparison with the vendor's instruction simulator). The vendor's
executor needs Python 3.10 and NumPy 1.23, so it runs in the vendor's environment; arrays go there
and back through pipes as plain bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import BackendError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xlerobot_asr_opt.backends.bpu_runner import RunnerFile
    from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment

__all__ = ['ExactRunner']

Arrays = dict[str, npt.NDArray[Any]]

_SERVER = Path(__file__).with_name('bpu_exact_server.py')
_LONGEST_HEADER = 1 << 20
_LARGEST_ARRAY = 1 << 30
_LAST_WORDS = 2000


class ExactRunner:
    """A Runner for tests and verification: integer for integer what the board computes.

    A process that dies, hangs or answers with garbage costs a BackendError; the next call starts
    another one.

    Args:
        environment: the vendor's, as models/bpu/environment.py makes it.
        timeout_s: longest wait for one answer [s].
        server: the program that the environment's Python runs; handed in by tests.
        clock: seconds, monotonic; handed in by tests.
    """

    name = 'bpu_exact'
    file: RunnerFile = 'quantised'

    def __init__(
        self,
        environment: VendorEnvironment,
        timeout_s: float = 120.0,
        server: Path = _SERVER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._timeout_s = timeout_s
        self._server = server
        self._clock = clock
        self._models: dict[str, str] = {}
        self._child: _Child | None = None

    def load(self, models: Mapping[str, Path]) -> None:
        """Open models; see Runner.

        Raises:
            ModelError: the environment is missing, or a file is not such a model.
            BackendError: the process died or hung.
        """
        self._environment.check()
        self.close()
        self._models = {name: str(path.resolve()) for name, path in models.items()}
        self._open()

    def run(self, model: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Run a model; see Runner.

        Raises:
            BackendError: no such model or input, or the process died, hung or gave garbage.
        """
        if model not in self._models:
            there = ', '.join(self._models) or 'none'
            raise BackendError(f'no model {model!r} is loaded; there are: {there}')
        header, arrays = self._ask(self._open(), {'run': model}, inputs)
        if 'error' in header:
            raise BackendError(
                f'bpu_exact: {model} failed: {header["error"]}; try another backend')
        return arrays

    def close(self) -> None:
        """End the process."""
        self._models = {}
        self._end()

    def _open(self) -> _Child:
        if self._child is None:
            self._child = _Child(
                [str(self._environment.python), '-I', str(self._server),
                 str(self._environment.executor)], self._environment.variables, self._clock)
            header, _ = self._ask(self._child, {'load': self._models}, {})
            if 'error' in header:
                self._end()
                raise ModelError(
                    f'the quantised models cannot be opened: {header["error"]}; compile them '
                    'again with `xlerobot-asr models compile`')
        return self._child

    def _ask(
        self, child: _Child, header: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]],
    ) -> tuple[dict[str, Any], Arrays]:
        try:
            child.send(header, arrays, self._timeout_s)
            return child.receive(self._timeout_s)
        except (OSError, ValueError, TypeError, KeyError, struct.error) as error:
            said = child.last_words()
            self._end()
            raise BackendError(
                f'bpu_exact: its process {_told(error)}{said}; it is started anew for the next '
                'segment, this one needs another backend') from error

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return 'gave no answer in time'
    if isinstance(error, (EOFError, OSError)):
        return 'has ended'
    return f'gave an answer that is none ({error})'


class _Child:
    """A process that is asked through pipes, with a limit on every wait."""

    def __init__(
        self, command: list[str], variables: Mapping[str, str], clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        # Lives as long as the process; end() closes it.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command, env=dict(variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self._errors)
        except OSError as error:
            self._errors.close()
            raise BackendError(
                f'bpu_exact: {command[0]} cannot be started ({error.strerror}); run '
                '`xlerobot-asr models compile`, which installs it') from error
        self._input, self._output = _pipe(self._process.stdin), _pipe(self._process.stdout)

    def send(
        self, header: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]], timeout_s: float,
    ) -> None:
        told = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
        text = json.dumps({**header, 'arrays': told}).encode()
        deadline = self._clock() + timeout_s
        self._write(struct.pack('<I', len(text)) + text, deadline)
        for array in arrays.values():
            self._write(np.ascontiguousarray(array).tobytes(), deadline)

    def receive(self, timeout_s: float) -> tuple[dict[str, Any], Arrays]:
        deadline = self._clock() + timeout_s
        (length,) = struct.unpack('<I', self._read(4, deadline))
        if length > _LONGEST_HEADER:
            raise ValueError(f'a header of {length} bytes')
        header = json.loads(self._read(length, deadline))
        if not isinstance(header, dict):
            raise TypeError(f'a header that is a {type(header).__name__}')
        arrays: Arrays = {}
        for name, dtype, shape in header.get('arrays', ()):
            kind = np.dtype(dtype)
            size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
            if not 0 <= size <= _LARGEST_ARRAY:
                raise ValueError(f'an array of {size} bytes')
            arrays[name] = np.frombuffer(bytearray(self._read(size, deadline)), kind).reshape(
                shape)
        return header, arrays

    def last_words(self) -> str:
        """What it wrote to its error output at last, for the message."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _LAST_WORDS))
        lines = self._errors.read().decode(errors='replace').strip().splitlines()
        return f' ({lines[-1]})' if lines else ''

    def end(self) -> None:
        self._process.kill()
        for pipe in (self._input, self._output):
            # What is left in a pipe to a process that is gone is of no use.
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.wait()
        self._errors.close()

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._input, selectors.EVENT_WRITE, deadline)
            view = view[os.write(self._input.fileno(), view):]

    def _read(self, size: int, deadline: float) -> bytes:
        pieces = bytearray()
        while len(pieces) < size:
            self._wait(self._output, selectors.EVENT_READ, deadline)
            piece = os.read(self._output.fileno(), size - len(pieces))
            if not piece:
                raise ConnectionResetError('the pipe has ended')
            pieces += piece
        return bytes(pieces)

    def _wait(self, pipe: IO[bytes], event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(max(0.0, deadline - self._clock())):
                raise TimeoutError


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise BackendError('bpu_exact: its process has no pipe')
    os.set_blocking(stream.fileno(), False)
    return stream
