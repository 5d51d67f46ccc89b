"""CTC models with random weights, in the layouts that people download: for tests and the bench.

Equal arguments give equal files. What they write is nonsense, but it follows from the speech: what
all frames of a segment share is taken off before the last layer, so that each has a winner of its
own. Nothing is taken from a trained model.
"""

import json
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

LANGUAGES = {'auto': 0, 'zh': 3, 'en': 4, 'yue': 7, 'ja': 11, 'ko': 12, 'nospeech': 13}
WITH_ITN, WITHOUT_ITN = 14, 15
PROMPTS = 16
BINS, STACK, SHIFT = 80, 7, 6
TAGS = ('<|zh|>', '<|en|>', '<|yue|>', '<|ja|>', '<|ko|>', '<|nospeech|>', '<|HAPPY|>', '<|SAD|>',
        '<|ANGRY|>', '<|NEUTRAL|>', '<|EMO_UNKNOWN|>', '<|Speech|>', '<|BGM|>', '<|Laughter|>',
        '<|withitn|>', '<|woitn|>')
HAN = '打开灯关门前进后退左转右停一二三四五六七八九十我你他'
KANA, HANGUL = 'あいうえお', '가나다라마'
WORDS = ('▁turn', '▁go', '▁stop', '▁the', '▁light', '▁left', '▁right', '▁on', '▁off', 'ing', 'er',
         '▁door', '▁open', '▁close', 's', 'ed', '▁to')


@dataclass(frozen=True)
class Size:
    """Of a generated SenseVoice.

    Attributes:
        width: of the residual stream.
        heads: of the attention.
        inner: width within the feed-forward.
        blocks: SANM blocks.
        vocabulary: tokens, tags and blank included.
    """

    width: int = 32
    heads: int = 2
    inner: int = 64
    blocks: int = 2
    vocabulary: int = 120


SMALL = Size()
FULL = Size(width=512, heads=4, inner=2048, blocks=70, vocabulary=25055)
"""SenseVoiceSmall's."""


def pieces(vocabulary):
    """Blank, specials, tags and then text: Latin pieces, letters, Han, kana, Hangul, more Han."""
    letters = ['▁', *(chr(code) for code in range(ord('a'), ord('z') + 1)), '.', ',']
    text = [*WORDS, *letters, *HAN, *KANA, *HANGUL]
    more = [chr(0x4E00 + index) for index in range(vocabulary)]
    more = [one for one in more if one not in HAN]
    return ['<unk>', '<s>', '</s>', *TAGS, *text, *more][:vocabulary]


