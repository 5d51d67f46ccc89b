"""Our end of a process that runs a peer's recogniser (peer_lane.py): samples in, texts out."""

import contextlib
import itertools
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from peer_lane import ANSWER, SEGMENT
from peers import process

from xlerobot_asr_opt.errors import BackendError, ConfigurationError

LANE = Path(__file__).with_name('peer_lane.py')
OURS = 'ours', 'ours-once'
"""The second does not decode an unsure text again."""


@dataclass(frozen=True)
class Setting:
    """How a recogniser is run.

    Attributes:
        name: faster-whisper, sherpa-onnx, or one of OURS.
        threads: of the model, for each worker.
        workers: that recognise side by side in one process.
        batch: most segments that a worker recognises in one call.
        tail: silence that sherpa-onnx puts behind a segment [10 ms]; by default, its own default.
    """

    name: str
    threads: int = 1
    workers: int = 1
    batch: int = 1
    tail: int = 1000


@dataclass(frozen=True)
class Heard:
    """A text, and how long the call took that it was made in [ms]."""

    text: str
    spent_ms: float


class PeerEndedError(RuntimeError):
    """The process of a peer is gone; its own last words are on standard error."""


class Peer:
    """A running peer; submit is for one thread at a time.

    Args:
        setting: how it is run.
        ended: told the reason when it ends before it is closed, on a thread of its own.

    Raises:
        RuntimeError: it cannot be started.
    """

    def __init__(self, setting, ended=lambda _reason: None):
        python, model = made_ready(setting.name)
        lane = 'ours' if setting.name in OURS else 'peer'
        self._setting = setting
        self._tell_end = ended
        self._closing = False
        self._stack = contextlib.ExitStack()
        self._child = self._stack.enter_context(process(
            python, LANE, lane, setting.name, model, setting.threads, setting.workers,
            setting.batch, setting.tail, text=False))
        self._numbers = itertools.count()
        self._asked = {}
        self._asking = threading.Lock()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name='peer', daemon=True)
        self._reader.start()

    def submit(self, samples):
        """Send int16[n] at 16 kHz; return the future of what is Heard.

        The future raises BackendError for a segment that failed, PeerEndedError for no answer.
        """
        number, answer = next(self._numbers) & 0xFFFFFFFF, Future()
        with self._asking:
            if self._ended:
                raise PeerEndedError(self._last_words())
            self._asked[number] = answer
        raw = np.ascontiguousarray(samples, '<i2').tobytes()
        try:
            self._child.stdin.write(SEGMENT.pack(number, len(samples)) + raw)
            self._child.stdin.flush()
        except BrokenPipeError as error:
            raise PeerEndedError(self._last_words()) from error
        return answer

    def processor_s(self):
        """Return the processor time that all of its threads have had so far [s]."""
        times = psutil.Process(self._child.pid).cpu_times()
        return times.user + times.system

    def close(self):
        """End it."""
        self._closing = True
        self._stack.close()
        self._reader.join()

    def _read(self):
        """Hand out the answers; in the end, tell those who wait that there is none."""
        for number, failed, heard in self._answers():
            with self._asking:
                answer = self._asked.pop(number)
            if failed:
                answer.set_exception(BackendError(f'{self._setting.name}: {heard.text}'))
            else:
                answer.set_result(heard)
        with self._asking:
            self._ended, rest = True, list(self._asked.values())
        for answer in rest:
            answer.set_exception(PeerEndedError(self._last_words()))
        if not self._closing:
            self._tell_end(self._last_words())

    def _answers(self):
        """Every whole answer until the pipe ends."""
        pipe = self._child.stdout
        while len(head := pipe.read(ANSWER.size)) == ANSWER.size:
            number, failed, spent_ms, length = ANSWER.unpack(head)
            if len(raw := pipe.read(length)) < length:
                return
            yield number, failed, Heard(raw.decode(), spent_ms)

    def _last_words(self):
        return f'{self._setting} has ended with {self._child.wait()}'


def made_ready(name):
    """The command and the model of a recogniser; installed and written if they are not there.

    Who starts several processes calls this before: they must not do it at the same time.
    """
    import recogniser

    if name in OURS:
        return [sys.executable], recogniser.MODEL
    if name == 'faster-whisper':
        return [recogniser.peer_environment(), '-I'], recogniser.peer_model()
    if name == 'sherpa-onnx':
        import ctc
        from sherpa_whisper import exported

        return [ctc.peer_environment(), '-I'], exported(
            recogniser.peer_model(), recogniser.PEER.parent / 'sherpa-whisper')
    raise ConfigurationError(
        f'got the peer {name!r}, expected faster-whisper, sherpa-onnx, {" or ".join(OURS)}')
