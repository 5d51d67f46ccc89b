"""silero-vad's network as one small ONNX graph, from the weights of the published one.

The published graph judges one window a call, and is wrapped in some 300 nodes of shape arithmetic
and branches, which cost more than the network itself. This one takes any number of windows of any
number of streams in one call: a chunk of 100 ms is one call and not three. Its convolutions are
products of matrices in which every window and stream is a row: a quarter of the time of one
convolution after another, and, since a row is summed up alike whatever rows are beside it, the
same to the last bit for any number of them. Its probabilities are the published graph's to the
last digits of float32 (test/unit/test_silero_onnx.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.onnx_graph import Graph

__all__ = ['INPUT', 'MEMORY', 'write_silero']

INPUT = 576
"""Samples that are judged at a time: a window of 512 and the 64 before it."""
MEMORY = 128
"""Width of the network's memory."""

_PADDING = 64
"""Samples that are mirrored behind the window, for the last frame of the spectrum."""
_FRAME, _HOP, _BINS = 256, 128, 129
_FRAMES = 4
"""Frames of the spectrum in a window; the four layers of the encoder make one step of them."""
_WIDTHS = (_BINS, 128, 64, 64, MEMORY)

_SHAPES = {
    'model.stft.forward_basis_buffer': (2 * _BINS, 1, _FRAME),
    **{f'model.encoder.{layer}.reparam_conv.weight': (_WIDTHS[layer + 1], _WIDTHS[layer], 3)
       for layer in range(4)},
    **{f'model.encoder.{layer}.reparam_conv.bias': (_WIDTHS[layer + 1],) for layer in range(4)},
    'model.decoder.rnn.weight_ih': (4 * MEMORY, MEMORY),
    'model.decoder.rnn.weight_hh': (4 * MEMORY, MEMORY),
    'model.decoder.rnn.bias_ih': (4 * MEMORY,),
    'model.decoder.rnn.bias_hh': (4 * MEMORY,),
    'model.decoder.decoder.2.weight': (1, MEMORY, 1),
    'model.decoder.decoder.2.bias': (1,),
}

Floats = npt.NDArray[np.float32]


def write_silero(source: Path, path: Path) -> None:
    """Write the graph, with its weights in it.

        input float32[windows, streams, INPUT], state float32[2, streams, MEMORY]
        -> probability float32[windows, streams], next float32[2, streams, MEMORY]

    The windows of a stream follow each other; state is zeros at first, then what next was.

    Args:
        source: the graph that silero-vad 5 or 6 publishes for 16 kHz.
        path: of the new one.

    Raises:
        ModelError: source is damaged or foreign.
        OSError: path cannot be written.
    """
    weights = _read(source)
    graph = Graph('silero_vad')
    windows = graph.input('input', np.float32, ['windows', 'streams', INPUT])
    state = graph.input('state', np.float32, [2, 'streams', MEMORY])
    seen = _encoder(graph, weights, _spectrum(graph, weights, windows))
    heard, following = _memory(graph, weights, seen, state)
    graph.output(_head(graph, weights, heard), 'probability', np.float32, ['windows', 'streams'])
    graph.output(following, 'next', np.float32, [2, 'streams', MEMORY])
    graph.write_whole(path)


def _read(source: Path) -> dict[str, Floats]:
    """The weights by their names in the published graph."""
    try:
        model = onnx.load(str(source))
    # onnx's parser raises classes of its own and of protobuf, without a common root.
    except Exception as error:
        raise ModelError(
            f'{source}: damaged or no ONNX graph ({error}); fetch silero-vad again') from error
    found = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    for name, shape in _SHAPES.items():
        have = found[name].shape if name in found else 'nothing'
        if have != shape:
            raise ModelError(
                f'{source}: {name} is {have}, expected {shape} as in silero-vad 5 and 6 at 16 kHz')
    return {name: found[name].astype(np.float32) for name in _SHAPES}


def _spectrum(graph: Graph, weights: dict[str, Floats], windows: str) -> str:
    """Magnitudes [windows * streams, 4, bins]."""
    each = graph.node('Reshape', windows, graph.weight('each', np.array([-1, INPUT])))
    pads = graph.weight('mirrored', np.array([0, 0, 0, _PADDING]))
    hops = graph.node(
        'Reshape', graph.node('Pad', each, pads, mode='reflect'),
        graph.weight('hops', np.array([-1, _FRAMES + 1, _HOP])))
    basis = graph.weight('basis', weights['model.stft.forward_basis_buffer'][:, 0].T)
    both = graph.node('MatMul', _neighbours(graph, hops, 2, _FRAMES), basis)
    halves = graph.nodes(
        'Split', both, graph.weight('halves', np.array([_BINS, _BINS])), outputs=2, axis=2)
    real, imaginary = (graph.node('Mul', half, half) for half in halves)
    return graph.node('Sqrt', graph.node('Add', real, imaginary))


