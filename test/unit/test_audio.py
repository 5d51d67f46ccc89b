"""Levels, channels and rates: tones in, tones out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.audio import (
    Resampler,
    count_clipped,
    down_mix,
    is_silent,
    level_dbfs,
    peaks,
)

PEAK = 16_000
EDGE = 800
"""Output samples at either end where the filter has not settled: 50 ms."""


def tone(hertz, seconds=0.5, rate=16_000, channels=1, peak=PEAK):
    """Make int16[frames * channels]: the same sine in every channel."""
    time = np.arange(round(seconds * rate)) / rate
    sine = np.rint(peak * np.sin(2 * np.pi * hertz * time)).astype(np.int16)
    return np.repeat(sine, channels)


def resampled(samples, rate, channels=1, sizes=()):
    """Run samples through, in pieces of these sizes and the rest in one."""
    resampler = Resampler(rate, channels)
    pieces = np.split(samples, np.cumsum(sizes)) if len(sizes) else [samples]
    return np.concatenate([*(resampler.push(piece) for piece in pieces), resampler.flush()])


# Channels


def test_channels_are_averaged():
    samples = np.array([100, 300, -5, 6, 32767, 32767], np.int16)
    np.testing.assert_array_equal(down_mix(samples, 2), [200, 0.5, 32767])


def test_six_channels_at_full_scale_do_not_overflow():
    assert down_mix(np.full(12, -32768, np.int16), 6).tolist() == [-32768, -32768]


def test_one_channel_is_left_as_it_is():
    samples = np.array([1, -2, 3], np.int16)
    np.testing.assert_array_equal(down_mix(samples, 1), samples)


def test_what_speaks_on_one_channel_only_is_heard():
    samples = np.zeros(2 * 8000, np.int16)
    samples[::2] = tone(440)
    assert level_dbfs(resampled(samples, 16_000, 2)) == pytest.approx(
        level_dbfs(tone(440)) - 6.02, abs=0.1)


# Levels


@pytest.mark.parametrize(('samples', 'level'), [
    ([-32768] * 4, 0.0),
    ([16384, -16384], -6.02),
    ([1, -1], -90.31),
    ([0, 0], -math.inf),
    ([], -math.inf),
], ids=['full', 'half', 'one-step', 'silence', 'nothing'])
def test_level(samples, level):
    assert level_dbfs(np.array(samples, np.int16)) == pytest.approx(level, abs=0.01)


def test_a_sine_is_3_db_below_its_peak():
    assert level_dbfs(tone(1000, peak=32767)) == pytest.approx(-3.01, abs=0.01)


def test_clipped_samples_are_those_at_either_end():
    assert count_clipped(np.array([32767, -32768, 32766, -32767, 0], np.int16)) == 2


@pytest.mark.parametrize(('samples', 'silent'), [
    ([0, 1, -1, 0], True), ([], True), ([0, 2], False), ([0, -2], False), ([-32768], False),
], ids=['dither', 'nothing', 'above', 'below', 'lowest'])
def test_digital_silence_has_one_step_of_dither_at_most(samples, silent):
    assert bool(is_silent(peaks(np.array(samples, np.int16)))) is silent


# Rates


def test_16_khz_mono_passes_untouched():
    samples = tone(440)
    assert Resampler(16_000, 1).push(samples) is samples
    assert not Resampler(16_000, 1).flush().size


@pytest.mark.parametrize('channels', [1, 2, 6])
@pytest.mark.parametrize('rate', [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_a_tone_keeps_its_pitch_its_level_and_its_place(rate, channels):
    got = resampled(tone(440, rate=rate, channels=channels), rate, channels)
    expected = tone(440)
    assert abs(got.size - expected.size) <= 1
    inside = slice(EDGE, expected.size - EDGE)
    assert np.abs(got[inside].astype(int) - expected[inside]).max() <= PEAK // 500


@pytest.mark.parametrize('hertz', [8_500, 12_000, 20_000])
def test_what_16_khz_cannot_carry_is_removed_and_not_folded_down(hertz):
    got = resampled(tone(hertz, rate=48_000), 48_000)
    assert level_dbfs(got[EDGE:-EDGE]) < -80.0


def test_overshoot_is_limited_and_does_not_wrap_around():
    square = np.where(tone(200, rate=48_000) >= 0, 32767, -32768).astype(np.int16)
    got = resampled(square, 48_000).astype(int)
    assert (got.min(), got.max()) == (-32768, 32767)
    assert np.abs(got - square[::3]).max() < 40_000


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([(8_000, 1), (44_100, 2), (96_000, 6), (16_000, 2)]),
       st.lists(st.integers(0, 2000), max_size=30))
def test_any_cutting_into_chunks_gives_the_same_samples(form, frames):
    rate, channels = form
    noise = np.random.default_rng(1).integers(-9000, 9000, rate // 4 * channels, dtype=np.int16)
    sizes = [count * channels for count in frames]
    np.testing.assert_array_equal(
        resampled(noise, rate, channels, sizes), resampled(noise, rate, channels))


@pytest.mark.parametrize(('rate', 'held_ms'), [(48_000, 45), (8_000, 120)])
def test_the_filter_holds_little_back_until_the_end(rate, held_ms):
    resampler = Resampler(rate, 1)
    ready = resampler.push(tone(440, rate=rate))
    assert (8000 - ready.size) / 16 <= held_ms
    assert ready.size + resampler.flush().size == 8000
