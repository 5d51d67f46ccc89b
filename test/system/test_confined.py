"""The graph under what deploy/ confines it to: read-only files, no capability, a strict umask."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xlerobot_asr_opt.models.layout import asset_directory, is_fetched

DOMAIN = 144
PATIENCE_S = 60.0
CONFINE = """
set -e
mount -o remount,ro,bind /
mount -t tmpfs tmpfs /run
mkdir -m 700 /run/state /run/cache /run/own /run/log /run/tmp /run/cache/models
cp -r "$DETECTOR" /run/cache/models/
umask 077
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
WATCH = """
grep -E '^(CapEff|NoNewPrivs)' /proc/self/status
touch "$FORBIDDEN" 2>/dev/null && echo may write
"$PYTHON" -m xlerobot_asr_opt.cli.main up --source none --backends scripted &
up=$!
for _ in 1 2 3 4 5 6 7 8; do
    kill -0 $up && "$PYTHON" -m xlerobot_asr_opt.cli.main status --timeout 3 && break
done
find /run/state /run/own /run/cache/transcripts -perm /077 -print
kill -TERM $up
wait $up
echo ended with $?
"""


@pytest.fixture
def confined(tmp_path):
    """Runs a script in a mount namespace of its own, without a privilege."""
    if not (shutil.which('unshare') and shutil.which('setpriv')):
        pytest.skip('unshare or setpriv is not installed')
    space = ['unshare', '--mount', *([] if os.geteuid() == 0 else ['--map-root-user'])]
    if subprocess.run([*space, 'true'], capture_output=True, check=False).returncode:
        pytest.skip('this user may not make a mount namespace')
    if not is_fetched('silero-vad'):
        pytest.skip('silero-vad is not fetched: make models')

    def run(script):
        environment = {
            **os.environ, 'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_LOCALHOST_ONLY': '1',
            'XDG_STATE_HOME': '/run/state', 'XLEROBOT_ASR_CACHE': '/run/cache',
            'XDG_RUNTIME_DIR': '/run/own', 'ROS_LOG_DIR': '/run/log', 'TMPDIR': '/run/tmp',
            'PYTHON': sys.executable, 'FORBIDDEN': str(tmp_path / 'written'),
            'DETECTOR': str(asset_directory('silero-vad'))}
        return subprocess.run(
            [*space, 'bash', '-c', CONFINE, 'confine', 'bash', '-c', script], env=environment,
            cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True,
            check=False, timeout=PATIENCE_S)
    return run


def test_the_graph_needs_no_more_than_it_may(confined):
    done = confined(WATCH)
    said = done.stdout.split('\n')
    assert 'CapEff:\t0000000000000000' in said, done.stderr
    assert 'NoNewPrivs:\t1' in said
    assert 'may write' not in said
    assert '/asr is active' in said, done.stderr
    assert said[-2] == 'ended with 0'
    # Nothing that it made is for others.
    assert [line for line in said if line.startswith('/run/')] == []
