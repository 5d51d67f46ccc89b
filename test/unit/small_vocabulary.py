"""A vocabulary for the small Whisper, with which its tokens are text; and the model built."""

import json

from small_whisper import FIRST_SPECIAL, model_bin, tensors, tokenizer, write_source

from xlerobot_asr_opt.models.build import build_whisper

PIECES = ['Ġ', "'", '-', 'â', 'Ļ', '7', '%', '(', *'abdefgkmnoprst', 'Ġg', 'Ġgo', 'st', 'sto',
          'stop', 'Ġstop', 'Ġ(', '((']
"""Text tokens by number, in GPT-2's bytes: Ġ is a space, â the first byte of a note."""

MERGES = ['Ġ g', 'Ġg o', 's t', 'st o', 'sto p', 'Ġ stop', 'Ġ (', '( (']


def token(piece):
    """The number of a text token."""
    return PIECES.index(piece)


def tokens(text):
    """Numbers of text tokens, one a character."""
    return [token(piece) for piece in text]


def vocabulary_json(pieces=PIECES, merges=MERGES):
    """Content of a tokenizer.json with these pieces and the special tokens."""
    assert pieces is not PIECES or len(pieces) == FIRST_SPECIAL
    content = tokenizer()
    added = [{**entry, 'single_word': False, 'lstrip': False, 'rstrip': False,
              'normalized': False, 'special': True} for entry in content['added_tokens']]
    byte_level = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True,
                  'use_regex': True}
    return {
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added,
        'normalizer': None, 'pre_tokenizer': byte_level, 'post_processor': None,
        'decoder': byte_level,
        'model': {
            'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None,
            'end_of_word_suffix': None, 'fuse_unk': False,
            'vocab': {piece: number for number, piece in enumerate(pieces)},
            'merges': [merge for merge in merges if merge.replace(' ', '') in pieces]},
    }


def build_small(directory, *, multilingual=True, precision='float32', seconds=0.0, **changes):
    """Build the small Whisper with its vocabulary below directory; returns where it is.

    Args:
        directory: where.
        multilingual: its prompt has a language.
        precision: of its weights.
        seconds: longest speech that it takes; 0: what is usual for it, 0.4 s.
        **changes: as for write_source.
    """
    source, built = directory / 'source', directory / 'small'
    source.mkdir(parents=True)
    built.mkdir()
    if seconds:
        # An encoder's position stands for 20 ms.
        changes['model'] = model_bin(tensors(audio_positions=round(50 * seconds)))
    changes.setdefault('tokenizer', json.dumps(vocabulary_json()).encode())
    build_whisper(write_source(source, **changes), built, name='small', sources={},
                  multilingual=multilingual, precision=precision)
    return built
