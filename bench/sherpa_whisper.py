"""Writes a Whisper as the two graphs and the table of tokens that sherpa-onnx loads.

From the same weights as ours, so that a comparison is one of programs and not of models. Names,
shapes and metadata are those of sherpa-onnx's own export (its scripts/whisper/export-onnx.py, read
by its offline-whisper-model.cc): the encoder takes any number of frames and ends with the cross
keys and values of all layers; the decoder is given the whole cache of its own keys and values and
gives it back with the new ones at `offset`. int8 as there: onnxruntime's dynamic quantisation of
every product with a constant, one scale a matrix. The logits are a product of that kind, as in the
int8 models that are published; the script's newer form of it leaves them in float32.
"""

import base64
import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.onnx_graph import CONTRIB, Graph
from xlerobot_asr_opt.models.tokens import read_special_tokens
from xlerobot_asr_opt.models.whisper_weights import Linear, gather

VERSION = 1
"""Raised when the files change."""
FILES = ('encoder.int8.onnx', 'decoder.int8.onnx', 'tokens.txt')
_EPSILON = 1e-5


def exported(source, directory):
    """Write the files into a directory, unless they are there; return it.

    Args:
        source: directory with model.bin and tokenizer.json, of a Whisper for English alone.
        directory: for FILES.
    """
    directory = directory.with_name(f'{directory.name}-{VERSION}')
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
            write(source, Path(scratch))
            whole = Path(scratch) / 'whole'
            whole.mkdir()
            for name in FILES:
                shutil.move(Path(scratch) / name, whole)
            whole.rename(directory)
    return directory


def write(source, directory):
    """Write FILES, and the float graphs that they are made of."""
    weights = gather(read(source / 'model.bin', 'WhisperSpec'))
    special = read_special_tokens(source / 'tokenizer.json')
    vocabulary = json.loads((source / 'tokenizer.json').read_text())['model']['vocab']
    write_tokens(vocabulary, special.end_of_text, directory / 'tokens.txt')
    facts = metadata(weights, special, vocabulary)
    for name, graph in (('encoder', Encoder(weights).graph), ('decoder', Decoder(weights).graph)):
        path, quantised = directory / f'{name}.onnx', directory / f'{name}.int8.onnx'
        graph.write_whole(path)
        quantize_dynamic(
            path, quantised, op_types_to_quantize=['MatMul'], weight_type=QuantType.QInt8,
            # The type of what onnxruntime's own Gelu gives is not inferred.
            extra_options={'DefaultTensorType': onnx.TensorProto.FLOAT})
        if name == 'encoder':
            model = onnx.load(quantised)
            onnx.helper.set_model_props(model, facts)
            onnx.save(model, quantised)


def metadata(weights, special, vocabulary):
    """What sherpa-onnx reads of the encoder, as text."""
    dims = weights.dims
    facts = {
        'model_type': 'whisper-tiny.en', 'version': 1, 'maintainer': 'xlerobot_asr_opt',
        'n_mels': dims.mel_bins, 'n_audio_ctx': dims.audio_positions, 'n_audio_state': dims.width,
        'n_audio_head': dims.heads, 'n_audio_layer': len(weights.encoder),
        'n_vocab': dims.vocabulary, 'n_text_ctx': dims.text_positions, 'n_text_state': dims.width,
        'n_text_head': dims.heads, 'n_text_layer': dims.decoder_layers,
        'sot': special.start_of_transcript, 'sot_sequence': special.start_of_transcript,
        'sot_index': 0, 'eot': special.end_of_text, 'blank_id': vocabulary['\u0120'],
        'is_multilingual': 0, 'no_speech': special.no_speech, 'transcribe': special.transcribe,
        'translate': special.translate, 'sot_prev': special.start_of_previous,
        'no_timestamps': special.no_timestamps,
    }
    return {key: str(value) for key, value in facts.items()}


def write_tokens(vocabulary, end, path):
    """Write a line with base64 and number for each token of text."""
    byte = {character: value for value, character in enumerate(byte_characters())}
    tokens = sorted((number, token) for token, number in vocabulary.items() if number < end)
    path.write_text(''.join(
        f'{base64.b64encode(bytes(byte[one] for one in token)).decode()} {number}\n'
        for number, token in tokens))


def byte_characters():
    """The character that stands for each byte in a byte-level vocabulary.

    What is visible in Latin-1 stands for itself, the others for what follows U+00FF, in order.
    """
    visible = {*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(value if value in visible else next(others)) for value in range(256)]


