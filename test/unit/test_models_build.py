"""A CTranslate2 Whisper becomes two ONNX graphs: their results, their sizes, their manifest."""

import json
import math

import numpy as np
import onnxruntime
import pytest
from small_whisper import (
    AUDIO_POSITIONS,
    DECODER_LAYERS,
    FIRST_SPECIAL,
    HEADS,
    MEL_BINS,
    SPECIAL,
    TEXT_POSITIONS,
    VOCABULARY,
    WIDTH,
    model_bin,
    tensors,
    tokenizer,
    write_source,
)

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.build import build_whisper
from xlerobot_asr_opt.models.files import Dims
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.models.manifest import Manifest, sha256_of
from xlerobot_asr_opt.models.whisper_onnx import quantise

SOURCES = {'small-whisper==1.0.0': 'ab' * 32}
PROMPT = [FIRST_SPECIAL + 1, FIRST_SPECIAL + 2, FIRST_SPECIAL + 5]


def build(source, directory, precision='int8'):
    directory.mkdir()
    build_whisper(source, directory, name='small', sources=SOURCES, multilingual=True,
                  precision=precision)
    return directory


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    return write_source(tmp_path_factory.mktemp('source'))


@pytest.fixture(scope='module')
def built(source, tmp_path_factory):
    """The same model in both precisions."""
    root = tmp_path_factory.mktemp('built')
    return {precision: build(source, root / precision, precision)
            for precision in ('int8', 'float32')}


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


def encode(directory, mel):
    encoder = session(directory / 'encoder.onnx')
    names = [value.name for value in encoder.get_outputs()]
    return dict(zip(names, encoder.run(names, {'mel': mel}), strict=True))


