"""The map from a model's own confidence to what it is worth."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_vocabulary import build_small
from test_whisper import hear, noise

from xlerobot_asr_opt.backends.calibration import CURVES, UNCHANGED, Curve
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.parameters import InferenceParameters

confidences = st.floats(0.0, 1.0)
curves = st.builds(Curve, st.floats(0.05, 3.0), st.floats(-3.0, 3.0))


@given(curves, confidences, confidences)
def test_it_keeps_the_order_and_the_bounds(curve, one, other):
    low, high = sorted((one, other))
    assert 0.0 <= curve(low) <= curve(high) <= 1.0


@given(confidences)
def test_without_a_curve_nothing_changes(confidence):
    assert UNCHANGED(confidence) == confidence
    assert Curve(1.0 + 1e-12, 0.0)(confidence) == pytest.approx(confidence, abs=1e-5)


@given(curves)
def test_what_was_not_given_is_not_invented(curve):
    assert math.isnan(curve(math.nan))


def test_the_curves_that_were_measured_rise():
    assert CURVES
    assert all(curve.slope > 0 for curve in CURVES.values())


def test_a_model_that_was_measured_says_what_its_confidence_is_worth(tmp_path, monkeypatch):
    model = build_small(tmp_path)
    backend = WhisperBackend(InferenceParameters(model=str(model)))
    backend.load()
    own = hear(backend, noise()).confidence
    monkeypatch.setitem(CURVES, 'small', Curve(0.5, 1.0))
    assert hear(backend, noise()).confidence == pytest.approx(Curve(0.5, 1.0)(own)) != own
