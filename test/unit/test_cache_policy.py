"""Who stays in memory: the sketch of frequencies, the duel of two policies, the two levels."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from xlerobot_asr_opt.core.cache_admission import Admission
from xlerobot_asr_opt.core.cache_levels import L1, L2, MemoryLevels
from xlerobot_asr_opt.core.frequency_sketch import MOST, PERIOD, FrequencySketch

ENTRIES = (20, 180)
ROOM = sum(ENTRIES)


def key(number: int) -> bytes:
    return hashlib.blake2b(int(number).to_bytes(8, 'big'), digest_size=32).digest()


def zipf(lookups: int, keys: int, seed: int = 0) -> np.ndarray:
    weights = 1.0 / np.arange(1, keys + 1)
    return np.random.default_rng(seed).choice(keys, lookups, p=weights / weights.sum())


def levels(wins, entries=ENTRIES, ttl=(1e6, 1e6), clock=float, gone=None):
    return MemoryLevels(
        entries, ttl, clock, wins,
        lambda name, value: None if gone is None else gone.append((name, value)))


def hits(trace, wins, asked=lambda name: None) -> int:
    """Replays a trace as the cache does; returns how many lookups found something."""
    memory, found = levels(wins), 0
    for number in trace:
        name = key(number)
        asked(name)
        if memory.get(name) is not None:
            found += 1
        else:
            memory.put(name, '')
    return found


def by_recency(candidate, coldest):
    return True


class TestSketch:
    def test_counts_what_was_added(self):
        sketch = FrequencySketch(100)
        for number in range(5):
            for _ in range(number):
                sketch.add(key(number))
        assert [sketch.count(key(number)) for number in range(5)] == [0, 1, 2, 3, 4]

    def test_never_counts_too_little_before_it_forgets(self):
        sketch, trace = FrequencySketch(100), zipf(PERIOD * 100 - 1, 400)
        for number in trace:
            sketch.add(key(number))
        for number, times in zip(*np.unique(trace, return_counts=True), strict=True):
            assert sketch.count(key(number)) >= min(times, MOST)

    def test_counts_too_much_for_few(self):
        sketch, trace = FrequencySketch(100), zipf(PERIOD * 100 - 1, 400)
        for number in trace:
            sketch.add(key(number))
        wrong = sum(sketch.count(key(number)) != min(np.count_nonzero(trace == number), MOST)
                    for number in range(400))
        assert wrong < 20

    def test_forgets(self):
        sketch = FrequencySketch(10)
        for _ in range(8):
            sketch.add(key(0))
        for number in range(1, PERIOD * 10 - 7):
            sketch.add(key(number))
        assert sketch.count(key(0)) == 4

    def test_stops_at_its_most(self):
        sketch = FrequencySketch(100)
        for _ in range(2 * MOST):
            sketch.add(key(0))
        assert sketch.count(key(0)) == MOST


class TestLevels:
    def test_what_loses_leaves_memory(self):
        gone = []
        memory = levels(lambda candidate, coldest: False, (1, 1), gone=gone)
        for number in range(3):
            memory.put(key(number), str(number))
        assert gone == [(key(1), '1')]
        assert memory.get(key(0)) == ('0', L2)

    def test_what_wins_takes_the_place_of_the_coldest(self):
        gone = []
        memory = levels(by_recency, (1, 1), gone=gone)
        for number in range(3):
            memory.put(key(number), str(number))
        assert gone == [(key(0), '0')]
        assert memory.get(key(1)) == ('1', L2)
        assert memory.get(key(1)) == ('1', L1)

    def test_what_would_have_lost_is_the_next_to_leave(self):
        gone = []
        favourites = {key(0), key(1), key(3)}
        memory = levels(
            lambda candidate, coldest: candidate in favourites, (1, 3), gone=gone)
        for number in range(5):
            memory.put(key(number), '')
        assert gone == [(key(2), '')]

    def test_a_value_has_one_place(self):
        memory = levels(by_recency, (1, 2))
        for number in (0, 1, 0):
            memory.put(key(number), str(number))
        assert memory.entries == (1, 1)
        assert key(0) in memory

    def test_age_ends_in_neither_level(self):
        now, gone = [0.0], []
        memory = levels(
            by_recency, (2, 2), (10.0, 20.0), lambda: now[0], gone)
        memory.put(key(0), 'a')
        now[0] = 11.0
        memory.expire()
        assert memory.entries == (0, 1)
        now[0] = 32.0
        assert memory.get(key(0)) is None
        assert gone == [(key(0), 'a')]


class TestAdmission:
    def compare(self, trace):
        admission = Admission(ENTRIES)
        return hits(trace, admission.wins, admission.asked), hits(trace, by_recency), admission

    def test_a_loop_that_is_longer_than_memory_is_found_in_part(self):
        loop = np.arange(20 * ROOM) % (ROOM + 40)
        ours, recency, admission = self.compare(loop)
        assert recency == 0
        assert ours > 0.6 * len(loop)
        assert admission.policy == 'frequency'

    def test_a_scan_does_not_wash_favourites_out(self):
        rounds = [np.concatenate([zipf(400, 300, seed), np.arange(400) + 10_000 * (seed + 1)])
                  for seed in range(12)]
        ours, recency, _ = self.compare(np.concatenate(rounds))
        assert ours > 1.15 * recency

    def test_favourites_that_change_are_followed(self):
        phases = np.concatenate([zipf(1200, 500, seed) + 1000 * seed for seed in range(8)])
        ours, recency, admission = self.compare(phases)
        assert ours > 0.97 * recency
        assert admission.policy == 'recency'

    @pytest.mark.parametrize('entries', [(1, 1), (1, 1000), (1000, 1)])
    def test_any_size_goes(self, entries):
        admission = Admission(entries)
        memory = levels(admission.wins, entries)
        for number in zipf(3000, 4 * sum(entries)):
            admission.asked(key(number))
            if memory.get(key(number)) is None:
                memory.put(key(number), '')
        assert memory.entries <= entries

    def test_what_was_asked_for_in_an_earlier_life_wins(self):
        admission = Admission(ENTRIES)
        admission.remember(key(1), 5)
        admission.asked(key(2))
        assert admission.wins(key(1), key(2))
        assert not admission.wins(key(2), key(1))
