"""What /proc tells of a process."""

import os
import subprocess
import sys
import time

import pytest

from xlerobot_asr_opt.local_process import waited_s

PATIENCE_S = 20.0
BUSY = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
while True:
    pass
"""


@pytest.fixture
def rivals():
    """Two processes that both want one processor, all the time."""
    started = [subprocess.Popen([sys.executable, '-c', BUSY]) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.skipif(waited_s(os.getpid()) == 0.0, reason='this kernel does not tell')
def test_who_has_to_share_a_processor_waits_for_it(rivals):
    until = time.monotonic() + PATIENCE_S
    while min(waited_s(process.pid) for process in rivals) < 0.1:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_process_that_has_gone_waits_for_nothing(rivals):
    gone = rivals[0]
    gone.kill()
    gone.wait()
    assert waited_s(gone.pid) == 0.0
