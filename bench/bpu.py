"""Tells what a compiled bundle is worth: the vendor's estimate, words wrong, the CPU beside it.

    python bench/bpu.py [--bundle DIR] [--rounds 5] [--threads 1] [--simulate] [--json FILE]

The estimates and the words wrong are those that `xlerobot-asr models compile` wrote into the
bundle: the vendor's static estimate of the part on the BPU, which is no measurement, and what was
recognised in the board's arithmetic on x86 (bpu_exact). Measured here: the same windows with the
encoder of the CPU, and the projection to keys and values that stays on the CPU, in turns, the
median over the rounds. --simulate runs a window of speech through the vendor's simulator of the
BPU's instructions, too, and counts the integers that differ from bpu_exact's; it needs the
vendor's tools.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import report

from xlerobot_asr_opt.backends.bpu_graphs import CROSS, MARGIN
from xlerobot_asr_opt.backends.log_mel import HOP, log_mel
from xlerobot_asr_opt.backends.onnx_own import OwnEncoder
from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment, vendor_directory
from xlerobot_asr_opt.models.bpu.simulator import compare
from xlerobot_asr_opt.models.bundle import Bundle
from xlerobot_asr_opt.models.layout import asset_path, open_model
from xlerobot_asr_opt.models.onnx_session import open_session
from xlerobot_asr_opt.models.paths import cache_root
from xlerobot_asr_opt.models.speech import read

GOALS_MS = {400: 6.0, 800: 12.0, 1200: 22.0}
"""Frames of a window to the longest estimate."""
WORST_POINTS = 2.0


def main():
    """Print a line a bucket, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--bundle', type=Path,
                        default=cache_root() / 'bundles' / 'whisper-tiny.en-bayes-e')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--simulate', action='store_true')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    bundle = Bundle.read(args.bundle)
    bundle.check(args.bundle)
    samples = read(asset_path('two_cities'))
    print(f"{bundle.name} for {bundle.march}; estimates are the vendor's, no measurement")
    figures = []
    times = cpu_times(args, bundle, samples)
    for bucket in bundle.buckets:
        figures += of_bucket(args.bundle, bucket, times[bucket.frames])
        if args.simulate:
            figures.append(simulated(args.bundle, bucket, samples))
    for figure in figures:
        verdict = {True: 'held', False: 'NOT HELD', None: ''}[report.held(figure)]
        goal = f'(goal {figure["goal"]}: {verdict})' if verdict else ''
        print(f'{figure["name"]}: {figure["value"]:.4g} {figure["unit"]} {goal}')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def cpu_times(args, bundle, samples):
    """Give {frames: (encoder ms, projection ms)} on this CPU, the buckets in turns."""
    files = open_model(str(args.bundle))
    encoder = OwnEncoder(files, args.threads)
    cross = open_session(args.bundle / CROSS, args.threads)
    taken = {bucket.frames: ([], []) for bucket in bundle.buckets}
    for _ in range(args.rounds + 1):
        for bucket in bundle.buckets:
            mel = window(samples, bucket)[:, :, 0]
            hidden = np.random.default_rng(0).normal(
                size=bucket.outputs[0].shape).astype(np.float32)
            own, projection = taken[bucket.frames]
            own.append(timed(lambda mel=mel: encoder.run(mel)))
            projection.append(timed(lambda hidden=hidden: cross.run(None, {'hidden': hidden})))
    # The first round is the buffers' first, too.
    return {frames: tuple(statistics.median(one[1:]) for one in pair)
            for frames, pair in taken.items()}


def timed(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def window(samples, bucket):
    """The features of as much speech as the bucket takes."""
    part = samples[:(bucket.frames - MARGIN) * HOP]
    return log_mel(part, bucket.frames, bucket.inputs[0].shape[1])[:, :, None]


def of_bucket(directory, bucket, times):
    """Turn one bucket into figures."""
    name = f'{bucket.seconds:g} s'
    estimated = bucket.estimate.latency_us / 1e3
    estimate = {
        'name': f'estimate, {name}', 'unit': 'ms', 'value': estimated, 'peer': 'CPU here [ms]',
        'peer_value': times[0], 'ratio': times[0] / estimated}
    if bucket.frames in GOALS_MS:
        estimate['goal'] = f'<= {GOALS_MS[bucket.frames]:g}'
    size = (directory / bucket.binary).stat().st_size
    figures = [
        estimate,
        {'name': f'encoder on the CPU, {name}', 'unit': 'ms', 'value': times[0]},
        {'name': f'projection on the CPU, {name}', 'unit': 'ms', 'value': times[1]},
        {'name': f'size, {name}', 'unit': 'MB', 'value': size / 1e6},
        {'name': f'memory traffic, {name}', 'unit': 'MB',
         'value': bucket.estimate.ddr_bytes / 1e6},
        {'name': f'nodes on the CPU, {name}', 'unit': '1', 'value': len(bucket.cpu_nodes),
         'goal': '<= 0'}]
    for one in bucket.accuracy:
        wrong, single = (100 * count / one.words for count in (one.wrong, one.wrong_float))
        figures.append({
            'name': f'words wrong, {name}, {one.recordings}', 'unit': f'% of {one.words}',
            'value': wrong, 'goal': f'<= {single + WORST_POINTS:.4g}', 'peer': 'float [%]',
            'peer_value': single, 'ratio': wrong / single if single else None})
    return figures


def simulated(directory, bucket, samples):
    """Compare one window with the vendor's simulator."""
    with tempfile.TemporaryDirectory() as work:
        found = compare(
            VendorEnvironment(vendor_directory()), directory / bucket.binary,
            directory / bucket.quantised, window(samples, bucket), Path(work))
    return {'name': f"integers unlike the simulator's, {bucket.seconds:g} s",
            'unit': f'of {found.integers}', 'value': found.different, 'goal': '<= 0'}


if __name__ == '__main__':
    sys.exit(main())
