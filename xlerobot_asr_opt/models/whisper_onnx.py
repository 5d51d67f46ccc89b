"""Whisper as two ONNX graphs, made for short utterances on a CPU; docs/models.md: their contract.

The encoder takes any even number of frames, so that a 2 s command costs 2 s, and ends with the
keys and values of the decoder's cross attention. The decoder writes its own keys and values into a
buffer of fixed size, in place. Linear layers are int8: weights symmetric around 128 with a scale
per output channel, activations quantised as they come. uint8 weights because int8 ones saturate on
x86 without VNNI; with it, and on ARM with dot products, both are equally fast.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.models.onnx_graph import CONTRIB, Graph
from xlerobot_asr_opt.models.whisper_weights import (
    Attention,
    CrossAttention,
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    Linear,
    Norm,
    Weights,
)

__all__ = ['Precision', 'write_cross', 'write_decoder', 'write_encoder']

Precision = Literal['int8', 'float32']

_EPSILON = 1e-5
_ZERO_POINT = 128
Floats = npt.NDArray[np.float32]


def write_encoder(weights: Weights, path: Path, precision: Precision) -> None:
    """Write encoder.onnx and its weights."""
    _Encoder(weights, precision).build().write(path)


def write_cross(weights: Weights, path: Path, precision: Precision) -> None:
    """Write only the encoder's end, for one that was compiled without it.

    Input `hidden` float32[1, width, fold, T / fold] in place of `mel`; the outputs are the
    encoder's.
    """
    _Encoder(weights, precision).build_cross().write_whole(path)


def write_decoder(weights: Weights, path: Path, precision: Precision) -> None:
    """Write decoder.onnx and its weights."""
    _Decoder(weights, precision).build().write(path)


def quantise(weight: Floats) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Round a weight [out, in] to uint8 around 128, one scale an output channel.

    Returns:
        uint8[out, in] and float32[out]; weight is about (q - 128) * scale.
    """
    scale = np.maximum(np.abs(weight).max(axis=1) / np.float32(127), np.float32(1e-12))
    rounded = np.rint(weight / scale[:, None]) + _ZERO_POINT
    return rounded.astype(np.uint8), scale.astype(np.float32)


class _Builder:
    """What both graphs are made of."""

    def __init__(self, name: str, weights: Weights, precision: Precision) -> None:
        self._w = weights
        self._dims = weights.dims
        self._precision = precision
        self._g = Graph(name)

    def _linear(self, name: str, x: str, layer: Linear) -> str:
        """X [..., in] to [..., out]."""
        g = self._g
        bias = g.weight(f'{name}.bias', layer.bias)
        if self._precision == 'float32':
            product = g.node('MatMul', x, g.weight(f'{name}.weight', layer.weight.T))
            return g.node('Add', product, bias)
        weight, scale = quantise(layer.weight)
        return g.node(
            'DynamicQuantizeMatMul', x, g.weight(f'{name}.weight', weight.T),
            g.weight(f'{name}.scale', scale), self._zero_points(len(scale)), bias, domain=CONTRIB)

    def _zero_points(self, count: int) -> str:
        return self._g.weight(f'zero_points_{count}', np.full(count, _ZERO_POINT, np.uint8))

    def _norm(self, name: str, x: str, norm: Norm) -> str:
        g = self._g
        return g.node('LayerNormalization', x, g.weight(f'{name}.scale', norm.scale),
                      g.weight(f'{name}.shift', norm.shift), axis=-1, epsilon=_EPSILON)

    def _gelu(self, x: str) -> str:
        return self._g.node('Gelu', x, domain=CONTRIB)

    def _feed_forward(self, name: str, x: str, layer: FeedForward) -> str:
        y = self._norm(f'{name}.norm', x, layer.norm)
        y = self._gelu(self._linear(f'{name}.widen', y, layer.widen))
        return self._g.node('Add', x, self._linear(f'{name}.narrow', y, layer.narrow))

    def _integers(self, *values: int) -> str:
        name = 'i_' + '_'.join(str(value) for value in values)
        return self._g.weight(name, np.array(values, np.int64))


