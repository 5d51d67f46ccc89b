"""What . ./env.sh gives a shell."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILE = f'{ROOT}/config/fastdds.xml'
VARIABLES = ('XLEROBOT_ASR_ZERO_COPY', 'RMW_FASTRTPS_USE_QOS_FROM_XML',
             'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')


def source(*before, shell='sh'):
    """Source env.sh after the given assignments; return what the variables are then."""
    bare = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    values = ' '.join(f'${{{name}:-}}' for name in VARIABLES)
    script = f'set -eu; . ./env.sh; printf "%s\\n" {values}'
    answer = subprocess.run(
        [shell, '-c', script], cwd=ROOT, env=bare | dict(before), text=True,
        capture_output=True, check=True)
    assert not answer.stderr
    return dict(zip(VARIABLES, answer.stdout.split(), strict=False))


@pytest.mark.parametrize('shell', ['sh', 'bash'])
def test_segments_are_shared_unless_told_otherwise(shell):
    assert source(shell=shell) == dict(
        zip(VARIABLES, ('data_sharing', '1', PROFILE, PROFILE), strict=True))


@pytest.mark.parametrize('mode', ['loan', 'off'])
def test_the_mode_that_is_chosen_stays(mode):
    chosen = source(('XLEROBOT_ASR_ZERO_COPY', mode), (VARIABLES[2], PROFILE))
    assert chosen == dict(zip(VARIABLES, (mode, '0', PROFILE, PROFILE), strict=True))


def test_a_profile_of_somebody_else_is_left_in_force():
    assert list(source((VARIABLES[2], '/their.xml')).values()) == ['/their.xml']


def test_the_command_and_the_nodes_are_on_the_path():
    answer = subprocess.run(
        ['sh', '-c', '. ./env.sh; command -v xlerobot-asr ingest scheduler inference manager'],
        cwd=ROOT, text=True, capture_output=True, check=True)
    assert all(line.startswith(f'{ROOT}/') for line in answer.stdout.splitlines())
