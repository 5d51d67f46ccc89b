"""Whisper's encoder as an ONNX graph of fixed length that compiles whole onto the BPU, in int8.

What is written differs from the model by mathematically equal rewrites alone:

- Channels lie first and time is folded to 8 rows, so that the BPU's padding costs nothing; linear
  layers are 1x1 convolutions, the two convolutions are 1x3, and the score's scale lies in the
  query's weights.
- The mean of the residual stream is taken out of all that writes to it, so that each layer norm
  becomes a division by the root mean square; its scale and shift lie in the linears that follow.
- The residual stream is rotated (QuaRot, arXiv 2404.00456): a few of its channels are a hundred
  times larger than the rest, and would leave nothing of int8's steps to these. Rotated, all
  channels are about alike. What writes to it is multiplied by the rotation, what reads from it by
  its transpose.
- The attention's weights are divided by their sum behind the product with the values, a head at a
  time (attention_graph.py).
- Neurons of a feed-forward that are far louder than the rest go through a convolution of their own
  with a scale of their own, for the same reason.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.models.bpu.attention_graph import HeadBuilder
from xlerobot_asr_opt.models.bpu.precision import Precision
from xlerobot_asr_opt.models.onnx_graph import Graph
from xlerobot_asr_opt.models.whisper_weights import Linear, Norm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from xlerobot_asr_opt.models.whisper_weights import (
        Attention,
        CrossAttention,
        FeedForward,
        Weights,
    )

__all__ = ['FOLD', 'HIDDEN', 'MEL', 'Loud', 'cross_weights', 'gelu_output', 'write_bpu_encoder']

MEL = 'mel'
"""Name of the input, float32[1, mel_bins, 1, frames]."""

HIDDEN = 'hidden'
"""Name of the output, float32[1, width, FOLD, frames / 2 / FOLD]: see cross_weights."""

FOLD = 8
"""Rows that time is folded to; the BPU pads the height to 2 and the width to 8."""

_OPSET = 11
_EPSILON = 1e-5
_SEED = 0

Floats = npt.NDArray[np.float32]
Loud = dict[int, tuple[int, ...]]
"""Layer to the neurons of its feed-forward that have a convolution of their own."""


def write_bpu_encoder(
    weights: Weights, frames: int, path: Path, loud: Mapping[int, tuple[int, ...]],
    *, show: bool = False,
) -> Precision:
    """Write the encoder for one window; returns what it needs beyond int8.

    Args:
        weights: of the model.
        frames: of the window; a multiple of 2 * FOLD.
        path: of the ONNX file.
        loud: layer to the neurons of its feed-forward that get a convolution of their own.
        show: the neurons of every feed-forward are outputs, too (gelu_output).

    Raises:
        OSError: it cannot be written.
    """
    encoder = _BpuEncoder(weights, frames, loud, show=show)
    encoder.build().write_whole(path)
    return encoder.precision


def gelu_output(layer: int) -> str:
    """Name of the output with the neurons of a layer's feed-forward."""
    return f'neurons_{layer}'


def cross_weights(weights: Weights) -> Weights:
    """The weights that make keys and values of what write_bpu_encoder gives.

    Its output is the residual stream before the last norm, without its mean, and rotated; the norm
    is then one of scale 1 and shift 0, and the rest lies in the keys' and values' weights.
    """
    width = weights.dims.width
    into = _rotation(width)
    plain = Norm(np.ones(width, np.float32), np.zeros(width, np.float32))

    def turned(cross: CrossAttention) -> CrossAttention:
        return dataclasses.replace(cross, kv=_after_norm(cross.kv, weights.encoder_norm, into))

    return dataclasses.replace(
        weights, encoder_norm=plain, decoder=tuple(
            dataclasses.replace(layer, cross=turned(layer.cross)) for layer in weights.decoder))


def _rotation(width: int) -> npt.NDArray[np.float64]:
    """An orthogonal matrix [width, width] that maps the vector of ones to itself.

    So the mean over the channels stays what it is: 0. Drawn at random, always the same one.
    """
    random = np.random.default_rng(_SEED)
    ones = np.ones((width, 1)) / math.sqrt(width)
    basis, _ = np.linalg.qr(np.concatenate([ones, random.normal(size=(width, width - 1))], axis=1))
    turn = np.eye(width)
    turn[1:, 1:], _ = np.linalg.qr(random.normal(size=(width - 1, width - 1)))
    rotation: npt.NDArray[np.float64] = basis @ turn @ basis.T
    return rotation


def _after_norm(layer: Linear, norm: Norm, rotation: npt.NDArray[np.float64]) -> Linear:
    """A linear that follows a norm of scale 1 and shift 0 in the rotated stream."""
    weight = layer.weight.astype(np.float64)
    return Linear(
        ((weight * norm.scale) @ rotation.T).astype(np.float32),
        (layer.bias + weight @ norm.shift).astype(np.float32))


