"""The names that people import from the package itself."""

import subprocess
import sys

import pytest

import xlerobot_asr_opt


@pytest.mark.parametrize('name', xlerobot_asr_opt.__all__)
def test_every_public_name_is_there_under_its_own_name(name):
    assert getattr(xlerobot_asr_opt, name).__name__ == name
    assert name in dir(xlerobot_asr_opt)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'BPUMemoryPol'"):
        _ = xlerobot_asr_opt.BPUMemoryPol


def test_importing_the_package_loads_none_of_its_rooms():
    script = ('import sys, xlerobot_asr_opt; '
              'print(sorted(n for n in sys.modules if n.startswith("xlerobot_asr_opt.")), '
              '"numpy" in sys.modules)')
    told = subprocess.run(
        [sys.executable, '-c', script], check=True, capture_output=True, text=True).stdout
    assert told.strip() == '[] False'
