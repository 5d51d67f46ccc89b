"""What deploy/ holds is what its readers take: systemd, Docker, Compose, udev, a shell."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / 'deploy'
UNIT = DEPLOY / 'systemd' / 'xlerobot-asr.service'
COMPOSE = DEPLOY / 'docker' / 'compose.yaml'
DOCKERFILE = DEPLOY / 'docker' / 'Dockerfile'
RULES = DEPLOY / 'udev' / '90-robot-microphone.rules'

FETCHED = ('hadolint', 'check-jsonschema')


def program(name):
    """The path of a checker: on the path, or what make check-deploy fetched; else skip."""
    found = shutil.which(name) or shutil.which(name, path=str(ROOT / 'build' / 'deploy' / 'bin'))
    hint = ': make check-deploy' if name in FETCHED else ''
    return found or pytest.skip(f'{name} is not installed{hint}')


def said(*command, **options):
    """Exit status of a checker, and all that it says."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=60, **options)
    return done.returncode, done.stdout


def settings(text, section):
    """Each setting of a section with all its values; a unit may name one several times."""
    found = {}
    body = re.search(rf'^\[{section}\]$([^\[]*(?:\n[^\[]|\Z))', text, re.MULTILINE)[1]
    for name, value in re.findall(r'^(\w+)=(.*)$', body, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def verify(tmp_path):
    """Has systemd judge the unit, with its programs at home in this checkout."""
    checker = program('systemd-analyze')

    def verify(text):
        path = tmp_path / UNIT.name
        path.write_text(text.replace('/opt/xlerobot_asr_opt', str(ROOT)))
        return said(checker, 'verify', str(path))
    return verify


def test_systemd_takes_the_unit(verify):
    assert verify(UNIT.read_text()) == (0, '')


@pytest.mark.parametrize(('right', 'wrong', 'complaint'), [
    ('ProtectSystem=strict', 'ProtectSystem=very', 'ignoring: very'),
    ('WatchdogSec=30', 'WatchdogSec=soon', 'ignoring: soon'),
    ('NoNewPrivileges', 'NoNewPrivilege', 'NoNewPrivilege'),
])
def test_systemd_notices_what_is_wrong_with_a_unit(verify, right, wrong, complaint):
    text = UNIT.read_text()
    assert right in text
    assert complaint in verify(text.replace(right, wrong))[1]


def test_a_service_of_this_unit_may_do_little():
    checker = program('systemd-analyze')
    status, text = said(checker, 'security', '--offline=true', '--no-pager', str(UNIT))
    if 'offline' in text and status:
        pytest.skip('this systemd-analyze judges no unit that is not loaded')
    measured = re.search(r'exposure level for \S+: ([\d.]+ \w+)', text)[1]
    page = (ROOT / 'docs' / 'operations.md').read_text('utf-8')
    assert float(measured.split()[0]) < 2.5
    # Another systemd may weigh the same settings in another way.
    if said(checker, '--version')[1].startswith('systemd 252 '):
        assert f'rates it {measured.replace(" ", " (")})' in page


def test_the_directories_of_the_unit_are_those_that_the_package_is_told():
    service = settings(UNIT.read_text(), 'Service')
    variables = dict(value.strip('"').split('=', 1) for value in service['Environment'])
    made = {service[key][0]: root for key, root in (
        ('StateDirectory', '/var/lib'), ('CacheDirectory', '/var/cache'),
        ('LogsDirectory', '/var/log'), ('RuntimeDirectory', '/run'))}
    assert set(made) == {'xlerobot-asr'}
    assert variables['XDG_STATE_HOME'] == '/var/lib/xlerobot-asr'
    assert variables['XLEROBOT_ASR_CACHE'] == '/var/cache/xlerobot-asr'
    assert variables['XDG_RUNTIME_DIR'] == '/run/xlerobot-asr'
    assert variables['ROS_LOG_DIR'] == '/var/log/xlerobot-asr'
    assert {service[f'{kind}DirectoryMode'][0]
            for kind in ('State', 'Cache', 'Logs', 'Runtime')} == {'0700'}


def test_hadolint_has_nothing_to_say_of_the_dockerfile():
    assert said(program('hadolint'), str(DOCKERFILE)) == (0, '')


def test_hadolint_notices_what_is_wrong(tmp_path):
    path = tmp_path / 'Dockerfile'
    path.write_text('FROM ubuntu:latest\nRUN cd /tmp && sudo apt-get install -y g++\n')
    assert said(program('hadolint'), str(path))[0] != 0


def test_the_compose_file_is_of_the_specification():
    checker = program('check-jsonschema')
    status, text = said(checker, '--builtin-schema', 'vendor.compose-spec', str(COMPOSE))
    assert status == 0, text


def test_a_compose_file_with_an_unknown_key_is_noticed(tmp_path):
    path = tmp_path / 'compose.yaml'
    path.write_text(COMPOSE.read_text().replace('ipc: host', 'ipcs: host'))
    checker = program('check-jsonschema')
    assert said(checker, '--builtin-schema', 'vendor.compose-spec', str(path))[0] != 0


def test_containers_have_no_privileges_and_the_memory_of_their_neighbours():
    services = yaml.safe_load(COMPOSE.read_text())['services']
    for service in services.values():
        assert service['user'] == '1000:1000'
        assert service['cap_drop'] == ['ALL']
        assert service['security_opt'] == ['no-new-privileges:true']
        assert 'privileged' not in service
    assert services['asr']['ipc'] == services['asr']['network_mode'] == 'host'
    assert services['asr']['read_only'] is True


def test_what_the_container_keeps_outlives_it():
    variables = dict(re.findall(r'(\w+)=(/\S+)', DOCKERFILE.read_text()))
    service = yaml.safe_load(COMPOSE.read_text())['services']['asr']
    kept = [volume.split(':')[1] for volume in service['volumes']]
    assert sorted(kept) == sorted(
        [variables['XDG_STATE_HOME'], variables['XLEROBOT_ASR_CACHE']])


def test_every_file_that_the_dockerfile_copies_is_not_left_out():
    left_out = (DOCKERFILE.with_name('Dockerfile.dockerignore')).read_text().split()
    assert {'.venv', 'build', 'install'} <= set(left_out)
    needed = ('tools', 'requirements', 'xlerobot_asr_opt', 'deploy', 'env.sh', 'setup.py')
    assert not set(left_out) & set(needed)


def test_udev_takes_the_rule():
    checker = program('udevadm')
    if 'verify' not in said(checker, '--help')[1]:
        pytest.skip('this udevadm has no verify: it came with systemd 254')
    status, text = said(checker, 'verify', str(RULES))
    assert status == 0, text


def test_every_part_of_a_rule_compares_or_assigns():
    lines = [line for line in RULES.read_text().splitlines() if line and line[0] != '#']
    assert lines
    part = r'[A-Z]+(?:\{\w+\})?(?:==|!=|=|\+=|:=)"[^"]*"'
    for line in lines:
        assert re.fullmatch(rf'{part}(?:, {part})*', line), line


def test_the_name_of_the_card_is_the_one_that_the_pcm_opens():
    card = re.search(r'ATTR\{id\}="(\w+)"', RULES.read_text())[1]
    pcm = (DEPLOY / 'udev' / 'asound.conf').read_text()
    assert f'CARD={card},' in pcm
    name = re.search(r'^pcm\.(\w+) \{', pcm, re.MULTILINE)[1]
    assert f'--device {name}' in (DEPLOY / 'systemd' / 'environment').read_text()


def test_the_script_replaces_itself_by_the_command_in_this_environment(tmp_path):
    bash = program('bash')
    script = DEPLOY / 'with_environment.sh'
    assert said(bash, '-n', str(script)) == (0, '')
    root = tmp_path / 'check out'
    (root / 'deploy').mkdir(parents=True)
    shutil.copy(script, root / 'deploy')
    (root / 'env.sh').write_text('export SPOKEN=yes\n')
    (root / 'ros.bash').write_text('test -z "$NEVER_SET" && export ROS_DISTRO=humble\n')
    process = subprocess.Popen(
        [str(root / 'deploy' / script.name), 'sh', '-c', 'echo $$ $SPOKEN $ROS_DISTRO "$1"',
         'sh', 'two words'],
        stdout=subprocess.PIPE, text=True, env={**os.environ, 'ROS_SETUP': str(root / 'ros.bash')})
    assert process.communicate()[0] == f'{process.pid} yes humble two words\n'
