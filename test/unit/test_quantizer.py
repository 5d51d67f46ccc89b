"""Quantising: what is written, what is measured, and what is refused without a trace."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from small_graphs import INPUTS, waves, weights, write_perceptron
from small_whisper import (
    AUDIO_POSITIONS,
    DECODER_LAYERS,
    HEADS,
    MEL_BINS,
    TEXT_POSITIONS,
    WIDTH,
    write_source,
)

import xlerobot_asr_opt
from xlerobot_asr_opt.backends.recorded_inputs import RecordedInputs
from xlerobot_asr_opt.errors import ConfigurationError, ModelError
from xlerobot_asr_opt.models.build import build_whisper
from xlerobot_asr_opt.models.layout import asset_path, open_model
from xlerobot_asr_opt.models.quantization import Change, QuantizationResult
from xlerobot_asr_opt.models.quantizer import ModelQuantizer

TYPES = ('int8', 'int8-static', 'fp16')


@pytest.fixture
def model(tmp_path):
    return write_perceptron(tmp_path / 'model.onnx')


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'small.onnx'


def quantizer(**settings):
    return ModelQuantizer(**{'inputs': lambda _graph: waves(), 'rounds': 1, **settings})


def run(path, inputs):
    return onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider']).run(None, inputs)[0]


@pytest.mark.parametrize('quant_type', TYPES)
def test_what_is_written_computes_the_same_in_fewer_bits(model, output, quant_type):
    result = quantizer().quantize_model(model, output, quant_type)
    assert (result.model, result.output, result.quant_type) == (model, output, quant_type)
    assert result.size == Change(model.stat().st_size, output.stat().st_size)
    assert result.weights.ratio >= (2.0 if quant_type == 'fp16' else 3.8)
    for inputs in waves()[:3]:
        expected = run(model, inputs)
        assert np.abs(run(output, inputs) - expected).max() < 0.03 * np.abs(expected).max()
    (graph,) = result.graphs
    assert graph.name == 'model.onnx'
    assert 0.98 < graph.similarity.cosine <= 1.0
    assert 0 < graph.similarity.largest_error < 0.3 * graph.similarity.largest_value


def test_similarity_is_measured_as_it_is_defined(model, output):
    (graph,) = quantizer().quantize_model(model, output, 'int8').graphs
    pairs = [(run(model, inputs), run(output, inputs)) for inputs in waves()[3:]]
    assert graph.similarity.largest_error == pytest.approx(
        max(np.abs(one - other).max() for one, other in pairs))
    cosines = [np.vdot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)
               for one, other in pairs]
    assert graph.similarity.cosine == pytest.approx(np.mean(cosines), abs=1e-6)
    assert graph.similarity.lowest_cosine == pytest.approx(min(cosines), abs=1e-6)
    assert graph.similarity.lowest_cosine < graph.similarity.cosine


def test_weights_of_256_inputs_are_3_9_times_smaller_with_their_scales(tmp_path, output):
    random = np.random.default_rng(1)
    model = write_perceptron(tmp_path / 'wide.onnx', {
        'first': random.normal(size=(INPUTS, 256)).astype(np.float32),
        'second': random.normal(size=(256, 32)).astype(np.float32)})
    result = quantizer().quantize_model(model, output, 'int8')
    # Each column: 256 floats to 256 bytes, a scale and a zero point.
    assert result.weights.before == 4 * (256 * 256 + 256 * 32)
    assert 3.9 <= result.weights.ratio <= 4 * 256 / (256 + 5)


def test_fp16_keeps_the_types_outside(model, output):
    quantizer().quantize_model(model, output, 'fp16')
    graph = onnx.load(output).graph
    kinds = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert {tensor.data_type for tensor in graph.initializer} == {onnx.TensorProto.FLOAT16}


def activation_scales(path):
    return {tensor.name: float(numpy_helper.to_array(tensor)) for tensor in
            onnx.load(path).graph.initializer if tensor.name in ('x_scale', 'a_scale')}


def test_the_calibration_sets_the_ranges(model, tmp_path):
    scales = []
    for loudness in (1.0, 8.0):
        path = tmp_path / f'{loudness}.onnx'
        quantizer(inputs=lambda _graph, loudness=loudness: waves(loudness=loudness)
                  ).quantize_model(model, path, 'int8-static')
        scales.append(activation_scales(path))
    quiet, loud = scales
    assert quiet.keys() >= {'x_scale'}
    # From -1 to 1 in 255 steps.
    assert quiet['x_scale'] == pytest.approx(2 / 255, rel=0.02)
    for name, scale in quiet.items():
        assert loud[name] == pytest.approx(8 * scale, rel=1e-3)


def test_what_calibrates_is_not_measured_with(model, output):
    def inputs(_graph):
        return waves(3) + waves(3, loudness=50.0)
    result = quantizer(inputs=inputs).quantize_model(model, output, 'int8-static')
    assert result.graphs[0].similarity.largest_value > 10
    assert result.graphs[0].similarity.largest_error > 10
    assert activation_scales(output)['x_scale'] < 0.01
    assert result.pays is False


def test_without_real_inputs_nothing_is_claimed(model, output):
    result = ModelQuantizer().quantize_model(model, output, 'int8')
    assert [(graph.similarity, graph.latency) for graph in result.graphs] == [(None, None)]
    assert result.pays is None
    assert result.reasons == ('neither accuracy nor speed were measured: real inputs are needed',)


def test_word_error_rate_is_asked_of_both(model, output):
    asked = []

    def rate(path):
        asked.append((path.name, run(path, waves()[0]).shape))
        return 3.0 + 4.0 * len(asked)
    result = quantizer(word_error_rate=rate).quantize_model(model, output, 'int8')
    assert [name for name, _ in asked] == ['model.onnx', 'small.onnx']
    assert result.word_error_rate == Change(7.0, 11.0)
    assert result.pays is False
    assert 'accuracy: word error rate rises from 7.0 to 11.0 %' in result.reasons


def test_the_graphs_take_turns_and_medians_are_told(model, output):
    ticks = iter(range(1000))
    # Intervals grow: 0 1, 3 4 ...; each reading is one second later, squared.
    result = quantizer(rounds=3, clock=lambda: next(ticks) ** 2).quantize_model(
        model, output, 'int8')
    # Three inputs and three rounds are nine calls of each; call i of all takes 4 i + 1 seconds.
    taken = [1e3 * (4 * call + 1) for call in range(18)]
    latency = result.graphs[0].latency
    assert latency == Change(taken[8], taken[9])


def test_external_data_is_read_and_its_size_counts(tmp_path, output):
    model = write_perceptron(tmp_path / 'model.onnx', external='weights.bin')
    result = quantizer().quantize_model(model, output, 'int8')
    assert result.size.before == (
        model.stat().st_size + (tmp_path / 'weights.bin').stat().st_size)
    assert run(output, waves()[0]).shape == (3, 32)


def test_missing_external_data_is_named(tmp_path, output):
    model = write_perceptron(tmp_path / 'model.onnx', external='weights.bin')
    (tmp_path / 'weights.bin').unlink()
    with pytest.raises(ModelError, match=r'its weights lie in weights\.bin, which is not in '):
        quantizer().quantize_model(model, output, 'int8')


def beside(path):
    return sorted(one.name for one in path.parent.iterdir())


def refused(model, output, quant_type='int8', **settings):
    """Try to quantise; return the error's text. Nothing may be left behind."""
    before = beside(output) if output.parent.is_dir() else None
    with pytest.raises((ModelError, ConfigurationError)) as caught:
        quantizer(**settings).quantize_model(model, output, quant_type)
    assert before is None or beside(output) == before
    return str(caught.value)


