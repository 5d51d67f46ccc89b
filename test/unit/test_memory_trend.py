"""What a window of memory samples says, and what it does not let itself be told."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.memory_trend import MemoryTrend, Verdict, theil_sen
from xlerobot_asr_opt.errors import MeasurementError

ROOT = Path(__file__).resolve().parents[2]
TIMES = np.arange(0.0, 300.0, 3.0)
MB = 1e6
LEAK = 10 * MB / 60


def trend_of(sizes, times=TIMES, **options):
    window = MemoryTrend(300.0, **options)
    for each in zip(times, sizes, strict=True):
        window.add(*each)
    return window.trend()


def noisy(seed, deviation=MB):
    return 300 * MB + np.random.default_rng(seed).normal(0.0, deviation, TIMES.size)


def test_a_leak_is_told_with_its_forecast_and_the_time_to_a_limit():
    trend = trend_of(noisy(1) + LEAK * TIMES)
    assert trend.verdict is Verdict.GROWING
    assert trend.low < trend.slope < trend.high
    assert trend.slope == pytest.approx(LEAK, rel=0.05)
    assert trend.level == pytest.approx(300 * MB + LEAK * TIMES[-1], rel=0.01)
    forecast = trend.forecast(1800.0)
    assert forecast.low < forecast.expected < forecast.high
    assert forecast.expected == pytest.approx(trend.level + 1800 * trend.slope)
    assert trend.time_to(trend.level + 100 * MB) == pytest.approx(100 * MB / trend.slope)
    assert trend.time_to(100 * MB) == 0.0


def test_no_trend_is_an_answer():
    trend = trend_of(noisy(2))
    assert trend.verdict is Verdict.NO_TREND
    assert trend.low <= 0.0 <= trend.high
    assert trend.time_to(400 * MB) is None
    assert trend.forecast(1800.0).expected == trend.level


def test_memory_that_does_not_change_has_no_trend():
    trend = trend_of(np.full(TIMES.size, 300 * MB))
    assert (trend.verdict, trend.slope, trend.low, trend.high) == (Verdict.NO_TREND, 0, 0, 0)


def test_what_shrinks_is_not_foretold_below_nothing():
    trend = trend_of(noisy(3) - LEAK * TIMES)
    assert trend.verdict is Verdict.SHRINKING
    assert trend.time_to(400 * MB) is None
    assert trend.forecast(1e6).expected == 0.0


@pytest.mark.parametrize('at', [16, 50, 84])
@pytest.mark.parametrize('size', [-50 * MB, 50 * MB])
def test_a_step_is_no_slope_and_hides_none(at, size):
    step = size * (np.arange(TIMES.size) >= at)
    assert trend_of(noisy(4) + step).verdict is Verdict.NO_TREND
    leaking = trend_of(noisy(4) + step + LEAK * TIMES)
    assert leaking.slope == pytest.approx(LEAK, rel=0.2)
    assert leaking.steps == 1
    assert leaking.level == pytest.approx(300 * MB + size + LEAK * TIMES[-1], rel=0.02)


def test_too_short_a_window_says_nothing():
    for sizes, times in [([], []), (noisy(5)[:11], TIMES[:11] * 20), (noisy(5)[:49], TIMES[:49])]:
        window = MemoryTrend(300.0)
        for each in zip(times, sizes, strict=True):
            window.add(*each)
        trend = window.trend()
        assert trend.verdict is Verdict.TOO_SHORT
        assert all(map(math.isnan, (trend.slope, trend.level, trend.forecast(60.0).expected)))
        assert trend.time_to(400 * MB) is None


def test_old_samples_leave_and_frequent_ones_are_thinned():
    window = MemoryTrend(100.0, most=50)
    for second in np.arange(0.0, 1000.0, 0.1):
        window.add(second, second if second > 850 else 1000.0)
    trend = window.trend()
    assert trend.span <= 100.0
    assert trend.slope == pytest.approx(1.0)
    assert len(window._samples) <= 51


def test_rare_samples_make_the_window_longer_and_not_blind():
    window = MemoryTrend(10.0)
    for second in range(0, 100, 2):
        window.add(second, 1e8 + second * MB)
    trend = window.trend()
    assert (trend.verdict, trend.span) == (Verdict.GROWING, 22.0)
    assert trend.slope == pytest.approx(MB)


def test_a_wider_confidence_gives_a_wider_interval():
    narrow, wide = (trend_of(noisy(6), confidence=each) for each in (0.8, 0.999))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_samples_that_remember_say_less():
    rng = np.random.default_rng(7)
    alike = np.repeat(rng.normal(0.0, MB, TIMES.size // 5), 5)
    apart = rng.permutation(alike)
    assert np.ptp(interval(alike)) > 1.5 * np.ptp(interval(apart))


def interval(sizes):
    return theil_sen(TIMES, 300 * MB + sizes, 2.6)[1:3]


@pytest.mark.parametrize(('time_s', 'size'), [
    (math.nan, 1.0), (math.inf, 1.0), (6.0, math.nan), (6.0, math.inf), (6.0, -1.0),
    (5.0, 1.0), (4.0, 1.0)])
def test_what_cannot_have_been_measured_is_refused(time_s, size):
    window = MemoryTrend(300.0)
    window.add(5.0, 1.0)
    with pytest.raises(MeasurementError, match=r'expected (a later time|finite numbers)'):
        window.add(time_s, size)
    window.add(8.0, 1.0)


series = st.lists(st.integers(0, 2**40), min_size=12, max_size=40)


@settings(max_examples=60, deadline=None)
@given(series, st.floats(-1e12, 1e12), st.floats(0.01, 1000.0))
def test_the_slope_does_not_depend_on_origin_and_unit(sizes, shift, scale):
    values = np.array(sizes, float)
    times = 3.0 * np.arange(values.size)
    slope, low, high, _, steps = theil_sen(times, values, 2.6)
    assert low <= slope <= high
    moved = theil_sen(times + 1e4, scale * values + shift, 2.6)
    tolerance = 1e-6 * scale * (np.ptp(values) + 1.0) + 1e-3
    # The interval hangs on the ranks of what is left beside the slope, and these on its last bit.
    if moved[4] == steps:
        assert np.allclose(moved[0], scale * slope, atol=tolerance)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=11, max_size=39))
def test_what_only_rises_has_a_positive_slope(rises):
    values = np.cumsum([0, *rises]).astype(float)
    times = 3.0 * np.arange(values.size)
    assert theil_sen(times, values, 2.6)[0] > 0
    assert theil_sen(times, values[::-1], 2.6)[0] < 0


def test_the_bench_holds_in_short(tmp_path):
    path = tmp_path / 'figures.json'
    subprocess.run(
        [sys.executable, ROOT / 'bench' / 'memory_trend.py', '--hours', '0.5', '--runs', '5',
         '--json', path], check=True, capture_output=True)
    figures = {one['name']: one for one in json.loads(path.read_text())['figures']}
    judged = [one for one in figures.values() if 'goal' in one]
    assert len(judged) == 11
    assert all(one['held'] for one in judged)
    # The rules that it replaces fail at what it is for.
    assert figures['clean, two samples: worst error']['value'] > 0.2
    assert figures['steps, least squares: worst error']['value'] > 0.2
