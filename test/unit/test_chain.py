"""A chain of backends: who answers, what is said of it, and that nothing is lost or doubled."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.backends.base import Candidate, Prepared, Result, check_samples
from xlerobot_asr_opt.backends.chain import BackendChain, Policy
from xlerobot_asr_opt.core.breaker import Fault, Health, HealthLimits, Rules, State
from xlerobot_asr_opt.errors import (
    BackendError,
    ConfigurationError,
    MemoryBudgetError,
    ModelError,
    NotANumberError,
    ShapeError,
)
from xlerobot_asr_opt.records import RecognitionStatus

PATIENCE_S = 20.0
LIMIT_S = 0.25
"""Time that a backend has which hangs; one that does not hang needs far less."""
RULES = Rules(backoff_s=1.0, longest_backoff_s=8.0, probes=2)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Device:
    """A backend that says its name and the sum of the samples, and fails as it is told.

    Attributes:
        do: called in recognise, with the result so far; returns the result or raises.
        loads: called in load.
        hears: languages that it knows; empty: all.
        calls: of recognise, and how many of them ran at the same time at most.
    """

    def __init__(self, name, longest=16_000, hears=()):
        self.name = name
        self.digest = name.encode().ljust(32)
        self.longest = longest
        self.hears = hears
        self.do = lambda result: result
        self.loads = lambda: None
        self.calls = self.loaded = self.closed = 0
        self.threads = []
        self.temperature = 40.0
        self._inside = 0

    def load(self):
        self.loads()
        self.loaded += 1

    def warm_up(self):
        self.recognise(self.prepare(np.zeros(10, np.int16), ''))

    def close(self):
        self.closed += 1

    def health(self):
        return Health(temperature_c=self.temperature)

    def prepare(self, samples, language):
        check_samples(samples, self.longest)
        if self.hears and language not in self.hears:
            raise BackendError(f'got {language!r}; {self.name} knows {", ".join(self.hears)}')
        return Prepared(np.array([samples.sum()]), len(samples), language, 0.0)

    def recognise(self, prepared):
        assert not self._inside, f'{self.name} is called twice at a time'
        self._inside += 1
        self.calls += 1
        self.threads.append(threading.current_thread())
        try:
            return self.do(Result(
                RecognitionStatus.DONE, f'{self.name} {prepared.features[0]}',
                prepared.language, backend=self.name))
        finally:
            self._inside -= 1


class Setting:
    """A chain of devices, on a clock that stands still unless it is moved."""

    def __init__(self, *devices, timeout_s=PATIENCE_S, load=True):
        self.devices = devices
        self.clock = Clock()
        self.chain = BackendChain(
            [Candidate(device, device.health) for device in devices],
            Policy(timeout_s, RULES, HealthLimits(temperature_c=90.0)), self.clock)
        if load:
            self.chain.load()

    def hear(self, value=7, length=1, language=''):
        samples = np.zeros(length, np.int16)
        samples[0] = value
        return self.chain.recognise(self.chain.prepare(samples, language))

    def state(self, name):
        return next(link.breaker for link in self.chain.statistics() if link.backend == name)


@pytest.fixture
def pair():
    return Setting(Device('bpu'), Device('cpu'))


def raising(error):
    def do(_result):
        raise error
    return do


class Hang:
    """Holds a device up until it is let go."""

    def __init__(self):
        self.released = threading.Event()
        self.left = threading.Event()

    def __call__(self, result):
        assert self.released.wait(PATIENCE_S)
        self.left.set()
        return result

    def release(self, setting, name):
        self.released.set()
        assert self.left.wait(PATIENCE_S)
        while any(link.busy for link in setting.chain.statistics() if link.backend == name):
            self.left.wait(0.001)


def changed(**fields):
    return lambda result: type(result)(**{**vars(result), **fields})


class TestFailingOver:
    def test_the_first_one_answers_as_if_it_were_alone(self, pair):
        said = pair.hear()
        assert (said.text, said.backend, said.reason) == ('bpu 7', 'bpu', '')
        assert said.recogniser == pair.chain.digest == pair.devices[0].digest
        assert said.lost_ms == 0.0
        assert pair.devices[1].calls == 0

    @pytest.mark.parametrize(('do', 'fault', 'why'), [
        (raising(BackendError('it is gone')), Fault.ERROR, 'it is gone'),
        (raising(NotANumberError('it gave NaN')), Fault.NAN, 'it gave NaN'),
        (raising(ShapeError('(1, 3)')), Fault.SHAPE, '(1, 3)'),
        (raising(ValueError('a driver')), Fault.ERROR, 'ValueError: a driver'),
        (changed(text=' '), Fault.GARBAGE, "got the text ' ' with the status DONE, expected one "
         'exactly where somebody spoke'),
        (changed(confidence=1.5), Fault.GARBAGE, 'got a confidence of 1.5, expected 0 to 1, or '
         'NaN where the model gives none'),
        (changed(status=RecognitionStatus.TORN), Fault.GARBAGE, 'got the status TORN, expected '
         'DONE or NO_SPEECH'),
        (changed(status=RecognitionStatus.NO_SPEECH), Fault.GARBAGE, "got the text 'bpu 7' with "
         'the status NO_SPEECH, expected one exactly where somebody spoke'),
        (changed(decode_ms=float('nan')), Fault.GARBAGE,
         'got times of (0.0, 0.0, nan) ms, expected finite ones'),
    ], ids=['error', 'NaN', 'shape', 'bug', 'no text', 'confidence', 'status', 'silent text',
            'times'])
    def test_what_the_first_one_spoils_the_next_one_hears(self, pair, do, fault, why):
        pair.devices[0].do = do
        said = pair.hear()
        assert (said.text, said.backend) == ('cpu 7', 'cpu')
        assert said.reason == f'bpu: {why}; cpu took over'
        assert said.recogniser == pair.devices[1].digest != pair.chain.digest
        assert (pair.state('bpu').state, pair.state('bpu').fault) == (State.OPEN, fault)
        assert pair.state('bpu').faults[fault] == 1
        assert pair.state('cpu').state is State.CLOSED

    def test_its_own_reason_stands_behind(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        pair.devices[1].do = changed(reason='decoded twice')
        assert pair.hear().reason == 'bpu: gone; cpu took over; decoded twice'

    def test_the_next_one_hears_what_was_said_and_not_what_the_memory_holds_by_then(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        loan = np.full(4, 5, np.int16)
        prepared = pair.chain.prepare(loan, '')
        loan[:] = 0
        assert pair.chain.recognise(prepared).text == 'cpu 20'

    def test_one_that_rests_is_not_asked(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        for _ in range(3):
            assert pair.hear().reason == 'bpu: gone; cpu took over'
        assert pair.devices[0].calls == 1

    def test_time_that_was_lost_is_told(self, pair):
        def fail(_result):
            pair.clock.now += 0.25
            raise BackendError('gone')
        pair.devices[0].do = fail
        assert pair.hear().lost_ms == pytest.approx(250.0)
        assert pair.hear().lost_ms == 0.0

    def test_if_all_fail_it_is_said_of_each(self, pair):
        for device in pair.devices:
            device.do = raising(BackendError(f'{device.name} is gone'))
        with pytest.raises(BackendError, match='bpu: bpu is gone; cpu: cpu is gone'):
            pair.hear()

    def test_one_that_rests_helps_out_when_nobody_else_is_left(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        pair.hear()
        pair.devices[0].do = lambda result: result
        pair.devices[1].do = raising(BackendError('full'))
        said = pair.hear()
        assert (said.text, said.reason) == ('bpu 7', 'cpu: full; bpu took over')
        assert pair.state('bpu').state is State.OPEN

    def test_the_error_of_the_last_one_that_no_backend_may_raise_goes_on(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        pair.devices[1].do = raising(ZeroDivisionError())
        pair.chain.force('bpu', State.OPEN)
        with pytest.raises(ZeroDivisionError):
            pair.hear()

    def test_an_only_one_fails_in_its_own_words(self):
        alone = Setting(Device('cpu'))
        alone.devices[0].do = raising(BackendError('gone'))
        for _ in range(2):
            with pytest.raises(BackendError, match=r'^gone$'):
                alone.hear()
        alone.devices[0].do = lambda result: result
        assert alone.hear().text == 'cpu 7'
        assert set(alone.devices[0].threads) == {threading.current_thread()}


class TestHanging:
    @pytest.fixture
    def hung(self):
        setting = Setting(Device('bpu'), Device('cpu'), timeout_s=LIMIT_S)
        setting.hang = setting.devices[0].do = Hang()
        yield setting
        setting.hang.released.set()

    def test_nobody_waits_longer_than_the_limit(self, hung):
        said = hung.hear()
        assert said.reason == 'bpu: no answer within 0.25 s; cpu took over'
        told = hung.chain.statistics()[0]
        assert (told.busy, told.abandoned, told.breaker.fault) == (True, 1, Fault.TIMEOUT)

    def test_it_is_not_asked_again_until_it_has_returned(self, hung):
        hung.hear()
        hung.clock.now += 5.0
        said = hung.hear()
        assert said.reason == (
            'bpu: no answer within 0.25 s, and it has still not returned; cpu took over')
        assert hung.devices[0].calls == 1
        hung.hang.release(hung, 'bpu')
        assert hung.hear(value=8).text == 'bpu 8'

    def test_what_it_says_too_late_is_dropped(self, hung):
        hung.hear(value=1)
        hung.hang.release(hung, 'bpu')
        hung.clock.now += 5.0
        assert [hung.hear(value=value).text for value in (2, 3)] == ['bpu 2', 'bpu 3']

    def test_the_last_one_is_waited_for(self, hung):
        hung.devices[1].do = hung.devices[0].do
        hung.hear_it = threading.Thread(target=hung.hear)
        hung.hear_it.start()
        hung.hear_it.join(2 * LIMIT_S)
        assert hung.hear_it.is_alive()
        hung.hang.released.set()
        hung.hear_it.join(PATIENCE_S)
        assert not hung.hear_it.is_alive()
        assert hung.devices[1].threads == [hung.hear_it]

    def test_if_only_it_takes_the_segment_it_is_waited_for(self):
        setting = Setting(Device('bpu', longest=100), Device('cpu', longest=10), timeout_s=LIMIT_S)
        setting.hang = setting.devices[0].do = Hang()
        setting.hear()
        threading.Timer(2 * LIMIT_S, setting.hang.released.set).start()
        assert setting.hear(length=50).text == 'bpu 7'

    def test_it_is_closed_when_it_returns(self, hung):
        hung.hear()
        hung.chain.close()
        assert (hung.devices[0].closed, hung.devices[1].closed) == (0, 1)
        hung.hang.released.set()
        thread = hung.devices[0].threads[0]
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert hung.devices[0].closed == 1


class TestComingBack:
    def test_real_speech_probes_it_and_enough_good_answers_close_the_breaker(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        pair.hear()
        pair.devices[0].do = lambda result: result
        pair.clock.now += 1.0
        states = []
        for value in (1, 2):
            assert pair.hear(value=value).text == f'bpu {value}'
            states.append(pair.state('bpu').state)
        assert states == [State.HALF_OPEN, State.CLOSED]

    def test_a_probe_that_fails_loses_nothing(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        texts = []
        for value in range(20):
            texts.append(pair.hear(value=value).text)
            pair.clock.now += 1.0
        assert texts == [f'cpu {value}' for value in range(20)]
        assert 2 < pair.devices[0].calls < 8

    def test_heat_and_cooling_have_a_gap(self, pair):
        pair.devices[0].temperature = 95.0
        said = pair.hear()
        assert said.reason == 'bpu: 95 degrees, allowed are 90; cpu took over'
        assert pair.devices[0].calls == 0
        for temperature, backend in ((95.0, 'cpu'), (88.0, 'cpu'), (84.0, 'bpu')):
            pair.clock.now += 2.0
            pair.devices[0].temperature = temperature
            assert pair.hear().backend == backend

    def test_what_is_hot_helps_out_rather_than_losing_speech(self, pair):
        pair.devices[0].temperature = 95.0
        pair.devices[1].do = raising(BackendError('full'))
        assert pair.hear().text == 'bpu 7'


class TestTakingWhatAnotherDoesNotTake:
    def test_a_longer_segment_is_for_who_takes_it(self):
        setting = Setting(Device('bpu', longest=16_000), Device('cpu', longest=32_000))
        assert setting.chain.longest == 32_000
        said = setting.hear(length=20_000)
        assert (said.backend, said.reason) == ('cpu', 'bpu: takes at most 1 s; cpu took over')
        assert setting.hear().backend == 'bpu'
        assert setting.state('bpu').opened == 0

    def test_another_language_is_for_who_knows_it(self):
        setting = Setting(Device('bpu', hears=('en',)), Device('cpu'))
        assert setting.hear(language='de').backend == 'cpu'
        assert setting.hear(language='en').backend == 'bpu'
        assert setting.state('bpu').opened == 0

    def test_what_the_next_one_does_not_know_is_no_fault_of_its(self):
        setting = Setting(Device('bpu'), Device('cpu', hears=('en',)), Device('slow'))
        setting.devices[0].do = raising(BackendError('gone'))
        said = setting.hear(language='de')
        assert said.reason == "bpu: gone; cpu: got 'de'; cpu knows en; slow took over"
        assert setting.state('cpu').opened == 0

    def test_what_nobody_knows_is_refused(self):
        setting = Setting(Device('bpu', hears=('en',)), Device('cpu', hears=('en', 'de')))
        with pytest.raises(BackendError, match="got 'fr'; bpu knows en"):
            setting.hear(language='fr')


class TestLoading:
    @pytest.fixture
    def broken(self):
        setting = Setting(Device('bpu'), Device('cpu'), load=False)
        setting.devices[0].loads = raising_at_load(ModelError('no board'))
        setting.chain.load()
        return setting

    def test_what_cannot_be_loaded_is_left_out(self, broken):
        assert broken.chain.name == 'cpu'
        assert broken.chain.digest == broken.devices[1].digest
        broken.chain.warm_up()
        assert broken.hear().reason == 'bpu: no board; cpu took over'
        assert broken.state('bpu').fault is Fault.LOADING

    def test_it_is_loaded_later_beside_the_speech(self, broken):
        broken.clock.now += 1.0
        broken.hear()
        settle(broken)
        assert broken.hear().reason == 'bpu: no board; cpu took over'
        broken.devices[0].loads = lambda: None
        broken.clock.now += 2.0
        assert broken.hear().backend == 'cpu'
        settle(broken)
        said = broken.hear()
        assert (said.text, said.reason) == ('bpu 7', '')
        assert said.recogniser == broken.chain.digest == broken.devices[0].digest

    def test_what_does_not_fit_into_memory_leaves_the_others(self):
        setting = Setting(Device('large'), Device('small'), load=False)
        setting.devices[0].loads = raising_at_load(MemoryBudgetError('large needs 2.0 MB'))
        setting.chain.load()
        assert setting.hear().reason == 'large: large needs 2.0 MB; small took over'
        assert setting.state('large').fault is Fault.LOADING

    def test_an_only_one_that_does_not_fit_is_refused_in_those_words(self):
        setting = Setting(Device('large'), load=False)
        setting.devices[0].loads = raising_at_load(MemoryBudgetError('large needs 2.0 MB'))
        with pytest.raises(MemoryBudgetError, match=r'^large needs 2\.0 MB$'):
            setting.chain.load()

    def test_none_at_all_is_an_error(self):
        setting = Setting(Device('bpu'), Device('cpu'), load=False)
        for device in setting.devices:
            device.loads = raising_at_load(ModelError(f'no {device.name}'))
        with pytest.raises(ModelError, match='can be loaded: bpu: no bpu; cpu: no cpu'):
            setting.chain.load()

    def test_an_only_one_fails_in_its_own_words(self):
        setting = Setting(Device('cpu'), load=False)
        setting.devices[0].loads = raising_at_load(ModelError('damaged'))
        with pytest.raises(ModelError, match=r'^damaged$'):
            setting.chain.load()

    def test_a_wrong_setting_is_an_error_at_once(self):
        setting = Setting(Device('bpu'), Device('cpu'), load=False)
        setting.devices[0].loads = raising_at_load(ConfigurationError('language'))
        with pytest.raises(ConfigurationError, match='language'):
            setting.chain.load()

    def test_one_that_fails_to_warm_up_is_left_out(self, pair):
        pair.devices[0].do = raising(BackendError('gone'))
        pair.chain.warm_up()
        assert pair.hear().reason == 'bpu: gone; cpu took over'

    def test_names_are_needed_and_differ(self):
        for names in ((), ('cpu', 'cpu')):
            with pytest.raises(ConfigurationError, match='expected each name once'):
                Setting(*map(Device, names), load=False)


class TestRoutes:
    SPEECH = ((np.full(3, 1, np.int16), 'three'), (np.full(18_000, 1, np.int16), 'many'))

    @pytest.fixture
    def measured(self):
        def measure(*right, slow=True):
            setting = Setting(Device('bpu', longest=64_000), Device('cpu', longest=64_000))
            for device, says, takes in zip(
                    setting.devices, right, ((5.0, 5.0), (1.0, 9.0 if slow else 1.0)),
                    strict=True):
                device.do = speaking(setting.clock, says, takes)
            setting.chain.measure(self.SPEECH, 0.02)
            for device in setting.devices:
                device.do = lambda result: result
            return setting
        return measure

    def test_the_faster_one_goes_first_at_each_length(self, measured):
        setting = measured(True, True)
        first = setting.hear()
        assert (first.backend, first.reason) == ('cpu', '')
        assert setting.hear(length=16_000).backend == 'cpu'
        assert setting.hear(length=20_000).backend == 'bpu'
        assert setting.hear(length=40_000).backend == 'bpu'
        setting.chain.force('cpu', State.OPEN)
        assert setting.hear().reason == 'cpu: switched off by hand; bpu took over'

    def test_the_faster_one_that_mishears_does_not(self, measured):
        assert measured(True, False).hear().backend == 'bpu'

    def test_who_is_first_for_most_is_the_one_that_is_announced(self, measured):
        setting = measured(True, True, slow=False)
        assert setting.chain.name == 'cpu'
        assert setting.chain.digest == setting.devices[1].digest

    def test_one_that_fails_at_it_is_not_first(self):
        setting = Setting(Device('bpu', longest=64_000), Device('cpu', longest=64_000))
        setting.devices[0].do = raising(BackendError('gone'))
        setting.devices[1].do = speaking(setting.clock, True, (1.0, 1.0))
        setting.chain.measure(self.SPEECH, 0.02)
        assert setting.chain.name == 'cpu'
        assert setting.state('bpu').reason == 'gone'


class TestByHand:
    def test_one_is_switched_off_and_released(self, pair):
        pair.chain.force('bpu', State.OPEN)
        assert pair.hear().reason == 'bpu: switched off by hand; cpu took over'
        pair.chain.release('bpu')
        assert pair.hear().backend == 'bpu'

    def test_one_that_is_switched_off_does_not_even_help_out(self, pair):
        for name in ('bpu', 'cpu'):
            pair.chain.force(name, State.OPEN)
        told = 'bpu: switched off by hand; cpu: switched off by hand'
        with pytest.raises(BackendError, match=told):
            pair.hear()

    def test_one_that_is_switched_on_is_asked_whatever_it_does(self, pair):
        pair.chain.force('bpu', State.CLOSED)
        pair.devices[0].do = raising(BackendError('gone'))
        for _ in range(3):
            assert pair.hear().backend == 'cpu'
        assert pair.devices[0].calls == 3

    def test_another_name_or_state_is_refused(self, pair):
        with pytest.raises(ConfigurationError, match="got the backend 'gpu', expected one of bpu"):
            pair.chain.release('gpu')
        with pytest.raises(ConfigurationError, match='expected open or closed'):
            pair.chain.force('bpu', State.HALF_OPEN)


def test_features_of_another_backend_are_refused(pair):
    with pytest.raises(BackendError, match='features of another backend'):
        pair.chain.recognise(pair.devices[0].prepare(np.zeros(3, np.int16), ''))


FAILURES = {
    'good': lambda result: result,
    'error': raising(BackendError('gone')),
    'nan': raising(NotANumberError('NaN')),
    'bug': raising(KeyError('bug')),
    'garbage': changed(confidence=-1.0),
}
"""What a device may do; hanging has tests of its own, since it takes time."""


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(FAILURES)), st.sampled_from(sorted(FAILURES)),
                          st.sampled_from([40.0, 95.0]), st.floats(0.0, 3.0)), max_size=12))
def test_whatever_goes_wrong_each_segment_is_answered_once_by_who_is_named(events):
    setting = Setting(Device('bpu'), Device('cpu'), Device('slow'))
    for value, (first, second, temperature, wait) in enumerate(events):
        setting.devices[0].do, setting.devices[1].do = FAILURES[first], FAILURES[second]
        setting.devices[0].temperature = temperature
        setting.clock.now += wait
        said = setting.hear(value=value)
        assert said.text == f'{said.backend} {value}'
        assert said.recogniser == said.backend.encode().ljust(32)
        assert bool(said.reason) == (said.backend != 'bpu')
        assert said.reason.endswith(f'{said.backend} took over') or not said.reason
    setting.chain.close()


def raising_at_load(error):
    def loads():
        raise error
    return loads


def speaking(clock, is_right, takes):
    """Say which of TestRoutes.SPEECH it was, or not, in so much time."""
    def do(result):
        is_long = result.text.endswith(' 18000')
        clock.now += takes[is_long]
        text = ('three', 'many')[is_long] if is_right else 'what'
        return type(result)(**{**vars(result), 'text': text})
    return do


def settle(setting):
    """Wait until no backend is busy."""
    pause = threading.Event()
    while any(link.busy for link in setting.chain.statistics()):
        pause.wait(0.001)


def put_back(*names):
    return lambda name: int(name in names)


def test_backends_that_are_put_back_answer_behind_the_others_and_are_told_of():
    setting = Setting(Device('bpu'), Device('cpu'), Device('small'))
    setting.chain.arrange(put_back('cpu'), 'level cpu_small, too hot')
    assert setting.hear().backend == 'bpu'
    setting.chain.force('bpu', State.OPEN)
    said = setting.hear()
    assert said.backend == 'small'
    assert said.reason == (
        'bpu: switched off by hand; cpu: level cpu_small, too hot; small took over')
    setting.chain.force('small', State.OPEN)
    assert setting.hear().backend == 'cpu'
    setting.chain.arrange(put_back(), '')
    setting.chain.release('small')
    assert setting.hear().backend == 'cpu'


def test_the_recogniser_that_is_announced_is_the_first_of_the_order():
    setting = Setting(Device('cpu'), Device('small', longest=8_000))
    setting.chain.arrange(put_back('cpu'), 'level cpu_small')
    assert (setting.chain.name, setting.chain.digest[:5]) == ('small', b'small')
    assert setting.chain.longest == 16_000
    assert setting.hear(length=9_000).backend == 'cpu'