def test_what_cannot_be_quantised_is_refused(model, output, tmp_path):
    text = tmp_path / 'text.onnx'
    text.write_text('no model')
    cut = tmp_path / 'cut.onnx'
    cut.write_bytes(model.read_bytes()[:-1000])
    small = tmp_path / 'int8.onnx'
    quantizer().quantize_model(model, small, 'int8')
    bare = write_perceptron(tmp_path / 'bare.onnx', {
        name: array.astype(np.float64) for name, array in weights().items()})
    assert refused(tmp_path / 'none.onnx', output).endswith('there is no such file or directory')
    assert 'not an ONNX model, or cut short' in refused(text, output)
    assert 'not an ONNX model, or cut short' in refused(cut, output)
    assert 'is quantised already (it has ' in refused(small, output)
    assert 'has no float32 weights' in refused(bare, output)


def test_what_is_asked_wrongly_is_refused(model, output, tmp_path):
    assert refused(model, output, 'int4') == (
        "quant_type: got 'int4', expected one of int8, int8-static, fp16, bpu")
    assert 'int8-static needs calibration' in refused(model, output, 'int8-static', inputs=None)
    assert 'expected at least 2' in refused(
        model, output, 'int8-static', inputs=lambda _graph: waves(1))
    assert refused(model, tmp_path / 'none' / 'out.onnx').endswith('make it')
    output.write_text('mine')
    assert 'exists; remove it' in refused(model, output)
    assert output.read_text() == 'mine'


def test_inputs_that_do_not_fit_are_told(model, output):
    said = refused(model, output, inputs=lambda _graph: [{'z': np.zeros(3)}] * 2)
    assert 'cannot be run with the inputs given' in said