class Decoder:
    """Feeds tokens to decoder.onnx, and hands its cache on."""

    def __init__(self, directory, cross):
        self._session = session(directory / 'decoder.onnx')
        self._cross = cross
        room = np.zeros((1, HEADS, TEXT_POSITIONS, WIDTH // HEADS), np.float32)
        self._cache = {f'{part}_{layer}': room for part in 'kv' for layer in range(DECODER_LAYERS)}
        self._position = 0

    def feed(self, tokens):
        """Logits of every token, [n, vocabulary]."""
        outputs = ['logits', *(f'present_{name}' for name in self._cache)]
        logits, *present = self._session.run(outputs, {
            'tokens': np.array([tokens], np.int64), 'position': np.array([self._position]),
            'rows': np.arange(len(tokens)), **self._cross,
            **{f'past_{name}': value for name, value in self._cache.items()}})
        self._cache = dict(zip(self._cache, present, strict=True))
        self._position += len(tokens)
        return logits[0]


def mel_of(frames, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (1, MEL_BINS, frames)).astype(np.float32)


# The same network, written once more with NumPy alone, from the paper's description.

def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def softmax(x):
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


class Reference:
    """Whisper over the tensors of CTranslate2, float64, without a cache."""

    def __init__(self, content):
        self._t = {name: array.astype(np.float64) for name, array in content.items()}

    def encode(self, mel):
        """[time, width]."""
        x = gelu(self._convolve('encoder/conv1', mel, 1))
        x = gelu(self._convolve('encoder/conv2', x, 2)).T
        x = x + self._t['encoder/position_encodings/encodings'][:len(x)]
        x = x + self._attend('encoder/layer_0/self_attention', x, causal=False)
        x = x + self._widen('encoder/layer_0/ffn', x)
        return self._norm('encoder/layer_norm', x)

    def decode(self, tokens, sound):
        """[n, vocabulary]."""
        x = self._t['decoder/embeddings/weight'][tokens]
        x = x + self._t['decoder/position_encodings/encodings'][:len(x)]
        for index in range(DECODER_LAYERS):
            name = f'decoder/layer_{index}'
            x = x + self._attend(f'{name}/self_attention', x, causal=True)
            x = x + self._cross(f'{name}/attention', x, sound)
            x = x + self._widen(f'{name}/ffn', x)
        return self._norm('decoder/layer_norm', x) @ self._t['decoder/embeddings/weight'].T

    def _convolve(self, name, x, stride):
        padded = np.pad(x, ((0, 0), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::stride]
        return (np.einsum('oik,itk->ot', self._t[f'{name}/weight'], windows)
                + self._t[f'{name}/bias'][:, None])

    def _linear(self, name, x):
        return x @ self._t[f'{name}/weight'].T + self._t[f'{name}/bias']

    def _norm(self, name, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred ** 2).mean(axis=-1, keepdims=True) + 1e-5)
        return scaled * self._t[f'{name}/gamma'] + self._t[f'{name}/beta']

    def _heads(self, x):
        return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    def _mix(self, query, key, value, *, causal):
        query, key, value = map(self._heads, (query, key, value))
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS)
        if causal:
            scores = np.where(np.tri(*scores.shape[1:], dtype=bool), scores, -np.inf)
        mixed = softmax(scores) @ value
        return mixed.transpose(1, 0, 2).reshape(mixed.shape[1], WIDTH)

    def _attend(self, name, x, *, causal):
        parts = self._linear(f'{name}/linear_0', self._norm(f'{name}/layer_norm', x))
        mixed = self._mix(*np.split(parts, 3, axis=-1), causal=causal)
        return self._linear(f'{name}/linear_1', mixed)

    def _cross(self, name, x, sound):
        query = self._linear(f'{name}/linear_0', self._norm(f'{name}/layer_norm', x))
        key, value = np.split(self._linear(f'{name}/linear_1', sound), 2, axis=-1)
        return self._linear(f'{name}/linear_2', self._mix(query, key, value, causal=False))

    def _widen(self, name, x):
        wide = gelu(self._linear(f'{name}/linear_0', self._norm(f'{name}/layer_norm', x)))
        return self._linear(f'{name}/linear_1', wide)


@pytest.mark.parametrize('frames', [2, 14, 2 * AUDIO_POSITIONS])
def test_the_graphs_compute_what_a_whisper_is(built, frames):
    mel = mel_of(frames)
    reference = Reference(tensors())
    wanted = reference.decode(PROMPT, reference.encode(mel[0].astype(np.float64)))
    found = Decoder(built['float32'], encode(built['float32'], mel)).feed(PROMPT)
    np.testing.assert_allclose(found, wanted, atol=2e-4)


@pytest.mark.parametrize('precision', ['int8', 'float32'])
def test_one_token_at_a_time_is_the_same_as_all_at_once(built, precision):
    cross = encode(built[precision], mel_of(20))
    whole = Decoder(built[precision], cross).feed([*PROMPT, 7, 8])
    decoder = Decoder(built[precision], cross)
    steps = [decoder.feed(PROMPT), decoder.feed([7]), decoder.feed([8])]
    # int8: the rounding of activations depends on what is fed together.
    tolerance = 0.1 if precision == 'int8' else 1e-4
    np.testing.assert_allclose(np.concatenate(steps), whole, atol=tolerance)


def test_int8_is_near_float(built):
    mel = mel_of(20)
    exact, rounded = (
        Decoder(built[precision], encode(built[precision], mel)).feed(PROMPT)
        for precision in ('float32', 'int8'))
    assert not np.array_equal(rounded, exact)
    cosine = (exact * rounded).sum() / np.linalg.norm(exact) / np.linalg.norm(rounded)
    assert cosine > 0.995


def test_a_rounded_weight_is_within_half_a_step():
    weight = np.random.default_rng(2).normal(0, 1, (6, 50)).astype(np.float32)
    weight[3] = 0
    rounded, scale = quantise(weight)
    assert rounded.dtype == np.uint8
    again = (rounded.astype(np.float32) - 128) * scale[:, None]
    assert (np.abs(again - weight) <= scale[:, None] * 0.501).all()
    assert (again[3] == 0).all()
    assert rounded[[0, 1, 2, 4, 5]].min(axis=1).max() < 128 < rounded.max()


def test_int8_takes_a_quarter_of_the_linear_layers(built):
    def weights(precision):
        return sum(path.stat().st_size for path in built[precision].glob('*.data'))
    content = tensors()
    linear = sum(array.size for name, array in content.items() if name.endswith('/weight')
                 and 'conv' not in name)
    # The embedding is held twice: as a table of rows, and as the projection to the logits.
    linear += content['decoder/embeddings/weight'].size
    saved = weights('float32') - weights('int8')
    # Page by page: each weight begins on a page of its own.
    assert abs(saved - 3 * linear) < 4096 * len(content)
    assert weights('int8') < weights('float32')


def test_the_same_source_gives_the_same_bytes(source, built, tmp_path):
    again = build(source, tmp_path / 'again')
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in built['int8'].iterdir()}


def test_the_manifest_tells_what_lies_there(built):
    directory = built['int8']
    manifest = Manifest.read(directory)
    manifest.check(directory)
    assert manifest.name == 'small'
    assert manifest.sources == SOURCES
    assert set(manifest.files) == {
        'encoder.onnx', 'encoder.onnx.data', 'decoder.onnx', 'decoder.onnx.data',
        'tokenizer.json'}
    for name, record in manifest.files.items():
        assert record.size == (directory / name).stat().st_size
        assert record.sha256 == sha256_of(directory / name)


