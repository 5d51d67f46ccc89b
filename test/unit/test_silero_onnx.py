"""silero-vad rebuilt: the published network's answers, for many windows and streams at a time."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.silero_onnx import INPUT, MEMORY, write_silero

BINS, FRAMES = 129, 4


@pytest.fixture
def weights():
    """Of a network of silero's form, by the published names; small, so that nothing saturates."""
    rng = np.random.default_rng(0)
    shapes = {
        'model.stft.forward_basis_buffer': (2 * BINS, 1, 256),
        'model.encoder.0.reparam_conv.weight': (128, BINS, 3),
        'model.encoder.1.reparam_conv.weight': (64, 128, 3),
        'model.encoder.2.reparam_conv.weight': (64, 64, 3),
        'model.encoder.3.reparam_conv.weight': (128, 64, 3),
        **{f'model.encoder.{layer}.reparam_conv.bias': (width,)
           for layer, width in enumerate((128, 64, 64, 128))},
        'model.decoder.rnn.weight_ih': (512, 128), 'model.decoder.rnn.weight_hh': (512, 128),
        'model.decoder.rnn.bias_ih': (512,), 'model.decoder.rnn.bias_hh': (512,),
        'model.decoder.decoder.2.weight': (1, 128, 1), 'model.decoder.decoder.2.bias': (1,),
    }
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


def publish(path, weights):
    graph = onnx.helper.make_graph(
        [], 'silero', [], [], [numpy_helper.from_array(array, name)
                               for name, array in weights.items()])
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def opened(tmp_path, weights):
    write_silero(publish(tmp_path / 'source.onnx', weights), tmp_path / 'rebuilt.onnx')
    return onnxruntime.InferenceSession(
        str(tmp_path / 'rebuilt.onnx'), providers=['CPUExecutionProvider'])


def convolved(value, weight, bias, stride):
    """[channels, n] by [out, channels, 3], one zero on either side."""
    padded = np.pad(value, ((0, 0), (1, 1)))
    columns = [np.tensordot(weight, padded[:, at:at + 3], ((1, 2), (0, 1)))
               for at in range(0, value.shape[1], stride)]
    return np.maximum(np.stack(columns, axis=1) + bias[:, None], 0)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def by_hand(weights, windows):
    """The network as its authors describe it, in float64, window by window."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    hidden, cell, values = np.zeros(MEMORY), np.zeros(MEMORY), []
    for window in windows:
        padded = np.pad(window, (0, 64), mode='reflect')
        frames = np.stack([padded[at:at + 256] for at in range(0, FRAMES * 128, 128)], axis=1)
        parts = w['model.stft.forward_basis_buffer'][:, 0] @ frames
        seen = np.hypot(parts[:BINS], parts[BINS:])
        for layer, stride in enumerate((1, 2, 2, 1)):
            name = f'model.encoder.{layer}.reparam_conv'
            seen = convolved(seen, w[f'{name}.weight'], w[f'{name}.bias'], stride)
        gates = (w['model.decoder.rnn.weight_ih'] @ seen[:, 0] + w['model.decoder.rnn.bias_ih']
                 + w['model.decoder.rnn.weight_hh'] @ hidden + w['model.decoder.rnn.bias_hh'])
        into, forget, new, out = np.split(gates, 4)
        cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(new)
        hidden = sigmoid(out) * np.tanh(cell)
        score = w['model.decoder.decoder.2.weight'][0, :, 0] @ np.maximum(hidden, 0)
        values.append(sigmoid(score + w['model.decoder.decoder.2.bias'][0]))
    return np.array(values)


def test_its_probabilities_are_the_published_networks(tmp_path, weights):
    session = opened(tmp_path, weights)
    rng = np.random.default_rng(1)
    windows = rng.normal(0, 0.3, (9, 3, INPUT)).astype(np.float32)
    found, _ = session.run(None, {'input': windows, 'state': np.zeros((2, 3, MEMORY), np.float32)})
    assert found.shape == (9, 3)
    for stream in range(3):
        wanted = by_hand(weights, windows[:, stream].astype(np.float64))
        assert np.ptp(wanted) > 0.01
        np.testing.assert_allclose(found[:, stream], wanted, atol=2e-6)


def test_what_comes_next_goes_on_where_the_last_call_ended(tmp_path, weights):
    session = opened(tmp_path, weights)
    windows = np.random.default_rng(2).normal(0, 0.3, (7, 2, INPUT)).astype(np.float32)
    state = np.zeros((2, 2, MEMORY), np.float32)
    at_once, last = session.run(None, {'input': windows, 'state': state})
    for window, wanted in zip(windows, at_once, strict=True):
        found, state = session.run(None, {'input': window[None], 'state': state})
        np.testing.assert_array_equal(found[0], wanted)
    np.testing.assert_array_equal(state, last)


def test_the_same_source_gives_the_same_bytes(tmp_path, weights):
    source = publish(tmp_path / 'source.onnx', weights)
    for name in ('one', 'other'):
        write_silero(source, tmp_path / name)
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'other').read_bytes()


def test_a_source_that_is_no_graph_is_told(tmp_path):
    (tmp_path / 'source.onnx').write_bytes(b'<!doctype html>')
    with pytest.raises(ModelError, match='no ONNX graph'):
        write_silero(tmp_path / 'source.onnx', tmp_path / 'rebuilt.onnx')


@pytest.mark.parametrize(('change', 'have'), [
    (lambda it: it.pop('model.decoder.rnn.bias_hh'), 'nothing'),
    (lambda it: it.update({'model.decoder.rnn.bias_hh': np.zeros(7, np.float32)}), r'\(7,\)'),
], ids=['missing', 'another shape'])
def test_a_foreign_source_is_told_by_what_differs(tmp_path, weights, change, have):
    change(weights)
    source = publish(tmp_path / 'source.onnx', weights)
    with pytest.raises(ModelError, match=rf'rnn.bias_hh is {have}, expected \(512,\)'):
        write_silero(source, tmp_path / 'rebuilt.onnx')
    assert not (tmp_path / 'rebuilt.onnx').exists()