class _Builder:
    """What both graphs are made of; a batch of n, of which sherpa-onnx uses one."""

    def __init__(self, name, weights):
        self.graph = Graph(name)
        self._weights = weights
        self._dims = weights.dims

    def _linear(self, name, x, layer):
        """X [n, t, in] to [n, t, out]; the keys of Whisper have no bias."""
        g = self.graph
        y = g.node('MatMul', x, g.weight(f'{name}.weight', layer.weight.T))
        return g.node('Add', y, g.weight(f'{name}.bias', layer.bias)) if layer.bias.any() else y

    def _norm(self, name, x, norm):
        g = self.graph
        return g.node('LayerNormalization', x, g.weight(f'{name}.scale', norm.scale),
                      g.weight(f'{name}.shift', norm.shift), axis=-1, epsilon=_EPSILON)

    def _feed_forward(self, name, x, layer):
        g = self.graph
        y = self._linear(f'{name}.widen', self._norm(f'{name}.norm', x, layer.norm), layer.widen)
        y = g.node('Gelu', y, domain=CONTRIB)
        return g.node('Add', x, self._linear(f'{name}.narrow', y, layer.narrow))

    def _projections(self, name, x, stacked, parts):
        """Each part of a stacked linear layer as a product of its own."""
        for weight, bias, part in zip(
                np.split(stacked.weight, len(parts)), np.split(stacked.bias, len(parts)), parts,
                strict=True):
            yield self._linear(f'{name}.{part}', x, Linear(weight, bias))

    def _attend(self, query, key, value, mask=''):
        """[n, q, width] and twice [n, k, width] to [n, q, width]."""
        g, width = self.graph, self._dims.head_width
        scale = g.weight('scale', np.array(1 / math.sqrt(width), np.float32))
        heads = self._integers(0, 0, self._dims.heads, width)
        query, key, value = (g.node('Reshape', one, heads) for one in (query, key, value))
        query = g.node('Transpose', g.node('Mul', query, scale), perm=[0, 2, 1, 3])
        scores = g.node('MatMul', query, g.node('Transpose', key, perm=[0, 2, 3, 1]))
        scores = g.node('Add', scores, mask) if mask else scores
        y = g.node('MatMul', g.node('Softmax', scores, axis=-1),
                   g.node('Transpose', value, perm=[0, 2, 1, 3]))
        y = g.node('Transpose', y, perm=[0, 2, 1, 3])
        return g.node('Reshape', y, self._integers(0, 0, self._dims.width))

    def _stack(self, parts):
        g = self.graph
        return g.node('Concat', *(g.node('Unsqueeze', one, self._integers(0)) for one in parts),
                      axis=0)

    def _slice(self, x, begin, end, axis):
        return self.graph.node('Slice', x, begin, end, self._integers(axis))

    def _integers(self, *values):
        name = 'i_' + '_'.join(map(str, values))
        return self.graph.weight(name, np.array(values, np.int64))


class Encoder(_Builder):
    """`mel` [n, mel_bins, T] to `n_layer_cross_k` and `_v` [layers, n, T / 2, width]."""

    def __init__(self, weights):
        super().__init__('whisper_encoder', weights)
        g, dims = self.graph, self._dims
        x = g.input('mel', np.float32, ['n_audio', dims.mel_bins, 'T'])
        for name, layer, stride in (('conv1', weights.conv1, 1), ('conv2', weights.conv2, 2)):
            x = g.node('Conv', x, g.weight(f'{name}.weight', layer.weight),
                       g.weight(f'{name}.bias', layer.bias), kernel_shape=[3], pads=[1, 1],
                       strides=[stride])
            x = g.node('Gelu', x, domain=CONTRIB)
        x = g.node('Transpose', x, perm=[0, 2, 1])
        table = g.weight('positions', weights.audio_positions)
        length = g.node('Shape', x, start=1, end=2)
        x = g.node('Add', x, self._slice(table, self._integers(0), length, 0))
        for index, layer in enumerate(weights.encoder):
            x = self._layer(f'layer_{index}', x, layer)
        self._cross(self._norm('norm', x, weights.encoder_norm))

    def _layer(self, name, x, layer):
        attention = layer.attention
        y = self._norm(f'{name}.attention.norm', x, attention.norm)
        y = self._attend(*self._projections(f'{name}.attention', y, attention.qkv, 'qkv'))
        y = self._linear(f'{name}.attention.out', y, attention.out)
        x = self.graph.node('Add', x, y)
        return self._feed_forward(f'{name}.feed_forward', x, layer.feed_forward)

    def _cross(self, x):
        pairs = [tuple(self._projections(f'cross_{index}', x, layer.cross.kv, 'kv'))
                 for index, layer in enumerate(self._weights.decoder)]
        for part, values in zip('kv', zip(*pairs, strict=True), strict=True):
            self.graph.output(
                self._stack(values), f'n_layer_cross_{part}', np.float32,
                [self._dims.decoder_layers, 'n_audio', 'T_2', self._dims.width])


