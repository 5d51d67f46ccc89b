import subprocess
import sys

import pytest

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.bpu import environment as module
from xlerobot_asr_opt.models.bpu.environment import (
    PACKAGES,
    VendorEnvironment,
    find_python,
    vendor_directory,
)


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A machine whose python3.10 is a script of ours; nothing is installed from anywhere."""
    home = tmp_path / 'home'
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.delenv('PYENV_ROOT', raising=False)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:/usr/bin:/bin')
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path / 'cache'))
    return tmp_path


PYTHON = f"""
if [ "$1" = -c ]; then echo True; exit; fi
if [ "$2" = venv ]; then
    mkdir -p "$3/bin" "$3/lib/python3.10/site-packages/hmct/executor"
    echo made >> {'{log}'}
    cp "$0" "$3/bin/python"
    exit
fi
if [ "$3" = pip ]; then
    if [ -e {'{fails}'} ]; then echo 'ERROR: No matching distribution found'; exit 1; fi
    place=$(dirname $(dirname "$0"))
    touch "$place/lib/python3.10/site-packages/hmct/executor/onnxruntime_pybind11_state.so"
    printf '#!/bin/sh\\necho 1.0' > "$place/bin/hb_mapper"
    chmod +x "$place/bin/hb_mapper"
fi
"""


@pytest.fixture
def python(world):
    text = PYTHON.format(log=world / 'log', fails=world / 'fails')
    return script(world / 'bin' / 'python3.10', text)


def made(world):
    return (world / 'log').read_text().split() if (world / 'log').exists() else []


def test_the_directory_is_in_the_cache_or_as_named(world, monkeypatch):
    assert vendor_directory() == world / 'cache' / 'bpu-tools'
    monkeypatch.setenv('XLEROBOT_ASR_BPU_TOOLS', str(world / 'own'))
    assert vendor_directory() == world / 'own'


def test_it_is_made_once(world, python):
    environment = VendorEnvironment(vendor_directory())
    assert 'there is no' in environment.missing()
    told = []
    environment.make(told.append)
    assert environment.missing() == ''
    environment.check()
    environment.make(told.append)
    assert len(told) == 1
    assert made(world) == ['made']
    assert 'PYTHONPATH' not in environment.variables


@pytest.mark.parametrize('harm', [
    lambda place: (place / 'installed.txt').unlink(),
    lambda place: (place / 'installed.txt').write_text('numpy==1.0'),
    lambda place: (place / 'bin' / 'hb_mapper').unlink(),
    lambda place: VendorEnvironment(place).executor.unlink(),
], ids=['half installed', 'another version', 'no program', 'no executor'])
def test_what_is_not_whole_is_made_anew(world, python, harm):
    environment = VendorEnvironment(vendor_directory())
    environment.make(lambda told: None)
    harm(environment.directory)
    with pytest.raises(ModelError, match=r'tools are not usable: .*run `xlerobot-asr models comp'):
        environment.check()
    environment.make(lambda told: None)
    environment.check()
    assert made(world) == ['made', 'made']


def test_a_failed_installation_is_told_and_tried_again(world, python):
    (world / 'fails').touch()
    environment = VendorEnvironment(vendor_directory())
    with pytest.raises(ModelError, match=r'(?s)ended with 1:.*No matching distribution.*CPython'):
        environment.make(lambda told: None)
    assert 'half installed' in environment.missing()
    (world / 'fails').unlink()
    environment.make(lambda told: None)
    environment.check()


def test_a_python_that_does_not_start_is_passed_over(world):
    script(world / 'bin' / 'python3.10', 'test "$PYENV_VERSION" = 3.10.13 && echo True')
    (world / 'home' / '.pyenv' / 'versions' / '3.10.13').mkdir(parents=True)
    found = find_python()
    assert found.command == 'python3.10'
    assert found.variables == {'PYENV_VERSION': '3.10.13'}


def test_without_python_3_10_it_says_what_to_install(world):
    for name in ('python3.10', 'python3'):
        script(world / 'bin' / name, 'echo False')
    with pytest.raises(ModelError, match=r'need Python 3.10, .*python3.10, python3; install it'):
        find_python()
    with pytest.raises(ModelError, match=r'need Python 3.10'):
        VendorEnvironment(vendor_directory()).make(lambda told: None)


def test_every_package_is_pinned():
    assert all(package.count('==') == 1 for package in PACKAGES)


def test_the_stand_ins_are_what_the_tools_import():
    code = """
import torch, cv2, PIL.Image, torch.nn.functional
from torch.onnx.symbolic_helper import parse_args

class Net(torch.nn.Module):
    pass

@parse_args('v', 'v')
def symbolic(a: torch.Tensor, b: torch.dtype):
    pass

assert not isinstance(1, torch.Tensor)
assert not hasattr(torch, '__file__')
import numpy
print(numpy.__name__)
"""
    path = module._STANDINS
    done = subprocess.run(
        [sys.executable, '-c', f'exec({path.read_text()!r}){code}'], capture_output=True,
        text=True, check=False)
    assert done.stdout.strip() == 'numpy', done.stderr