class Graph:
    """Gathers nodes and weights of one graph."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def weight(self, array, name=''):
        name = name or f'w{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def op(self, kind, *inputs, **attributes):
        name = f'v{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def ints(self, *values):
        return self.weight(np.array(values, np.int64))

    def floats(self, *values):
        return self.weight(np.array(values, np.float32))

    def linear(self, x, wide, out, gain=1.0):
        matrix = self.random.standard_normal((wide, out), np.float32) * np.float32(
            gain * wide ** -0.5)
        bias = self.random.standard_normal(out, np.float32) * np.float32(0.1)
        return self.op('Add', self.op('MatMul', x, self.weight(matrix)), self.weight(bias))

    def norm(self, x):
        """Zero mean and unit deviation of the last axis, as LayerNorm without weights."""
        centred = self.op('Sub', x, self.op('ReduceMean', x, axes=[-1]))
        variance = self.op('ReduceMean', self.op('Mul', centred, centred), axes=[-1])
        return self.op('Div', centred, self.op('Sqrt', self.op(
            'Add', variance, self.floats(1e-5))))

    def own(self, x):
        """What a frame has of its own, [1, T, width] less its mean over T, to unit deviation."""
        return self.norm(self.op('Sub', x, self.op('ReduceMean', x, axes=[1])))

    def save(self, path, inputs, outputs, metadata):
        graph = helper.make_graph(
            self.nodes, 'generated', inputs, outputs, initializer=self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
        helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
        onnx.save(model, path)


def block(graph, x, size):
    """A SANM block: attention with a memory of 11 frames over the values, and a feed-forward."""
    width, heads = size.width, size.heads
    each = width // heads
    normed = graph.norm(x)

    def split(y):
        return graph.op('Transpose', graph.op('Reshape', y, graph.ints(1, -1, heads, each)),
                        perm=[0, 2, 1, 3])

    query, key, value = (graph.linear(normed, width, width) for _ in range(3))
    scores = graph.op('MatMul', split(query), graph.op('Transpose', split(key), perm=[0, 1, 3, 2]))
    weights = graph.op('Softmax', graph.op('Mul', scores, graph.floats(each ** -0.5)), axis=-1)
    mixed = graph.op('Transpose', graph.op('MatMul', weights, split(value)), perm=[0, 2, 1, 3])
    mixed = graph.linear(graph.op('Reshape', mixed, graph.ints(1, -1, width)), width, width)
    kernel = graph.weight(graph.random.standard_normal((width, 1, 11), np.float32)
                          * np.float32(11 ** -0.5))
    memory = graph.op('Transpose', graph.op(
        'Conv', graph.op('Transpose', value, perm=[0, 2, 1]), kernel, group=width,
        kernel_shape=[11], pads=[5, 5]), perm=[0, 2, 1])
    x = graph.op('Add', x, graph.op('Add', mixed, memory))
    inner = graph.op('Relu', graph.linear(graph.norm(x), width, size.inner))
    return graph.op('Add', x, graph.linear(inner, size.inner, width))


def prompt_logits(graph, prompt, names):
    """Logits [1, 4, V] of the prompt's frames: a tag each, of language, emotion, event and text.

    Which emotion and which event follow from the language that was asked for.
    """
    rows = np.zeros((PROMPTS, len(names)), np.float32)
    detected = dict(LANGUAGES) | {'auto': LANGUAGES['auto']}
    for code, number in detected.items():
        rows[number, names.index(f'<|{"en" if code == "auto" else code}|>')] = 20.0
    rows[1, names.index('<|HAPPY|>')] = 20.0
    rows[2, names.index('<|Speech|>')] = 20.0
    rows[WITH_ITN, names.index('<|withitn|>')] = 20.0
    rows[WITHOUT_ITN, names.index('<|woitn|>')] = 20.0
    return graph.op('Unsqueeze', graph.op('Gather', graph.weight(rows), prompt, axis=0),
                    graph.ints(0))


def body(graph, x, prompt, size, blank_bias):
    """Logits [1, T, V] of the frames of speech."""
    table = graph.weight(graph.random.standard_normal((PROMPTS, BINS * STACK), np.float32))
    told = graph.op('Unsqueeze', graph.op('Gather', table, prompt, axis=0), graph.ints(0))
    hidden = graph.linear(graph.op('Concat', told, x, axis=1), BINS * STACK, size.width)
    for _ in range(size.blocks):
        hidden = block(graph, hidden, size)
    hidden = graph.op('Slice', hidden, graph.ints(4), graph.ints(2 ** 31), graph.ints(1))
    hidden = graph.own(hidden)
    logits = graph.linear(hidden, size.width, size.vocabulary, gain=3.0)
    bias = np.zeros(size.vocabulary, np.float32)
    # Tags and special tokens are of the prompt's frames alone.
    bias[1:3 + len(TAGS)] = -50.0
    bias[0] = blank_bias
    return graph.op('Add', logits, graph.weight(bias))


def write_tokens(directory, names):
    """Write tokens.txt."""
    (directory / 'tokens.txt').write_text(
        ''.join(f'{name} {number}\n' for number, name in enumerate(names)), encoding='utf-8')


def sense_voice_metadata(seed, vocabulary):
    """The metadata of sherpa-onnx's export; the normalisation is near that of speech."""
    random = np.random.default_rng(seed + 1)

    def row(mean, spread):
        return ','.join(f'{value:.6f}' for value in random.normal(mean, spread, BINS * STACK))

    return {
        'lfr_window_size': STACK, 'lfr_window_shift': SHIFT, 'normalize_samples': 0,
        'neg_mean': row(-10.0, 1.0), 'inv_stddev': row(0.25, 0.02),
        'model_type': 'sense_voice_ctc', 'version': '2', 'vocab_size': vocabulary,
        'comment': 'generated, random weights',
        **{f'lang_{code}': number for code, number in LANGUAGES.items()},
        'with_itn': WITH_ITN, 'without_itn': WITHOUT_ITN}


def value(name, kind, *shape):
    """An input or an output."""
    return helper.make_tensor_value_info(name, kind, shape)


