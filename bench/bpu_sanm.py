"""What the vendor's compiler estimates for a model of SenseVoiceSmall's size and structure.

    python bench/bpu_sanm.py [--blocks 2] [--json FILE]
    python bench/bpu_sanm.py --head CLASSES [--largest] [--json FILE]

70 SANM blocks of width 512: 4 heads of 128, a memory over 11 frames (FSMN), a feed-forward of
2048; for 5 s: 84 frames of 60 ms and 4 prompts. The weights are random, which changes no estimate;
what such a model loses in int8 has to be measured with the real ones. Compiled are so many blocks,
once whole and once without all but their linear layers, and 70 of them are that times 70 : blocks:
the blocks are equal, and one behind the other. Needs the vendor's tools, which `xlerobot-asr
models compile` installs; takes some minutes.

Written for the BPU, and equal to the model by its arithmetic:

- tokens lie on a grid of 11 rows of 8, since the BPU pads the height to 2 and the width to 8;
- the norms' scale and shift lie in the linear layers that follow, and the mean is taken out of all
  that is added to the stream, in the weights where that is a linear layer: what is left of a norm
  is a division by the root mean square;
- the memory is a depthwise convolution along the rows, each with its neighbours' ends beside it;
- the prompts and the encoder's front are not in it, nor is a head.

--head compiles a CTC head alone. With --largest it gives the largest of every 64 classes and which
of them that is, so that the CPU finds the best in 1/64 of the values: the BPU's ArgMax takes 64.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import report

from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment, vendor_directory
from xlerobot_asr_opt.models.bpu.mapper import Job, compile_graph
from xlerobot_asr_opt.models.bundle import MARCH
from xlerobot_asr_opt.models.onnx_graph import Graph

BLOCKS, GOAL_MS = 70, 50
WIDTH, HEADS, HIDDEN, MEMORY = 512, 4, 2048, 11
ROWS, COLUMNS = 11, 8
TOKENS = ROWS * COLUMNS
SHAPE = (1, ROWS, COLUMNS, WIDTH)
GROUP = 64
CALIBRATION_ARRAYS = 2


class Sanm:
    """Builds the graph.

    Args:
        only_linears: leave out norms, attention and memory.
    """

    def __init__(self, *, only_linears=False):
        self._g = Graph('sanm', opset=11)
        self._random = np.random.default_rng(0)
        self._only_linears = only_linears
        self._count = 0

    def build(self, blocks):
        x = self._g.input('x', np.float32, list(SHAPE))
        for _ in range(blocks):
            x = self._block(x)
        self._g.output(x, 'y', np.float32, list(SHAPE))
        return self._g

    def build_head(self, classes, *, largest):
        """The scores of so many classes, or the largest of each group; channels first."""
        g = self._g
        x = g.input('x', np.float32, [1, WIDTH, ROWS, COLUMNS])
        y = g.node('Conv', x, self._weight(classes, WIDTH, 1, 1, scale=WIDTH ** -0.5),
                   self._weight(classes, scale=0.1), kernel_shape=[1, 1])
        if not largest:
            g.output(y, 'y', np.float32, [1, classes, ROWS, COLUMNS])
            return g
        shape = [1, 1, TOKENS, classes // GROUP]
        y = g.node('Reshape', g.node('Transpose', y, perm=[0, 2, 3, 1]),
                   self._sizes(*shape[1:], GROUP))
        y = g.node('Transpose', y, perm=[0, 3, 1, 2])
        g.output(g.node('ReduceMax', y, axes=[1], keepdims=1), 'best', np.float32, shape)
        g.output(g.node('ArgMax', y, axis=1, keepdims=1), 'which', np.int64, shape)
        return g

    def _block(self, x):
        g = self._g
        y = self._norm(x)
        query, key, value = (self._linear(y, WIDTH, WIDTH) for _ in 'qkv')
        if self._only_linears:
            attended = self._linear(g.node('Add', g.node('Add', query, key), value), WIDTH, WIDTH)
        else:
            attended = self._linear(self._attention(query, key, value), WIDTH, WIDTH)
            attended = g.node('Add', attended, self._memory(value))
        x = g.node('Add', x, attended)
        y = g.node('Relu', self._linear(self._norm(x), WIDTH, HIDDEN))
        return g.node('Add', x, self._linear(y, HIDDEN, WIDTH))

    def _norm(self, x):
        if self._only_linears:
            return x
        g = self._g
        square = g.node('ReduceMean', g.node('Mul', x, x), axes=[3], keepdims=1)
        root = g.node('Sqrt', g.node('Add', square, g.weight('epsilon', np.float32([1e-2]))))
        return g.node('Div', x, root)

    def _linear(self, x, inputs, outputs):
        y = self._g.node('MatMul', x, self._weight(inputs, outputs, scale=inputs ** -0.5))
        return self._g.node('Add', y, self._weight(outputs, scale=0.1))

    def _attention(self, query, key, value):
        g = self._g

        def heads(x, *order):
            split = g.node('Reshape', x, self._sizes(1, TOKENS, HEADS, WIDTH // HEADS))
            return g.node('Transpose', split, perm=list(order))
        weights = g.node('Softmax', g.node(
            'MatMul', heads(query, 0, 2, 1, 3), heads(key, 0, 2, 3, 1)), axis=3)
        mixed = g.node('MatMul', weights, heads(value, 0, 2, 1, 3))
        return g.node('Reshape', g.node('Transpose', mixed, perm=[0, 2, 1, 3]),
                      self._sizes(*SHAPE))

    def _memory(self, value):
        """The value itself and its surroundings, by channel: one convolution along the time."""
        g, side = self._g, MEMORY // 2
        x = g.node('Transpose', value, perm=[0, 3, 1, 2])
        before = self._cut(self._cut(x, 3, COLUMNS - side, COLUMNS), 2, 0, ROWS - 1)
        after = self._cut(self._cut(x, 3, 0, side), 2, 1, ROWS)
        before = g.node('Pad', before, self._sizes(0, 0, 1, 0, 0, 0, 0, 0))
        after = g.node('Pad', after, self._sizes(0, 0, 0, 0, 0, 0, 1, 0))
        x = g.node('Concat', before, x, after, axis=3)
        kernel = self._random.normal(0, 0.3, (WIDTH, 1, 1, MEMORY)).astype(np.float32)
        kernel[..., side] += 1
        x = g.node('Conv', x, self._named(kernel), kernel_shape=[1, MEMORY], group=WIDTH)
        x = g.node('Transpose', x, perm=[0, 2, 3, 1])
        return g.node('Sub', x, g.node('ReduceMean', x, axes=[3], keepdims=1))

    def _cut(self, x, axis, begin, end):
        return self._g.node(
            'Slice', x, self._sizes(begin), self._sizes(end), self._sizes(axis))

    def _sizes(self, *values):
        return self._g.weight('_'.join(map(str, ('sizes', *values))), np.array(values, np.int64))

    def _weight(self, *shape, scale):
        return self._named(self._random.normal(0, scale, shape).astype(np.float32))

    def _named(self, array):
        self._count += 1
        return self._g.weight(f'weight_{self._count}', array)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--blocks', type=int, default=2, help='blocks to compile')
    parser.add_argument('--head', type=int, metavar='CLASSES', help='compile a CTC head alone')
    parser.add_argument('--largest', action='store_true',
                        help=f'the head gives the largest of every {GROUP} classes')
    parser.add_argument('--json', help='write the figures there')
    args = parser.parse_args()
    environment = VendorEnvironment(vendor_directory())
    environment.make(tell)
    figures = of_head(environment, args) if args.head else of_blocks(environment, args.blocks)
    for row in figures:
        print(f'{row["name"]:44} {row["value"]:8.4g} {row["unit"]}')
    if args.json:
        report.write(args.json, figures)


def of_blocks(environment, blocks):
    whole = estimate(environment, Sanm().build(blocks), SHAPE)
    linears = estimate(environment, Sanm(only_linears=True).build(blocks), SHAPE)
    times = BLOCKS / blocks
    weights = BLOCKS * WIDTH * (4 * WIDTH + 2 * HIDDEN)
    return [
        figure(f'{blocks} blocks', 'ms', whole.latency_us / 1e3),
        figure(f'{BLOCKS} blocks, extrapolated', 'ms', times * whole.latency_us / 1e3, GOAL_MS),
        figure(f'{BLOCKS} blocks, linear layers alone', 'ms', times * linears.latency_us / 1e3),
        figure(f'{BLOCKS} blocks, memory traffic', 'MB', times * whole.ddr_bytes / 1e6),
        figure(f'{BLOCKS} blocks, weights in int8', 'MB', weights / 1e6),
        figure('memory traffic of the linear layers', 'GB/s',
               linears.ddr_bytes / linears.latency_us / 1e3),
    ]


def of_head(environment, args):
    classes = -(-args.head // GROUP) * GROUP
    found = estimate(environment, Sanm().build_head(classes, largest=args.largest),
                     (1, WIDTH, ROWS, COLUMNS))
    what = f'largest of every {GROUP}' if args.largest else 'all scores'
    return [figure(f'a CTC head of {classes} classes, {what}', 'ms', found.latency_us / 1e3),
            figure('memory traffic', 'MB', found.ddr_bytes / 1e6)]


def figure(name, unit, value, goal=None):
    return {'name': name, 'unit': unit, 'value': value, **({'goal': goal} if goal else {})}


def estimate(environment, graph, shape):
    """Compile a graph; returns the vendor's estimate."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path, calibration, work = folder / 'sanm.onnx', folder / 'calibration', folder / 'work'
        graph.write_whole(path)
        calibration.mkdir()
        work.mkdir()
        for seed in range(CALIBRATION_ARRAYS):
            array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
            array.tofile(calibration / f'{seed}.bin')
        job = Job(path, 'x', shape, 'sanm', MARCH, calibration)
        made = compile_graph(environment, job, work, tell)
        if made.placement.cpu:
            tell(f'on the CPU: {", ".join(made.placement.cpu)}')
        return made.estimate


def tell(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
