"""What other nodes may say, and how often they may ask."""

import ast
import dataclasses
import math
import re
from pathlib import Path

import pytest

from xlerobot_asr_opt.core.chunk_rules import fault
from xlerobot_asr_opt.core.message_rules import recognition_fault, ticket_fault, worker_fault
from xlerobot_asr_opt.core.service_limits import RATES, Rate, ServiceLimits
from xlerobot_asr_opt.records import (
    Chunk,
    Recognition,
    RecognitionStatus,
    Ticket,
    Word,
    WorkerStatus,
)

TICKET = Ticket(1, 'hall', 0, 0, 0, 16_000, bytes(32), 'en', budget_s=1.0)
WORKER = WorkerStatus('inference_0', 1, True, 2, 480_000, bytes(32))
ANSWER = Recognition(1, 1, 'inference_0', RecognitionStatus.DONE, 'go',
                     words=(Word('go', 0.1, 0.2),))


@pytest.mark.parametrize('changes', [
    {'stream': ''}, {'stream': 'a\nb'}, {'stream': '\ufffd'}, {'length': 0},
    {'length': 480_001}, {'budget_s': math.nan}, {'budget_s': -1.0}, {'budget_s': math.inf},
    {'ingest_latency_ms': math.nan}, {'ingest_latency_ms': -math.inf}, {'begin_ns': -1},
    {'begin_ns': 2**62}, {'language': '\0'}], ids=str)
def test_a_ticket_that_cannot_be_right(changes):
    assert not ticket_fault(TICKET)
    assert 'expected' in ticket_fault(dataclasses.replace(TICKET, **changes))


@pytest.mark.parametrize('changes', [
    {'worker': ''}, {'worker': '/a'}, {'worker': 'a b'}, {'worker': '1a'}, {'worker': 'a' * 64},
    {'capacity': 65_535}], ids=str)
def test_a_worker_that_cannot_be_right(changes):
    assert not worker_fault(WORKER)
    assert 'expected' in worker_fault(dataclasses.replace(WORKER, **changes))


@pytest.mark.parametrize('changes', [
    {'text': 'x' * 100_001}, {'text': '\ud800'}, {'confidence': 2.0}, {'confidence': math.inf},
    {'words': (Word('a', math.nan, 1.0),)}, {'words': (Word('a', 0.0, -1.0),)},
    {'words': (Word('', 0.0, 0.0),) * 10_001}, {'wait_ms': math.nan}, {'decode_ms': -1.0},
    {'worker_ms': 1e12}], ids=lambda changes: str(changes)[:30])
def test_an_answer_that_cannot_be_right(changes):
    assert not recognition_fault(ANSWER)
    assert 'expected' in recognition_fault(dataclasses.replace(ANSWER, **changes))


def test_a_stamp_that_no_message_carries_on_is_refused():
    import numpy as np

    chunk = Chunk('hall', 0, (2**31 - 1) * 10**9, 16_000, 1, np.ones(10, np.int16))
    assert '2037' in fault(chunk)


class TestServiceLimits:
    def test_a_burst_is_answered_then_the_rate(self):
        now = [0.0]
        limits = ServiceLimits(lambda: now[0], {'a': Rate(2.0, 3), 'b': Rate(1.0, 1)})
        assert [bool(limits.refusal('a')) for _ in range(5)] == [False] * 3 + [True] * 2
        assert limits.refusal('b') == ''
        now[0] += 0.5
        assert limits.refusal('a') == ''
        assert limits.refusal('a') == (
            'a is asked too often: 2 requests a second are answered, 3 at once; '
            'ask again in 0.5 s')

    def test_a_pause_gives_no_more_than_a_burst(self):
        now = [0.0]
        limits = ServiceLimits(lambda: now[0], {'a': Rate(100.0, 2)})
        now[0] += 1e6
        assert [bool(limits.refusal('a')) for _ in range(3)] == [False, False, True]

    def test_the_names_are_those_of_the_services(self):
        tree = ast.parse((Path(__file__).resolve().parents[2] / 'xlerobot_asr_opt' / 'ros'
                          / 'names.py').read_text('utf-8'))
        names = {node.value.value for node in tree.body
                 if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}
        assert set(RATES) <= names

    def test_the_page_tells_the_rates(self):
        page = (Path(__file__).resolve().parents[2] / 'docs' / 'security.md').read_text('utf-8')
        told = {name: Rate(float(per_s), int(burst)) for name, per_s, burst in re.findall(
            r'^\| `([~/\w]+)` \| (\d+) \| (\d+) \|', page, re.MULTILINE)}
        assert told == RATES
