"""Each check, on a machine that is made up for it."""

import json

import pytest

from xlerobot_asr_opt.cli import checks, checks_ros, doctor


@pytest.mark.parametrize(('version', 'state'), [((3, 9, 2), 'FAIL'), ((3, 10, 0), 'OK')])
def test_python(version, state):
    assert checks.python(version).state == state


def test_libraries():
    assert checks.libraries(['numpy']).state == 'OK'
    missing = checks.libraries(['numpy', 'no_such_library'])
    assert missing.state == 'FAIL'
    assert missing.advice == 'python3 -m pip install no_such_library'


@pytest.mark.parametrize(('cores', 'state'), [(1, 'WARN'), (2, 'OK')])
def test_processor(cores, state):
    assert checks.processor(cores).state == state


@pytest.mark.parametrize(('available', 'state'), [(599, 'WARN'), (600, 'OK')])
def test_memory(tmp_path, available, state):
    path = tmp_path / 'meminfo'
    path.write_text(f'MemTotal:  8192000 kB\nMemFree: 1 kB\nMemAvailable: {available * 1024} kB\n')
    assert checks.memory(path) == (
        state, f'{available} MiB available of 8000 MiB', checks.memory(path).advice)


def test_cache_directory(tmp_path, monkeypatch):
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path / 'cache'))
    assert checks.cache_directory() == ('OK', str(tmp_path / 'cache'), '')
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path / 'file' / 'cache'))
    assert checks.cache_directory().state == 'FAIL'


@pytest.mark.parametrize(('environment', 'state'), [
    ({}, 'FAIL'), ({'ROS_DISTRO': 'humble'}, 'OK'), ({'ROS_DISTRO': 'foxy'}, 'WARN'),
    ({'XLEROBOT_ASR_ENV': 'wheels'}, 'OK'),
])
def test_distribution(environment, state):
    assert checks_ros.distribution(environment).state == state


def test_interfaces(monkeypatch, tmp_path):
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert checks_ros.interfaces().state == 'FAIL'


def test_zero_copy(tmp_path):
    profile = tmp_path / 'profile.xml'
    profile.write_text('<dds/>')
    environment = {'FASTDDS_DEFAULT_PROFILES_FILE': str(profile)}
    assert checks_ros.zero_copy({}).state == 'OK'
    assert checks_ros.zero_copy(environment).state == 'WARN'
    environment['RMW_FASTRTPS_USE_QOS_FROM_XML'] = '1'
    assert checks_ros.zero_copy(environment).state == 'OK'
    environment['ROS_DISABLE_LOANED_MESSAGES'] = '1'
    assert checks_ros.zero_copy(environment).state == 'WARN'
    del environment['ROS_DISABLE_LOANED_MESSAGES']
    profile.write_text('<dds>')
    assert checks_ros.zero_copy(environment).state == 'FAIL'
    profile.unlink()
    assert checks_ros.zero_copy(environment).state == 'FAIL'


def test_shared_memory(tmp_path):
    assert checks_ros.shared_memory(tmp_path).state == 'OK'
    assert checks_ros.shared_memory(tmp_path / 'none').state == 'FAIL'


def test_leftovers(tmp_path):
    assert checks_ros.leftovers(tmp_path) == ('OK', 'none; 0 files in use', '')
    (tmp_path / 'fast_datasharing_0f_1').write_bytes(bytes(2**20))
    (tmp_path / 'of somebody else').touch()
    finding = checks_ros.leftovers(tmp_path)
    assert finding.state == 'WARN'
    assert finding.text == (
        '1 files that no process uses, 1 MiB, such as fast_datasharing_0f_1')


@pytest.mark.parametrize(('state', 'code'), [('OK', 0), ('WARN', 0), ('FAIL', 1)])
def test_exit_code(monkeypatch, capsys, state, code):
    monkeypatch.setattr(doctor, 'BPU', ())
    monkeypatch.setattr(doctor, 'ROS', ())
    monkeypatch.setattr(
        doctor, 'MACHINE', (('thing', lambda: checks.Finding(state, 'found', 'do')),))
    assert doctor.run(doctor_arguments(as_json=False)) == code
    assert capsys.readouterr().out == f'{state:4}  thing           found\n{"":22}-> do\n'
    assert doctor.run(doctor_arguments(as_json=True)) == code
    assert json.loads(capsys.readouterr().out) == {
        'check': 'thing', 'state': state, 'text': 'found', 'advice': 'do'}


def doctor_arguments(*, as_json):
    return type('Arguments', (), {'json': as_json})