def test_a_graph_without_products_says_so(tmp_path, output):
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Add', ['x', 'b'], ['y'])], 'sum',
        [onnx.helper.make_tensor_value_info('x', 1, [8])],
        [onnx.helper.make_tensor_value_info('y', 1, [8])],
        [numpy_helper.from_array(np.ones(8, np.float32), 'b')])
    onnx.save(onnx.helper.make_model(graph, ir_version=8), tmp_path / 'sum.onnx')
    assert 'nothing in it can be quantised this way' in refused(tmp_path / 'sum.onnx', output)


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing(model, output, error):
    def rate(_path):
        raise error
    with pytest.raises(error):
        quantizer(word_error_rate=rate).quantize_model(model, output, 'int8')
    assert beside(output) == ['model.onnx']


def test_what_came_in_between_is_not_overwritten(model, output):
    def rate(_path):
        output.write_text('mine')
        return 0.0
    with pytest.raises(ConfigurationError, match='exists'):
        quantizer(word_error_rate=rate).quantize_model(model, output, 'int8')
    assert output.read_text() == 'mine'


# A whole Whisper

def small_inputs(graph):
    """Inputs of the small Whisper's graphs."""
    head = WIDTH // HEADS
    if graph.name == 'encoder.onnx':
        return [{'mel': np.sin(np.arange(MEL_BINS * 20.0) * pitch).reshape(1, MEL_BINS, 20)
                 .astype(np.float32)} for pitch in (0.1, 0.2, 0.3, 0.4)]
    cross = {f'cross_{part}_{layer}': np.sin(np.arange(HEADS * head * 10.0)).reshape(
        1, HEADS, *((head, 10) if part == 'k' else (10, head))).astype(np.float32)
        for part in 'kv' for layer in range(DECODER_LAYERS)}
    past = {f'past_{part}_{layer}': np.zeros((1, HEADS, TEXT_POSITIONS, head), np.float32)
            for part in 'kv' for layer in range(DECODER_LAYERS)}
    return [{'tokens': np.array([[first, 5]]), 'position': np.array([0]), 'rows': np.array([0, 1]),
             **cross, **past} for first in (1, 2, 3, 4)]


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / 'source'
    directory.mkdir()
    return write_source(directory)


def test_a_whisper_in_int8_is_what_its_writer_writes(source, tmp_path):
    result = quantizer(inputs=small_inputs).quantize_model(source, tmp_path / 'out', 'int8')
    (tmp_path / 'built').mkdir()
    build_whisper(source, tmp_path / 'built', name='out', sources={}, multilingual=False)
    for file in ('encoder.onnx', 'decoder.onnx', 'encoder.onnx.data', 'decoder.onnx.data'):
        assert (tmp_path / 'out' / file).read_bytes() == (tmp_path / 'built' / file).read_bytes()
    assert [graph.name for graph in result.graphs] == ['encoder.onnx', 'decoder.onnx']
    assert all(graph.similarity.cosine > 0.99 for graph in result.graphs)
    assert beside(tmp_path / 'out') == ['built', 'out', 'source']


@pytest.mark.parametrize('quant_type', ['int8-static', 'fp16'])
def test_a_whisper_of_another_type_is_opened_by_its_directory(source, tmp_path, quant_type):
    output = tmp_path / 'out'
    quantizer(inputs=small_inputs).quantize_model(source, output, quant_type)
    files = open_model(str(output))
    assert (files.name, files.layout, files.dims.decoder_layers) == ('out', 'own', DECODER_LAYERS)
    assert files.dims.audio_positions == AUDIO_POSITIONS
    assert run(files.encoder, small_inputs(files.encoder)[0]).shape[1] == HEADS


def test_a_directory_without_a_whisper_says_what_is_there(tmp_path, output):
    directory = tmp_path / 'other'
    directory.mkdir()
    (directory / 'notes.txt').touch()
    assert 'got a directory with notes.txt' in refused(directory, output)


# Real recordings

def test_recordings_become_the_inputs_of_silero(tmp_path):
    graph = asset_path('silero-vad')
    tone = (8000 * np.sin(np.arange(16000) * 0.2)).astype(np.int16)
    inputs = RecordedInputs([tone])(graph)
    assert len(inputs) == 31
    assert inputs[0]['input'].shape == (1, 1, 576)
    assert not inputs[0]['state'].any()
    assert inputs[1]['state'].any()
    assert np.array_equal(inputs[1]['input'][0, 0, :64], inputs[0]['input'][0, 0, -64:])
    result = ModelQuantizer(inputs=lambda _graph: inputs, rounds=1).quantize_model(
        graph, tmp_path / 'vad.onnx', 'int8-static')
    assert result.weights.before > 0
    assert result.graphs[0].similarity.cosine > 0.9


def test_a_graph_of_another_kind_has_no_inputs_out_of_recordings(model):
    with pytest.raises(ModelError, match=r'has the inputs x; .*hand inputs in as arrays'):
        RecordedInputs([])(model)


def test_the_package_has_it_by_its_public_name():
    assert xlerobot_asr_opt.ModelQuantizer is ModelQuantizer
    assert xlerobot_asr_opt.QuantizationResult is QuantizationResult
