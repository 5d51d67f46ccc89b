"""A bundle of the small Whisper: its compiled files are the float graphs, run by onnxruntime."""

from dataclasses import replace

import numpy as np
import onnxruntime
from small_vocabulary import build_small
from small_whisper import MEL_BINS, WIDTH, model_bin, tensors

from xlerobot_asr_opt.backends.bpu_graphs import CROSS
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.models.bpu.encoder_graph import (
    FOLD,
    HIDDEN,
    MEL,
    cross_weights,
    write_bpu_encoder,
)
from xlerobot_asr_opt.models.bundle import Accuracy, Bucket, Bundle, Estimate, Tensor
from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.manifest import FileRecord
from xlerobot_asr_opt.models.whisper_onnx import write_cross, write_encoder
from xlerobot_asr_opt.models.whisper_weights import gather

FRAMES = (160, 320)
POSITIONS = 800


def long_tensors():
    """The small Whisper with positions for 16 s."""
    found = tensors()
    found['encoder/position_encodings/encodings'] = np.random.default_rng(2).normal(
        0, 0.3, (POSITIONS, WIDTH)).astype(np.float16)
    return found


def small_weights(directory):
    """Its weights; the file of them is put into directory."""
    path = directory / 'model.bin'
    path.write_bytes(model_bin(long_tensors()))
    return gather(read(path, 'WhisperSpec'))


def write_bundle(directory, *, frames=FRAMES, loud=None, march='bayes-e'):
    """Write a bundle below directory; return where it is."""
    built = build_small(directory, model=model_bin(long_tensors()))
    weights = small_weights(directory)
    # Float, so that the bundle can be compared with its source.
    write_encoder(weights, built / 'encoder.onnx', 'float32')
    write_cross(cross_weights(weights), built / CROSS, 'float32')
    buckets = tuple(bucket_of(built, weights, one, loud or {}) for one in frames)
    names = [CROSS, *(name for one in buckets for name in (one.binary, one.quantised))]
    Bundle(
        name='small', source='ab' * 32, march=march, tools={'mapper': '1'}, buckets=buckets,
        files={name: FileRecord.of(built / name) for name in names}, recipe={'steps': {}},
    ).write(built)
    return built


def change_bundle(directory, **changes):
    """Write a bundle's bundle.json anew."""
    replace(Bundle.read(directory), **changes).write(directory)


def bucket_of(directory, weights, frames, loud):
    model = f'encoder_{frames}'
    (directory / f'{model}.bin').write_bytes(bytes(range(100)))
    write_bpu_encoder(weights, frames, directory / f'{model}.onnx', loud)
    return Bucket(
        seconds=frames / 100, frames=frames, model=model, binary=f'{model}.bin',
        quantised=f'{model}.onnx', inputs=(Tensor(MEL, (1, MEL_BINS, 1, frames)),),
        outputs=(Tensor(HIDDEN, (1, WIDTH, FOLD, frames // 2 // FOLD)),),
        estimate=Estimate(1000.5, 999.5, 123, 456), bpu_nodes=10, cpu_nodes=('Softmax_1',),
        accuracy=(Accuracy('two_cities', 10, 2, 1),))


class OnnxRunner:
    """A Runner that runs a bucket's ONNX, and does on command what a board can do wrong."""

    name = 'fake'
    file = 'quantised'

    def __init__(self):
        self.calls = []
        self.spoil = lambda outputs: outputs
        self._sessions = {}

    def load(self, models):
        self._sessions = {
            name: onnxruntime.InferenceSession(str(path)) for name, path in models.items()}

    def run(self, model, inputs):
        self.calls.append(model)
        if model not in self._sessions:
            raise BackendError(f'no {model}')
        session = self._sessions[model]
        names = [output.name for output in session.get_outputs()]
        return self.spoil(dict(zip(names, session.run(names, inputs), strict=True)))

    def close(self):
        self._sessions = {}
