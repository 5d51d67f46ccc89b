"""xlerobot-asr models quantize: the table, JSON, calibration files, and how it ends."""

import json

import numpy as np
import pytest
import soundfile
from small_graphs import waves, write_perceptron

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.models.layout import asset_path


@pytest.fixture
def quantize(capsys, monkeypatch):
    """Runs the action; returns exit code, standard output and standard error."""
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)

    def quantize(*arguments):
        code = entry.main(['models', 'quantize', *map(str, arguments)])
        return code, *capsys.readouterr()
    return quantize


@pytest.fixture
def model(tmp_path):
    return write_perceptron(tmp_path / 'model.onnx')


@pytest.fixture
def calls(tmp_path):
    """Files with the inputs of one call each."""
    paths = [tmp_path / f'{number}.npz' for number in range(6)]
    for path, inputs in zip(paths, waves(), strict=True):
        np.savez(path, **inputs)
    return paths


def test_without_recordings_sizes_are_told(quantize, model, tmp_path):
    code, out, err = quantize(model, tmp_path / 'small.onnx', '--type', 'int8')
    assert (code, err) == (0, f'quantise {model} ...\n')
    lines = out.splitlines()
    assert lines[0] == f'{model} as int8: {tmp_path / "small.onnx"}'
    assert lines[1].startswith('  size            0.1 MB to 0.0 MB, ')
    assert lines[2].endswith(' times smaller')
    assert lines[-2:] == [
        '  not judged',
        '    neither accuracy nor speed were measured: real inputs are needed']


def test_with_inputs_all_is_told(quantize, model, calls, tmp_path):
    code, out, _ = quantize(
        model, tmp_path / 'small.onnx', '--type', 'int8-static', '--calibration', *calls)
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith('  model.onnx ')]
    for said in ('weights 3.', 'cosine 0.9', 'largest error ', ' ms to ', ' times as fast'):
        assert said in line
    assert '  it ' in out


def test_for_programs(quantize, model, calls, tmp_path):
    code, out, _ = quantize(model, tmp_path / 'small.onnx', '--type', 'fp16', '--json',
                            '--calibration', *calls)
    assert code == 0
    facts = json.loads(out)
    assert facts['output'] == str(tmp_path / 'small.onnx')
    assert facts['quant_type'] == 'fp16'
    assert facts['weights']['ratio'] == pytest.approx(2.0)
    assert facts['word_error_rate'] is None
    (graph,) = facts['graphs']
    assert graph['similarity']['cosine'] > 0.999
    assert graph['latency'].keys() == {'before', 'after', 'ratio'}
    assert facts['pays'] in (True, False)


def test_recordings_are_cut_and_calibrate(quantize, tmp_path):
    recording = tmp_path / 'tone.wav'
    soundfile.write(recording, 0.2 * np.sin(np.arange(8 * 44100) * 0.05), 44100)
    code, out, _ = quantize(asset_path('silero-vad'), tmp_path / 'vad.onnx', '--type',
                            'int8-static', '--json', '--calibration', recording)
    assert code == 0
    (graph,) = json.loads(out)['graphs']
    assert graph['name'] == 'silero_vad.onnx'
    assert graph['similarity']['largest_value'] > 0
    assert (tmp_path / 'vad.onnx').is_file()


@pytest.mark.parametrize(('ends', 'arguments', 'said'), [
    (2, ['--type', 'int8-static'], 'int8-static needs calibration'),
    (2, ['--type', 'int8', '--calibration', 'none.npz'], 'none.npz: cannot be read as arrays'),
    (1, ['--type', 'int8', '--calibration', 'none.wav'], 'none.wav'),
    (1, ['--type', 'int8', '--calibration', 'model.onnx'], 'model.onnx'),
])
def test_a_failure_ends_with_the_reason(quantize, model, monkeypatch, ends, arguments, said):
    monkeypatch.chdir(model.parent)
    code, out, err = quantize(model, 'small.onnx', *arguments)
    assert (code, out) == (ends, '')
    assert err.splitlines()[-1].startswith('xlerobot-asr models: ')
    assert said in err
    assert not (model.parent / 'small.onnx').exists()


@pytest.mark.parametrize('arguments', [
    [], ['model'], ['model', 'out'], ['model', 'out', '--type', 'int4'],
    ['model', 'out', '--type', 'int8', '--calibration']])
def test_wrong_usage(quantize, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        quantize(*arguments)
    assert caught.value.code == 2
    assert 'usage: xlerobot-asr' in capsys.readouterr().err
