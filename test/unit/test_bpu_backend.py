"""The backend bpu: Whisper with its encoder on the board's Runner, over stand-ins.

The contract that it keeps is in test_backend_contract.py. Here is what is its own: what a board or
a bundle may have wrong, and that speech then goes to the next backend.
"""

import shutil
import sys

import numpy as np
import pytest
from board_stand_ins import EASY_DNN, HBM, WINDOWS, compiled_bundle, installed
from small_bundle import change_bundle

from xlerobot_asr_opt.backends.base import candidate, create
from xlerobot_asr_opt.errors import BackendError, ModelError
from xlerobot_asr_opt.models.bundle import Bundle
from xlerobot_asr_opt.parameters import InferenceParameters


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    with installed(HBM) as compiled_model:
        return compiled_bundle(
            tmp_path_factory.mktemp('bundle'), compiled_model.write)


@pytest.fixture
def bundle(made, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(made, tmp_path / 'small')


@pytest.fixture(params=[HBM, EASY_DNN])
def library(request):
    with installed(request.param):
        yield request.param


def parameters(bundle, *backends):
    return InferenceParameters(model=str(bundle), backends=backends, retry_confidence=0.0)


def speech(length=5000, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9001, length).astype(np.int16)


def hear(backend, samples):
    return backend.recognise(backend.prepare(samples, ''))


@pytest.fixture
def backend(bundle, library):
    backend = candidate('bpu', parameters(bundle, 'bpu')).backend
    backend.load()
    yield backend
    backend.close()


def test_it_says_what_the_same_model_says_on_the_cpu(backend, bundle):
    """The stand-ins compute in floats, and the compiled graph is equal to the model's."""
    other = candidate('onnxruntime', parameters(bundle, 'onnxruntime')).backend
    other.load()
    # The window decides what is said: both get the longest one, which this speech fills.
    samples = speech(WINDOWS[-1] * 160)
    assert hear(backend, samples).text == hear(other, samples).text
    assert backend.digest != other.digest


def test_each_bucket_gives_a_text(backend):
    for length in (160 * 20, 160 * WINDOWS[0], 160 * WINDOWS[1]):
        result = hear(backend, speech(length))
        assert (result.backend, bool(result.text)) == ('bpu', True)


def test_it_is_told_the_health_of_the_board(bundle):
    health = candidate('bpu', parameters(bundle, 'bpu')).health
    assert health().load != 0.0  # of this machine: NaN, unless it is a board at work


@pytest.mark.parametrize(('spoil', 'told'), [
    (lambda bundle: change_bundle(bundle, march='bernoulli2'),
     "for the BPU 'bernoulli2', expected"),
    (lambda bundle: (bundle / 'encoder_128.bin').write_bytes(b'cut'), 'has 3 bytes, expected'),
    (lambda bundle: flip(bundle / 'encoder_128.bin'), 'SHA-256 is'),
    (lambda bundle: (bundle / 'encoder_256.bin').unlink(), 'encoder_256.bin: No such file'),
    (lambda bundle: (bundle / 'bundle.json').unlink(), 'has no bundle.json'),
], ids=['another march', 'cut', 'hash differs', 'bucket missing', 'no bundle'])
def test_a_bundle_that_is_wrong_is_told_and_the_next_backend_answers(
        bundle, library, spoil, told):
    spoil(bundle)
    with pytest.raises(ModelError, match=told):
        candidate('bpu', parameters(bundle, 'bpu')).backend.load()
    chain = create(parameters(bundle, 'bpu', 'onnxruntime'))
    chain.load()
    result = hear(chain, speech())
    assert (result.backend, bool(result.text)) == ('onnxruntime', True)
    assert 'bpu' in result.reason
    chain.close()


def flip(path):
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_file_that_is_for_another_march_inside_is_told(tmp_path, library):
    """Its bundle says bayes-e, and its hash is right: the library itself refuses it."""
    compiled_model = sys.modules['compiled_model']
    bundle = compiled_bundle(tmp_path, compiled_model.write, march='bernoulli2')
    content = (bundle / 'bundle.json').read_text()
    (bundle / 'bundle.json').write_text(content.replace('bernoulli2', 'bayes-e'))
    with pytest.raises(ModelError, match=f'encoder_128.bin: {library} cannot open it'):
        candidate('bpu', parameters(bundle, 'bpu')).backend.load()


def test_without_a_library_the_next_backend_answers(bundle):
    with installed():
        with pytest.raises(BackendError, match='no library for the BPU'):
            candidate('bpu', parameters(bundle, 'bpu')).backend.load()
        chain = create(parameters(bundle, 'bpu', 'onnxruntime'))
        chain.load()
        result = hear(chain, speech())
        assert (result.backend, bool(result.text)) == ('onnxruntime', True)
        assert 'no library for the BPU' in result.reason
        chain.close()


SPOILT = {
    'NaN': lambda outputs: [np.full_like(one, np.nan) for one in outputs],
    'infinite': lambda outputs: [np.full_like(one, np.inf) for one in outputs],
    'error': lambda outputs: 1 / 0,
}


@pytest.mark.parametrize('spoil', SPOILT.values(), ids=SPOILT)
def test_what_the_bpu_spoils_the_next_backend_answers(bundle, library, spoil, monkeypatch):
    chain = create(parameters(bundle, 'bpu', 'onnxruntime'))
    chain.load()
    assert hear(chain, speech()).backend == 'bpu'
    compiled = sys.modules['compiled_model'].Compiled
    compute = compiled.compute
    with monkeypatch.context() as patch:
        patch.setattr(compiled, 'compute', lambda self, inputs: spoil(compute(self, inputs)))
        result = hear(chain, speech())
    assert (result.backend, bool(result.text)) == ('onnxruntime', True)
    assert 'bpu' in result.reason
    chain.close()


def test_an_output_of_another_shape_is_not_decoded(bundle, monkeypatch):
    with installed(HBM):
        chain = create(parameters(bundle, 'bpu', 'onnxruntime'))
        chain.load()
        compiled = sys.modules['compiled_model'].Compiled
        compute = compiled.compute
        monkeypatch.setattr(
            compiled, 'compute', lambda self, inputs: [compute(self, inputs)[0][:, 1:]])
        result = hear(chain, speech())
    assert result.backend == 'onnxruntime'
    assert 'got hidden float32[1, 31, 8, 16], expected hidden' in result.reason
    chain.close()


@pytest.mark.parametrize('samples', [
    np.zeros(5000, np.int16), np.zeros(0, np.int16)], ids=['silence', 'nothing'])
def test_zero_samples_are_answered(backend, samples):
    hear(backend, samples)


def test_samples_that_are_no_numbers_are_refused(backend):
    with pytest.raises(BackendError, match='got samples of float32'):
        backend.prepare(np.full(5000, np.nan, np.float32), '')


def test_speech_that_no_bucket_holds_is_refused(backend, bundle):
    longest = Bundle.read(bundle).buckets[-1].frames * 160
    assert backend.longest == longest
    with pytest.raises(BackendError, match=r'expected at most 2\.56 s'):
        backend.prepare(speech(longest + 1), '')


def test_the_exact_backend_without_the_vendors_tools_says_what_installs_them(
    bundle, tmp_path, monkeypatch,
):
    monkeypatch.setenv('XLEROBOT_ASR_BPU_TOOLS', str(tmp_path / 'none'))
    backend = candidate('bpu_exact', parameters(bundle, 'bpu_exact')).backend
    assert backend.name == 'bpu_exact'
    with pytest.raises(ModelError, match='models compile'):
        backend.load()
