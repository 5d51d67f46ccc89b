import json

import pytest
from small_bundle import change_bundle, write_bundle

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.bundle import BUNDLE, Bundle, is_bundle
from xlerobot_asr_opt.models.layout import open_model


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path)


def edit(directory, change):
    path = directory / BUNDLE
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_is_written_is_read(bundle):
    found = Bundle.read(bundle)
    again = bundle.parent / 'again'
    again.mkdir()
    for name in found.files:
        (again / name).write_bytes((bundle / name).read_bytes())
    found.write(again)
    assert Bundle.read(again) == found
    found.check(again)
    assert (again / BUNDLE).read_bytes() == (bundle / BUNDLE).read_bytes()


def test_it_is_a_model_of_the_own_layout_too(bundle):
    assert is_bundle(bundle)
    assert open_model(str(bundle)).layout == 'own'


@pytest.mark.parametrize(('frames', 'taken'), [(1, 160), (160, 160), (161, 320), (320, 320)])
def test_the_shortest_bucket_that_is_long_enough_is_taken(bundle, frames, taken):
    assert Bundle.read(bundle).bucket(frames).frames == taken


def test_no_bucket_is_long_enough(bundle):
    with pytest.raises(ModelError, match=r'got a window of 321 frames, has buckets of 1.6 s, 3.2'):
        Bundle.read(bundle).bucket(321)


def test_a_foreign_directory_is_told(tmp_path):
    assert not is_bundle(tmp_path)
    with pytest.raises(ModelError, match=r'has no bundle.json.*make it with `xlerobot-asr models'):
        Bundle.read(tmp_path)


def test_another_march_is_told(bundle):
    change_bundle(bundle, march='bernoulli2')
    with pytest.raises(ModelError, match=r"for the BPU 'bernoulli2', expected 'bayes-e'"):
        Bundle.read(bundle)
    assert Bundle.read(bundle, 'bernoulli2').march == 'bernoulli2'


def test_a_cut_file_is_told(bundle):
    path = bundle / 'encoder_160.bin'
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r'encoder_160.bin: has 99 bytes, expected 100; compile'):
        Bundle.read(bundle)


def test_a_missing_file_is_told(bundle):
    (bundle / 'encoder_320.onnx').unlink()
    with pytest.raises(ModelError, match=r'encoder_320.onnx: No such file.*compile it again'):
        Bundle.read(bundle)


def test_a_file_of_another_content_is_told(bundle):
    path = bundle / 'encoder_160.bin'
    path.write_bytes(bytes(100))
    found = Bundle.read(bundle)
    with pytest.raises(ModelError, match=r'encoder_160.bin: SHA-256 is .*, expected .*; compile'):
        found.check(bundle)
    found.check(bundle, ('encoder_320.bin',))


@pytest.mark.parametrize(('change', 'told'), [
    (lambda content: content.update(format=99), 'got format 99, expected 1'),
    (lambda content: content.update(buckets=[]), 'no buckets'),
    (lambda content: content['buckets'].reverse(), 'the shortest first'),
    (lambda content: content.pop('march'), 'damaged'),
    (lambda content: content['buckets'][0].pop('estimate'), 'damaged'),
    (lambda content: content['buckets'][0].update(frames='160'), "got '160', expected int"),
    (lambda content: content['buckets'][0].update(more=1), 'damaged'),
    (lambda content: content['files'].pop('encoder_160.bin'), r'needs encoder_160.bin, which is'),
    (lambda content: content['files'].update({'../passwd': {'size': 1, 'sha256': ''}}),
     'expected one without a folder'),
], ids=['format', 'no buckets', 'order', 'no march', 'no estimate', 'frames', 'foreign field',
        'file not named', 'path'])
def test_a_damaged_bundle_is_told(bundle, change, told):
    edit(bundle, change)
    with pytest.raises(ModelError, match=told):
        Bundle.read(bundle)


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'\xff'])
def test_what_is_no_json_object_is_told(bundle, content):
    (bundle / BUNDLE).write_bytes(content)
    with pytest.raises(ModelError, match=r'bundle.json: '):
        Bundle.read(bundle)