class _Encoder(_Builder):
    """Log-mel to the keys and values of every decoder layer's cross attention."""

    def __init__(self, weights: Weights, precision: Precision) -> None:
        super().__init__('whisper_encoder', weights, precision)

    def build(self) -> Graph:
        mel = self._g.input('mel', np.float32, [1, self._dims.mel_bins, 'frames'])
        x = self._front(mel)
        for index, layer in enumerate(self._w.encoder):
            x = self._layer(f'layer_{index}', x, layer)
        self._cross(self._norm('norm', x, self._w.encoder_norm))
        return self._g

    def build_cross(self) -> Graph:
        """The last norm and what follows it, from channels first and time folded."""
        g = self._g
        hidden = g.input('hidden', np.float32, [1, self._dims.width, 'fold', 'time'])
        x = g.node('Reshape', hidden, self._integers(1, self._dims.width, -1))
        x = g.node('Transpose', x, perm=[0, 2, 1])
        self._cross(self._norm('norm', x, self._w.encoder_norm))
        return g

    def _front(self, mel: str) -> str:
        """Two convolutions and the positions: [1, mel_bins, frames] to [1, frames / 2, width]."""
        g = self._g
        x = self._convolution('conv1', mel, self._w.conv1, stride=1)
        x = self._convolution('conv2', x, self._w.conv2, stride=2)
        x = g.node('Transpose', x, perm=[0, 2, 1])
        length = g.node('Shape', x, start=1, end=2)
        table = g.weight('positions', self._w.audio_positions)
        positions = g.node('Slice', table, self._integers(0), length, self._integers(0))
        return g.node('Add', x, positions)

    def _convolution(self, name: str, x: str, layer: Linear, stride: int) -> str:
        g = self._g
        weight = g.weight(f'{name}.weight', layer.weight)
        y = g.node('Conv', x, weight, g.weight(f'{name}.bias', layer.bias),
                   kernel_shape=[3], pads=[1, 1], strides=[stride])
        return self._gelu(y)

    def _layer(self, name: str, x: str, layer: EncoderLayer) -> str:
        x = self._attention(f'{name}.attention', x, layer.attention)
        return self._feed_forward(f'{name}.feed_forward', x, layer.feed_forward)

    def _attention(self, name: str, x: str, layer: Attention) -> str:
        g = self._g
        y = self._norm(f'{name}.norm', x, layer.norm)
        qkv = self._linear(f'{name}.qkv', y, layer.qkv)
        widths = self._integers(*[self._dims.width] * 3)
        query, key, value = g.nodes('Split', qkv, widths, outputs=3, axis=-1)
        y = g.node('MultiHeadAttention', query, key, value, domain=CONTRIB,
                   num_heads=self._dims.heads)
        return g.node('Add', x, self._linear(f'{name}.out', y, layer.out))

    def _cross(self, x: str) -> None:
        """All keys by one product, all values by another: activations are quantised once."""
        keys, values = (self._stacked(part) for part in (0, 1))
        heads, head_width = self._dims.heads, self._dims.head_width
        self._cross_outputs('cross_k', self._linear('cross_k', x, keys), [1, 2, 0],
                            [1, heads, head_width, 'time'])
        self._cross_outputs('cross_v', self._linear('cross_v', x, values), [1, 0, 2],
                            [1, heads, 'time', head_width])

    def _stacked(self, part: int) -> Linear:
        width = self._dims.width
        rows = slice(part * width, (part + 1) * width)
        layers = [layer.cross.kv for layer in self._w.decoder]
        return Linear(np.concatenate([layer.weight[rows] for layer in layers]),
                      np.concatenate([layer.bias[rows] for layer in layers]))

    def _cross_outputs(
        self, name: str, stacked: str, order: list[int], shape: list[int | str],
    ) -> None:
        """[1, time, layers * width] to one output a layer."""
        g = self._g
        dims = self._dims
        rows = dims.decoder_layers * dims.heads
        y = g.node('Reshape', stacked, self._integers(-1, rows, dims.head_width))
        y = g.node('Unsqueeze', g.node('Transpose', y, perm=order), self._integers(0))
        sizes = self._integers(*[dims.heads] * dims.decoder_layers)
        parts = g.nodes('Split', y, sizes, outputs=dims.decoder_layers, axis=1)
        for index, value in enumerate(parts):
            g.output(value, f'{name}_{index}', np.float32, shape)


