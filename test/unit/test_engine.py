"""The engine without ROS: one utterance in, its text out; what is shared, kept and given back."""

import asyncio
import json
import logging
import math
import re
import threading

import numpy as np
import pytest

from xlerobot_asr_opt import BPUMemoryPool, OptimizedBPUInferenceEngine
from xlerobot_asr_opt.backends.scripted import WORDS
from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.errors import AudioError, BackendError, ConfigurationError, ModelError
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.records import RecognitionStatus

PATIENCE_S = 20.0


@pytest.fixture
def make(tmp_path):
    """Make an engine that answers from a script; it is closed at the end."""
    made = []

    def make(*answers, parameters=None, **arguments):
        script = ''
        if answers:
            script = tmp_path / f'{len(made)}.yaml'
            script.write_text(json.dumps({'answers': list(answers)}))
        made.append(OptimizedBPUInferenceEngine(InferenceParameters(
            backends=('scripted',), script=str(script), **(parameters or {})), **arguments))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def noise(length=4000, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9001, length).astype(np.int16)


def hear(engine, audio, language=''):
    return asyncio.run(engine.infer_optimized(audio, language))


def test_an_utterance_becomes_text_confidence_and_latency(make):
    text, confidence, latency = hear(make({'text': 'go', 'confidence': 0.75}), noise())
    assert (text, confidence) == ('go', 0.75)
    assert latency > 0.0


def test_a_confidence_that_is_not_given_is_not_invented(make):
    assert math.isnan(hear(make({'text': 'go'}), noise())[1])


def test_nobody_speaks(make):
    engine = make()
    assert hear(engine, np.empty(0, np.int16))[0] == ''
    assert hear(engine, np.empty(0, np.float32))[0] == ''


def test_floating_numbers_are_the_same_utterance(make):
    engine = make()
    samples = noise()
    wanted = hear(engine, samples)[0]
    for kind in (np.float32, np.float64):
        assert hear(engine, (samples / 32768.0).astype(kind))[0] == wanted
    assert engine.statistics().hits == 2
    assert set(wanted.split()) <= set(WORDS)


def test_a_view_with_gaps_is_taken_as_it_reads(make):
    both = np.stack([noise(seed=1), noise(seed=2)], axis=1)
    engine = make()
    assert hear(engine, both[:, 0])[0] == hear(engine, noise(seed=1))[0]


@pytest.mark.parametrize(('audio', 'told'), [
    (np.zeros((2, 3), np.float32), r'got audio of float32, shape \(2, 3\)'),
    (np.zeros(4, np.int32), 'got audio of int32'),
    (np.zeros(4, '>i2'), 'got audio of >i2'),
    (np.array([0.0, np.nan]), 'NaN or infinite'),
    (np.array([0.0, -np.inf], np.float32), 'NaN or infinite'),
    (['a'], 'got audio of <U1'),
], ids=['stereo', 'int32', 'other byte order', 'NaN', 'infinite', 'text'])
def test_audio_of_another_form_is_refused_and_the_next_is_heard(make, audio, told):
    engine = make()
    with pytest.raises(AudioError, match=told):
        hear(engine, audio)
    assert hear(engine, noise())[0]


def test_an_error_is_raised_and_not_kept(make):
    engine = make({'error': 'it is gone'}, {'text': 'back'})
    with pytest.raises(BackendError, match='it is gone'):
        hear(engine, noise())
    assert hear(engine, noise())[0] == 'back'


def test_what_no_backend_takes_is_refused(make):
    with pytest.raises(BackendError, match='expected at most 30 s'):
        hear(make(), np.zeros(480_001, np.int16))


def test_a_result_is_kept_by_samples_and_language(make):
    engine = make({'text': 'one'}, {'text': 'two'}, {'text': 'three'})
    assert [hear(engine, noise())[0] for _ in range(2)] == ['one', 'one']
    assert hear(engine, noise(), 'en')[0] == 'two'
    assert hear(engine, noise(seed=1))[0] == 'three'
    told = engine.statistics()
    assert (told.asked, told.hits, told.joined) == (4, 1, 0)


