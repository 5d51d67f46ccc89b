"""The process of the exact backend, with a program of ours in place of the vendor's executor."""

import os
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from xlerobot_asr_opt.backends import bpu_exact_server
from xlerobot_asr_opt.backends.bpu_exact import ExactRunner
from xlerobot_asr_opt.errors import BackendError, ModelError
from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment

ONE = np.arange(6, dtype=np.float32).reshape(1, 2, 3)

SERVER = f"""
import os, sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(bpu_exact_server.__file__).parent)!r})
sys.path.insert(0, {str(Path(np.__file__).parents[1])!r})
import bpu_exact_server as server

class Executor:
    class SessionOptions:
        pass

    class InferenceSession:
        def __init__(self, options, path, from_file):
            self.text = Path(path).read_text()
            if self.text == 'no model':
                raise ValueError('Protobuf parsing failed.\\nat line 1')
            self.outputs_meta = [type('Meta', (), {{'name': 'y'}})]

        def load_model(self, providers):
            print('the library prints this', flush=True)

        def run(self, names, arrays, options):
            mark = Path(sys.argv[0]).with_name('once')
            if mark.exists():
                word = mark.read_text()
                mark.unlink()
                if word == 'die':
                    print('killed by the kernel', file=sys.stderr, flush=True)
                    os._exit(9)
                if word == 'hang':
                    time.sleep(600)
                if word == 'garbage':
                    os.write(3, b'\\x05\\0\\0\\0garbage')
                if word == 'long':
                    os.write(3, b'\\xff\\xff\\xff\\xff')
                raise ValueError('not this shape')
            return [2 * arrays['x']]

server.import_executor = lambda path: Executor
server.main()
"""


class Environment(VendorEnvironment):
    """This Python in place of the vendor's."""

    @property
    def python(self):
        return Path(sys.executable)

    def missing(self):
        return ''


@pytest.fixture
def server(tmp_path):
    path = tmp_path / 'server.py'
    path.write_text(textwrap.dedent(SERVER))
    (tmp_path / 'model').write_text('model')
    return path


@pytest.fixture
def runner(server, tmp_path):
    runner = ExactRunner(Environment(tmp_path), timeout_s=20.0, server=server)
    runner.load({'encoder': tmp_path / 'model'})
    yield runner
    runner.close()


def once(server, word):
    server.with_name('once').write_text(word)


def double(runner):
    return runner.run('encoder', {'x': ONE})['y']


def test_arrays_go_there_and_back(runner):
    for array in (ONE, ONE.astype(np.int8), np.zeros((0, 2), np.float32),
                  np.ones((300, 1000), np.float32), ONE.swapaxes(0, 2)):
        found = runner.run('encoder', {'x': array})['y']
        np.testing.assert_array_equal(found, 2 * array)
        assert found.dtype == array.dtype
        assert found.flags.writeable


def test_it_says_what_it_is():
    assert (ExactRunner.name, ExactRunner.file) == ('bpu_exact', 'quantised')


@pytest.mark.parametrize(('word', 'told'), [
    ('die', r'its process has ended \(killed by the kernel\)'),
    ('garbage', 'gave an answer that is none'),
    ('long', 'gave an answer that is none'),
    ('error', 'encoder failed: ValueError: not this shape')])
def test_a_failure_is_told_and_the_next_call_works(runner, server, word, told):
    np.testing.assert_array_equal(double(runner), 2 * ONE)
    once(server, word)
    with pytest.raises(BackendError, match=told):
        double(runner)
    np.testing.assert_array_equal(double(runner), 2 * ONE)


def test_a_hang_is_ended(server, tmp_path):
    # As long as it is not expected to hang, it may take its time.
    runner = ExactRunner(Environment(tmp_path), timeout_s=20.0, server=server)
    runner.load({'encoder': tmp_path / 'model'})
    once(server, 'hang')
    runner._timeout_s = 0.2
    with pytest.raises(BackendError, match='gave no answer in time'):
        double(runner)
    runner._timeout_s = 20.0
    np.testing.assert_array_equal(double(runner), 2 * ONE)
    runner.close()


def test_a_process_that_was_killed_comes_back(runner):
    double(runner)
    os.kill(runner._child._process.pid, 9)
    with pytest.raises(BackendError, match='has ended'):
        double(runner)
    np.testing.assert_array_equal(double(runner), 2 * ONE)


def test_what_is_no_model_is_told(server, tmp_path):
    (tmp_path / 'model').write_text('no model')
    runner = ExactRunner(Environment(tmp_path), server=server)
    with pytest.raises(ModelError, match=r'ValueError: Protobuf parsing failed. at line 1; compi'):
        runner.load({'encoder': tmp_path / 'model'})


def test_a_model_that_is_not_loaded_is_told(runner):
    with pytest.raises(BackendError, match=r"no model 'other' is loaded; there are: encoder"):
        runner.run('other', {'x': ONE})
    runner.close()
    runner.close()
    with pytest.raises(BackendError, match='there are: none'):
        double(runner)


def test_loaded_again_it_works_again(runner, tmp_path):
    runner.close()
    runner.load({'encoder': tmp_path / 'model'})
    np.testing.assert_array_equal(double(runner), 2 * ONE)


def test_a_missing_environment_is_told(tmp_path):
    with pytest.raises(ModelError, match=r'tools are not usable: there is no .*models compile'):
        ExactRunner(VendorEnvironment(tmp_path / 'none')).load({})
