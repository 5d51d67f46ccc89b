"""xlerobot-asr models compile: a Whisper's encoder for the BPU of a board, made on x86."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.arguments import positive
from xlerobot_asr_opt.cli.output import complain

if TYPE_CHECKING:
    from xlerobot_asr_opt.models.bundle import Bucket

__all__ = ['add_action', 'run']

_MARCH = 'bayes-e'
_BUCKETS = (4.0, 8.0, 12.0)
_UTTERANCE_S = (1.0, 29.0)


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of `models compile`."""
    parser = actions.add_parser(
        'compile', help="compile a model's encoder for the BPU",
        description="Compile a Whisper's encoder for the BPU of an RDK X5, with the vendor's "
        'tools on x86, and verify it in the arithmetic of the board. The tools (360 MB) are '
        'installed once, into an environment of their own; docs/bpu.md says what the result is.')
    parser.add_argument('name', metavar='NAME|PATH',
                        help="a name, or a directory with model.bin of CTranslate2's format")
    parser.add_argument('--march', default=_MARCH, help='the BPU (default: %(default)s, RDK X5)')
    parser.add_argument('--buckets', type=_seconds, default=_BUCKETS, metavar='S,S,...',
                        help='lengths of the windows [s] (default: 4,8,12)')
    parser.add_argument('--output', type=Path, metavar='DIR',
                        help='directory of the bundle (default: beside the models of the cache)')
    parser.add_argument('--speech', type=Path, nargs=2, metavar=('FOLDER', 'TEXTS'),
                        help='recordings of people to calibrate and verify with, beside '
                        'two_cities: WAV files, and a file with a line `name: text` for each')


def run(args: argparse.Namespace) -> int:
    """Compile, show the progress, and print what the result is."""
    # What they import is not needed for any other command.
    from xlerobot_asr_opt.models.bpu.compile import Order, compile_bundle
    from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment, vendor_directory
    from xlerobot_asr_opt.models.paths import cache_root
    from xlerobot_asr_opt.models.speech import from_folder, two_cities

    output = args.output or cache_root() / 'bundles' / f'{Path(args.name).name}-{args.march}'
    order = Order(args.name, args.buckets, output, args.march)
    order.check()
    recordings = {'two_cities': two_cities(_UTTERANCE_S)}
    if args.speech:
        folder, texts = args.speech
        recordings[folder.name] = from_folder(folder, texts, _UTTERANCE_S)
    told: set[str] = set()

    def download(what: str, _done: int, _total: int) -> None:
        if what not in told:
            told.add(what)
            complain(f'{what} ...')

    bundle = compile_bundle(
        order, recordings, VendorEnvironment(vendor_directory()), complain, download)
    for bucket in bundle.buckets:
        print(describe(bucket))
    complain(f'{bundle.name} for {bundle.march} is in {output}')
    return 0


def describe(bucket: Bucket) -> str:
    """One line for a person; the times are the vendor's estimate."""
    estimate = bucket.estimate
    accuracy = '; '.join(
        f'{one.recordings}: {one.wrong} of {one.words} words wrong, in float {one.wrong_float}'
        for one in bucket.accuracy)
    cpu = f', {len(bucket.cpu_nodes)} on the CPU' if bucket.cpu_nodes else ''
    return (f'{bucket.seconds:g} s: {estimate.latency_us / 1e3:.1f} ms and '
            f'{estimate.ddr_bytes / 1e6:.0f} MB of memory traffic (estimated), '
            f'{bucket.bpu_nodes} nodes on the BPU{cpu}; {accuracy}')


def _seconds(text: str) -> tuple[float, ...]:
    values: Sequence[str] = [part for part in text.split(',') if part]
    return tuple(positive(value) for value in values)
