import numpy as np
import onnxruntime
import pytest
from small_bundle import FRAMES, OnnxRunner, change_bundle, small_weights, write_bundle
from small_whisper import MEL_BINS

from xlerobot_asr_opt.backends.bpu_graphs import CROSS, MARGIN, BpuGraphs, whisper_on
from xlerobot_asr_opt.backends.log_mel import HOP
from xlerobot_asr_opt.backends.onnx_own import OwnEncoder
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.errors import BackendError, ModelError
from xlerobot_asr_opt.models.bpu.encoder_graph import MEL, write_bpu_encoder
from xlerobot_asr_opt.models.bundle import Bundle
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.parameters import InferenceParameters


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp('bundle'), loud={0: (3, 77)})


def graphs(directory, runner=None):
    return BpuGraphs(open_model(str(directory)), 1, runner or OnnxRunner())


def noise(seconds, seed=0):
    samples = np.random.default_rng(seed).integers(-9000, 9001, round(seconds * 16000))
    return samples.astype(np.int16)


def loaded(directory, runner):
    backend = whisper_on(runner, InferenceParameters(model=str(directory)))
    backend.load()
    return backend


@pytest.mark.parametrize('loud', [{}, {0: (0, 5, 127)}], ids=['plain', 'loud'])
def test_the_rewritten_encoder_is_the_encoder(bundle, tmp_path, loud):
    """Rotated, folded, centred and split: the keys and values are the same."""
    write_bpu_encoder(small_weights(tmp_path), 160, tmp_path / 'encoder.onnx', loud)
    mel = np.random.default_rng(2).normal(size=(1, MEL_BINS, 160)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / 'encoder.onnx'))
    (hidden,) = session.run(None, {MEL: mel[:, :, None]})
    cross = onnxruntime.InferenceSession(str(bundle / CROSS))
    names = [output.name for output in cross.get_outputs()]
    found = dict(zip(names, cross.run(names, {'hidden': hidden}), strict=True))
    expected = OwnEncoder(open_model(str(bundle)), 1).run(mel)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=2e-4)


@pytest.mark.parametrize(('frames', 'taken'), [
    (0, 160), (160 - MARGIN, 160), (161 - MARGIN, 320), (320 - MARGIN, 320), (320, 320)])
def test_the_shortest_bucket_with_room_for_the_margin_is_taken(bundle, frames, taken):
    assert graphs(bundle).window(frames * HOP) == taken


def test_the_bucket_of_the_window_is_run(bundle):
    runner = OnnxRunner()
    backend = loaded(bundle, runner)
    for seconds, model in ((0.5, 'encoder_160'), (2.0, 'encoder_320'), (3.2, 'encoder_320')):
        runner.calls.clear()
        backend.recognise(backend.prepare(noise(seconds), ''))
        assert runner.calls[0] == model


def test_a_segment_longer_than_the_longest_bucket_is_refused_not_cut(bundle):
    runner = OnnxRunner()
    backend = loaded(bundle, runner)
    assert backend.longest == FRAMES[-1] * HOP
    with pytest.raises(BackendError, match=r'got 3.20 s of samples, expected at most 3.2 s'):
        backend.prepare(noise(3.2001), '')
    assert not runner.calls


def test_a_window_without_a_bucket_is_refused(bundle):
    with pytest.raises(BackendError, match=r'window of 2 s, expected one of 1.6 s, 3.2 s'):
        graphs(bundle).encode(np.zeros((1, MEL_BINS, 200), np.float32))


def test_it_hears_what_the_cpu_hears_in_the_same_window(bundle):
    """One recogniser: features, decoding and guards are WhisperBackend's own."""
    backend = loaded(bundle, OnnxRunner())
    result = backend.recognise(backend.prepare(noise(1.0), 'en'))
    assert result.backend == 'fake'

    class SameWindow:
        longest, digest = FRAMES[-1], b''

        def __init__(self, files, threads):
            own = WhisperBackend(InferenceParameters(model=str(bundle)))
            own.load()
            self.encode = own._model.graphs.encode
            self.window = graphs(bundle).window

    cpu = WhisperBackend(InferenceParameters(model=str(bundle)), graphs=SameWindow)
    cpu.load()
    assert cpu.recognise(cpu.prepare(noise(1.0), 'en')).text == result.text


@pytest.mark.parametrize(('spoil', 'told'), [
    (lambda outputs: {}, 'gave nothing as hidden'),
    (lambda outputs: {'hidden': outputs['hidden'][:, 1:]}, r'shape \(1, 31, 8, 10\) as hidden'),
    (lambda outputs: {'hidden': outputs['hidden'].astype(np.int32)}, 'gave int32'),
    (lambda outputs: {'hidden': np.full_like(outputs['hidden'], np.nan)}, 'nan'),
], ids=['nothing', 'shape', 'dtype', 'NaN'])
def test_garbage_is_an_error_and_it_goes_on(bundle, spoil, told):
    runner = OnnxRunner()
    backend = loaded(bundle, runner)
    before = backend.recognise(backend.prepare(noise(0.4), 'en')).text
    runner.spoil = spoil
    with pytest.raises(BackendError, match=told):
        backend.recognise(backend.prepare(noise(0.4), 'en'))
    runner.spoil = lambda outputs: outputs
    assert backend.recognise(backend.prepare(noise(0.4), 'en')).text == before


def test_closing_it_closes_the_runner_and_loading_opens_it_again(bundle):
    runner = OnnxRunner()
    backend = loaded(bundle, runner)
    before = backend.recognise(backend.prepare(noise(0.4), 'en')).text
    backend.close()
    assert not runner._sessions
    backend.load()
    assert backend.recognise(backend.prepare(noise(0.4), 'en')).text == before


def test_the_digest_follows_runner_and_files(bundle, tmp_path):
    other = write_bundle(tmp_path)
    renamed = OnnxRunner()
    renamed.name = 'other'
    digests = {loaded(bundle, OnnxRunner()).digest, loaded(bundle, renamed).digest,
               loaded(other, OnnxRunner()).digest,
               WhisperBackend_digest(bundle)}
    assert len(digests) == 4
    assert loaded(bundle, OnnxRunner()).digest in digests


def WhisperBackend_digest(directory):
    backend = WhisperBackend(InferenceParameters(model=str(directory)))
    backend.load()
    return backend.digest


def test_a_changed_file_is_not_loaded(tmp_path):
    directory = write_bundle(tmp_path)
    path = directory / 'encoder_160.onnx'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    runner = OnnxRunner()
    with pytest.raises(ModelError, match=r'encoder_160.onnx: SHA-256 is'):
        graphs(directory, runner)
    # The runner that takes the .bin does not look at it.
    runner.file = 'binary'
    runner.load = lambda models: None
    graphs(directory, runner)


def test_a_bundle_without_its_projection_is_told(tmp_path):
    directory = write_bundle(tmp_path)
    files = dict(Bundle.read(directory).files)
    del files[CROSS]
    change_bundle(directory, files=files)
    with pytest.raises(ModelError, match=r'does not name cross.onnx; compile'):
        graphs(directory)


def test_a_model_that_is_no_bundle_is_told(tmp_path):
    from small_vocabulary import build_small
    with pytest.raises(ModelError, match=r'has no bundle.json'):
        loaded(build_small(tmp_path), OnnxRunner())
