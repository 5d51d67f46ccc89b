"""Our inference node, with a peer's recogniser in place of ours.

    BENCH_PEER=sherpa-onnx python bench/peer_worker.py --ros-args -r __node:=inference_0 ...

It takes the arguments of `python -m xlerobot_asr_opt.nodes.inference` and is that node, but for
what makes the texts: samples go to a process of the peer's own (peer_client.py) when the segment
comes, so that as many as the node's `capacity` are there for the peer to batch or to recognise
side by side; each is then waited for in its turn. An error of the peer is one of the backend; its
end ends this process.

    BENCH_PEER           faster-whisper, sherpa-onnx, ours or ours-once (by the same way)
    BENCH_PEER_THREADS   of the model, for each worker; default: the parameter `threads`
    BENCH_PEER_WORKERS   that recognise side by side; default: 1
    BENCH_PEER_BATCH     most segments in one call; default: 1
    BENCH_PEER_TAIL      silence that sherpa-onnx puts behind a segment [10 ms]; default: 1000
"""

import dataclasses
import hashlib
import logging
import os
import signal
import sys
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from peer_client import Peer, Setting

from xlerobot_asr_opt.backends import base
from xlerobot_asr_opt.backends.base import Candidate, Prepared, Result, check_samples
from xlerobot_asr_opt.errors import BackendError, ConfigurationError
from xlerobot_asr_opt.nodes import inference
from xlerobot_asr_opt.records import SAMPLE_RATE, RecognitionStatus

LONGEST = 28 * SAMPLE_RATE
"""All of them take that: sherpa-onnx cuts off what is longer than 29.5 s."""
NO_FEATURES = np.empty(0, np.float32)


@dataclass(frozen=True)
class Asked(Prepared):
    """A segment that the peer has, and where its answer comes."""

    answer: Future


class PeerBackend:
    """An InferenceBackend that asks a peer."""

    longest = LONGEST

    def __init__(self, setting):
        self.name = setting.name
        self.digest = hashlib.blake2b(repr(setting).encode(), digest_size=32).digest()
        self._setting = setting
        self._peer = None

    def load(self):
        """Start the peer's process, and wait until its model is loaded."""
        try:
            self._peer = Peer(self._setting, end)
        except RuntimeError as error:
            raise ConfigurationError(f'{self.name} cannot be started: {error}') from error

    def warm_up(self):
        """Recognise two seconds of silence, as it did itself, but with what lies between."""
        self.recognise(self.prepare(np.zeros(2 * SAMPLE_RATE, np.int16), ''))

    def prepare(self, samples, language):
        """Send the samples."""
        check_samples(samples, self.longest)
        if self._peer is None:
            raise BackendError('the peer is not started; call load() first')
        return Asked(NO_FEATURES, len(samples), language, 0.0, self._peer.submit(samples))

    def recognise(self, prepared):
        """Wait for the text; decode_ms is all that the peer took."""
        heard = prepared.answer.result()
        result = Result(RecognitionStatus.NO_SPEECH, backend=self.name, reason='no words',
                        decode_ms=heard.spent_ms)
        if not heard.text:
            return result
        return dataclasses.replace(
            result, status=RecognitionStatus.DONE, text=heard.text, language='en', reason='')

    def close(self):
        """End the peer."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None


def end(reason):
    """End this process as a person would, so that what it has borrowed goes back."""
    logging.getLogger(__name__).critical(reason)
    signal.raise_signal(signal.SIGTERM)


def setting(environment, parameters):
    """Read how the peer is run.

    Raises:
        ConfigurationError: no peer is named, or a number is none.
    """
    try:
        default = Setting(environment['BENCH_PEER'], threads=parameters.threads)
        return dataclasses.replace(default, **{
            name: int(environment.get(f'BENCH_PEER_{name.upper()}', getattr(default, name)))
            for name in ('threads', 'workers', 'batch', 'tail')})
    except KeyError:
        raise ConfigurationError('BENCH_PEER is not set, expected the name of a peer') from None
    except ValueError as error:
        raise ConfigurationError(f'BENCH_PEER_...: {error}') from error


def main():
    """Run the inference node with the peer that the environment names."""
    base.candidate = lambda _name, parameters: Candidate(
        PeerBackend(setting(os.environ, parameters)))
    return inference.main()


if __name__ == '__main__':
    sys.exit(main())
