"""xlerobot-asr models quantize: makes a model smaller, and tells what that costs."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from xlerobot_asr_opt.backends.base import Samples
    from xlerobot_asr_opt.models.quantization import (
        Change,
        GraphChange,
        InputsOf,
        QuantizationResult,
    )

__all__ = ['add_action', 'run', 'table']

_TYPES = ('int8', 'int8-static', 'fp16')
_PIECE = 5 * SAMPLE_RATE
"""A recording is cut so long, as an utterance is; the rest, if shorter than a second, is left."""


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action's arguments."""
    parser = actions.add_parser(
        'quantize', help='make a model smaller, and tell what that costs',
        description='Quantises a float32 ONNX file, or the directory of a Whisper as CTranslate2 '
        'has it, and compares the result with it on recordings.')
    parser.add_argument('path', type=Path, metavar='PATH', help='the model')
    parser.add_argument('output', type=Path, metavar='OUTPUT', help='what to write')
    parser.add_argument('--type', choices=_TYPES, required=True, dest='quant_type',
                        help='int8 needs no calibration, int8-static does; fp16 halves')
    parser.add_argument('--calibration', type=Path, nargs='+', default=[], metavar='FILE',
                        help='recordings, or .npz files with the inputs of one call each')
    parser.add_argument('--threads', type=int, default=1, metavar='N',
                        help='of the graph while it is timed (default: 1)')
    parser.add_argument('--json', action='store_true', help='one JSON object')


def run(args: argparse.Namespace) -> int:
    """Quantise and show the comparison."""
    # Imported here, as all that computes: no other action waits for onnx and its tools.
    from xlerobot_asr_opt.models.quantizer import ModelQuantizer
    quantizer = ModelQuantizer(inputs=_inputs(args.calibration), threads=args.threads)
    complain(f'quantise {args.path} ...')
    result = quantizer.quantize_model(args.path, args.output, args.quant_type)
    if args.json:
        print(json.dumps(_facts(result), ensure_ascii=False))
    else:
        print('\n'.join(table(result)))
    return 0


def _inputs(files: Sequence[Path]) -> InputsOf | None:
    """What turns the files into inputs of a graph; None without files."""
    if not files:
        return None
    if all(file.suffix == '.npz' for file in files):
        calls = [_arrays(file) for file in files]
        return lambda _graph: calls
    from xlerobot_asr_opt.backends.recorded_inputs import RecordedInputs
    return RecordedInputs([piece for file in files for piece in _pieces(file)])


def _arrays(file: Path) -> dict[str, Any]:
    import numpy as np
    try:
        with np.load(file) as archive:
            return dict(archive)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            f'{file}: cannot be read as arrays ({error}); write it with numpy.savez, an array by '
            'the name of each input') from error


def _pieces(path: Path) -> Iterator[Samples]:
    """A recording at SAMPLE_RATE, cut into int16[n] of the length of utterances."""
    from xlerobot_asr_opt.models.speech import read
    samples = read(path)
    for start in range(0, len(samples), _PIECE):
        piece = samples[start:start + _PIECE]
        if len(piece) >= SAMPLE_RATE:
            yield piece


def table(result: QuantizationResult) -> Iterator[str]:
    """Write a result in lines for people."""
    yield f'{result.model} as {result.quant_type}: {result.output}'
    yield _megabytes('size', result.size)
    yield _megabytes('weights', result.weights)
    for graph in result.graphs:
        yield f'  {graph.name:16}{_graph(graph)}'
    if (rate := result.word_error_rate) is not None:
        yield f'  {"word error rate":16}{rate.before:.1f} % to {rate.after:.1f} %'
    verdict = {True: 'it pays', False: 'it does not pay', None: 'not judged'}[result.pays]
    yield f'  {verdict}'
    yield from (f'    {reason}' for reason in result.reasons)


def _megabytes(name: str, change: Change) -> str:
    return (f'  {name:16}{change.before / 1e6:.1f} MB to {change.after / 1e6:.1f} MB, '
            f'{change.ratio:.2f} times smaller')


def _graph(graph: GraphChange) -> str:
    said = [f'weights {graph.weights.ratio:.2f} times smaller']
    if (like := graph.similarity) is not None:
        said.append(f'cosine {like.cosine:.4f}, lowest {like.lowest_cosine:.4f}, largest error '
                    f'{like.largest_error:.3g} of {like.largest_value:.3g}')
    if (latency := graph.latency) is not None:
        said.append(f'{latency.before:.2f} ms to {latency.after:.2f} ms, {latency.ratio:.2f} '
                    'times as fast')
    return '; '.join(said)


def _facts(result: QuantizationResult) -> dict[str, Any]:
    """A result as JSON has it, with the ratios."""
    return dataclasses.asdict(result) | {
        'model': str(result.model), 'output': str(result.output),
        'size': _change(result.size), 'weights': _change(result.weights),
        'word_error_rate': _change(result.word_error_rate),
        'graphs': [dataclasses.asdict(graph) | {
            'weights': _change(graph.weights), 'latency': _change(graph.latency)}
            for graph in result.graphs]}


def _change(change: Change | None) -> dict[str, float] | None:
    return None if change is None else dataclasses.asdict(change) | {'ratio': change.ratio}