def _encoder(graph: Graph, weights: dict[str, Floats], value: str) -> str:
    """What is seen in each window [windows * streams, MEMORY].

    Each layer looks at a step, the one before and the one behind, and at zeros beyond the ends:
    the first at all four, the second at every other one, the third at the first of two, so that
    only zeros lie before it, and the last at one alone.
    """
    ends = graph.node('Pad', value, graph.weight('both_ends', np.array([0, 1, 0, 0, 1, 0])))
    value = _layer(graph, weights, 0, (0, 1, 2), _neighbours(graph, ends, 3, _FRAMES))
    begin = graph.node('Pad', value, graph.weight('begin', np.array([0, 1, 0, 0, 0, 0])))
    threes = graph.weight('threes', np.array([-1, 1, 3 * _WIDTHS[1]]))
    pair = [graph.node('Reshape', _steps(graph, begin, at, at + 3), threes) for at in (0, 2)]
    value = _layer(graph, weights, 1, (0, 1, 2), graph.node('Concat', *pair, axis=1))
    twos = graph.weight('twos', np.array([-1, 2 * _WIDTHS[2]]))
    value = _layer(graph, weights, 2, (1, 2), graph.node('Reshape', value, twos))
    return _layer(graph, weights, 3, (1,), value)


def _layer(
    graph: Graph, weights: dict[str, Floats], layer: int, taps: tuple[int, ...], value: str,
) -> str:
    """A layer of the encoder as one product: its value holds the steps of the taps in a row."""
    name = f'model.encoder.{layer}.reparam_conv'
    weight = np.concatenate([weights[f'{name}.weight'][:, :, tap].T for tap in taps])
    product = graph.node('MatMul', value, graph.weight(f'weight_{layer}', weight))
    bias = graph.weight(f'bias_{layer}', weights[f'{name}.bias'])
    return graph.node('Relu', graph.node('Add', product, bias))


def _neighbours(graph: Graph, value: str, count: int, steps: int) -> str:
    """Each step with those behind it in a row: [n, steps + count - 1, m] to [.., count * m]."""
    return graph.node(
        'Concat', *(_steps(graph, value, at, at + steps) for at in range(count)), axis=2)


def _steps(graph: Graph, value: str, begin: int, end: int) -> str:
    """The steps from begin to end of [n, steps, m]."""
    numbers = (graph.weight(f'{number}', np.array([number])) for number in (begin, end, 1))
    return graph.node('Slice', value, *numbers)


def _memory(
    graph: Graph, weights: dict[str, Floats], seen: str, state: str,
) -> tuple[str, str]:
    """The memory after each window [windows, 1, streams, MEMORY], and the next state."""
    streams = graph.node('Gather', graph.node('Shape', state), graph.weight('1', np.array([1])))
    ends = (graph.weight('-1', np.array([-1])), graph.weight('memory', np.array([MEMORY])))
    steps = graph.node(
        'Reshape', seen, graph.node('Concat', ends[0], streams, ends[1], axis=0))
    before = graph.nodes(
        'Split', state, graph.weight('pair', np.array([1, 1])), outputs=2, axis=0)
    rnn = {name: _gates(weights[f'model.decoder.rnn.{name}'])
           for name in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')}
    heard, *following = graph.nodes(
        'LSTM', steps, graph.weight('weight_ih', rnn['weight_ih'][None]),
        graph.weight('weight_hh', rnn['weight_hh'][None]),
        graph.weight('bias_rnn', np.concatenate([rnn['bias_ih'], rnn['bias_hh']])[None]),
        '', *before, outputs=3, hidden_size=MEMORY)
    return heard, graph.node('Concat', *following, axis=0)


def _gates(rows: Floats) -> Floats:
    """Torch has the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
    into, forget, cell, out = np.split(rows, 4)
    return np.concatenate([into, out, forget, cell])


def _head(graph: Graph, weights: dict[str, Floats], heard: str) -> str:
    """Probability [windows, streams]."""
    score = graph.node(
        'MatMul', graph.node('Relu', heard),
        graph.weight('weight_out', weights['model.decoder.decoder.2.weight'][0]))
    score = graph.node(
        'Add', score, graph.weight('bias_out', weights['model.decoder.decoder.2.bias']))
    return graph.node(
        'Squeeze', graph.node('Sigmoid', score), graph.weight('axes', np.array([1, 3])))
