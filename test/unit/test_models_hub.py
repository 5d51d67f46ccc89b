"""The layout of the Hugging Face hub: which files make a model, and what is said of others."""

import json

import pytest
from small_whisper import (
    AUDIO_POSITIONS,
    DECODER_LAYERS,
    FIRST_SPECIAL,
    HEADS,
    MEL_BINS,
    TEXT_POSITIONS,
    VOCABULARY,
    WIDTH,
    write_hub,
)

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.files import Dims
from xlerobot_asr_opt.models.hub import open_hub
from xlerobot_asr_opt.models.onnx_signature import Value, read_signature

DIMS = Dims(
    mel_bins=MEL_BINS, width=WIDTH, heads=HEADS, decoder_layers=DECODER_LAYERS,
    vocabulary=VOCABULARY, audio_positions=AUDIO_POSITIONS, text_positions=TEXT_POSITIONS)


@pytest.mark.parametrize('free', [False, True], ids=['sizes in the graphs', 'sizes in config'])
@pytest.mark.parametrize('graphs', ['', 'onnx'])
@pytest.mark.parametrize(('merged', 'step', 'decoder', 'with_past'), [
    (True, False, 'decoder_model_merged.onnx', None),
    (True, True, 'decoder_model_merged.onnx', None),
    (False, False, 'decoder_model.onnx', None),
    (False, True, 'decoder_model.onnx', 'decoder_with_past_model.onnx'),
], ids=['merged', 'merged and step', 'plain', 'plain and step'])
def test_each_form_is_opened(tmp_path, graphs, merged, step, free, decoder, with_past):
    model = open_hub(write_hub(
        tmp_path / 'my-whisper', graphs=graphs, merged=merged, step=step, free=free))
    place = tmp_path / 'my-whisper' / graphs
    assert (model.name, model.family, model.layout) == ('my-whisper', 'whisper', 'hub')
    assert model.encoder == place / 'encoder_model.onnx'
    assert model.decoder == place / decoder
    assert model.decoder_with_past == (with_past and place / with_past)
    assert model.decoder_is_merged == merged
    assert model.tokenizer == tmp_path / 'my-whisper' / 'tokenizer.json'
    assert model.dims == DIMS
    assert model.tokens.start_of_transcript == FIRST_SPECIAL + 1


def test_the_merged_decoder_is_preferred(tmp_path):
    write_hub(tmp_path, merged=False)
    assert open_hub(write_hub(tmp_path, merged=True)).decoder_is_merged


def test_what_generation_config_says_wins_over_config(tmp_path):
    write_hub(tmp_path)
    config = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps({**config, 'suppress_tokens': [1]}))
    (tmp_path / 'generation_config.json').write_text(json.dumps({
        'is_multilingual': True, 'suppress_tokens': [2, -1, VOCABULARY],
        'begin_suppress_tokens': None}))
    model = open_hub(tmp_path)
    assert model.multilingual
    assert model.languages == ('en', 'de')
    # Ids outside of the vocabulary say nothing: -1 stands for "the usual ones".
    assert model.suppress == (2,)
    assert model.suppress_at_begin == ()


def test_without_any_config_the_vocabulary_tells_whether_it_knows_languages(tmp_path):
    write_hub(tmp_path)
    (tmp_path / 'config.json').unlink()
    model = open_hub(tmp_path)
    assert not model.multilingual
    assert model.languages == ('en',)
    assert model.dims.audio_positions == AUDIO_POSITIONS
    assert model.dims.text_positions == 448


def test_weights_beside_a_graph_are_part_of_the_model(tmp_path):
    write_hub(tmp_path)
    digest = open_hub(tmp_path).digest
    (tmp_path / 'encoder_model.onnx_data').write_bytes(b'weights')
    other = open_hub(tmp_path).digest
    assert other != digest
    (tmp_path / 'encoder_model.onnx_data').write_bytes(b'weighty')
    assert open_hub(tmp_path).digest not in (digest, other)


def cut(name, size):
    def damage(directory):
        path = directory / name
        path.write_bytes(path.read_bytes()[:size])
    return damage