def test_the_model_is_opened_with_its_sizes_and_tokens(built):
    model = open_model(str(built['int8']))
    assert model.dims == Dims(
        mel_bins=MEL_BINS, width=WIDTH, heads=HEADS, decoder_layers=DECODER_LAYERS,
        vocabulary=VOCABULARY, audio_positions=AUDIO_POSITIONS, text_positions=TEXT_POSITIONS)
    assert (model.name, model.layout, model.family) == ('small', 'own', 'whisper')
    assert model.languages == ('en', 'de')
    assert model.tokens.language('de') == FIRST_SPECIAL + SPECIAL.index('de')
    assert model.tokens.language('fr') is None
    assert model.tokens.no_speech == FIRST_SPECIAL + SPECIAL.index('nospeech')
    # As config.json has them, sorted, each once, within the vocabulary.
    assert model.suppress == (1, 3)
    assert model.suppress_at_begin == (2,)
    assert model.dims.frames == 2 * AUDIO_POSITIONS


def test_another_precision_is_another_model(built):
    digests = {open_model(str(directory)).digest for directory in built.values()}
    assert len(digests) == 2
    assert all(len(digest) == 32 for digest in digests)


def without(begin):
    return {name: array for name, array in tensors().items() if not name.startswith(begin)}


def with_one(name, array):
    return {**tensors(), name: array}


GOOD = model_bin(tensors())


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'cannot be read as a CTranslate2 model'),
    (b'PK\3\4' + bytes(100), 'got format version 67324752, expected a CTranslate2 model.bin'),
    (model_bin(tensors(), version=3), 'got format version 3, expected'),
    (model_bin(tensors(), spec='TransformerSpec'),
     "got a model of kind 'TransformerSpec', expected 'WhisperSpec'"),
    (GOOD[:3], 'cut short: 4 bytes are expected at 0, 3 are there'),
    (GOOD[:len(GOOD) // 2], 'cut short'),
    (GOOD[:-1], 'cut short'),
    (GOOD + b'!', '1 bytes are left over'),
    (model_bin(tensors(), aliases=[('a', 'b')]), "'a' stands for the tensor 'b'"),
    (model_bin(with_one('x', np.zeros((1,) * 5, np.int8))), "'x' has rank 5"),
    (model_bin(without('decoder/num_heads')),
     "no tensor 'decoder/num_heads': it is not a Whisper"),
    (model_bin(with_one('decoder/num_heads', np.array(5, np.int16))),
     'a width of 32 cannot be divided into 5'),
    (model_bin(with_one('encoder/conv1/bias', np.zeros(3, np.float16))),
     r"'encoder/conv1/bias' has the shape \(3,\), expected \(32,\)"),
    (model_bin(with_one('encoder/conv1/bias', np.zeros(WIDTH, np.int8))),
     'is int8; only float weights can be rebuilt'),
    (model_bin(without('encoder/layer_')), 'no encoder layers'),
], ids=['empty', 'zip', 'version', 'kind', 'cut in a number', 'cut inside', 'cut at the end',
        'longer', 'alias', 'rank', 'no heads', 'heads', 'shape', 'quantised', 'no layers'])
def test_a_foreign_or_damaged_model_is_told(tmp_path, content, said):
    source = write_source(tmp_path, model=content)
    with pytest.raises(ModelError, match=said):
        build(source, tmp_path / 'built')


def token(content, number):
    return {'added_tokens': [{'content': content, 'id': number}]}


@pytest.mark.parametrize(('content', 'said'), [
    (b'{', 'cannot be read as JSON'),
    (b'[]', 'got a JSON list, expected an object'),
    (b'{}', r'has no token <\|endoftext\|>: it is not the tokenizer of a Whisper'),
    (json.dumps(tokenizer(SPECIAL[:-1])).encode(), r'has no token <\|notimestamps\|>'),
    (b'{"added_tokens": 7}', 'got added_tokens 7, expected a list'),
    (b'{"added_tokens": [7]}', 'added_tokens has an entry 7, expected content and id'),
    (b'{"added_tokens": [{}]}', 'added_tokens has an entry {}'),
    (json.dumps(token(7, 7)).encode(), 'added_tokens has an entry'),
    (json.dumps(token('<|en|>', 'seven')).encode(), 'added_tokens has an entry'),
], ids=['cut', 'list', 'nothing', 'one missing', 'a number', 'numbers', 'empty entries',
        'no text', 'no number'])
def test_a_foreign_or_damaged_tokenizer_is_told(tmp_path, content, said):
    source = write_source(tmp_path, tokenizer=content)
    with pytest.raises(ModelError, match=said):
        build(source, tmp_path / 'built')
