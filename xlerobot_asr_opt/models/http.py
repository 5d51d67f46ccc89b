"""One file by HTTP(S) from where a model is at home: resumed, retried, checked by hash.

What has arrived lies in `<file>.part`, beside it `<file>.part.json` with what the server called
that version of the file (its ETag or date). A later try, or a later process, asks for the rest of
that very version; a server that has another one, or that knows no ranges, sends the whole, and
the file begins anew. Only a file of the right size and SHA-256 gets its name.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.catalog import HostedFile
from xlerobot_asr_opt.models.download import Progress
from xlerobot_asr_opt.models.http_answer import Answer, read_answer
from xlerobot_asr_opt.models.http_request import (
    InterruptionError,
    RefusalError,
    from_mirror,
    read_piece,
    requested,
)
from xlerobot_asr_opt.models.manifest import sha256_of
from xlerobot_asr_opt.untrusted import parse_json

__all__ = ['Patience', 'fetch_file']

_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how often.

    Attributes:
        stall_s: a server that says nothing for so long has stalled [s].
        attempts: tries in a row that bring not one byte.
        first_wait_s: wait before the second try; twice as long before each further one [s].
        sleep: waits so many seconds.
    """

    stall_s: float = 30.0
    attempts: int = 4
    first_wait_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def wait_s(self, failures: int, asked_s: float) -> float:
        """Seconds before the next try after so many failures, at least what the server asked."""
        own_s = self.first_wait_s * 2.0 ** max(failures - 1, 0)
        return min(max(own_s, asked_s), _LONGEST_WAIT_S)


def fetch_file(
    file: HostedFile, target: Path, progress: Progress, patience: Patience | None = None,
) -> None:
    """Download a file to target, or go on where an earlier call was interrupted.

    The caller sees to it that no other process fetches to the same target.

    Args:
        file: address, size and hash.
        target: path of the complete file; what is not complete lies beside it.
        progress: told of the bytes that are there.
        patience: how long to wait for the server.

    Raises:
        ModelError: it cannot be reached, will not give the file, or gives another one.
        OSError: the file cannot be written.
    """
    _Fetching(file, target, progress, patience or Patience()).run()


class _Fetching:
    """One file on its way."""

    def __init__(
        self, file: HostedFile, target: Path, progress: Progress, patience: Patience,
    ) -> None:
        self._file = file
        self._address = from_mirror(file.address)
        self._target = target
        self._progress = progress
        self._patience = patience
        self._part = target.with_name(target.name + '.part')
        self._note = target.with_name(target.name + '.part.json')
        self._resumed = self._part.is_file()

    def run(self) -> None:
        """Try until the file is whole, or until too many tries in a row brought nothing."""
        failures, most = 0, self._there()
        while not self._finished():
            interruption = self._attempt()
            if interruption is None:
                continue
            failures = failures + 1 if self._there() <= most else 0
            most = max(most, self._there())
            if failures >= self._patience.attempts:
                raise self._unreachable(f'{interruption.reason} ({failures} tries in a row)')
            self._patience.sleep(self._patience.wait_s(failures, interruption.wait_s))

    def _finished(self) -> bool:
        """Whether all bytes are there and right; wrong ones are thrown away."""
        there, size = self._there(), self._file.size
        self._report(there)
        if there < size:
            return False
        found = sha256_of(self._part)
        if found == self._file.sha256:
            self._note.unlink(missing_ok=True)
            self._part.rename(self._target)
            return True
        self._forget()
        if not self._resumed:
            raise self._foreign(f'{there} bytes and SHA-256 {found}')
        self._resumed = False  # two versions were mixed: once more, from the begin
        return False

    def _there(self) -> int:
        """Bytes that have arrived."""
        return self._part.stat().st_size if self._part.is_file() else 0

    def _report(self, done: int) -> None:
        size = self._file.size
        self._progress(f'download {self._target.name}', min(done, size), size)

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _attempt(self) -> InterruptionError | None:
        """Ask once and write what comes; return what interrupted it."""
        try:
            self._ask(self._there())
        except InterruptionError as interruption:
            if interruption.status in (206, 416):  # this part of it is not to be had
                self._forget()
            return interruption
        except RefusalError as error:
            raise self._unreachable(str(error)) from error
        return None

    def _ask(self, there: int) -> None:
        """Ask for the rest if its version is known, else for the whole."""
        version = self._version() if there else ''
        headers = {'Range': f'bytes={there}-', 'If-Range': version} if version else {}
        with requested(self._address, headers, self._patience.stall_s) as response:
            answer = read_answer(response.status, response.headers)
            if answer.status == 206 and (answer.start, answer.total) != (there, self._file.size):
                raise InterruptionError(
                    f'the server sent the bytes from {answer.start} of {answer.total}, asked for '
                    f'those from {there} of {self._file.size}', answer.status)
            if answer.status != 206 and answer.length not in (None, self._file.size):
                raise self._foreign(f'{answer.length} bytes')
            self._take(response, answer)

    def _take(self, response: http.client.HTTPResponse, answer: Answer) -> None:
        """Write the body behind what is there, or in its place."""
        self._resumed = answer.status == 206
        if not self._resumed:
            self._note.write_text(json.dumps({'version': answer.version}))
        with self._part.open('ab' if self._resumed else 'wb') as sink:
            while piece := read_piece(response):
                sink.write(piece)
                self._report(sink.tell())
                if sink.tell() > self._file.size:
                    break
        if self._there() < self._file.size:
            raise InterruptionError('the connection ended too early')

    def _version(self) -> str:
        """What the server called the version that has arrived in part; empty if not known."""
        try:
            version = parse_json(self._note.read_bytes())['version']
        except (OSError, ValueError, KeyError, TypeError):
            return ''
        return version if isinstance(version, str) else ''

    def _foreign(self, found: str) -> ModelError:
        return ModelError(
            f'{self._address}: got {found}, expected {self._file.size} bytes and SHA-256 '
            f'{self._file.sha256}: not the published file; look whether a proxy or a login page '
            'answers in its place, and fetch again.')

    def _unreachable(self, reason: str) -> ModelError:
        kept = f' {self._there()} bytes are kept for the next try.' if self._there() else ''
        return ModelError(f'{self._address} cannot be fetched: {reason}.{kept}')