def write_sense_voice(directory, *, seed=0, size=SMALL, layout='sherpa', int8=False,
                      blank_bias=6.0):
    """Write a SenseVoice of one of the layouts; returns the directory.

    Args:
        directory: where; it is made.
        seed: of the weights.
        size: of the graph.
        layout: sherpa, funasr, or static with 60 frames.
        int8: quantise it as sherpa-onnx does: dynamic, MatMul, QUInt8.
        blank_bias: what the blank has before the other tokens.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names, graph = pieces(size.vocabulary), Graph(seed)
    metadata = sense_voice_metadata(seed, size.vocabulary)
    features, inputs = 'x', [value('x', TensorProto.FLOAT, 1, 'T', BINS * STACK)]
    logits = 'logits'
    if layout == 'static':
        inputs = [value('x', TensorProto.FLOAT, 1, 60, BINS * STACK),
                  value('prompt', TensorProto.INT32, 4)]
        prompt = 'prompt'
        for key, kind in (('neg_mean', 'Add'), ('inv_stddev', 'Mul')):
            row = np.array([float(text) for text in metadata.pop(key).split(',')], np.float32)
            features = graph.op(kind, features, graph.weight(row))
    else:
        features, length, text, logits = (
            ('x', 'x_length', 'text_norm', 'logits') if layout == 'sherpa' else
            ('speech', 'speech_lengths', 'textnorm', 'ctc_logits'))
        inputs = [value(features, TensorProto.FLOAT, 'N', 'T', BINS * STACK),
                  *(value(name, TensorProto.INT32, 'N') for name in (length, 'language', text))]
        middle = graph.weight(np.array([1, 2], np.int32))
        prompt = graph.op('Concat', 'language', middle, text, axis=0)
    speech = body(graph, features, prompt, size, blank_bias)
    graph.nodes.append(helper.make_node(
        'Concat', [prompt_logits(graph, prompt, names), speech], [logits], axis=1))
    outputs = [value(logits, TensorProto.FLOAT, 'N', 'L', size.vocabulary)]
    if layout == 'funasr':
        write_mvn(directory / 'am.mvn', metadata)
        (directory / 'tokens.json').write_text(json.dumps(names, ensure_ascii=False))
        graph.nodes.append(helper.make_node('Identity', [length], ['encoder_out_lens']))
        outputs.append(value('encoder_out_lens', TensorProto.INT32, 'N'))
        metadata = {}
    else:
        write_tokens(directory, names)
    path = directory / ('model-4-seconds.onnx' if layout == 'static' else 'model.onnx')
    graph.save(path, inputs, outputs, metadata)
    if int8:
        quantize_dynamic(path, directory / 'model.int8.onnx', op_types_to_quantize=['MatMul'],
                         weight_type=QuantType.QUInt8)
        path.unlink()
    return directory


def write_mvn(path, metadata):
    """Write the normalisation of the metadata as Kaldi's am.mvn."""
    rows = [metadata[key].replace(',', ' ') for key in ('neg_mean', 'inv_stddev')]
    path.write_text(
        f'<Nnet>\n<Splice> 560 560\n[ 0 ]\n<AddShift> 560 560\n<LearnRateCoef> 0 [ {rows[0]} ]\n'
        f'<Rescale> 560 560\n<LearnRateCoef> 0 [ {rows[1]} ]\n</Nnet>\n')


def write_generic(directory, family, *, seed=0, vocabulary=60, width=32, normalise=True):
    """Write a CTC model of NeMo (nemo_ctc), icefall (zipformer_ctc) or WeNet (wenet_ctc).

    Four frames of features make one of logits, by a strided convolution.
    """
    directory.mkdir(parents=True, exist_ok=True)
    graph = Graph(seed)
    nemo = family == 'nemo_ctc'
    names = [name for name in pieces(vocabulary + 40) if not name.startswith('<')][:vocabulary - 1]
    blank = len(names) if nemo else 0
    first = '<blank>' if family == 'wenet_ctc' else '<blk>'
    names = [*names, '<blk>'] if nemo else [first, *names]
    x = 'audio_signal' if nemo else graph.op('Transpose', 'x', perm=[0, 2, 1])
    kernel = graph.random.standard_normal((width, BINS, 4), np.float32) * np.float32(
        (BINS * 4) ** -0.5)
    hidden = graph.op('Conv', x, graph.weight(kernel), strides=[4], kernel_shape=[4])
    hidden = graph.own(graph.op('Transpose', hidden, perm=[0, 2, 1]))
    logits = graph.linear(graph.op('Relu', hidden), width, vocabulary, gain=3.0)
    bias = np.zeros(vocabulary, np.float32)
    bias[blank] = 4.0
    found = graph.op('LogSoftmax', graph.op('Add', logits, graph.weight(bias)), axis=-1)
    graph.nodes.append(helper.make_node('Identity', [found], ['log_probs']))
    outputs = [value('log_probs', TensorProto.FLOAT, 'N', 'L', vocabulary)]
    if nemo:
        inputs = [value('audio_signal', TensorProto.FLOAT, 'N', BINS, 'T'),
                  value('length', TensorProto.INT64, 'N')]
        metadata = {'model_type': 'EncDecCTCModelBPE', 'vocab_size': vocabulary - 1,
                    'subsampling_factor': 4, 'normalize_type': 'per_feature' if normalise else ''}
    else:
        inputs = [value('x', TensorProto.FLOAT, 'N', 'T', BINS),
                  value('x_lens', TensorProto.INT64, 'N')]
        # The length of logits is that of their tensor: the features are not padded here.
        graph.nodes.append(helper.make_node('Shape', ['log_probs'], ['shape']))
        graph.nodes.append(helper.make_node(
            'Gather', ['shape', graph.ints(1)], ['log_probs_lens'], axis=0))
        outputs.append(value('log_probs_lens', TensorProto.INT64, 'N'))
        metadata = {'model_type': 'zipformer2_ctc' if family == 'zipformer_ctc' else family,
                    'vocab_size': vocabulary, 'subsampling_factor': 4}
    write_tokens(directory, names)
    graph.save(directory / 'model.onnx', inputs, outputs, metadata)
    return directory
