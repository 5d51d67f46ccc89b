"""Chunks that can be heard, and what is said of those that cannot."""

from __future__ import annotations

import numpy as np
import pytest

from xlerobot_asr_opt.core.chunk_rules import fault
from xlerobot_asr_opt.records import Chunk


def make(rate=16_000, channels=1, size=1600, stamp_ns=0):
    return Chunk('a', 0, stamp_ns, rate, channels, np.zeros(size, np.int16))


@pytest.mark.parametrize('chunk', [
    make(), make(rate=4_000), make(rate=192_000), make(channels=32), make(channels=6, size=1596),
    make(size=1), make(stamp_ns=2_100_000_000 * 10**9),
], ids=['usual', 'slowest', 'fastest', 'most-channels', 'six', 'one-frame', 'far-future'])
def test_nothing_is_wrong_with_it(chunk):
    assert fault(chunk) == ''


@pytest.mark.parametrize(('chunk', 'said'), [
    (make(rate=0), 'got a rate of 0 Hz, expected 4000 to 192000'),
    (make(rate=3_999), 'got a rate of 3999 Hz'),
    (make(rate=192_001), 'got a rate of 192001 Hz'),
    (make(channels=0), 'got 0 channels, expected 1 to 32'),
    (make(channels=33, size=1584), 'got 33 channels'),
    (make(size=0), 'got no samples, expected at least one frame'),
    (make(channels=6), 'got 1600 samples of 6 channels, expected whole frames'),
    (make(stamp_ns=-1), 'got a stamp of -1 ns, expected 0 or later'),
    (make(stamp_ns=2**62), f'got a stamp of {2**62} ns, expected one before the year 2037'),
], ids=['no-rate', 'slow', 'fast', 'no-channels', 'channels', 'empty', 'half-frame', 'stamp',
        'far-stamp'])
def test_what_is_wrong_is_told_with_what_was_expected(chunk, said):
    assert fault(chunk).startswith(said)