class Decoder(_Builder):
    """`tokens` [n, t] at `offset` [1] to `logits` [n, t, vocabulary], with all keys and values."""

    def __init__(self, weights):
        super().__init__('whisper_decoder', weights)
        g, dims = self.graph, self._dims
        tokens = g.input('tokens', np.int64, ['n_audio', 'n_tokens'])
        room = [dims.decoder_layers, 'n_audio', dims.text_positions, dims.width]
        seen = [dims.decoder_layers, 'n_audio', 'T_2', dims.width]
        self._past = [self._layers(g.input(f'in_n_layer_self_{part}_cache', np.float32, room))
                      for part in 'kv']
        self._heard = [self._layers(g.input(f'n_layer_cross_{part}', np.float32, seen))
                       for part in 'kv']
        self._offset = g.input('offset', np.int64, [1])
        self._end = g.node('Add', self._offset, g.node('Shape', tokens, start=1, end=2))
        self._mask = self._causal()
        self._present = [], []
        positions = g.weight('positions', weights.text_positions)
        x = g.node('Add', g.node('Gather', g.weight('embedding', weights.embedding), tokens),
                   self._slice(positions, self._offset, self._end, 0))
        for index, layer in enumerate(weights.decoder):
            x = self._layer(index, x, layer)
        x = self._norm('norm', x, weights.decoder_norm)
        logits = g.node('MatMul', x, g.weight('projection', weights.embedding.T))
        g.output(logits, 'logits', np.float32, ['n_audio', 'n_tokens', dims.vocabulary])
        for part, layers in zip('kv', self._present, strict=True):
            g.output(self._stack(layers), f'out_n_layer_self_{part}_cache', np.float32, room)

    def _layers(self, stacked):
        """[layers, n, ...] to each layer's own."""
        g, count = self.graph, self._dims.decoder_layers
        parts = g.nodes('Split', stacked, self._integers(*[1] * count), outputs=count, axis=0)
        return [g.node('Squeeze', part, self._integers(0)) for part in parts]

    def _causal(self):
        """Rows of new tokens, columns of all: nothing sees what follows it."""
        room = self._dims.text_positions
        table = np.triu(np.full((room, room), -np.inf, np.float32), 1)
        rows = self._slice(self.graph.weight('mask', table), self._offset, self._end, 0)
        return self._slice(rows, self._integers(0), self._end, 1)

    def _layer(self, index, x, layer):
        g, name = self.graph, f'layer_{index}'
        y = self._norm(f'{name}.attention.norm', x, layer.attention.norm)
        query, *new = self._projections(f'{name}.attention', y, layer.attention.qkv, 'qkv')
        key, value = (self._remember(index, part, one) for part, one in enumerate(new))
        y = self._attend(query, key, value, self._mask)
        x = g.node('Add', x, self._linear(f'{name}.attention.out', y, layer.attention.out))
        y = self._norm(f'{name}.cross.norm', x, layer.cross.norm)
        query = self._linear(f'{name}.cross.query', y, layer.cross.query)
        y = self._attend(query, *(layers[index] for layers in self._heard))
        x = g.node('Add', x, self._linear(f'{name}.cross.out', y, layer.cross.out))
        return self._feed_forward(f'{name}.feed_forward', x, layer.feed_forward)

    def _remember(self, index, part, new):
        """Put new keys or values at the offset of a layer's cache; return those up to the end."""
        g = self.graph
        past = self._past[part][index]
        known = g.node('Concat', self._slice(past, self._integers(0), self._offset, 1), new,
                       axis=1)
        room = self._integers(self._dims.text_positions)
        rest = self._slice(past, self._end, room, 1)
        self._present[part].append(g.node('Concat', known, rest, axis=1))
        return known