def test_only_the_last_used_results_are_kept(make):
    engine = make(results=2)
    for seed in (0, 1, 0, 2, 0, 1):
        hear(engine, noise(seed=seed))
    assert engine.statistics().hits == 2


def test_equal_utterances_in_flight_are_recognised_once(make):
    engine = make({'text': 'one', 'delay_s': 0.2, 'length_s': [0, 0.3]},
                  {'text': 'two', 'length_s': [0.3, 1]})

    async def together():
        first = asyncio.create_task(engine.infer_optimized(noise()))
        others = [asyncio.create_task(engine.infer_optimized(noise())) for _ in range(4)]
        different = asyncio.create_task(engine.infer_optimized(noise(8000)))
        return await asyncio.gather(first, *others, different)

    assert [said[0] for said in asyncio.run(together())] == [*5 * ['one'], 'two']
    assert engine.statistics().joined == 4
    assert engine.statistics().backends[0].breaker.good == 2


def test_who_gives_up_waiting_does_not_take_the_others_along(make):
    engine = make({'text': 'one', 'delay_s': 0.3})

    async def leave():
        first = asyncio.create_task(engine.infer_optimized(noise()))
        second = asyncio.create_task(engine.infer_optimized(noise()))
        while engine.statistics().joined < 1:
            await asyncio.sleep(0.005)
        first.cancel()
        return await second

    assert asyncio.run(leave())[0] == 'one'


def test_a_text_of_whoever_took_over_is_not_served_as_the_first_ones(make, tmp_path):
    script = tmp_path / 'first.yaml'
    script.write_text(json.dumps({'answers': [{'text': 'of the first'}]}))
    engine = OptimizedBPUInferenceEngine(InferenceParameters(
        backends=('scripted', 'onnxruntime'), script=str(script), model=small(tmp_path)))
    try:
        engine.open()
        engine.backend.force('scripted', State.OPEN)
        taken_over = hear(engine, noise())[0]
        engine.backend.release('scripted')
        assert hear(engine, noise())[0] == 'of the first' != taken_over
        assert engine.statistics().hits == 0
    finally:
        engine.close()


def test_staging_memory_comes_back(make):
    pool = BPUMemoryPool(4096 * 16)
    engine = make(pool=pool)
    for seed in range(20):
        hear(engine, noise(20_000, seed=seed))
    told = pool.statistics()
    assert told.pools['samples'].allocations == 20
    assert (told.used_bytes, told.lingering_bytes) == (0, 0)


@pytest.mark.parametrize('length', [1000, 4000], ids=['full', 'too small'])
def test_a_pool_without_room_loses_nothing(make, length):
    pool = BPUMemoryPool(4096)
    pool.allocate(4096, 'somebody')
    assert hear(make(pool=pool), noise(length))[0]
    assert pool.statistics().pools.keys() == {'somebody'}


def test_it_opens_by_itself_once_and_closes_as_often_as_is_liked(make):
    engine = make()
    assert not engine.is_open

    async def together():
        return await asyncio.gather(*(
            engine.infer_optimized(noise(seed=seed)) for seed in range(5)))

    assert len(asyncio.run(together())) == 5
    assert sum(thread.name == 'worker' for thread in threading.enumerate()) == 1
    engine.close()
    engine.close()
    assert (engine.is_open, engine.is_running) == (False, False)
    assert hear(engine, noise(seed=9))[0]


def test_it_can_be_a_context(make):
    async def talk():
        async with make() as engine:
            return await engine.infer_optimized(noise()), engine

    said, engine = asyncio.run(talk())
    assert said[0]
    assert not engine.is_open