class _BpuEncoder:
    """Builds the graph; see the module."""

    def __init__(
        self, weights: Weights, frames: int, loud: Mapping[int, tuple[int, ...]], *, show: bool,
    ) -> None:
        self._g = Graph('bpu_encoder', opset=_OPSET)
        self._head = HeadBuilder(self._g)
        self._w = weights
        self._loud = loud
        self._show = show
        self._frames = frames
        self._time = frames // 2
        self._width = weights.dims.width
        self._heads = weights.dims.heads
        self._rotation = _rotation(self._width)
        centre = np.eye(self._width) - np.full((self._width, self._width), 1 / self._width)
        self._into = self._rotation @ centre
        """What writes to the residual stream is multiplied by this."""

    @property
    def precision(self) -> Precision:
        return Precision(tuple(self._head.wide), self._head.limits)

    def build(self) -> Graph:
        g = self._g
        mel = g.input(MEL, np.float32, [1, self._w.dims.mel_bins, 1, self._frames])
        x = self._front(mel)
        for index, layer in enumerate(self._w.encoder):
            x = self._attention(f'layer_{index}.attention', x, layer.attention)
            x = self._feed_forward(index, x, layer.feed_forward)
        g.output(x, HIDDEN, np.float32, [*self._folded(self._width)])
        return g

    def _front(self, mel: str) -> str:
        """Both convolutions and the positions, to the rotated residual stream."""
        g = self._g
        x = self._gelu(self._wide('conv1', mel, self._w.conv1, stride=1))
        x = self._gelu(self._wide('conv2', x, self._w.conv2, stride=2))
        x = g.node('Reshape', x, self._sizes(*self._folded(self._width)))
        x = self._linear('rotation', x, Linear(self._into.astype(np.float32),
                                               np.zeros(self._width, np.float32)))
        positions = self._into @ self._w.audio_positions[:self._time].T
        return g.node('Add', x, self._constant(
            'positions', positions.reshape(self._folded(self._width))))

    def _wide(self, name: str, x: str, layer: Linear, stride: int) -> str:
        """Whisper's convolution over time, as one of two dimensions."""
        return self._g.node(
            'Conv', x, self._constant(f'{name}.weight', layer.weight[:, :, None, :]),
            self._constant(f'{name}.bias', layer.bias), kernel_shape=[1, 3], pads=[0, 1, 0, 1],
            strides=[1, stride])

    def _attention(self, name: str, x: str, layer: Attention) -> str:
        g, width = self._g, self._width
        y = self._norm(x)
        size = width // self._heads
        mixed = []
        for head in range(self._heads):
            parts = []
            for index, part in enumerate('qkv'):
                begin = index * width + head * size
                rows = slice(begin, begin + size)
                factor = np.float32(1 / math.sqrt(size) if part == 'q' else 1)
                linear = Linear(layer.qkv.weight[rows] * factor, layer.qkv.bias[rows] * factor)
                z = self._linear(f'{name}.{head}.{part}', y, self._read(linear, layer.norm))
                z = g.node('Reshape', z, self._sizes(1, 1, size, self._time))
                parts.append(z if part == 'k' else g.node('Transpose', z, perm=[0, 1, 3, 2]))
            z = self._head.attend(*parts)
            mixed.append(g.node('Reshape', z, self._sizes(*self._folded(size))))
        y = g.node('Concat', *mixed, axis=1)
        return g.node('Add', x, self._linear(f'{name}.out', y, self._written(layer.out)))

    def _feed_forward(self, index: int, x: str, layer: FeedForward) -> str:
        name = f'layer_{index}.feed_forward'
        y = self._norm(x)
        every = np.arange(len(layer.widen.bias))
        loud = np.array(self._loud.get(index, ()), np.int64)
        for part, rows in (('loud', loud), ('quiet', np.setdiff1d(every, loud))):
            if not len(rows):
                continue
            widen = Linear(layer.widen.weight[rows], layer.widen.bias[rows])
            z = self._linear(f'{name}.{part}.widen', y, self._read(widen, layer.norm))
            z = self._gelu(z)
            if self._show and not len(loud):
                self._g.output(z, gelu_output(index), np.float32, [*self._folded(len(rows))])
            bias = layer.narrow.bias if part == 'quiet' else np.zeros(self._width, np.float32)
            narrow = self._written(Linear(layer.narrow.weight[:, rows], bias))
            x = self._g.node('Add', x, self._linear(f'{name}.{part}.narrow', z, narrow))
        return x

    def _read(self, layer: Linear, norm: Norm) -> Linear:
        """A linear that reads from the residual stream behind a norm."""
        return _after_norm(layer, norm, self._rotation)

    def _written(self, layer: Linear) -> Linear:
        """A linear that writes to the residual stream."""
        return Linear((self._into @ layer.weight).astype(np.float32),
                      (self._into @ layer.bias).astype(np.float32))

    def _linear(self, name: str, x: str, layer: Linear) -> str:
        return self._g.node(
            'Conv', x, self._constant(f'{name}.weight', layer.weight[:, :, None, None]),
            self._constant(f'{name}.bias', layer.bias), kernel_shape=[1, 1])

    def _norm(self, x: str) -> str:
        """By the root mean square: the compiler makes one table of root and reciprocal."""
        g = self._g
        mean = g.node('ReduceMean', g.node('Mul', x, x), axes=[1], keepdims=1)
        root = g.node('Sqrt', g.node('Add', mean, self._constant('epsilon', np.array(_EPSILON))))
        return g.node('Div', x, root)

    def _gelu(self, x: str) -> str:
        """In the form that the compiler makes one table of."""
        g = self._g
        scaled = g.node('Div', x, self._constant('root_of_two', np.array(math.sqrt(2))))
        one_more = g.node('Add', g.node('Erf', scaled), self._constant('one', np.array(1)))
        return g.node('Mul', g.node('Mul', x, one_more), self._constant('half', np.array(0.5)))

    def _constant(self, name: str, array: npt.NDArray[np.generic]) -> str:
        return self._g.weight(name, np.asarray(array, np.float32))

    def _sizes(self, *values: int) -> str:
        return self._g.weight('_'.join(map(str, ('sizes', *values))), np.array(values, np.int64))

    def _folded(self, channels: int) -> tuple[int, int, int, int]:
        return 1, channels, FOLD, self._time // FOLD
