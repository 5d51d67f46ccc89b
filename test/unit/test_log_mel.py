"""Log-mel features, against the definition written once more: float64, a plain Fourier sum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.backends.log_mel import HOP, log_mel, mel_filters, widen

RATE, FFT = 16_000, 400
SILENCE = -1.5
"""(log10(1e-10) + 4) / 4."""


def mel_of(hertz):
    """Slaney's scale: 3 mel per 200 Hz, above 1 kHz 27 mel to a factor of 6.4."""
    return 3 * hertz / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def hertz_of(mel):
    return 200 * mel / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def triangles(mels):
    """float64[mels, 201]: what each band takes of each frequency."""
    top = mel_of(RATE / 2)
    corners = [hertz_of(top * index / (mels + 1)) for index in range(mels + 2)]
    found = np.zeros((mels, FFT // 2 + 1))
    for band in range(mels):
        found[band] = np.interp(
            np.arange(FFT // 2 + 1) * RATE / FFT, corners[band:band + 3],
            [0, 2 / (corners[band + 2] - corners[band]), 0])
    return found


def reference(samples, frames, mels):
    """The features as the definition has them; silence follows the window, too."""
    wave = np.zeros(frames * HOP + FFT)
    wave[:len(samples)] = samples / 32768
    wave = np.concatenate([wave[FFT // 2:0:-1], wave])
    time = np.arange(FFT)
    hann = np.sin(np.pi * time / FFT) ** 2
    fourier = np.exp(-2j * np.pi * np.outer(time, np.arange(FFT // 2 + 1)) / FFT)
    framed = np.stack([wave[index * HOP:index * HOP + FFT] * hann for index in range(frames)])
    power = triangles(mels) @ (np.abs(framed @ fourier) ** 2).T
    logs = np.log10(np.maximum(power, 1e-10))
    return (np.maximum(logs, logs.max() - 8) + 4) / 4


def tone(length, hertz=440.0, peak=0.5):
    return np.round(32767 * peak * np.sin(
        2 * np.pi * hertz / RATE * np.arange(length))).astype(np.int16)


def noise(length, peak=8000, seed=0):
    return np.random.default_rng(seed).integers(-peak, peak + 1, length).astype(np.int16)


@pytest.mark.parametrize('mels', [80, 128])
def test_the_filters_are_slaneys_triangles(mels):
    filters = mel_filters(mels)
    assert filters.shape == (mels, FFT // 2 + 1)
    np.testing.assert_allclose(filters, triangles(mels), atol=1e-7)


@pytest.mark.parametrize(('band', 'frequency', 'weight'), [
    (0, 1, 0.02486259490251541), (1, 1, 0.001990821911022067), (1, 2, 0.022871771827340126),
    (79, 190, 0.0022320549469441175), (79, 199, 0.0004487590049393475)])
def test_the_filters_are_the_published_ones(band, frequency, weight):
    """Entries of mel_filters in Whisper's preprocessor_config.json."""
    assert mel_filters(80)[band, frequency] == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize('mels', [80, 128])
@pytest.mark.parametrize(('samples', 'frames'), [
    (noise(5 * RATE), 700),
    (noise(1000), 100),
    (noise(12 * RATE), 1200),
    (noise(RATE, peak=3), 300),
    (tone(RATE), 300),
    (tone(RATE, hertz=7990.0, peak=1.0), 101),
    (np.full(RATE, -32768, np.int16), 150),
    (noise(199), 40),
    (noise(1), 2),
    (noise(160), 1),
], ids=['noise', 'noise of 62 ms', 'window full of noise', 'three steps of noise', 'tone',
        'tone at the top', 'full scale', 'less than half a frame', 'one sample', 'one frame'])
def test_features_are_those_of_the_definition(samples, frames, mels):
    features = log_mel(samples, frames, mels)
    assert features.shape == (1, mels, frames)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[0], reference(samples, frames, mels), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(0, 60 * HOP), spare=st.integers(0, 20),
       peak=st.sampled_from([1, 30, 32767]), seed=st.integers(0, 9))
def test_whatever_the_length_the_features_are_those_of_the_definition(length, spare, peak, seed):
    frames = max(1, -(-length // HOP) + spare)
    samples = noise(length, peak, seed)
    np.testing.assert_allclose(
        log_mel(samples, frames)[0], reference(samples, frames, 80), atol=1e-4)


@pytest.mark.parametrize('samples', [np.zeros(0, np.int16), np.zeros(RATE, np.int16)],
                         ids=['nothing', 'zeros'])
def test_silence_has_one_value_and_no_number_is_missing(samples):
    np.testing.assert_allclose(log_mel(samples, 200), SILENCE, atol=1e-6)


@pytest.mark.parametrize('length', [0, 1, HOP, RATE, 200 * HOP])
@pytest.mark.parametrize('frames', [200, 3000])
def test_a_widened_window_has_the_speech_and_zeros(length, frames):
    features = log_mel(noise(length), 200)
    wide, spoken = widen(features, length, frames), -(-length // HOP)
    assert wide.shape == (1, features.shape[1], frames)
    np.testing.assert_array_equal(wide[:, :, :spoken], features[:, :, :spoken])
    assert not wide[:, :, spoken:].any()


def test_nothing_is_further_than_eight_decades_below_the_loudest():
    features = log_mel(tone(RATE, peak=1.0), 300)
    assert features.min() == pytest.approx(features.max() - 2)


def test_the_samples_are_neither_changed_nor_kept():
    samples = noise(RATE)
    before = samples.copy()
    view = samples[:]
    view.flags.writeable = False
    features = log_mel(view, 300)
    np.testing.assert_array_equal(samples, before)
    assert not np.shares_memory(features, samples)
    kept = features.copy()
    samples[:] = 0
    np.testing.assert_array_equal(features, kept)


def test_every_second_sample_of_a_recording_may_be_given():
    pairs = noise(2 * RATE)
    np.testing.assert_array_equal(
        log_mel(pairs[::2], 300), log_mel(pairs[::2].copy(), 300))