def test_who_waits_when_it_closes_is_told(make):
    engine = make({'text': 'go', 'delay_s': 0.2})

    async def close():
        calls = [asyncio.create_task(engine.infer_optimized(noise(seed=seed)))
                 for seed in range(3)]
        while engine.working_s() == 0.0:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(engine.close)
        return await asyncio.gather(*calls, return_exceptions=True)

    told = asyncio.run(close())
    # One was running, whichever it was.
    assert sum(isinstance(one, BackendError) for one in told) == 2


@pytest.mark.parametrize(('parameters', 'error'), [
    ({'backends': ('onnxruntime',), 'model': 'nonesuch'}, ModelError),
    ({'backends': ('scripted',), 'script': 'nonesuch'}, ConfigurationError),
    ({'backends': ()}, ConfigurationError),
], ids=['model', 'script', 'none'])
def test_what_cannot_be_opened_says_so_and_stays_closed(parameters, error):
    engine = OptimizedBPUInferenceEngine(InferenceParameters(**parameters))
    with pytest.raises(error):
        hear(engine, noise())
    assert not engine.is_open
    engine.close()


def test_backends_are_put_in_order_by_their_speed_if_that_is_wanted(make, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    script = tmp_path / 'first.yaml'
    script.write_text(json.dumps({'answers': [{'text': 'nothing of it', 'delay_s': 0.001}]}))
    engine = OptimizedBPUInferenceEngine(InferenceParameters(
        backends=('scripted', 'onnxruntime'), script=str(script), model=small(tmp_path),
        route='fastest'))
    try:
        engine.open()
        # Neither knows English: the speech tells nothing of them.
        assert engine.backend.name == 'scripted'
        assert 'up to 4 s: scripted, onnxruntime; measured: scripted' in caplog.text
        assert re.search('words wrong: scripted .. of 77, onnxruntime .+ of 77', caplog.text)
    finally:
        engine.close()


def test_without_the_recording_the_order_stays(make, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path))
    engine = make({'text': 'go'}, parameters={'route': 'fastest'})
    assert hear(engine, noise())[0] == 'go'
    assert 'the backends stay in the order given: two_cities' in caplog.text


def test_it_says_that_it_is_closed(make):
    engine = make()
    with pytest.raises(BackendError, match='closed; call open'):
        engine.submit(1, 1, noise(), '', 0.0)
    with pytest.raises(BackendError, match='closed; call open'):
        engine.backend.force('scripted', State.OPEN)


def test_an_error_that_no_backend_may_raise_is_told_to_all_who_wait(make, monkeypatch):
    engine = make()
    engine.open()
    # Its thread lives until its error is written, which may take long.
    told, errors = threading.Event(), []

    def write(args):
        errors.append(args.exc_type)
        told.wait(PATIENCE_S)

    monkeypatch.setattr(threading, 'excepthook', write)

    def recognise(_prepared):
        raise ZeroDivisionError

    monkeypatch.setattr(engine.backend, 'recognise', recognise)
    for reason in ('the engine was closed, or has ended', 'the engine has ended by an error'):
        with pytest.raises(BackendError, match=reason):
            hear(engine, noise())
    assert not engine.is_running
    told.set()
    engine.close()
    assert errors == [ZeroDivisionError]
    assert hear(engine, noise())[0]


def test_segments_of_a_graph_are_delivered(make):
    heard, done = [], threading.Event()

    def deliver(recognition):
        heard.append(recognition)
        done.set()

    engine = make({'text': 'go'}, deliver=deliver)
    engine.open()
    engine.submit(77, 3, noise(), 'en', 0.0)
    assert done.wait(PATIENCE_S)
    said = heard[0]
    assert (said.segment, said.attempt, said.text) == (77, 3, 'go')
    assert (said.status, said.worker) == (RecognitionStatus.DONE, 'engine')
    assert said.recogniser == engine.backend.digest


def small(directory):
    from small_vocabulary import build_small
    return str(build_small(directory, multilingual=False, seconds=30.0))
