"""Puts the stand-ins for the vendor's libraries where they can be imported, and takes them out."""

import contextlib
import importlib
import sys
from pathlib import Path

from small_bundle import bucket_of
from small_vocabulary import build_small

from xlerobot_asr_opt.backends.bpu_graphs import CROSS
from xlerobot_asr_opt.models.bpu.encoder_graph import cross_weights
from xlerobot_asr_opt.models.bundle import Bundle
from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.manifest import FileRecord
from xlerobot_asr_opt.models.whisper_onnx import write_cross
from xlerobot_asr_opt.models.whisper_weights import gather

STAND_INS = Path(__file__).resolve().parents[1] / 'stand_ins'
WINDOWS = (128, 256)
"""Of the buckets of compiled_bundle [frames]."""
HBM, EASY_DNN = 'hbm_runtime', 'hobot_dnn.pyeasy_dnn'


@contextlib.contextmanager
def installed(*names):
    """The libraries of these names can be imported, and no others."""
    before = dict(sys.modules)
    sys.path.insert(0, str(STAND_INS))
    try:
        for name in (HBM, EASY_DNN, 'hobot_dnn'):
            sys.modules.pop(name, None)
            if name not in names and not any(other.startswith(f'{name}.') for other in names):
                # What import makes of a module that is not there.
                sys.modules[name] = None
        yield importlib.import_module('compiled_model')
    finally:
        sys.path.remove(str(STAND_INS))
        for name in (HBM, EASY_DNN, 'hobot_dnn'):
            sys.modules.pop(name, None)
            if name in before:
                sys.modules[name] = before[name]


def compiled_bundle(directory, write, *, march='bayes-e'):
    """Write a small bundle below directory whose .bin files the stand-ins run.

    Its longest window is short, so that a test of it takes no time.

    Args:
        directory: where.
        write: of compiled_model.py.
        march: that the bundle and its .bin files are for.
    """
    built = build_small(directory, multilingual=False, seconds=WINDOWS[-1] / 100)
    weights = gather(read(directory / 'source' / 'model.bin', 'WhisperSpec'))
    write_cross(cross_weights(weights), built / CROSS, 'float32')
    buckets = tuple(bucket_of(built, weights, frames, {}) for frames in WINDOWS)
    for bucket in buckets:
        inputs, outputs = ({port.name: (port.shape, port.dtype) for port in ports}
                           for ports in (bucket.inputs, bucket.outputs))
        write(built / bucket.binary, bucket.model, (built / bucket.quantised).read_bytes(),
              inputs, outputs, march=march)
    names = [CROSS, *(name for one in buckets for name in (one.binary, one.quantised))]
    Bundle(
        name='small', source='ab' * 32, march=march, tools={}, buckets=buckets,
        files={name: FileRecord.of(built / name) for name in names}).write(built)
    return built
