"""CTC models as people have them: each layout is opened, and what is wrong with one is told."""

import json

import numpy as np
import onnx
import pytest
from generated_ctc import BINS, LANGUAGES, STACK, write_generic, write_sense_voice
from small_hub import write_hub

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.ctc_tokens import read_pieces
from xlerobot_asr_opt.models.layout import is_ctc, open_model
from xlerobot_asr_opt.models.onnx_signature import read_signature


def change(directory, **metadata):
    """Change the metadata of a model; None takes an entry out."""
    (path,) = directory.glob('*.onnx')
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props} | metadata
    del model.metadata_props[:]
    onnx.helper.set_model_props(
        model, {key: value for key, value in entries.items() if value is not None})
    onnx.save(model, path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.fixture
def sherpa(tmp_path):
    return write_sense_voice(tmp_path / 'sense-voice')


def test_sherpa_onnx_layout(sherpa):
    files = open_model(str(sherpa))
    assert (files.name, files.family, files.layout) == ('sense-voice', 'sense_voice', 'ctc')
    assert files.languages == ('zh', 'en', 'yue', 'ja', 'ko')
    assert dict(files.prompt.languages)['yue'] == LANGUAGES['yue']
    assert (files.blank, files.subsampling) == (0, 6)
    assert files.frontend.scale == 32768.0
    assert files.frontend.cmvn.neg_mean.shape == (BINS * STACK,)
    assert files.pieces[0] == '<unk>'


def test_funasr_layout_has_the_same_normalisation(sherpa, tmp_path):
    files = open_model(str(write_sense_voice(tmp_path / 'funasr', layout='funasr')))
    assert files.inputs.features == 'speech'
    assert files.inputs.logits == 'ctc_logits'
    other = open_model(str(sherpa))
    np.testing.assert_array_equal(files.frontend.cmvn.neg_mean, other.frontend.cmvn.neg_mean)
    assert files.prompt == other.prompt
    assert files.pieces == other.pieces


def test_static_layout_normalises_within_the_graph(tmp_path):
    files = open_model(str(write_sense_voice(tmp_path / 'npu', layout='static')))
    assert (files.layout, files.inputs.frames, files.inputs.prompt) == ('static', 60, 'prompt')
    assert files.frontend.cmvn is None


def test_int8_goes_before_float32(sherpa, tmp_path):
    write_sense_voice(tmp_path / 'both', int8=True)
    write_sense_voice(tmp_path / 'both')
    assert open_model(str(tmp_path / 'both')).graph.name == 'model.int8.onnx'


@pytest.mark.parametrize(('family', 'frontend'), [
    ('nemo_ctc', {'window': 'hann', 'scale': 1.0, 'librosa': True, 'normalise': True, 'low': 0}),
    ('zipformer_ctc', {'window': 'povey', 'scale': 1.0, 'high': -400, 'normalise': False}),
    ('wenet_ctc', {'window': 'povey', 'scale': 32768.0, 'snip_edges': False})])
def test_other_families(tmp_path, family, frontend):
    files = open_model(str(write_generic(tmp_path / 'model', family)))
    assert files.family == family
    assert {key: getattr(files.frontend, key) for key in frontend} == frontend
    assert files.pieces[files.blank] in ('<blk>', '<blank>')
    assert (files.subsampling, files.languages, files.prompt) == (4, (), None)


def test_the_digest_changes_with_each_file(sherpa):
    digests = [open_model(str(sherpa)).digest]
    tokens = sherpa / 'tokens.txt'
    tokens.write_text(tokens.read_text().replace('door', 'gate'))
    digests.append(open_model(str(sherpa)).digest)
    change(sherpa, comment='another')
    digests.append(open_model(str(sherpa)).digest)
    assert len(set(digests)) == 3


def test_metadata_are_read_without_the_onnx_library(sherpa):
    metadata = read_signature(sherpa / 'model.onnx').metadata
    assert metadata['model_type'] == 'sense_voice_ctc'
    assert metadata['lang_yue'] == '7'


@pytest.mark.parametrize(('metadata', 'told'), [
    ({'model_type': 'paraformer'}, "says model_type 'paraformer', expected sense_voice_ctc"),
    ({'model_type': 'zipformer2_ctc'}, 'expected features and their length as inputs'),
    ({'comment': 'FunASR Nano'}, 'is a FunASR Nano, expected a SenseVoice'),
    ({'lang_zh': 'three'}, "say lang_zh 'three', expected a number"),
    ({'lfr_window_shift': '0'}, 'stack 7 frames every 0'),
    ({'lfr_window_size': '5'}, 'takes features of width 560, expected 80 bands in 5 frames'),
    ({'neg_mean': '1,2,3'}, 'its normalisation has 3 and 560 numbers, expected 560 twice'),
    ({'neg_mean': 'a,b'}, 'neg_mean holds no numbers'),
    ({'inv_stddev': ','.join(['inf'] * 560)}, 'inv_stddev holds numbers that are not finite'),
    ({'neg_mean': None, 'inv_stddev': None}, 'there is no am.mvn'),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else '')
def test_metadata_that_do_not_fit_are_told(sherpa, metadata, told):
    change(sherpa, **metadata)
    with pytest.raises(ModelError, match=told):
        open_model(str(sherpa))


@pytest.mark.parametrize(('change_file', 'told'), [
    (lambda d: (d / 'tokens.txt').unlink(), 'has no tokens.txt'),
    (lambda d: (d / 'model.onnx').unlink(), 'found no ONNX file'),
    (lambda d: cut(d / 'model.onnx'), 'cut short'),
    (lambda d: (d / 'model.onnx').write_bytes(b''), 'cannot be read as an ONNX model'),
    (lambda d: (d / 'model.onnx').write_bytes(b'version https://git-lfs'), 'not an ONNX model'),
    (lambda d: (d / 'model.onnx').rename(d / 'a.onnx') and (d / 'b.onnx').touch(),
     'found a.onnx, b.onnx'),
    (lambda d: (d / 'tokens.txt').write_text('<unk> 0\na 1\n'), 'got 2 tokens, expected 120'),
    (lambda d: (d / 'tokens.txt').write_text('<unk> 0\na 2\n'), 'expected each number from 0'),
    (lambda d: (d / 'tokens.txt').write_text('<unk> 0\na 0\n'), 'line 2: token 0 is there twice'),
    (lambda d: (d / 'tokens.txt').write_text('a b c\n'), "line 1: got 'a b c', expected a piece"),
    (lambda d: (d / 'tokens.txt').write_text('a -1\n'), "line 1: got 'a -1'"),
    (lambda d: (d / 'tokens.txt').write_bytes(b'\xff\xfe 0\n'), 'cannot be read as UTF-8'),
    (lambda d: (d / 'tokens.txt').write_text(''), 'got 0 tokens'),
], ids=['no tokens', 'no graph', 'cut', 'empty', 'pointer', 'two graphs', 'other tokens', 'a hole',
        'twice', 'three fields', 'negative', 'no text', 'no token'])
def test_files_that_do_not_fit_are_told(sherpa, change_file, told):
    change_file(sherpa)
    with pytest.raises(ModelError, match=told):
        open_model(str(sherpa))


@pytest.mark.parametrize(('content', 'told'), [
    ('{"a": 1}', 'expected a JSON list of strings'), ('[1, 2]', 'expected a JSON list of strings'),
    ('[', 'cannot be read as JSON'), ('[]', 'expected a JSON list of strings')])
def test_tokens_json_that_is_something_else_is_told(tmp_path, content, told):
    directory = write_sense_voice(tmp_path / 'funasr', layout='funasr')
    (directory / 'tokens.json').write_text(content)
    with pytest.raises(ModelError, match=told):
        open_model(str(directory))


def test_an_am_mvn_of_one_row_is_told(tmp_path):
    directory = write_sense_voice(tmp_path / 'funasr', layout='funasr')
    (directory / 'am.mvn').write_text('<LearnRateCoef> 0 [ 1 2 ]\n')
    with pytest.raises(ModelError, match='got 1 rows of numbers, expected shift and scale'):
        open_model(str(directory))


@pytest.mark.parametrize(('metadata', 'told'), [
    ({'subsampling_factor': None}, 'say subsampling_factor'),
    ({'normalize_type': 'all_features'}, "says normalize_type 'all_features'"),
    ({'is_giga_am': '1'}, 'is a GigaAM')])
def test_a_nemo_of_another_kind_is_told(tmp_path, metadata, told):
    directory = write_generic(tmp_path / 'nemo', 'nemo_ctc')
    change(directory, **metadata)
    with pytest.raises(ModelError, match=told):
        open_model(str(directory))


def test_a_model_without_a_blank_is_told(tmp_path):
    directory = write_generic(tmp_path / 'nemo', 'nemo_ctc')
    tokens = directory / 'tokens.txt'
    tokens.write_text(tokens.read_text().replace('<blk>', 'zz'))
    with pytest.raises(ModelError, match='has no token <blk> or <eps> or <blank>'):
        open_model(str(directory))


def test_tokens_are_read_as_sherpa_onnx_reads_them(tmp_path):
    path = tmp_path / 'tokens.txt'
    path.write_bytes('<blk> 0\n▁go\t1\r\n  2\n\u2028 3\n\n'.encode())
    assert read_pieces(path) == ('<blk>', '▁go', ' ', '\u2028')
    path.with_suffix('.json').write_text(json.dumps(['<blk>', 'a b']))
    assert read_pieces(path.with_suffix('.json')) == ('<blk>', 'a b')


def test_what_is_no_ctc_model_is_not_taken_for_one(sherpa, tmp_path):
    assert is_ctc(str(sherpa))
    assert not is_ctc('')
    assert not is_ctc('whisper-tiny.en')
    assert not is_ctc(str(tmp_path / 'nowhere'))
    assert not is_ctc(str(write_hub(tmp_path / 'hub')))
