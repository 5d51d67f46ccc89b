"""What quantising for the BPU asks of the compiler, and how it tells what came of it."""

import dataclasses

import pytest
from small_bundle import change_bundle, write_bundle
from small_graphs import write_perceptron
from small_whisper import write_source

from xlerobot_asr_opt.errors import ConfigurationError, ModelError
from xlerobot_asr_opt.models import quantization_bpu
from xlerobot_asr_opt.models.bundle import Accuracy, Bundle
from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.quantization import Change
from xlerobot_asr_opt.models.quantization_bpu import BUCKETS
from xlerobot_asr_opt.models.quantizer import ModelQuantizer

RECORDINGS = {'kitchen': ['an utterance']}


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / 'source'
    directory.mkdir()
    return write_source(directory)


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """The bundle that the compiler, stood in for, makes; and the orders that it got."""
    directory = tmp_path / 'made'
    directory.mkdir()
    built = write_bundle(directory)
    orders = []

    def compile_bundle(order, recordings, _environment, report, progress):
        report('compiling')
        progress('download', 1, 2)
        orders.append((order.model, order.buckets, order.output, recordings))
        return Bundle.read(built)
    monkeypatch.setattr(quantization_bpu, 'compile_bundle', compile_bundle)
    return built, orders


def quantise(source, tmp_path):
    return ModelQuantizer(recordings=RECORDINGS).quantize_model(source, tmp_path / 'out', 'bpu')


def test_the_compiler_is_asked_and_its_figures_are_told(source, compiled, tmp_path):
    _, orders = compiled
    result = quantise(source, tmp_path)
    assert orders == [(str(source), BUCKETS, tmp_path / 'out', RECORDINGS)]
    encoder = 4 * sum(tensor.size for name, tensor in
                      read(source / 'model.bin', 'WhisperSpec').items()
                      if name.startswith('encoder/'))
    assert result.size == Change(encoder, 200)
    assert [(graph.name, graph.weights) for graph in result.graphs] == [
        ('encoder_160.bin', Change(encoder, 100)), ('encoder_320.bin', Change(encoder, 100))]
    # Two buckets, in each of which 2 of 10 words are wrong, and 1 in float.
    assert result.word_error_rate == Change(10.0, 20.0)
    assert result.pays is False
    assert result.reasons == (
        'accuracy: word error rate 10.0 to 20.0 %, in the arithmetic of the board',
        "speed: the encoder takes 1.0 ms for 1.6 s, 1.0 ms for 3.2 s by the vendor's estimate; no "
        'board has measured it')


def test_as_few_words_wrong_pay(source, compiled, tmp_path):
    built, _ = compiled
    buckets = tuple(
        dataclasses.replace(bucket, accuracy=(Accuracy('kitchen', 50, 3, 2),))
        for bucket in Bundle.read(built).buckets)
    change_bundle(built, buckets=buckets)
    result = quantise(source, tmp_path)
    assert result.word_error_rate == Change(4.0, 6.0)
    assert result.pays is True


def test_what_cannot_be_compiled_is_refused_before_the_compiler_is_asked(
        source, compiled, tmp_path):
    _, orders = compiled
    with pytest.raises(ConfigurationError, match='bpu needs recordings of people'):
        ModelQuantizer().quantize_model(source, tmp_path / 'out', 'bpu')
    with pytest.raises(ModelError, match='got a file, expected the directory of a Whisper'):
        quantise(write_perceptron(tmp_path / 'model.onnx'), tmp_path)
    (tmp_path / 'out').mkdir()
    with pytest.raises(ConfigurationError, match='exists'):
        quantise(source, tmp_path)
    assert orders == []
