"""Whisper's graphs with the encoder on a BPU, in length buckets, and the decoder on onnxruntime.

The compiled encoder ends with its residual stream, before the last norm: that leaves the BPU in
the full precision of its last sum. cross.onnx makes of it, on the CPU, what the decoder wants.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

from xlerobot_asr_opt.backends.base import Admit, admit_all
from xlerobot_asr_opt.backends.log_mel import FRAME_RATE, HOP
from xlerobot_asr_opt.backends.onnx_own import OwnDecoder, OwnEncoder, cross_shapes
from xlerobot_asr_opt.backends.onnx_sessions import failing_as_backend
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.errors import BackendError, ModelError
from xlerobot_asr_opt.models.bundle import Bundle
from xlerobot_asr_opt.models.onnx_session import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from xlerobot_asr_opt.backends.bpu_runner import Runner
    from xlerobot_asr_opt.backends.decoding import Feed
    from xlerobot_asr_opt.backends.log_mel import Features
    from xlerobot_asr_opt.backends.onnx_own import Encoded
    from xlerobot_asr_opt.models.bundle import Bucket
    from xlerobot_asr_opt.models.files import ModelFiles
    from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['CROSS', 'MARGIN', 'BpuGraphs', 'whisper_on']

CROSS = 'cross.onnx'
"""The last norm and the keys and values, for the CPU; lies in every bundle."""

MARGIN = FRAME_RATE
"""Silence that is encoded behind the speech, if a bucket has room for it [frames]."""


def whisper_on(
    runner: Runner, parameters: InferenceParameters, admit: Admit = admit_all,
) -> WhisperBackend:
    """Whisper as WhisperBackend recognises, its encoder on a runner; not loaded yet.

    Args:
        runner: its name is the backend's.
        parameters: of the inference node; model is the directory of a bundle.
        admit: lets the model be opened; see WhisperBackend.
    """
    return WhisperBackend(
        parameters, name=runner.name, graphs=functools.partial(BpuGraphs, runner=runner),
        admit=admit)


class BpuGraphs:
    """The graphs of a bundle; a Graphs.

    Args:
        files: the bundle's own layout.
        threads: of the graphs on the CPU; 0: one for each core.
        runner: runs the compiled encoder; loaded here.

    Raises:
        ModelError: the directory is no bundle, or a file is damaged or of another BPU.
        BackendError: there is nothing that runs it.
    """

    def __init__(self, files: ModelFiles, threads: int, runner: Runner) -> None:
        directory = files.encoder.parent
        self._bundle = Bundle.read(directory)
        paths = self._checked(directory, runner)
        self._runner = runner
        self._cross = open_session(directory / CROSS, threads)
        self._names = list(cross_shapes(files.dims))
        self._decoder = OwnDecoder(files, threads, OwnEncoder(files, threads).silence())
        self.longest = self._bundle.buckets[-1].frames
        self.digest = self._digest()
        runner.load(paths)

    def window(self, samples: int) -> int:
        """The shortest bucket that holds speech and margin, else the longest; see Graphs."""
        spoken = -(-samples // HOP)
        return self._bundle.bucket(min(self.longest, spoken + MARGIN)).frames

    def encode(self, features: Features) -> Feed:
        """Run the encoder; see Graphs.

        Raises:
            BackendError: no bucket has this length, or the BPU or onnxruntime failed.
        """
        return self._decoder.start(self._project(self._encode(features)))

    def close(self) -> None:
        """Let go of the compiled models; see Graphs."""
        self._runner.close()

    def _encode(self, features: Features) -> dict[str, Features]:
        bucket = self._bucket(features.shape[2])
        (wanted,) = bucket.inputs
        # The values lie in the same order: the height of 1 is in between.
        mel = features.reshape(wanted.shape)
        outputs = self._runner.run(bucket.model, {wanted.name: mel})
        for output in bucket.outputs:
            got = outputs.get(output.name)
            if got is None or got.shape != output.shape or got.dtype != output.dtype:
                what = 'nothing' if got is None else f'{got.dtype}, shape {got.shape}'
                raise BackendError(
                    f'{self._runner.name}: {bucket.model} gave {what} as {output.name}, expected '
                    f'{output.dtype}, shape {output.shape}; compile the bundle again')
        return outputs

    def _bucket(self, frames: int) -> Bucket:
        for bucket in self._bundle.buckets:
            if bucket.frames == frames:
                return bucket
        there = ', '.join(f'{one.seconds:g} s' for one in self._bundle.buckets)
        raise BackendError(
            f'got a window of {frames / FRAME_RATE:g} s, expected one of {there}; use another '
            'backend for this segment')

    def _project(self, hidden: dict[str, Features]) -> Encoded:
        with failing_as_backend('projection to keys and values'):
            outputs = self._cross.run(self._names, hidden)
        return dict(zip(self._names, outputs, strict=True))

    def _digest(self) -> bytes:
        """Over the runner's name and the hashes of what decides the text, whatever runs it."""
        files = {bucket.quantised for bucket in self._bundle.buckets} | {CROSS}
        told = [self._runner.name, str(MARGIN),
                *(f'{name} {self._bundle.files[name].sha256}' for name in sorted(files))]
        return hashlib.blake2b('\n'.join(told).encode(), digest_size=32).digest()

    def _checked(self, directory: Path, runner: Runner) -> dict[str, Path]:
        """The runner's files by model name, their hashes compared."""
        if CROSS not in self._bundle.files:
            raise ModelError(
                f'{directory}: bundle.json does not name {CROSS}; compile the bundle again')
        names = {
            bucket.model: bucket.binary if runner.file == 'binary' else bucket.quantised
            for bucket in self._bundle.buckets}
        self._bundle.check(directory, (CROSS, *names.values()))
        return {model: directory / name for model, name in names.items()}
