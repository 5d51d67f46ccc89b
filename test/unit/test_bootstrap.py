"""tools/bootstrap.py: which interpreter the environment is made with."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap():
    spec = importlib.util.spec_from_file_location('bootstrap', ROOT / 'tools' / 'bootstrap.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('distribution', [None, 'jazzy'], ids=['wheels', 'sourced'])
def test_the_environment_is_not_made_with_its_own_interpreter(
        bootstrap, monkeypatch, tmp_path, distribution):
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'venv'], check=True)
    binaries = tmp_path / 'venv' / 'bin'
    monkeypatch.setenv('PATH', f'{binaries}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setattr(sys, 'executable', str(binaries / 'python3'))
    found = Path(bootstrap.find_interpreter(distribution))
    assert binaries not in found.parents
    assert ROOT / '.venv' not in found.parents
    assert subprocess.run([found, '-c', ''], check=False).returncode == 0


def test_a_sourced_distribution_that_is_not_known_is_named(bootstrap, monkeypatch):
    monkeypatch.delenv('XLEROBOT_ASR_ENV', raising=False)
    monkeypatch.setenv('ROS_DISTRO', 'foxy')
    with pytest.raises(bootstrap.SetupError, match='foxy is sourced; this project runs on humble'):
        bootstrap.sourced_distribution()


def test_the_environment_of_the_wheels_is_no_sourced_ros(bootstrap, monkeypatch):
    monkeypatch.setenv('XLEROBOT_ASR_ENV', 'wheels')
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    assert bootstrap.sourced_distribution() is None