class _Decoder(_Builder):
    """Tokens to logits, with a cache that is written in place."""

    def __init__(self, weights: Weights, precision: Precision) -> None:
        super().__init__('whisper_decoder', weights, precision)
        self._cache_shape: list[int | str] = [1, self._dims.heads, 'room', self._dims.head_width]
        self._present: dict[str, str] = {}

    def build(self) -> Graph:
        g = self._g
        tokens = g.input('tokens', np.int64, [1, 'n'])
        position = g.input('position', np.int64, [1])
        rows = g.input('rows', np.int64, ['r'])
        total = g.node('Add', position, g.node('Shape', tokens, start=1, end=2))
        total = g.node('Cast', total, to=_INT32)
        self._total = g.node('Squeeze', total)
        self._last = g.node('Sub', total, g.weight('one', np.array([1], np.int32)))
        x = self._embed(tokens, position)
        for index, layer in enumerate(self._w.decoder):
            x = self._layer(index, x, layer)
        x = self._norm('norm', g.node('Gather', x, rows, axis=1), self._w.decoder_norm)
        g.output(self._logits(x), 'logits', np.float32, [1, 'r', self._dims.vocabulary])
        for name, value in self._present.items():
            g.output(value, name, np.float32, self._cache_shape)
        return g

    def _embed(self, tokens: str, position: str) -> str:
        g = self._g
        table = g.weight('positions', self._w.text_positions)
        end = g.node('Add', position, g.node('Shape', tokens, start=1, end=2))
        positions = g.node('Slice', table, position, end, self._integers(0))
        return g.node('Add', self._token_rows(tokens), positions)

    def _token_rows(self, tokens: str) -> str:
        g = self._g
        if self._precision == 'float32':
            return g.node('Gather', g.weight('embedding', self._w.embedding), tokens)
        table, scale = quantise(self._w.embedding)
        rows = g.node('Gather', g.weight('embedding', table), tokens)
        zero_point = g.weight('zero_point', np.array(_ZERO_POINT, np.float32))
        rows = g.node('Sub', g.node('Cast', rows, to=_FLOAT), zero_point)
        scales = g.node('Gather', g.weight('embedding.scale', scale[:, None]), tokens)
        return g.node('Mul', rows, scales)

    def _logits(self, x: str) -> str:
        g = self._g
        if self._precision == 'float32':
            return g.node('MatMul', x, g.weight('projection', self._w.embedding.T))
        weight, scale = quantise(self._w.embedding)
        return g.node('DynamicQuantizeMatMul', x, g.weight('projection', weight.T),
                      g.weight('projection.scale', scale), self._zero_points(len(scale)),
                      domain=CONTRIB)

    def _layer(self, index: int, x: str, layer: DecoderLayer) -> str:
        name = f'layer_{index}'
        x = self._attention(index, f'{name}.attention', x, layer.attention)
        x = self._cross_attention(index, f'{name}.cross', x, layer.cross)
        return self._feed_forward(f'{name}.feed_forward', x, layer.feed_forward)

    def _attention(self, index: int, name: str, x: str, layer: Attention) -> str:
        g = self._g
        dims = self._dims
        past = [g.input(f'past_{part}_{index}', np.float32, self._cache_shape) for part in 'kv']
        qkv = self._linear(f'{name}.qkv', self._norm(f'{name}.norm', x, layer.norm), layer.qkv)
        y, *present = g.nodes(
            'GroupQueryAttention', qkv, '', '', *past, self._last, self._total, outputs=3,
            domain=CONTRIB, num_heads=dims.heads, kv_num_heads=dims.heads)
        for part, value in zip('kv', present, strict=True):
            self._present[f'present_{part}_{index}'] = value
        return g.node('Add', x, self._linear(f'{name}.out', y, layer.out))

    def _cross_attention(self, index: int, name: str, x: str, layer: CrossAttention) -> str:
        g = self._g
        dims = self._dims
        keys = g.input(f'cross_k_{index}', np.float32, [1, dims.heads, dims.head_width, 'time'])
        values = g.input(f'cross_v_{index}', np.float32, [1, dims.heads, 'time', dims.head_width])
        # The scale of the scores goes into the query's weights: one node less in every step.
        scale = np.float32(1 / math.sqrt(dims.head_width))
        scaled = Linear(layer.query.weight * scale, layer.query.bias * scale)
        query = self._linear(f'{name}.query', self._norm(f'{name}.norm', x, layer.norm), scaled)
        query = g.node('Reshape', query, self._integers(1, -1, dims.heads, dims.head_width))
        query = g.node('Transpose', query, perm=[0, 2, 1, 3])
        y = g.node('MatMul', g.node('Softmax', g.node('MatMul', query, keys), axis=-1), values)
        joined = g.node('Transpose', y, perm=[0, 2, 1, 3])
        y = g.node('Reshape', joined, self._integers(1, -1, dims.width))
        return g.node('Add', x, self._linear(f'{name}.out', y, layer.out))


_FLOAT = 1
_INT32 = 6
