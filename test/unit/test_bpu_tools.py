"""With the vendor's tools: a tiny encoder is compiled, and run in the board's arithmetic."""

import os

import numpy as np
import onnxruntime
import pytest
from small_bundle import small_weights
from small_whisper import MEL_BINS

from xlerobot_asr_opt.backends.bpu_exact import ExactRunner
from xlerobot_asr_opt.errors import BackendError, ModelError
from xlerobot_asr_opt.models.bpu.encoder_graph import HIDDEN, MEL, write_bpu_encoder
from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment, vendor_directory
from xlerobot_asr_opt.models.bpu.mapper import Job, compile_graph
from xlerobot_asr_opt.models.bpu.simulator import compare

FRAMES = 160
SHAPE = (1, MEL_BINS, 1, FRAMES)


@pytest.fixture(scope='module')
def environment():
    environment = VendorEnvironment(vendor_directory())
    if missing := environment.missing():
        if os.environ.get('REQUIRE_BPU_TOOLS'):
            pytest.fail(f"the vendor's tools are required: {missing}")
        pytest.skip(f"needs the vendor's tools, which `xlerobot-asr models compile` installs: "
                    f'{missing}')
    return environment


@pytest.fixture(scope='module')
def windows():
    random = np.random.default_rng(0)
    return [random.normal(size=SHAPE).astype(np.float32) for _ in range(6)]


@pytest.fixture(scope='module')
def job(tmp_path_factory, windows):
    place = tmp_path_factory.mktemp('job')
    (place / 'windows').mkdir()
    for index, window in enumerate(windows[1:]):
        window.tofile(place / 'windows' / f'{index}.bin')
    precision = write_bpu_encoder(
        small_weights(place), FRAMES, place / 'float.onnx', {0: (1, 2)})
    return Job(place / 'float.onnx', MEL, SHAPE, 'small', 'bayes-e', place / 'windows',
               precision=precision)


@pytest.fixture(scope='module')
def compiled(environment, job, tmp_path_factory):
    told = []
    compiled = compile_graph(environment, job, tmp_path_factory.mktemp('compiled'), told.append)
    assert {'calibrating', 'compiling'} <= set(told)
    return compiled


def test_the_whole_encoder_is_on_the_bpu(compiled):
    assert compiled.placement.cpu == ()
    assert compiled.placement.bpu > 20
    assert 0 < compiled.estimate.latency_us < 5000
    assert compiled.estimate.fps == pytest.approx(1e6 / compiled.estimate.latency_us, rel=1e-3)
    assert min(compiled.estimate.ddr_bytes, compiled.estimate.ops) > 1000


def test_the_exact_backend_gives_the_integers_of_the_simulator(
        environment, compiled, windows, tmp_path):
    found = compare(environment, compiled.binary, compiled.quantised, windows[0], tmp_path)
    assert found.integers == 32 * FRAMES // 2
    assert found.different == 0


def test_the_exact_backend_is_close_to_float(environment, job, compiled, windows):
    runner = ExactRunner(environment)
    runner.load({'small': compiled.quantised})
    session = onnxruntime.InferenceSession(str(job.graph))
    (expected,) = session.run([HIDDEN], {MEL: windows[0]})
    found = runner.run('small', {MEL: windows[0]})
    assert found.keys() == {HIDDEN}
    assert found[HIDDEN].dtype == np.float32
    cosine = (found[HIDDEN] * expected).sum() / np.sqrt(
        (found[HIDDEN] ** 2).sum() * (expected ** 2).sum())
    assert cosine > 0.98
    np.testing.assert_array_equal(runner.run('small', {MEL: windows[0]})[HIDDEN], found[HIDDEN])
    with pytest.raises(BackendError, match='small failed'):
        runner.run('small', {MEL: windows[0][:, :, :, :-1]})
    np.testing.assert_array_equal(runner.run('small', {MEL: windows[0]})[HIDDEN], found[HIDDEN])
    runner.close()


def test_a_file_that_is_no_model_is_told(environment, tmp_path):
    (tmp_path / 'none.onnx').write_bytes(b'none')
    with pytest.raises(ModelError, match=r'cannot be opened: .*compile them again'):
        ExactRunner(environment).load({'none': tmp_path / 'none.onnx'})


def test_a_failure_shows_the_compilers_own_reason(environment, job, tmp_path):
    (tmp_path / 'none.onnx').write_bytes(b'none')
    bad = Job(tmp_path / 'none.onnx', MEL, SHAPE, 'small', 'bayes-e', job.calibration)
    with pytest.raises(
            ModelError, match=r'(?s)compiler ended with [1-9].*onnx.ModelProto.*whole is in'):
        compile_graph(environment, bad, tmp_path, lambda told: None)
    assert (tmp_path / 'hb_mapper.log').stat().st_size > 0
