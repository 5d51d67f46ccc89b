"""The layout of the Hugging Face hub: which files make a model, and what is said of others."""

import json

import onnx
import pytest
from small_hub import write_hub
from small_whisper import (
    AUDIO_POSITIONS,
    DECODER_LAYERS,
    FIRST_SPECIAL,
    HEADS,
    MEL_BINS,
    TEXT_POSITIONS,
    VOCABULARY,
    WIDTH,
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
@pytest.mark.parametrize(('forms', 'decoder', 'with_past'), [
    (['merged'], 'decoder_model_merged.onnx', None),
    (['split', 'merged'], 'decoder_model_merged.onnx', None),
    (['plain'], 'decoder_model.onnx', None),
    (['split'], 'decoder_model.onnx', 'decoder_with_past_model.onnx'),
], ids=['merged', 'all three', 'plain', 'split'])
def test_each_form_is_opened(tmp_path, graphs, forms, free, decoder, with_past):
    for form in forms:
        write_hub(tmp_path / 'my-whisper', graphs=graphs, form=form, free=free)
    model = open_hub(tmp_path / 'my-whisper')
    place = tmp_path / 'my-whisper' / graphs
    assert (model.name, model.family, model.layout) == ('my-whisper', 'whisper', 'hub')
    assert model.encoder == place / 'encoder_model.onnx'
    assert model.decoder == place / decoder
    assert model.decoder_with_past == (with_past and place / with_past)
    assert model.decoder_is_merged == ('merged' in forms)
    assert model.tokenizer == tmp_path / 'my-whisper' / 'tokenizer.json'
    assert model.dims == DIMS
    assert model.tokens.start_of_transcript == FIRST_SPECIAL + 1


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
    (tmp_path / 'generation_config.json').unlink()
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
    (remove('decoder_model.onnx'), r'found decoder_with_past_model.onnx, encoder_model.onnx$'),
    (remove('tokenizer.json'), 'has no tokenizer.json; take it from where the ONNX files are'),
    (replace('tokenizer.json', b'{}'), 'not the tokenizer of a Whisper'),
    (replace('config.json', b'{"d_model"'), 'config.json: cannot be read as JSON'),
    (replace('generation_config.json', b'{"suppress_tokens": 7}'),
     'suppress_tokens 7, expected a list of tokens'),
    (replace('generation_config.json', b'{"suppress_tokens": ["a"]}'),
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


def test_a_decoder_without_a_past_needs_its_number_of_layers(tmp_path):
    write_hub(tmp_path, form='plain')
    (tmp_path / 'config.json').unlink()
    with pytest.raises(ModelError, match=r'decoder_model\.onnx: .* say decoder_layers; put'):
        open_hub(tmp_path)


def signed(path, change):
    """Change the inputs and outputs of a graph, each a ValueInfoProto by its name."""
    model = onnx.load(path)
    values = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    change(model.graph, values)
    onnx.save(model, path)


def narrow(graph, values):
    """The graph of a smaller Whisper."""
    values['encoder_hidden_states'].type.tensor_type.shape.dim[2].dim_value = WIDTH - 8


def one_head(graph, values):
    """The graph of a Whisper with other heads."""
    values['past_key_values.1.encoder.key'].type.tensor_type.shape.dim[1].dim_value = 1


def half(graph, values):
    """An export in float16."""
    values['logits'].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def masked(graph, values):
    """A graph that wants to be told which tokens count."""
    graph.input.append(onnx.helper.make_tensor_value_info(
        'decoder_attention_mask', onnx.TensorProto.INT64, ['batch', 'n']))


def forgetful(graph, values):
    """A graph that does not give its keys and values on."""
    for name in [name for name in values if name.startswith('present.')]:
        graph.output.remove(values[name])


@pytest.mark.parametrize(('form', 'name', 'change', 'said'), [
    ('plain', 'decoder_model', narrow,
     r"takes encoder_hidden_states of the shape \('batch_size', 'encoder_sequence_length', 24\), "
     r"but the graph before it gives last_hidden_state of \('batch_size', 20, 32\); "
     'take all graphs from one export'),
    ('merged', 'decoder_model_merged', narrow, 'takes encoder_hidden_states of the shape'),
    ('split', 'decoder_with_past_model', one_head,
     r'takes past_key_values\.1\.encoder\.key of the shape .* gives present\.1\.encoder\.key of'),
    ('merged', 'decoder_model_merged', half,
     'logits has elements of ONNX type 10, expected 1; take the export in float32'),
    ('plain', 'decoder_model', masked,
     'asks for decoder_attention_mask, expected the inputs input_ids, encoder_hidden_states al'),
    ('merged', 'decoder_model_merged', forgetful, r'output present\.0\.decoder\.key, .* missing'),
    ('split', 'decoder_model', forgetful, r'output present\.0\.decoder\.key, .* missing'),
    ('split', 'decoder_with_past_model', forgetful,
     r'output present\.0\.decoder\.key, .* missing'),
], ids=lambda it: getattr(it, '__name__', None))
def test_a_decoder_of_another_kind_is_told(tmp_path, form, name, change, said):
    path = write_hub(tmp_path, form=form) / f'{name}.onnx'
    signed(path, change)
    with pytest.raises(ModelError, match=f'{name}.onnx: .*{said}'):
        open_hub(tmp_path)


@pytest.mark.parametrize(('form', 'name'), [
    ('merged', 'decoder_model_merged.onnx'), ('split', 'decoder_with_past_model.onnx')])
@pytest.mark.parametrize('size', [1000, -1])
def test_a_cut_decoder_is_told(tmp_path, form, name, size):
    cut(name, size)(write_hub(tmp_path, form=form))
    with pytest.raises(ModelError, match=f'{name}: not an ONNX model, or cut short'):
        open_hub(tmp_path)


def test_a_step_decoder_without_its_past_is_told(tmp_path):
    write_hub(tmp_path)
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
        'encoder_hidden_states', 1, ('batch_size', 'encoder_sequence_length', WIDTH))
    assert signature.outputs['logits'].shape == (
        'batch_size', 'decoder_sequence_length', VOCABULARY)
    assert len(signature.outputs) == 1 + 4 * DECODER_LAYERS
