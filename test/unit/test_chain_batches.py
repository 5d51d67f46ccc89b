"""Several segments at once through a chain: none suffers from the one beside it."""

from __future__ import annotations

import numpy as np
import pytest
from test_chain import Device, Setting

from xlerobot_asr_opt.backends.base import recognise_each
from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.errors import BackendError, NotANumberError


class Batcher(Device):
    """A device that takes batches, and fails on the segments with this sum."""

    def __init__(self, name, *, fails_on=None, **given):
        super().__init__(name, **given)
        self.batches = []
        self.fails_on = fails_on
        self.do_all = lambda told: told

    def recognise(self, prepared):
        if prepared.features[0] == self.fails_on:
            raise NotANumberError('NaN')
        return super().recognise(prepared)

    def recognise_batch(self, batch):
        self.batches.append(len(batch))
        return self.do_all(recognise_each(self, batch))


def heard(setting, *sums):
    """Recognise one segment for each sum at once; the texts, or the errors as texts."""
    batch = [setting.chain.prepare(np.array([value], np.int16), '') for value in sums]
    return [str(told) if isinstance(told, BackendError) else told.text
            for told in setting.chain.recognise_batch(batch)]


def test_the_first_backend_gets_all_at_once():
    setting = Setting(Batcher('a'), Device('b'))
    assert heard(setting, 1, 2, 3) == ['a 1', 'a 2', 'a 3']
    assert setting.devices[0].batches == [3]


def test_whose_text_it_is_is_told():
    setting = Setting(Batcher('a'))
    prepared = setting.chain.prepare(np.array([1, 2], np.int16), '')
    for told in setting.chain.recognise_batch([prepared, prepared]):
        assert told.recogniser == setting.devices[0].digest


def test_a_backend_without_batches_gets_one_after_the_other():
    setting = Setting(Device('a'))
    assert heard(setting, 1, 2) == ['a 1', 'a 2']
    assert setting.devices[0].calls == 2


def test_what_fails_in_a_batch_is_recognised_by_the_next_backend():
    setting = Setting(Batcher('a', fails_on=2), Device('b'))
    assert heard(setting, 1, 2, 3) == ['a 1', 'b 2', 'a 3']


def test_what_nobody_recognises_is_an_error_of_that_segment_alone():
    setting = Setting(Batcher('a', fails_on=2))
    assert heard(setting, 1, 2, 3) == ['a 1', 'NaN', 'a 3']


@pytest.mark.parametrize('error', [BackendError('gone'), ZeroDivisionError('a bug')])
def test_a_batch_that_fails_as_a_whole_is_recognised_one_by_one(error):
    def fail(_told):
        raise error

    setting = Setting(Batcher('a'), Device('b'))
    setting.devices[0].do_all = fail
    assert [text[-1] for text in heard(setting, 1, 2)] == ['1', '2']
    assert sum(setting.chain.statistics()[0].breaker.faults.values()) == 1


def test_a_backend_that_is_switched_off_gets_no_batch():
    setting = Setting(Batcher('a'), Batcher('b'))
    setting.chain.force('a', State.OPEN)
    assert heard(setting, 1, 2) == ['b 1', 'b 2']
    assert (setting.devices[0].batches, setting.devices[1].batches) == ([], [2])


def test_a_batch_whose_segments_begin_elsewhere_is_recognised_one_by_one():
    setting = Setting(Batcher('short', longest=1), Batcher('long'))
    batch = [setting.chain.prepare(np.ones(length, np.int16), '') for length in (1, 2)]
    assert [told.text for told in setting.chain.recognise_batch(batch)] == ['short 1', 'long 2']
    assert setting.devices[0].batches == []