def replace(name, content):
    return lambda directory: (directory / name).write_bytes(content)


def exchange(directory):
    """The encoder in the place of the decoder."""
    (directory / 'decoder_model.onnx').write_bytes(
        (directory / 'encoder_model.onnx').read_bytes())


def remove(name):
    return lambda directory: (directory / name).unlink()


@pytest.mark.parametrize(('damage', 'said'), [
    (remove('encoder_model.onnx'),
     r'expected encoder_model.onnx and .* in its folder onnx, found decoder_model.onnx'),
    (remove('decoder_model.onnx'), r'found encoder_model.onnx$'),
    (remove('tokenizer.json'), 'has no tokenizer.json; take it from where the ONNX files are'),
    (replace('tokenizer.json', b'{}'), 'not the tokenizer of a Whisper'),
    (replace('config.json', b'{"d_model"'), 'config.json: cannot be read as JSON'),
    (replace('config.json', b'{"suppress_tokens": 7}'),
     'suppress_tokens 7, expected a list of tokens'),
    (replace('config.json', b'{"suppress_tokens": ["a"]}'),
     r"suppress_tokens \['a'\], expected a list of tokens"),
    (replace('config.json', b'{"max_target_positions": "many"}'),
     "says max_target_positions 'many', expected a number above 0"),
    (replace('config.json', b'{"num_mel_bins": 8, "max_source_positions": -1}'),
     'config.json says max_source_positions -1, expected a number above 0'),
    (replace('encoder_model.onnx', b''), 'cannot be read as an ONNX model'),
    (replace('encoder_model.onnx', b'version https://git-lfs.github.com/spec/v1\n'),
     'not an ONNX model, or cut short'),
    (replace('encoder_model.onnx', b'\x80' * 20), 'a number without an end'),
    (cut('encoder_model.onnx', 40), 'not an ONNX model, or cut short'),
    (cut('decoder_model.onnx', -1), 'not an ONNX model, or cut short'),
    (exchange, r'not this part of a Whisper: input input_ids, .* missing; it has the inputs '
               'input_features and the outputs last_hidden_state'),
], ids=['no encoder', 'no decoder', 'no tokenizer', 'foreign tokenizer', 'cut config',
        'a number for a list', 'texts for numbers', 'a text for a number', 'a negative number',
        'empty', 'a pointer of git-lfs', 'noise', 'cut', 'a byte missing', 'exchanged'])
def test_a_missing_foreign_or_damaged_file_is_told(tmp_path, damage, said):
    write_hub(tmp_path, free='max_source' in said)
    damage(tmp_path)
    with pytest.raises(ModelError, match=said):
        open_hub(tmp_path)


def test_sizes_that_nothing_says_are_asked_for(tmp_path):
    write_hub(tmp_path, free=True)
    (tmp_path / 'config.json').unlink()
    with pytest.raises(ModelError, match=r'neither its shapes nor config\.json say num_mel_bins'):
        open_hub(tmp_path)


def test_a_step_decoder_without_its_past_is_told(tmp_path):
    write_hub(tmp_path, step=True)
    (tmp_path / 'decoder_with_past_model.onnx').write_bytes(
        (tmp_path / 'decoder_model.onnx').read_bytes())
    with pytest.raises(ModelError, match=r'with_past_model\.onnx: .*input past_key_values\.0'):
        open_hub(tmp_path)


def test_an_empty_directory_is_told(tmp_path):
    with pytest.raises(ModelError, match='found no ONNX file'):
        open_hub(tmp_path)


def test_a_signature_is_read_without_the_onnx_library(tmp_path):
    signature = read_signature(write_hub(tmp_path) / 'decoder_model.onnx')
    assert list(signature.inputs) == ['input_ids', 'encoder_hidden_states']
    assert signature.inputs['encoder_hidden_states'] == Value(
        'encoder_hidden_states', 1, ('batch', AUDIO_POSITIONS, WIDTH))
    assert signature.outputs['logits'].shape == ('batch', 'n', VOCABULARY)
    assert len(signature.outputs) == 1 + 4 * DECODER_LAYERS
