"""An asset from a model's public home: fetched, taken up, put there by hand, listed, removed."""

import hashlib
import json
import threading

import pytest
from faulty_server import CONTENT, PATIENCE_S, serving, stall, status

from xlerobot_asr_opt.cli import checks
from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.cli import models as command
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models import catalog, fetch, http, layout
from xlerobot_asr_opt.models.catalog import Asset, HostedFile
from xlerobot_asr_opt.models.manifest import Manifest
from xlerobot_asr_opt.models.paths import cache_root

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
    # Nobody waits between two tries.
    monkeypatch.setattr(http.Patience, 'wait_s', lambda *_: 0.0)
    return cache_root()


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def asset(server, monkeypatch):
    """The one asset: two files of the server's."""
    asset = Asset('voice', 'asr', 'A hosted model', 'none', ('zh', 'yue'), files=tuple(
        HostedFile(server.address, name, len(CONTENT), SHA256)
        for name in ('model.int8.onnx', 'tokens.txt')))
    for module in (catalog, layout, command):
        monkeypatch.setattr(module, 'CATALOG', (asset,))
    return asset


@pytest.fixture
def models(asset, capsys):
    """Runs one action; returns exit code, standard output and standard error."""
    def models(*arguments):
        code = entry.main(['models', *arguments])
        return code, *capsys.readouterr()
    return models


def test_its_files_are_fetched_as_they_are(asset, server, cache):
    directory = fetch.fetch('voice')
    assert layout.is_fetched('voice')
    for name in ('model.int8.onnx', 'tokens.txt'):
        assert (directory / name).read_bytes() == CONTENT
    manifest = Manifest.read(directory)
    manifest.check(directory)
    assert manifest.sources == {server.address: SHA256}
    assert len(server.asked) == 2
    # What arrived is not kept twice.
    assert list((cache / 'downloads').iterdir()) == []
    fetch.fetch('voice')
    assert len(server.asked) == 2


def test_what_an_interrupted_fetch_left_is_completed(asset, server, cache):
    server.faults = [None, 30_000, *[status(503)] * 4]
    with pytest.raises(ModelError, match='30000 bytes are kept for the next try'):
        fetch.fetch('voice')
    assert not layout.is_fetched('voice')
    del server.asked[:]
    fetch.fetch('voice')
    assert [headers.get('Range') for _, headers in server.asked] == ['bytes=30000-']
    assert layout.is_fetched('voice')


def test_ctrl_c_keeps_what_has_arrived(asset, server, cache):
    def interrupt(_what, done, _total):
        if done:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch('voice', interrupt)
    assert (cache / 'downloads' / 'voice' / 'model.int8.onnx.part').stat().st_size > 0
    fetch.fetch('voice')
    assert layout.is_fetched('voice')


def test_of_two_at_a_time_one_downloads(asset, server):
    threads = [threading.Thread(target=fetch.fetch, args=('voice',)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert layout.is_fetched('voice')
    assert len(server.asked) == 2


def test_files_put_there_by_hand_are_taken_without_a_network(asset, server, cache):
    place = cache / 'downloads' / 'voice'
    place.mkdir(parents=True)
    for name in ('model.int8.onnx', 'tokens.txt'):
        (place / name).write_bytes(CONTENT)
    fetch.fetch('voice')
    assert layout.is_fetched('voice')
    assert server.asked == []


def test_a_wrong_file_put_there_by_hand_is_told(asset, server, cache):
    place = cache / 'downloads' / 'voice'
    place.mkdir(parents=True)
    (place / 'model.int8.onnx').write_bytes(b'<html>')
    with pytest.raises(ModelError, match=r'has 6 bytes and SHA-256 .*remove it, and fetch again'):
        fetch.fetch('voice')
    # It is the person's own: it stays.
    assert (place / 'model.int8.onnx').read_bytes() == b'<html>'


def test_a_full_disk_is_told_and_what_arrived_is_kept(asset, cache, monkeypatch):
    def full(*_paths):
        raise OSError(28, 'No space left on device')
    with monkeypatch.context() as patch:
        patch.setattr('shutil.copyfile', full)
        with pytest.raises(ModelError, match='No space left on device; free the place'):
            fetch.fetch('voice')
    assert (cache / 'downloads' / 'voice' / 'tokens.txt').read_bytes() == CONTENT
    fetch.fetch('voice')
    assert layout.is_fetched('voice')


def test_a_stalled_home_does_not_hold_the_fetch(asset, server, monkeypatch):
    monkeypatch.setattr(http.Patience.__init__, '__defaults__', (0.5, 4, 1.0, lambda _s: None))
    server.faults = [stall(50_000)]
    fetch.fetch('voice')
    assert layout.is_fetched('voice')


def test_without_a_network_the_command_says_what_to_do_by_hand(models, server, cache):
    server.faults = [status(503)] * 4
    code, out, err = models('fetch', '--quiet', 'voice')
    assert (code, out) == (1, '')
    assert err.startswith(f'xlerobot-asr models: {server.address} cannot be fetched: the server '
                          'answered 503 ')
    size = f'({len(CONTENT)} bytes, SHA-256 {SHA256})'
    assert f'get {server.address} {size}, {server.address} {size}; put it into ' in err
    assert f'{cache / "downloads" / "voice"} and fetch again, or keep the files in a ' in err


def test_the_actions_know_it(models, cache, server):
    _, out, _ = models('list', '--json')
    told = json.loads(out)
    assert (told['fetched'], told['download_bytes']) == (False, 2 * len(CONTENT))
    _, out, _ = models('info', '--json', 'voice')
    assert json.loads(out) == {
        'name': 'voice', 'kind': 'asr', 'description': 'A hosted model', 'license': 'none',
        'addresses': [server.address] * 2, 'fetched': False}
    code, _, err = models('fetch', 'voice')
    assert code == 0
    assert err.splitlines() == [
        'download model.int8.onnx ...', 'download tokens.txt ...', 'build voice ...',
        f'voice is in {cache / "models" / "voice"}']
    code, out, _ = models('info', '--json', 'voice')
    facts = json.loads(out)
    assert code == 0
    assert facts['files']['tokens.txt'] == {'bytes': len(CONTENT), 'sha256': SHA256}
    assert models('remove', 'voice')[0] == 0
    assert not layout.is_fetched('voice')


def test_removing_frees_what_arrived_in_part_too(models, server, cache):
    server.faults = [30_000, *[status(503)] * 4]
    models('fetch', '--quiet', 'voice')
    code, _, err = models('remove', 'voice')
    assert code == 0
    assert err.endswith(' MB freed\n')
    assert not (cache / 'downloads' / 'voice').exists()


def test_doctor_says_what_is_missing_and_what_came_in_part(asset, server, models):
    assert checks.models(['voice']) == (
        'WARN', 'not fetched: voice', 'xlerobot-asr models fetch voice')
    server.faults = [60_000, *[status(503)] * 4]
    models('fetch', '--quiet', 'voice')
    assert checks.models([]) == (
        'WARN', 'fetched in part: voice (0 of 0 MB)', 'xlerobot-asr models fetch voice')
    fetch.fetch('voice')
    assert checks.models(['voice']) == ('OK', 'voice: hashes are right', '')
    (layout.asset_directory('voice') / 'tokens.txt').write_bytes(bytes(len(CONTENT)))
    finding = checks.models([])
    assert (finding.state, finding.advice) == (
        'FAIL', 'xlerobot-asr models remove voice, then fetch it')
