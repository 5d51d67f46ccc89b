"""A few hostile inputs for everything that reads what others wrote; bench/fuzz.py has many."""

import email.message
from pathlib import Path

import pytest
from hostile_targets import TARGETS, run
from hypothesis import HealthCheck, Phase, given, settings

from xlerobot_asr_opt.models.http_answer import read_answer


@pytest.mark.parametrize('target', TARGETS.values(), ids=TARGETS)
def test_nothing_but_our_errors_leaves(target):
    @settings(max_examples=25, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(target.inputs)
    def hold(data):
        run(target, data)

    hold()


TAKEN = ('manifest', 'bundle', 'wheel', 'http', 'cache', 'store', 'audio', 'wire', 'chunks',
         'messages', 'value')


@pytest.mark.parametrize('name', TAKEN)
def test_what_is_good_is_taken(name):
    assert all(run(TARGETS[name], seed) for seed in TARGETS[name].seeds)


def test_a_part_of_thousands_of_digits_counts_as_not_said():
    message = email.message.Message()
    message['Content-Range'] = f'bytes 0-11/{"9" * 5000}'
    assert read_answer(206, message).total == -1


def test_the_bench_knows_every_target():
    bench = (Path(__file__).resolve().parents[2] / 'bench' / 'fuzz.py').read_text()
    names = bench.partition('TARGETS = (')[2].partition(')')[0]
    assert {name.strip(" '\n") for name in names.split(',')} == set(TARGETS)
