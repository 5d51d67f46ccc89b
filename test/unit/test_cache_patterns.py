"""What is known of the lookups: heat, distances, sizes, and what is recommended."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict

import numpy as np
import pytest
from test_cache_policy import key, zipf

from xlerobot_asr_opt.core import cache_reuse
from xlerobot_asr_opt.core.cache_heat import LARGEST_FILE, PERIOD, HeatFile, HeatList
from xlerobot_asr_opt.core.cache_patterns import AccessPatterns
from xlerobot_asr_opt.core.cache_reuse import ReuseSample
from xlerobot_asr_opt.parameters import CacheParameters


def lru_hit_rate(trace, entries):
    values, found = OrderedDict(), 0
    for number in trace:
        found += number in values
        values[number] = None
        values.move_to_end(number)
        if len(values) > entries:
            values.popitem(last=False)
    return found / len(trace)


def after(thing, trace):
    for number in trace:
        thing.asked(key(number))
    return thing


class TestHeat:
    def test_is_counted(self):
        heat = after(HeatList(10), [1, 2, 1, 3, 1, 2])
        assert heat.hottest() == [(key(1), 3), (key(2), 2), (key(3), 1)]

    def test_of_equals_the_later_one_comes_first(self):
        assert [name for name, _ in after(HeatList(10), [1, 2, 3]).hottest()] == [
            key(3), key(2), key(1)]

    def test_once_heard_speech_does_not_wash_it_out(self):
        trace = []
        for number in range(3000):
            trace += [10_000 + number] + ([number % 7] if number % 3 == 0 else [])
        hottest = after(HeatList(20), trace).hottest()
        assert len(hottest) <= 20
        assert {name for name, _ in hottest[:7]} == {key(number) for number in range(7)}

    def test_former_times_are_forgotten(self):
        heat = after(HeatList(10), [1] * 50 + [2] * (PERIOD * 10 - 50))
        assert heat.hottest() == [(key(2), 25), (key(1), 25)]

    def test_outlives_the_process(self, tmp_path):
        heat = after(HeatList(10), [1, 2, 1, 3, 1, 2])
        HeatFile(tmp_path / 'heat.json').write(heat.hottest())
        again = HeatList(10)
        again.load(HeatFile(tmp_path / 'heat.json').read())
        assert again.hottest() == heat.hottest()
        assert (tmp_path / 'heat.json').stat().st_mode & 0o777 == 0o600

    def test_no_file_is_no_heat(self, tmp_path, caplog):
        assert HeatFile(tmp_path / 'heat.json').read() == []
        assert not caplog.records

    @pytest.mark.parametrize('text', [
        '', '[]', '{}', '{"heat": 3}', '{"heat": [["zz", 1]]}', '{"heat": [["00", 1]]}',
        json.dumps({'heat': [['00' * 32, -1]]}), json.dumps({'heat': [['00' * 32, 1.5]]}),
        json.dumps({'heat': [['00' * 32]]}), json.dumps({'heat': [[3, 1]]}), '\xff', '[' * 100_000,
        ' ' * (LARGEST_FILE + 1)],
        ids=lambda text: text[:12] or 'empty')
    def test_a_file_that_says_something_else_is_told_and_left_out(self, tmp_path, text, caplog):
        path = tmp_path / 'heat.json'
        path.write_text(text, 'latin-1')
        assert HeatFile(path).read() == []
        assert f'got {path}, expected keys and counts as JSON' in caplog.text


class TestReuse:
    def test_small_distances_are_exact(self):
        sample = after(ReuseSample(), [1, 2, 3, 1, 1])
        assert sample.distance(0.5) == 1.0
        assert sample.distance(1.0) == 3.0
        assert [sample.hit_rate(size) for size in (1, 2, 3)] == [0.2, 0.2, 0.4]

    @pytest.mark.parametrize('size', [10, 100, 500, 1000])
    @pytest.mark.parametrize('keys', [1000, 10_000], ids=['all', 'sampled'])
    def test_the_hit_rate_of_any_size_is_that_of_an_lru(self, size, keys):
        trace = zipf(30_000, keys)
        estimate = after(ReuseSample(), trace).hit_rate(size)
        assert estimate == pytest.approx(lru_hit_rate(trace, size), abs=0.03)

    def test_counts_of_keys(self):
        trace = zipf(30_000, 10_000)
        sample = after(ReuseSample(), trace)
        times = Counter(trace.tolist())
        once = sum(count == 1 for count in times.values()) / len(times)
        assert sample.distinct_keys == pytest.approx(len(times), rel=0.05)
        assert sample.one_hit_share == pytest.approx(once, abs=0.05)
        assert sample.repeated_share == pytest.approx(1 - len(times) / len(trace), abs=0.02)

    def test_memory_is_bounded(self, monkeypatch):
        monkeypatch.setattr(cache_reuse, 'KEYS', 50)
        sample = after(ReuseSample(), range(5000))
        assert len(sample._seen) == len(sample._times) == len(sample._largest) == 50
        assert sample.distinct_keys == pytest.approx(5000, rel=0.4)

    def test_nothing_is_known_of_nothing(self):
        sample = ReuseSample()
        assert sample.distinct_keys == 0
        assert all(map(math.isnan, (
            sample.one_hit_share, sample.repeated_share, sample.hit_rate(10),
            sample.distance(0.5))))


def analysis(trace, **parameters):
    return after(AccessPatterns(CacheParameters(**parameters)), trace).analyse()


def recommended(trace, **parameters):
    return {one['parameter']: one['value']
            for one in analysis(trace, **parameters)['recommendations']}


class TestAnalysis:
    def test_says_what_was_asked_for(self):
        found = analysis([1, 2, 1, 3])
        assert (found['lookups'], found['distinct_keys']) == (4, 3)
        assert found['one_hit_share'] == pytest.approx(2 / 3)
        assert found['repeated_share'] == 0.25
        assert found['reuse_distance'] == {'p50': 2.0, 'p90': 2.0}
        assert found['hottest'][0] == (key(1).hex(), 2)
        assert found['hit_rate_by_entries'][10] == 0.25
        assert found['recommendations'] == []

    @pytest.mark.parametrize('trace', [[], [1], zipf(500, 50)], ids=['nothing', 'one', 'many'])
    def test_is_plain_json(self, trace):
        json.dumps(analysis(trace), allow_nan=False)

    def test_live_speech_needs_no_cache(self):
        assert recommended(range(1000)) == {'scheduler.use_cache': False}

    def test_a_loop_longer_than_memory_wants_more_memory(self):
        assert recommended(np.arange(5000) % 150, l1_entries=10, l2_entries=90) == {
            'cache.l2_entries': 190}

    def test_a_loop_longer_than_the_disk_wants_more_disk(self):
        found = recommended(
            np.arange(5000) % 450, l1_entries=10, l2_entries=90, l3_entries=300)
        assert found == {'cache.l3_entries': 600, 'cache.l2_entries': 790}

    def test_a_few_announcements_need_little_memory(self):
        found = recommended(np.arange(1000) % 20, l1_entries=10, l2_entries=990)
        assert found == {'cache.l2_entries': 21}

    def test_what_fits_stays(self):
        assert recommended(np.arange(1000) % 90, l1_entries=10, l2_entries=90) == {}
