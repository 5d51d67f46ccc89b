"""Whisper's weights under their own names, taken out of CTranslate2's fused tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.ctranslate2 import Tensors
from xlerobot_asr_opt.models.files import Dims

__all__ = [
    'Attention',
    'CrossAttention',
    'DecoderLayer',
    'EncoderLayer',
    'FeedForward',
    'Linear',
    'Norm',
    'Weights',
    'gather',
]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """y = x @ weight.T + bias; weight float32[out, in], bias float32[out]."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Norm:
    """Layer normalisation: scale and shift, float32[width]."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True)
class Attention:
    """Self attention: qkv gives query, key and value side by side, [3 * width, width]."""

    norm: Norm
    qkv: Linear
    out: Linear


@dataclass(frozen=True)
class CrossAttention:
    """Attention over the encoder's output; kv gives both side by side, [2 * width, width]."""

    norm: Norm
    query: Linear
    kv: Linear
    out: Linear


@dataclass(frozen=True)
class FeedForward:
    """Norm, widen by four, GELU, narrow."""

    norm: Norm
    widen: Linear
    narrow: Linear


@dataclass(frozen=True)
class EncoderLayer:
    """One layer of the encoder."""

    attention: Attention
    feed_forward: FeedForward


@dataclass(frozen=True)
class DecoderLayer:
    """One layer of the decoder."""

    attention: Attention
    cross: CrossAttention
    feed_forward: FeedForward


@dataclass(frozen=True)
class Weights:
    """A whole Whisper, float32.

    Attributes:
        dims: sizes.
        conv1: weight [width, mel_bins, 3] and bias.
        conv2: weight [width, width, 3] and bias.
        audio_positions: [audio_positions, width].
        encoder: its layers.
        encoder_norm: the norm after them.
        embedding: [vocabulary, width], also the projection to the logits.
        text_positions: [text_positions, width].
        decoder: its layers.
        decoder_norm: the norm after them.
    """

    dims: Dims
    conv1: Linear
    conv2: Linear
    audio_positions: Floats
    encoder: tuple[EncoderLayer, ...]
    encoder_norm: Norm
    embedding: Floats
    text_positions: Floats
    decoder: tuple[DecoderLayer, ...]
    decoder_norm: Norm


def gather(tensors: Tensors) -> Weights:
    """Name the tensors of a CTranslate2 `WhisperSpec`.

    Raises:
        ModelError: a tensor is missing or has another shape than the others ask for.
    """
    return _Gatherer(tensors).weights()


class _Gatherer:
    """Takes tensors by name and checks each shape."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._dims = self._read_dims()

    def weights(self) -> Weights:
        dims = self._dims
        width = dims.width
        return Weights(
            dims=dims,
            conv1=self._linear('encoder/conv1', width, dims.mel_bins, 3),
            conv2=self._linear('encoder/conv2', width, width, 3),
            audio_positions=self._floats(
                'encoder/position_encodings/encodings', dims.audio_positions, width
            ),
            encoder=tuple(
                self._encoder_layer(f'encoder/layer_{i}') for i in range(self._layers('encoder'))
            ),
            encoder_norm=self._norm('encoder/layer_norm'),
            embedding=self._floats('decoder/embeddings/weight', dims.vocabulary, width),
            text_positions=self._floats(
                'decoder/position_encodings/encodings', dims.text_positions, width
            ),
            decoder=tuple(
                self._decoder_layer(f'decoder/layer_{i}') for i in range(dims.decoder_layers)
            ),
            decoder_norm=self._norm('decoder/layer_norm'),
        )

    def _read_dims(self) -> Dims:
        vocabulary, width = self._shape('decoder/embeddings/weight', 2)
        heads = int(self._get('decoder/num_heads'))
        if heads < 1 or width % heads:
            raise ModelError(f'a width of {width} cannot be divided into {heads} attention heads')
        return Dims(
            mel_bins=self._shape('encoder/conv1/weight', 3)[1],
            width=width,
            heads=heads,
            decoder_layers=self._layers('decoder'),
            vocabulary=vocabulary,
            audio_positions=self._shape('encoder/position_encodings/encodings', 2)[0],
            text_positions=self._shape('decoder/position_encodings/encodings', 2)[0],
        )

    def _layers(self, side: str) -> int:
        prefix = f'{side}/layer_'
        count = len(
            {
                name.split('/')[1]
                for name in self._tensors
                if name.startswith(prefix) and name[len(prefix)].isdigit()
            }
        )
        if not count:
            raise ModelError(f'the model has no {side} layers')
        return count

    def _encoder_layer(self, name: str) -> EncoderLayer:
        return EncoderLayer(self._attention(name), self._feed_forward(name))

    def _decoder_layer(self, name: str) -> DecoderLayer:
        width = self._dims.width
        cross = CrossAttention(
            norm=self._norm(f'{name}/attention/layer_norm'),
            query=self._linear(f'{name}/attention/linear_0', width, width),
            kv=self._linear(f'{name}/attention/linear_1', 2 * width, width),
            out=self._linear(f'{name}/attention/linear_2', width, width),
        )
        return DecoderLayer(self._attention(name), cross, self._feed_forward(name))

    def _attention(self, name: str) -> Attention:
        width = self._dims.width
        return Attention(
            norm=self._norm(f'{name}/self_attention/layer_norm'),
            qkv=self._linear(f'{name}/self_attention/linear_0', 3 * width, width),
            out=self._linear(f'{name}/self_attention/linear_1', width, width),
        )

    def _feed_forward(self, name: str) -> FeedForward:
        width = self._dims.width
        return FeedForward(
            norm=self._norm(f'{name}/ffn/layer_norm'),
            widen=self._linear(f'{name}/ffn/linear_0', 4 * width, width),
            narrow=self._linear(f'{name}/ffn/linear_1', width, 4 * width),
        )

    def _linear(self, name: str, *shape: int) -> Linear:
        return Linear(
            self._floats(f'{name}/weight', *shape), self._floats(f'{name}/bias', shape[0])
        )

    def _norm(self, name: str) -> Norm:
        width = self._dims.width
        return Norm(self._floats(f'{name}/gamma', width), self._floats(f'{name}/beta', width))

    def _floats(self, name: str, *shape: int) -> Floats:
        tensor = self._get(name)
        if tensor.shape != shape:
            raise ModelError(f'tensor {name!r} has the shape {tensor.shape}, expected {shape}')
        if tensor.dtype.kind != 'f':
            raise ModelError(
                f'tensor {name!r} is {tensor.dtype.name}; only float weights can be '
                'rebuilt, a model that is already quantised cannot'
            )
        return tensor.astype(np.float32)

    def _shape(self, name: str, rank: int) -> tuple[int, ...]:
        shape = self._get(name).shape
        if len(shape) != rank:
            raise ModelError(f'tensor {name!r} has the shape {shape}, expected rank {rank}')
        return shape

    def _get(self, name: str) -> npt.NDArray[np.generic]:
        try:
            return self._tensors[name]
        except KeyError:
            raise ModelError(f'the model has no tensor {name!r}: it is not a Whisper') from None
