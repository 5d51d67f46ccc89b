"""Tells which nodes of the BPU's encoder lose what in int8, a kind at a time.

    python bench/bpu_sensitivity.py --weights DIR --speech FOLDER TEXTS [--seconds 12]
        [--windows 4] [--json FILE]

DIR is a Whisper in CTranslate2's format. Every line is one way to quantise: as `models compile`
does it, without one of its measures, or with one kind of nodes in 16 bits. The figure is the
signal to noise ratio of the hidden states, behind their norm, to the float encoder's, over the
frames of speech: the mean over the windows. Calibrated and measured are different recordings.
Needs the vendor's tools, compiles nothing, and takes some 20 s a line.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import report

from xlerobot_asr_opt.backends.bpu_exact import ExactRunner
from xlerobot_asr_opt.backends.bpu_graphs import MARGIN
from xlerobot_asr_opt.backends.log_mel import FRAME_RATE, HOP, log_mel
from xlerobot_asr_opt.models.bpu import mapper_with_limits
from xlerobot_asr_opt.models.bpu.calibration import calibration_windows, write_windows
from xlerobot_asr_opt.models.bpu.encoder_graph import HIDDEN, MEL, write_bpu_encoder
from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment, vendor_directory
from xlerobot_asr_opt.models.bpu.recipe import loud_neurons
from xlerobot_asr_opt.models.bundle import MARCH
from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.speech import from_folder, two_cities
from xlerobot_asr_opt.models.whisper_weights import gather

KINDS = ('Conv', 'MatMul', 'Exp', 'Add', 'Mul', 'ReduceMean')
PROGRAM = Path(__file__).with_name('bpu_quantise.py')
BETWEEN_S = 1.0, 29.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--weights', type=Path, required=True, metavar='DIR')
    parser.add_argument('--speech', type=Path, nargs=2, required=True,
                        metavar=('FOLDER', 'TEXTS'))
    parser.add_argument('--seconds', type=float, default=12.0, help='length of the window')
    parser.add_argument('--windows', type=int, default=4, help='to measure with')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    frames = round(args.seconds * FRAME_RATE)
    utterances = two_cities(BETWEEN_S) + from_folder(*args.speech, BETWEEN_S)
    weights = gather(read(args.weights / 'model.bin', 'WhisperSpec'))
    calibrating = calibration_windows(utterances[::2], frames, MARGIN, weights.dims.mel_bins)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wanted = write_bpu_encoder(weights, frames, place / 'float.onnx',
                                   loud_neurons(weights, calibrating))
        (place / 'windows').mkdir()
        write_windows(calibrating[::3], place / 'windows')
        measured = longest(utterances[1::2], frames, args.windows, weights.dims.mel_bins)
        for name, precision, optimisation in ways(wanted):
            quantised = quantise(place, precision, optimisation)
            found = ratio(place, quantised, measured)
            print(f'{name:44} {found:6.2f} dB', flush=True)
            figures.append({'name': name, 'unit': 'dB', 'value': found})
    if args.json:
        report.write(args.json, figures)


def ways(wanted):
    """Give (name, precision, what is asked of the vendor) of each line."""
    yield 'as compiled', wanted, []
    yield 'scores without their limit', replace(wanted, limits={}), []
    yield 'division in int8', replace(wanted, wide=()), []
    for kind in KINDS:
        yield f'{kind} in 16 bits, too', wanted, [f'set_{kind}_input_int16']
    yield 'every node in 16 bits', replace(wanted, limits={}), ['set_all_nodes_int16']


def longest(utterances, frames, count, mels):
    """Give (window, frames of speech) of the longest utterances that fit."""
    fitting = sorted((one for one in utterances if len(one.samples) <= (frames - MARGIN) * HOP),
                     key=lambda one: -len(one.samples))
    return [(log_mel(one.samples, frames, mels)[:, :, None], len(one.samples) // HOP)
            for one in fitting[:count]]


def quantise(place, precision, optimisation):
    """Run the vendor's quantiser; returns the file that it wrote."""
    job = {'graph': str(place / 'float.onnx'), 'windows': str(place / 'windows'), 'march': MARCH,
           'output': str(place / 'made'), 'limits': dict(precision.limits),
           'wide': precision.wide, 'optimisation': optimisation,
           'limited_by': mapper_with_limits.__file__}
    (place / 'job.json').write_text(json.dumps(job))
    environment = VendorEnvironment(vendor_directory())
    done = subprocess.run(
        [environment.python, PROGRAM, place / 'job.json'], cwd=place, check=False,
        env=environment.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(done.stdout[-2000:])
    return place / 'made_quantized_model.onnx'


def ratio(place, quantised, measured):
    """The mean signal to noise ratio [dB]."""
    session = onnxruntime.InferenceSession(str(place / 'float.onnx'))
    runner = ExactRunner(VendorEnvironment(vendor_directory()), timeout_s=900)
    runner.load({'made': quantised})
    found = []
    for window, frames in measured:
        (single,) = session.run([HIDDEN], {MEL: window})
        exact = runner.run('made', {MEL: window})[HIDDEN]
        single, exact = (normed(one)[:, :frames // 2] for one in (single, exact))
        found.append(10 * np.log10((single ** 2).sum() / ((single - exact) ** 2).sum()))
    runner.close()
    return float(np.mean(found))


def normed(hidden):
    hidden = hidden.reshape(hidden.shape[1], -1)
    return hidden / np.sqrt((hidden ** 2).mean(0))


if __name__ == '__main__':
    main()
