"""Whisper's layers in the operators that a trace of the published network consists of."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from small_whisper import HEADS, TEXT_POSITIONS, WIDTH

from xlerobot_asr_opt.models.onnx_graph import Graph
from xlerobot_asr_opt.models.whisper_weights import Linear


class BranchGraph(Graph):
    """A graph that can be a branch of another: it then has no inputs, and takes the outer ones."""

    def proto(self):
        """The graph itself, its weights in it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'branch.onnx'
            self.write_whole(path)
            return onnx.load(path).graph


class Network:
    """Whisper's layers as nodes of one graph."""

    def __init__(self, name, weights):
        self.g = BranchGraph(name)
        self._w = weights

    def decode(self, past, *, ask_position=False):
        """The decoder over input_ids; 'logits', and each key and value by its name.

        Args:
            past: what the names of earlier keys and values begin with; empty: there are none.
            ask_position: take the begin from cache_position.
        """
        g, w = self.g, self._w
        begin = self._ints(0)
        if ask_position:
            begin = g.node('Slice', 'cache_position', self._ints(0), self._ints(1))
        elif past:
            begin = g.node('Shape', f'{past}0.decoder.key', start=2, end=3)
        length = g.node('Shape', 'input_ids', start=1, end=2)
        end = g.node('Add', begin, length)
        x = g.node('Gather', g.weight('embedding', w.embedding), 'input_ids')
        table = g.weight('positions', w.text_positions)
        x = g.node('Add', x, g.node('Slice', table, begin, end, self._ints(0)))
        causal = np.triu(np.full((TEXT_POSITIONS, TEXT_POSITIONS), -1e9, np.float32), 1)
        mask = g.node('Slice', g.weight('mask', causal), begin, end, self._ints(0))
        mask = g.node('Slice', mask, self._ints(0), end, self._ints(1))
        found = {}
        for index, layer in enumerate(w.decoder):
            x = self._layer(index, x, layer, past, mask, found)
        x = self.norm('norm', x, w.decoder_norm)
        found['logits'] = g.node('MatMul', x, g.weight('projection', w.embedding.T))
        return found

    def _layer(self, index, x, layer, past, mask, found):
        name = f'layers.{index}'
        query, key, value = self.split(f'{name}.self', x, layer.attention)
        own, other = f'{index}.decoder', f'{index}.encoder'
        if past:
            key = self.g.node('Concat', f'{past}{own}.key', key, axis=2)
            value = self.g.node('Concat', f'{past}{own}.value', value, axis=2)
        found[f'{own}.key'], found[f'{own}.value'] = key, value
        x = self.attended(f'{name}.self', x, query, key, value, layer.attention.out, mask)
        cross = layer.cross
        y = self.norm(f'{name}.cross.norm', x, cross.norm)
        query = self._heads(self.linear(f'{name}.cross.query', y, cross.query))
        if past:
            key, value = f'{past}{other}.key', f'{past}{other}.value'
        else:
            key, value = self._projected(
                f'{name}.cross', 'encoder_hidden_states', cross.kv, ('key', 'value'))
        found[f'{other}.key'], found[f'{other}.value'] = key, value
        x = self.attended(f'{name}.cross', x, query, key, value, cross.out)
        return self.widened(name, x, layer.feed_forward)

    def split(self, name, x, attention):
        """Query, key and value of self attention, [1, heads, n, head width] each."""
        y = self.norm(f'{name}.norm', x, attention.norm)
        return self._projected(name, y, attention.qkv, ('query', 'key', 'value'))

    def _projected(self, name, x, layer, parts):
        weights, biases = (np.split(array, len(parts)) for array in (layer.weight, layer.bias))
        return [self._heads(self.linear(f'{name}.{part}', x, Linear(weight, bias)))
                for part, weight, bias in zip(parts, weights, biases, strict=True)]

    def attended(self, name, x, query, key, value, out, mask=''):
        """Attention, added to x."""
        g = self.g
        scale = g.weight('scale', np.array((WIDTH // HEADS) ** -0.5, np.float32))
        scores = g.node('MatMul', g.node('Mul', query, scale),
                        g.node('Transpose', key, perm=[0, 1, 3, 2]))
        if mask:
            scores = g.node('Add', scores, mask)
        y = g.node('MatMul', g.node('Softmax', scores, axis=-1), value)
        y = g.node('Reshape', g.node('Transpose', y, perm=[0, 2, 1, 3]), self._ints(1, -1, WIDTH))
        return g.node('Add', x, self.linear(f'{name}.out', y, out))

    def widened(self, name, x, layer):
        """The feed-forward part, added to x."""
        y = self.linear(f'{name}.fc1', self.norm(f'{name}.norm', x, layer.norm), layer.widen)
        return self.g.node('Add', x, self.linear(f'{name}.fc2', self._gelu(y), layer.narrow))

    def convolution(self, name, x, layer, stride):
        """One of the two before the encoder."""
        g = self.g
        y = g.node('Conv', x, g.weight(f'{name}.weight', layer.weight),
                   g.weight(f'{name}.bias', layer.bias), kernel_shape=[3], pads=[1, 1],
                   strides=[stride])
        return self._gelu(y)

    def norm(self, name, x, layer):
        """Layer normalisation."""
        g = self.g
        return g.node('LayerNormalization', x, g.weight(f'{name}.scale', layer.scale),
                      g.weight(f'{name}.shift', layer.shift), axis=-1, epsilon=1e-5)

    def linear(self, name, x, layer):
        """x [..., in] to [..., out]."""
        g = self.g
        product = g.node('MatMul', x, g.weight(f'{name}.weight', layer.weight.T))
        return g.node('Add', product, g.weight(f'{name}.bias', layer.bias))

    def _heads(self, x):
        g = self.g
        y = g.node('Reshape', x, self._ints(1, -1, HEADS, WIDTH // HEADS))
        return g.node('Transpose', y, perm=[0, 2, 1, 3])

    def _gelu(self, x):
        g = self.g
        half, one, root = (g.weight(f'gelu.{value:.3}', np.array(value, np.float32))
                           for value in (0.5, 1.0, 2 ** -0.5))
        raised = g.node('Add', g.node('Erf', g.node('Mul', x, root)), one)
        return g.node('Mul', g.node('Mul', x, half), raised)

    def _ints(self, *values):
        name = 'i_' + '_'.join(str(value) for value in values)
        return self.g.weight(name, np.array(values, np.int64))
