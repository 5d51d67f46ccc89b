"""Opening a model by name or directory: what is found, what is refused, where the cache lies."""

import json
import re
import stat
from pathlib import Path

import pytest
from small_hub import write_hub
from small_whisper import write_source

from xlerobot_asr_opt.errors import ModelError, StoreError
from xlerobot_asr_opt.models.build import build_files, build_whisper
from xlerobot_asr_opt.models.catalog import CATALOG, DEFAULT_MODEL, find
from xlerobot_asr_opt.models.layout import (
    asset_directory,
    asset_path,
    is_fetched,
    open_model,
)
from xlerobot_asr_opt.models.manifest import FORMAT, Manifest, digest_of
from xlerobot_asr_opt.models.paths import cache_root, private_directory, state_root

HEX = frozenset('0123456789abcdef')


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without any of the variables that name other places."""
    for variable in ('XLEROBOT_ASR_CACHE', 'XDG_CACHE_HOME', 'XDG_STATE_HOME'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, 'home', lambda: tmp_path)
    return tmp_path


@pytest.fixture
def own(tmp_path):
    """A directory in the own layout."""
    source, directory = tmp_path / 'source', tmp_path / 'own'
    source.mkdir()
    directory.mkdir()
    build_whisper(write_source(source), directory, name='small', sources={}, multilingual=False)
    return directory


def rewrite(directory, change):
    """Change the content of the manifest."""
    path = directory / 'manifest.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# What can be fetched.

def test_the_catalog_has_what_the_graph_needs_by_default():
    assert find(DEFAULT_MODEL).kind == 'asr'
    assert find('silero-vad').kind == 'vad'
    assert len({asset.name for asset in CATALOG}) == len(CATALOG)


@pytest.mark.parametrize('asset', CATALOG, ids=lambda asset: asset.name)
def test_every_asset_is_pinned_in_every_part(asset):
    assert asset.license
    assert asset.description
    # The name is that of a directory, and nothing else.
    assert Path(asset.name).name == asset.name
    assert not asset.name.startswith('.')
    for part in asset.distributions:
        assert part.filename.startswith(f'{part.package.replace("-", "_")}-{part.version}-')
        for pinned in (part, *part.members):
            assert len(pinned.sha256) == 64
            assert HEX.issuperset(pinned.sha256)
            assert pinned.size > 0
        for member in part.members:
            assert Path(member.target).name == member.target
    files = {member.target for part in asset.distributions for member in part.members}
    if asset.files:
        assert not files
    elif asset.kind == 'asr':
        assert files == {'model.bin', 'config.json', 'tokenizer.json'}
    else:
        assert len(files) == 1


def test_hosted_files_are_pinned_to_one_revision():
    asset = find('sense-voice')
    assert [file.target for file in asset.files] == ['model.int8.onnx', 'tokens.txt', 'LICENSE']
    (home,) = {file.address.rpartition('/')[0] for file in asset.files}
    assert re.fullmatch(r'https://huggingface\.co/[\w/.-]+/resolve/[0-9a-f]{40}', home)
    for file in asset.files:
        assert len(file.sha256) == 64
        assert HEX.issuperset(file.sha256)
    assert asset.download_size == sum(file.size for file in asset.files)
    assert asset.sources == {file.address: file.sha256 for file in asset.files}


# Where it lies.

def test_places_follow_the_xdg_specification(home, monkeypatch):
    assert cache_root() == home / '.cache' / 'xlerobot_asr_opt'
    assert state_root() == home / '.local' / 'state' / 'xlerobot_asr_opt'
    monkeypatch.setenv('XDG_CACHE_HOME', str(home / 'c'))
    monkeypatch.setenv('XDG_STATE_HOME', str(home / 's'))
    assert cache_root() == home / 'c' / 'xlerobot_asr_opt'
    assert state_root() == home / 's' / 'xlerobot_asr_opt'
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(home / 'own'))
    assert cache_root() == home / 'own'
    assert asset_directory('silero-vad') == home / 'own' / 'models' / 'silero-vad'


@pytest.mark.parametrize('value', ['', 'relative/place'])
def test_a_relative_place_is_ignored_as_the_specification_says(home, monkeypatch, value):
    monkeypatch.setenv('XDG_CACHE_HOME', value)
    assert cache_root() == home / '.cache' / 'xlerobot_asr_opt'


def test_a_place_is_private(home):
    assert stat.S_IMODE(private_directory(home / 'a' / 'b').stat().st_mode) == 0o700


def test_a_file_in_the_place_of_a_directory_is_told(home):
    (home / 'file').touch()
    for path in (home / 'file', home / 'file' / 'below'):
        with pytest.raises(StoreError, match=f'cannot make the directory {path}'):
            private_directory(path)


# By name.

def test_what_is_not_fetched_is_told_with_the_command_that_fetches_it(home):
    assert not is_fetched('whisper-base')
    with pytest.raises(ModelError, match='run `xlerobot-asr models fetch whisper-base`'):
        open_model('whisper-base')
    with pytest.raises(ModelError, match='run `xlerobot-asr models fetch two_cities`'):
        asset_path('two_cities')


def test_a_recogniser_is_not_one_file():
    with pytest.raises(ModelError, match='several files: use open_model'):
        asset_path('whisper-tiny.en')


@pytest.mark.parametrize('name', ['silero-vad', 'nonesuch', '/nonesuch', '', '~'])
def test_what_is_neither_name_nor_directory_is_told(home, name, monkeypatch):
    monkeypatch.chdir(home)
    with pytest.raises(ModelError) as caught:
        open_model(name)
    assert str(caught.value) == (
        f'{name!r} is neither a recogniser (whisper-tiny.en, whisper-base, sense-voice) nor a '
        'directory with one')


# By directory.

def test_a_directory_with_a_manifest_has_the_own_layout(own):
    model = open_model(str(own))
    assert model.layout == 'own'
    assert model.encoder == own / 'encoder.onnx'
    # Not multilingual, whatever tokens there are.
    assert model.languages == ('en',)


def test_a_directory_without_one_has_the_layout_of_the_hub(tmp_path):
    assert open_model(str(write_hub(tmp_path / 'hub'))).layout == 'hub'


def test_a_copy_elsewhere_is_the_same_model(own):
    digest = open_model(str(own)).digest
    assert open_model(str(own.rename(own.with_name('moved')))).digest == digest


def test_the_digest_depends_on_every_name_and_hash_and_not_on_their_order():
    assert digest_of({'a': '1', 'b': '2'}) == digest_of({'b': '2', 'a': '1'})
    assert len({digest_of(one) for one in (
        {}, {'a': '1'}, {'a': '1', 'b': '2'}, {'a': '2', 'b': '1'}, {'a': '1', 'c': '2'})}) == 5


def test_what_is_no_recogniser_is_told(tmp_path):
    source, directory = tmp_path / 'source', tmp_path / 'recording'
    for path in (source, directory):
        path.mkdir()
    (source / 'speech.wav').write_bytes(b'RIFF')
    build_files(source.iterdir(), directory, name='speech', sources={})
    with pytest.raises(ModelError, match='speech is not a recogniser'):
        open_model(str(directory))


@pytest.mark.parametrize(('damage', 'said'), [
    (lambda own: (own / 'manifest.json').write_text('{"format": 1'), 'cannot be read as JSON'),
    (lambda own: (own / 'manifest.json').write_bytes(b'\xff\xfe'), 'cannot be read as JSON'),
    (lambda own: rewrite(own, lambda it: it.update(format=FORMAT + 1)),
     f'got format {FORMAT + 1}, expected {FORMAT}; fetch it again'),
    (lambda own: rewrite(own, lambda it: it.pop('files')), r'damaged \(KeyError'),
    (lambda own: rewrite(own, lambda it: it.update(files=7)), r'damaged \(AttributeError'),
    (lambda own: rewrite(own, lambda it: it['files'].update(x={})), r'damaged \(TypeError'),
    (lambda own: rewrite(own, lambda it: it['whisper']['dims'].pop('width')),
     r'damaged \(TypeError'),
    (lambda own: rewrite(own, lambda it: it['whisper']['tokens'].update(languages=[['en']])),
     r'damaged \(ValueError'),
    (lambda own: rewrite(own, lambda it: it['files'].pop('decoder.onnx')),
     'does not name decoder.onnx; fetch it again'),
    (lambda own: (own / 'decoder.onnx').unlink(),
     'decoder.onnx: No such file or directory; fetch it again'),
    (lambda own: (own / 'encoder.onnx.data').write_bytes(b'cut'),
     r'encoder.onnx.data: has 3 bytes, expected \d+; fetch it again'),
], ids=['cut', 'no text', 'another format', 'no files', 'foreign files', 'foreign record',
        'a size missing', 'foreign languages', 'a part missing', 'a file gone', 'a file cut'])
def test_a_damaged_model_is_told(own, damage, said):
    damage(own)
    with pytest.raises(ModelError, match=said):
        open_model(str(own))


def test_a_changed_byte_is_found_when_every_file_is_checked(own):
    path = own / 'decoder.onnx.data'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_model(str(own))  # the sizes are right
    with pytest.raises(ModelError, match=r'decoder.onnx.data: SHA-256 is \w+, expected \w+'):
        Manifest.read(own).check(own)


def test_a_manifest_comes_back_as_it_was_written(own):
    manifest = Manifest.read(own)
    manifest.write(own)
    assert Manifest.read(own) == manifest
