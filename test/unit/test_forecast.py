"""When a job that waits can begin, and what is said to who is refused for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.forecast import Forecast, earliest_begin

SECONDS = st.floats(0.0, 100.0)


@pytest.mark.parametrize(('busy', 'queued', 'begin'), [
    ([0.0], 0.0, 0.0),
    ([2.0], 3.0, 5.0),
    ([5.0, 0.0], 0.0, 0.0),
    ([5.0, 0.0], 3.0, 3.0),
    ([5.0, 1.0], 6.0, 6.0),
    ([3.0, 1.0, 2.0], 6.0, 4.0),
])
def test_who_is_free_first_takes_first(busy, queued, begin):
    assert earliest_begin(busy, queued) == pytest.approx(begin)


@given(st.lists(SECONDS, min_size=1, max_size=8), SECONDS)
def test_what_is_served_before_fits_exactly_below_the_begin(busy, queued):
    begin = earliest_begin(busy, queued)
    assert begin >= min(busy)
    assert sum(max(0.0, begin - level) for level in busy) == pytest.approx(queued, abs=1e-6)


def test_a_refusal_names_its_numbers():
    told = Forecast(queue_s=1.5, service_s=0.25, workers=2).refusal(left_s=0.9, budget_s=1.0)
    assert told.startswith('needs about 1750 ms: 1500 ms queued before it on 2 workers, 900 ms '
                           'are left of its budget of 1000 ms')
