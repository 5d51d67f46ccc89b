"""What is installed is pinned, file by file, by hashes: requirements/locked/."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / 'requirements'


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SETS = load('lock_requirements').SETS


def canonical(name):
    return re.sub(r'[-_.]+', '-', name.partition('[')[0]).lower()


def pins(path):
    """Version by canonical name of what a file pins."""
    lines = (line.partition(';')[0].partition('\\')[0].strip()
             for line in path.read_text('utf-8').splitlines())
    found = (line.split('==') for line in lines if '==' in line)
    return {canonical(name): version.strip() for name, version in found}


def entries(path):
    """The requirements of a locked file, each with its hashes."""
    text = '\n'.join(line for line in path.read_text('utf-8').splitlines()
                     if not line.startswith('#'))
    return text.replace('\\\n', ' ').split('\n')


@pytest.mark.parametrize('name', SETS)
def test_every_package_has_the_hashes_of_its_files(name):
    for entry in filter(None, entries(FILES / 'locked' / f'{name}.txt')):
        assert re.fullmatch(
            r'[a-z0-9-]+(\[[a-z]+\])?==[^ ]+( ; [^-]+(-[^-]+)*)?\s+'
            r'(--hash=sha256:[0-9a-f]{64}\s*)+', entry), entry[:200]


@pytest.mark.parametrize('name', SETS)
def test_it_has_all_that_is_wanted_in_the_versions_that_were_tested(name):
    locked = pins(FILES / 'locked' / f'{name}.txt')
    for one in SETS[name][0]:
        wanted = pins(FILES / f'{one}.txt')
        assert wanted.items() <= locked.items(), 'run tools/lock_requirements.py'
    tested = {**pins(FILES / 'constraints.txt'),
              **{key: value for one in SETS[name][0]
                 for key, value in pins(FILES / f'{one}.txt').items()}}
    assert locked.keys() <= tested.keys(), 'name what is new in constraints.txt'
    assert all(tested[key] == version for key, version in locked.items())


ADVISORY = """
id: A-1
aliases: [CVE-1]
affected:
- package: {name: Some_Package, ecosystem: PyPI}
  ranges:
  - type: ECOSYSTEM
    events: [{introduced: "0"}, {fixed: "1.5"}, {introduced: "2.0"}, {last_affected: "2.3"}]
  versions: ["1.9"]
"""


@pytest.mark.parametrize(('version', 'found'), [
    ('1.4.9', True), ('1.5', False), ('1.9', True), ('2.0', True), ('2.3', True), ('2.4', False)])
def test_an_advisory_is_told_for_the_versions_that_it_affects(
        version, found, tmp_path, monkeypatch, capsys):
    audit = load('audit_requirements')
    (tmp_path / 'a.yaml').write_text(ADVISORY)
    monkeypatch.setattr(audit, 'locked', lambda: {'some-package': {version}})
    # The text of an advisory may spell the name as it likes.
    monkeypatch.setattr(audit, 'advisories', lambda folder, names: [
        audit.parse_yaml((tmp_path / 'a.yaml').read_text())])
    monkeypatch.setattr('sys.argv', ['audit', str(tmp_path)])
    assert audit.main() == int(found)
    assert ('CVE-1' in capsys.readouterr().out) is found
    monkeypatch.setattr('sys.argv', ['audit', str(tmp_path), '--accept', 'CVE-1'])
    assert audit.main() == 0


def test_the_audit_reads_what_is_locked():
    pinned = load('audit_requirements').locked()
    assert pinned['diskcache'] == {'5.6.3'}
    assert pinned['numpy'] == {'2.2.6', '1.26.4'}


@pytest.mark.parametrize('distribution', [None, 'humble'])
def test_the_environment_is_made_of_what_is_locked(distribution, monkeypatch, tmp_path):
    bootstrap = load('bootstrap')
    monkeypatch.setattr(bootstrap, 'VENV', tmp_path / 'venv')
    commands = []

    def note(step, command, env=None):
        commands.append([str(part) for part in command])
        (tmp_path / 'venv').mkdir(exist_ok=True)

    monkeypatch.setattr(bootstrap, 'run', note)
    monkeypatch.setattr(bootstrap, 'mend_cmake_paths', lambda: None)
    bootstrap.make_environment(distribution, 'python3')
    install = commands[-1]
    assert {'--require-hashes', '--no-deps'} <= set(install)
    assert install[install.index('--requirement') + 1].startswith(str(FILES / 'locked'))
