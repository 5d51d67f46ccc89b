"""The features of CTC models, against their specification written out in float64."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.backends.kaldi_fbank import KaldiFbank, normalise_bands, stack
from xlerobot_asr_opt.models.ctc_files import Cmvn, Frontend

BINS, STACK, SHIFT, WIDTH = 80, 7, 6, 560
RANDOM = np.random.default_rng(0)
CMVN = Cmvn(RANDOM.normal(-10, 1, WIDTH).astype(np.float32),
            RANDOM.uniform(0.15, 0.35, WIDTH).astype(np.float32))
SENSE_VOICE = Frontend(
    scale=32768.0, window='hamming', low=20.0, high=0.0, snip_edges=True, remove_dc_offset=True,
    librosa=False, bins=BINS, stack=STACK, shift=SHIFT, cmvn=CMVN)
POVEY = Frontend(scale=1.0, window='povey', low=20.0, high=-400.0, snip_edges=False,
                 remove_dc_offset=True, librosa=False)


def mel(frequency):
    return 1127.0 * math.log(1.0 + frequency / 700.0)


def bands_of(samples, *, window, high, scale, snip_edges):
    """Kaldi's filter bank by its definition, one frame after the other, in float64."""
    wave = samples.astype(np.float64) * scale / 32768.0
    count = max(0, 1 + (len(wave) - 400) // 160) if snip_edges else (len(wave) + 80) // 160
    edges = np.linspace(mel(20.0), mel(high), BINS + 2)
    bins = np.array([mel(index * 16000 / 512) for index in range(257)])
    filters = np.zeros((BINS, 257))
    for band in range(BINS):
        low, centre, top = edges[band:band + 3]
        filters[band] = np.maximum(0.0, np.minimum(
            (bins - low) / (centre - low), (top - bins) / (top - centre)))
    filters[:, 256] = 0.0
    rows = []
    for frame in range(count):
        begin = frame * 160 - (0 if snip_edges else 120)
        places = np.arange(begin, begin + 400)
        # Without snip_edges the signal is mirrored at its ends.
        while ((places < 0) | (places >= len(wave))).any():
            places = np.where(places < 0, -places - 1, places)
            places = np.where(places >= len(wave), 2 * len(wave) - 1 - places, places)
        piece = wave[places]
        piece = piece - piece.mean()
        piece = piece - 0.97 * np.concatenate([piece[:1], piece[:-1]])
        power = np.abs(np.fft.rfft(piece * window, 512)) ** 2
        rows.append(np.log(np.maximum(filters @ power, np.finfo(np.float32).eps)))
    return np.array(rows).reshape(count, BINS)


def stacked(frames):
    """LFR by its definition: three copies of the first on the left, the last repeated."""
    if not len(frames):
        return np.zeros((0, WIDTH))
    padded = [frames[0]] * 3 + list(frames)
    rows = []
    for index in range(math.ceil(len(frames) / SHIFT)):
        row = padded[index * SHIFT:index * SHIFT + STACK]
        row += [frames[-1]] * (STACK - len(row))
        rows.append(np.concatenate(row))
    return np.array(rows)


HAMMING = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)


def sense_voice(samples):
    frames = stacked(bands_of(
        samples, window=HAMMING, high=8000.0, scale=32768.0, snip_edges=True))
    return (frames + CMVN.neg_mean.astype(np.float64)) * CMVN.inv_stddev.astype(np.float64)


def speech_like(length, seed=0):
    """A voice in noise, at a level from a whisper to clipping."""
    random = np.random.default_rng(seed)
    time = np.arange(length) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * harmonic * time + harmonic) / harmonic
                for harmonic in range(1, 30))
    level = (3.0, 30.0, 300.0, 3000.0, 20000.0)[seed % 5]
    # Less noise, and bands so far below the loudest lose their last digits to float32.
    noise = random.normal(0, 0.15, length)
    return np.clip(level * (0.3 * voice + noise), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize('seed', range(5))
def test_features_are_those_of_the_specification(seed):
    samples = speech_like(5 * 16000 + 37 * seed, seed)
    found = KaldiFbank(SENSE_VOICE)(samples)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sense_voice(samples), rtol=0, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(0, 32000), seed=st.integers(0, 10))
def test_every_length_up_to_two_seconds(length, seed):
    samples = speech_like(length, seed)
    found = KaldiFbank(SENSE_VOICE)(samples)
    wanted = sense_voice(samples)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(('length', 'frames'), [
    (0, 0), (1, 0), (399, 0), (400, 1), (400 + 5 * 160, 1), (400 + 6 * 160 - 1, 1),
    (400 + 6 * 160, 2), (16000, 17)])
def test_how_many_frames_a_length_gives(length, frames):
    assert KaldiFbank(SENSE_VOICE)(speech_like(length)).shape == (frames, WIDTH)


@pytest.mark.parametrize('length', [0, 79, 80, 159, 200, 400, 5000, 16001])
def test_mirrored_edges_and_a_lower_top(length):
    samples = speech_like(length)
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    wanted = bands_of(samples, window=povey, high=7600.0, scale=1.0, snip_edges=False)
    found = KaldiFbank(POVEY)(samples)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize('value', [0, 1, -32768, 32767])
def test_a_constant_is_as_quiet_as_silence(value):
    frames = KaldiFbank(SENSE_VOICE)(np.full(1600, value, np.int16))
    silence = KaldiFbank(SENSE_VOICE)(np.zeros(1600, np.int16))
    assert np.isfinite(frames).all()
    np.testing.assert_allclose(frames, silence, rtol=0, atol=1e-4)


def test_equal_samples_give_equal_features_whatever_came_before():
    fbank, samples = KaldiFbank(SENSE_VOICE), speech_like(20000)
    first = fbank(samples)
    fbank(speech_like(9000, seed=1))
    np.testing.assert_array_equal(fbank(samples), first)


@pytest.mark.parametrize('count', [*range(15), 100])
def test_stacking_is_that_of_the_specification(count):
    frames = np.arange(count * BINS, dtype=np.float32).reshape(count, BINS)
    np.testing.assert_array_equal(stack(frames, STACK, SHIFT), stacked(frames))


def test_normalised_bands_have_no_mean_and_unit_deviation():
    frames = KaldiFbank(POVEY)(speech_like(16000, seed=4))
    found = normalise_bands(frames)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-3)


def test_a_band_that_never_changes_stays_finite():
    assert (normalise_bands(np.full((5, BINS), -15.94, np.float32)) < 1).all()
