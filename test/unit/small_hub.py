"""The small Whisper in the layout of the Hugging Face hub, as Optimum 2.1 exports each form.

Same weights as the own layout has of the same seed, in other operators: those that a trace of the
published network consists of. Names, types, shapes and the branches of the merged decoder are
those of real exports.
"""

import json

import numpy as np
from small_network import Network
from small_vocabulary import vocabulary_json
from small_whisper import (
    AUDIO_POSITIONS,
    DECODER_LAYERS,
    HEADS,
    MEL_BINS,
    TEXT_POSITIONS,
    VOCABULARY,
    WIDTH,
    model_bin,
    tensors,
)

from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.onnx_graph import Graph
from xlerobot_asr_opt.models.whisper_weights import gather

FORMS = ('merged', 'split', 'plain')
"""One decoder with both branches; two, without and with a past; one that has no past at all."""

PARTS = [f'{layer}.{side}.{part}' for layer in range(DECODER_LAYERS)
         for side in ('decoder', 'encoder') for part in ('key', 'value')]
OWN_PARTS = [part for part in PARTS if '.decoder.' in part]


def write_hub(directory, *, graphs='', form='split', free=False, features=True, content=None,
              multilingual=False, ask_position=False):
    """Write a directory in the hub's layout; returns it.

    Args:
        directory: where.
        graphs: folder of the ONNX files in it.
        form: of the decoder, one of FORMS.
        free: the graphs do not say their sizes.
        features: write tokenizer.json and config.json.
        content: tensors as of small_whisper; those of seed 0 by default.
        multilingual: its prompt has a language.
        ask_position: the decoder with a past asks for the positions of what it is fed.
    """
    place = directory / graphs
    place.mkdir(parents=True, exist_ok=True)
    source = directory / 'model.bin'
    source.write_bytes(model_bin(content or tensors()))
    weights = gather(read(source, 'WhisperSpec'))
    source.unlink()
    _encoder(weights, free).write_whole(place / 'encoder_model.onnx')
    if form == 'merged':
        _merged(weights, free).write_whole(place / 'decoder_model_merged.onnx')
    else:
        _first(weights, free, present=form == 'split').write_whole(place / 'decoder_model.onnx')
    if form == 'split':
        _step(weights, free, ask_position).write_whole(place / 'decoder_with_past_model.onnx')
    if features:
        (directory / 'tokenizer.json').write_text(json.dumps(vocabulary_json()))
        (directory / 'config.json').write_text(json.dumps({
            'num_mel_bins': MEL_BINS, 'd_model': WIDTH, 'decoder_attention_heads': HEADS,
            'decoder_layers': DECODER_LAYERS, 'vocab_size': VOCABULARY,
            'max_source_positions': AUDIO_POSITIONS, 'max_target_positions': TEXT_POSITIONS}))
        # The same as write_source says of the own layout.
        (directory / 'generation_config.json').write_text(json.dumps({
            'is_multilingual': multilingual, 'suppress_tokens': [1, 3],
            'begin_suppress_tokens': [2]}))
    return directory


def _size(number, name, free):
    return name if free else number


def _encoder(weights, free):
    network = Network('encoder', weights)
    g = network.g
    x = g.input('input_features', np.float32, [
        'batch_size', _size(MEL_BINS, 'bins', free), _size(2 * AUDIO_POSITIONS, 'frames', free)])
    x = network.convolution('conv1', x, weights.conv1, 1)
    x = network.convolution('conv2', x, weights.conv2, 2)
    x = g.node('Transpose', x, perm=[0, 2, 1])
    x = g.node('Add', x, g.weight('positions', weights.audio_positions))
    for index, layer in enumerate(weights.encoder):
        name = f'layers.{index}'
        query, key, value = network.split(f'{name}.self', x, layer.attention)
        x = network.attended(f'{name}.self', x, query, key, value, layer.attention.out)
        x = network.widened(name, x, layer.feed_forward)
    g.output(network.norm('norm', x, weights.encoder_norm), 'last_hidden_state', np.float32,
             ['batch_size', _size(AUDIO_POSITIONS, 'time', free), _size(WIDTH, 'width', free)])
    return g


def _first(weights, free, *, present):
    """The decoder of a text's begin; with keys and values of what it was fed, or without."""
    network = Network('decoder', weights)
    _whole_inputs(network.g, free)
    found = network.decode('')
    _outputs(network.g, free, found, ['logits', *(PARTS if present else [])])
    return network.g


def _step(weights, free, ask_position):
    """The decoder of every further token."""
    network = Network('decoder_with_past', weights)
    g = network.g
    g.input('input_ids', np.int64, ['batch_size', 'decoder_sequence_length'])
    _past_inputs(g, free)
    if ask_position:
        g.input('cache_position', np.int64, ['decoder_sequence_length'])
    _outputs(g, free, network.decode('past_key_values.', ask_position=ask_position),
             ['logits', *OWN_PARTS], tokens='1')
    return g


def _merged(weights, free):
    """Both in one; the branch with a past says nothing of the encoder's keys and values."""
    g = Graph('merged')
    _whole_inputs(g, free)
    _past_inputs(g, free)
    g.input('use_cache_branch', np.bool_, [1])
    branches = {'then_branch': _branch(weights, 'past_key_values.'),
                'else_branch': _branch(weights, '')}
    names = ['logits', *PARTS]
    values = g.nodes('If', 'use_cache_branch', outputs=len(names), **branches)
    _outputs(g, free, dict(zip(names, values, strict=True)), names)
    return g


def _branch(weights, past):
    network = Network('with_past' if past else 'no_past', weights)
    g = network.g
    found = network.decode(past)
    for part in PARTS if past else []:
        if part not in OWN_PARTS:
            nothing = np.zeros((0, HEADS, 1, WIDTH // HEADS), np.float32)
            found[part] = g.weight(f'nothing.{part}', nothing)
    for name in ['logits', *PARTS]:
        rank = 3 if name == 'logits' else 4
        g.output(found[name], f'branch.{name}', np.float32, [f'd{axis}' for axis in range(rank)])
    return g.proto()


def _whole_inputs(g, free):
    g.input('input_ids', np.int64, ['batch_size', 'decoder_sequence_length'])
    g.input('encoder_hidden_states', np.float32, [
        'batch_size', 'encoder_sequence_length', _size(WIDTH, 'width', free)])


def _past_inputs(g, free):
    for part in PARTS:
        g.input(f'past_key_values.{part}', np.float32, _cache_shape(part, 'past_', free))


def _cache_shape(part, past, free):
    time = f'{past}decoder_sequence_length' if part in OWN_PARTS else 'encoder_sequence_length'
    return ['batch_size', _size(HEADS, 'heads', free), time, WIDTH // HEADS]


def _outputs(g, free, found, names, tokens='decoder_sequence_length'):
    g.output(found['logits'], 'logits', np.float32, [
        'batch_size', tokens, _size(VOCABULARY, 'vocabulary', free)])
    for part in names[1:]:
        g.output(found[part], f'present.{part}', np.float32,
                 _cache_shape(part, 'past_decoder_sequence_length + ', free))
