"""Every bench that `make bench` runs, or that a page names, opens."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / 'bench'
PROGRAMS = sorted(path for path in BENCH.glob('[a-z]*.py') if 'argparse' in path.read_text())


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda path: path.stem)
def test_it_tells_what_it_does(program):
    done = subprocess.run(
        [sys.executable, program, '--help'], capture_output=True, text=True, check=False,
        timeout=60)
    assert done.returncode == 0, done.stderr
    assert '--json' in done.stdout
