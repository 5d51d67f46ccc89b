"""The inference node with scripted answers, between an ingest and a scheduler of the test's."""

import numpy as np
import pytest
import yaml
from small_machine import Machine
from small_vocabulary import build_small

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt import memory
from xlerobot_asr_opt.core.lifecycle import State, Transition
from xlerobot_asr_opt.nodes.inference import InferenceNode
from xlerobot_asr_opt.records import Degradation, DegradationLevel, RecognitionStatus
from xlerobot_asr_opt.ros import conversions, names

DOMAIN = 45
WORKER = 'inference_0'
SAMPLES = np.arange(16_000, dtype=np.int16)


def write_segment(view, segment, attempt, samples, language='', head=1, tail=1):
    view['head'], view['tail'] = head, tail
    view['segment'], view['attempt'] = segment, attempt
    view['length'] = len(samples)
    conversions.write_text(view['language'], language)
    view['samples'][:len(samples)] = samples


@pytest.fixture
def open_worker(open_world, tmp_path):
    """Make a worker with a script, and those who play the others; it is unconfigured."""
    def open_worker(*answers, **parameters):
        script = ''
        if answers:
            script = tmp_path / 'script.yaml'
            script.write_text(yaml.safe_dump({'answers': list(answers)}))
        world = open_world(
            f'inference:__node:={WORKER}', script=str(script),
            **{'backends': ['scripted'], **parameters})
        world.statuses = world.listen(
            msg.WorkerStatus, names.WORKERS, conversions.read_worker, names.LATCHED_QOS)
        world.recognitions = world.listen(
            msg.Recognition, names.RECOGNITIONS, conversions.read_recognition, names.CONTROL_QOS)
        world.segments = world.voice(
            msg.SpeechSegment, names.segments(WORKER), write_segment, names.SEGMENTS_QOS)
        world.start(InferenceNode)
        return world
    return open_worker


@pytest.fixture
def open_active(open_worker):
    """The same, active."""
    def open_active(*answers, **parameters):
        world = open_worker(*answers, **parameters)
        world.bring_up()
        world.spin_until(lambda: world.segments.matched, 'a worker that listens')
        return world
    return open_active


def answered(world, count=1):
    """Wait for that many recognitions; return the last."""
    world.spin_until(lambda: len(world.recognitions) >= count, f'recognition {count}')
    return world.recognitions[count - 1]


def test_a_segment_is_answered_with_what_was_said(open_active):
    world = open_active({'text': 'go to the kitchen', 'confidence': 0.75})
    world.segments.say(77, 3, SAMPLES, 'en')
    said = answered(world)
    assert (said.segment, said.attempt, said.worker) == (77, 3, WORKER)
    assert (said.status, said.text) == (RecognitionStatus.DONE, 'go to the kitchen')
    assert (said.language, said.confidence, said.backend) == ('en', 0.75, 'scripted')
    assert 0.0 <= said.decode_ms <= said.worker_ms


def test_segments_are_answered_one_after_the_other(open_active):
    world = open_active({'text': 'one'}, {'no_speech': True, 'reason': 'a door'}, capacity=3)
    for segment in (1, 2, 3):
        world.segments.say(segment, 1, SAMPLES)
    answered(world, 3)
    assert [said.segment for said in world.recognitions] == [1, 2, 3]
    assert [said.text for said in world.recognitions] == ['one', '', 'one']
    assert world.recognitions[1].status is RecognitionStatus.NO_SPEECH
    assert world.recognitions[1].reason == 'a door'


def test_an_error_of_the_recogniser_is_an_answer_and_the_next_segment_is_served(open_active):
    world = open_active({'error': 'the accelerator is gone'}, {'text': 'back'})
    world.segments.say(1, 1, SAMPLES)
    world.segments.say(2, 1, SAMPLES)
    answered(world, 2)
    failed, served = world.recognitions
    assert (failed.status, failed.reason) == (RecognitionStatus.FAILED, 'the accelerator is gone')
    assert (served.status, served.text) == (RecognitionStatus.DONE, 'back')


@pytest.mark.parametrize('guards', [{'head': 2, 'tail': 1}, {'head': 1, 'tail': 0}],
                         ids=['overtaken', 'unfinished'])
def test_a_segment_that_is_not_whole_is_asked_for_again(open_active, guards):
    world = open_active({'text': 'never'})
    world.segments.say(9, 2, SAMPLES, **guards)
    torn = answered(world)
    assert (torn.segment, torn.attempt) == (9, 2)
    assert torn.status is RecognitionStatus.TORN
    assert not torn.text


def test_a_worker_offers_what_it_can_take(open_active):
    world = open_active({'text': 'x'}, capacity=3)
    world.spin_until(lambda: world.statuses and world.statuses[-1].active, 'an offer')
    offer = world.statuses[-1]
    assert (offer.worker, offer.capacity, offer.longest) == (WORKER, 3, 480_000)
    assert len(offer.recogniser) == 32
    assert any(offer.recogniser)
    assert offer.incarnation == world.node.incarnation


def test_who_comes_late_gets_the_offer(open_active):
    world = open_active()
    world.spin_until(lambda: world.statuses and world.statuses[-1].active, 'an offer')
    late = world.listen(
        msg.WorkerStatus, names.WORKERS, conversions.read_worker, names.LATCHED_QOS)
    world.spin_until(lambda: late, 'the newest offer')
    assert late[0].active


def test_an_inactive_worker_answers_what_it_has_begun_and_drops_the_rest(open_active):
    world = open_active({'text': 'slow', 'delay_s': 0.5}, capacity=3)
    world.spin_until(lambda: world.statuses and world.statuses[-1].active, 'an offer')
    for segment in (1, 2):
        world.segments.say(segment, 1, SAMPLES)
    world.spin_until(lambda: world.node.working_s() > 0, 'work')
    assert world.transit(Transition.DEACTIVATE)
    world.spin_until(lambda: not world.statuses[-1].active, 'the end of the offer')
    assert answered(world).segment == 1
    assert world.transit(Transition.ACTIVATE)
    world.segments.say(3, 1, SAMPLES)
    assert answered(world, 2).segment == 3


def test_a_worker_that_is_cleaned_up_can_be_configured_again(open_active):
    world = open_active({'text': 'one'}, {'text': 'two'})
    world.segments.say(1, 1, SAMPLES)
    assert answered(world).text == 'one'
    assert world.transit(Transition.DEACTIVATE, Transition.CLEANUP)
    world.bring_up()
    world.spin_until(lambda: world.segments.matched == 1, 'a worker that listens')
    world.segments.say(2, 1, SAMPLES)
    # Its script begins anew.
    assert answered(world, 2).text == 'one'


def test_a_script_that_cannot_be_read_fails_and_is_tried_again(open_worker, tmp_path, capfd):
    world = open_worker({'text': 'there'})
    script = tmp_path / 'script.yaml'
    content = script.read_text()
    script.write_text('answers: nothing')
    assert not world.transit(Transition.CONFIGURE)
    assert world.node.state is State.UNCONFIGURED
    assert f'script {script}: answers: expected a list' in capfd.readouterr().err
    script.write_text(content)
    world.bring_up()
    world.spin_until(lambda: world.segments.matched, 'a worker that listens')
    world.segments.say(1, 1, SAMPLES)
    assert answered(world).text == 'there'


def test_memory_is_released_in_every_state(open_worker):
    world = open_worker({'text': 'still here'})
    service = f'{WORKER}/release_memory'
    assert world.call(srv.ReleaseMemory, service).before > 0
    world.bring_up()
    world.spin_until(lambda: world.segments.matched, 'a worker that listens')
    assert world.call(srv.ReleaseMemory, service).after > 0
    world.segments.say(1, 1, SAMPLES)
    assert answered(world).text == 'still here'


def test_a_heartbeat_says_how_long_the_running_segment_takes(open_active):
    world = open_active({'text': 'slow', 'delay_s': 1.2})
    working = world.listen(
        msg.Heartbeat, names.HEARTBEATS, lambda view: float(view['working']), names.CONTROL_QOS)
    world.segments.say(1, 1, SAMPLES)
    world.spin_until(lambda: any(seconds > 0 for seconds in working), 'a heartbeat at work')
    answered(world)
    seen = len(working)
    world.spin_until(lambda: len(working) > seen, 'a heartbeat after it')
    assert working[-1] == 0.0


def state_of(world, backend):
    """What the newest message says of a backend."""
    return next(state for state in world.states[-1].backends if state.backend == backend)


@pytest.fixture
def open_chain(open_active, tmp_path):
    """Make an active worker whose scripted backend has a small model behind it."""
    def open_chain(*answers, **parameters):
        model = build_small(tmp_path / 'model', multilingual=False, seconds=30.0)
        world = open_active(*answers, backends=['scripted', 'onnxruntime'], model=str(model),
                            **parameters)
        world.states = world.listen(
            msg.BackendStates, names.BACKENDS, lambda message: message, names.LATCHED_QOS)
        world.spin_until(lambda: world.states, 'the state of the backends')
        return world
    return open_chain


def test_a_model_that_does_not_fit_into_memory_is_refused_in_configure(
        open_worker, tmp_path, monkeypatch, capfd):
    machine = Machine(tmp_path / 'machine')
    monkeypatch.setattr(memory, 'MemoryReader', lambda: machine.reader)
    machine.write('proc/meminfo', 'MemTotal: 8000000 kB\nMemAvailable: 800000 kB\n')
    model = build_small(tmp_path / 'model', multilingual=False)
    world = open_worker(backends=['onnxruntime'], model=str(model))
    assert not world.transit(Transition.CONFIGURE)
    assert 'configure failed: small needs 0.' in capfd.readouterr().err
    machine.write('proc/meminfo', 'MemTotal: 8000000 kB\nMemAvailable: 900000 kB\n')
    assert world.transit(Transition.CONFIGURE)


def test_what_the_first_backend_spoils_the_next_one_answers_and_it_shows(open_chain):
    world = open_chain({'error': 'the accelerator is gone'}, backoff=600.0)
    assert state_of(world, 'scripted').state == msg.BackendState.STATE_CLOSED
    world.segments.say(1, 1, SAMPLES)
    said = answered(world)
    assert (said.status, said.backend) == (RecognitionStatus.DONE, 'onnxruntime')
    assert said.reason.startswith(
        'scripted: the accelerator is gone; onnxruntime took over')
    assert said.recogniser != world.statuses[-1].recogniser
    world.spin_until(
        lambda: state_of(world, 'scripted').state == msg.BackendState.STATE_OPEN, 'its state')
    state = state_of(world, 'scripted')
    assert (state.reason, state.failures, state.opened) == ('the accelerator is gone', 1, 1)
    world.spin_until(lambda: state_of(world, 'onnxruntime').good == 1, 'its count')


def test_a_backend_is_switched_off_and_released_by_hand(open_chain):
    world = open_chain({'text': 'go'})
    service = f'{WORKER}/force_backend'

    def force(command, backend='scripted'):
        return world.call(srv.ForceBackend, service, backend=backend, command=command)

    def backend_of(segment):
        world.segments.say(segment, 1, SAMPLES)
        return answered(world, segment).backend

    assert force(srv.ForceBackend.Request.OFF).success
    assert backend_of(1) == 'onnxruntime'
    world.spin_until(lambda: state_of(world, 'scripted').forced, 'its state')
    assert force(srv.ForceBackend.Request.RELEASE).success
    assert backend_of(2) == 'scripted'
    assert force(srv.ForceBackend.Request.ON).success
    assert backend_of(3) == 'scripted'
    refused = force(srv.ForceBackend.Request.OFF, 'gpu')
    assert not refused.success
    assert refused.message == "got the backend 'gpu', expected one of scripted, onnxruntime"
    assert 'expected open or closed' in force(9).message


def test_a_worker_that_is_not_configured_has_no_backend_to_switch(open_worker):
    world = open_worker()
    told = world.call(srv.ForceBackend, f'{WORKER}/force_backend', backend='scripted', command=1)
    assert (told.success, told.message) == (False, 'the engine is closed; call open() first')


def test_the_level_says_which_backend_is_asked_first(open_active, tmp_path):
    model, small = (str(build_small(tmp_path / f'{seconds}', multilingual=False, seconds=seconds))
                    for seconds in (3.0, 2.0))
    world = open_active({'text': 'go on'}, backends=['scripted', 'onnxruntime'],
                        model=model, small_model=small)
    levels = world.player.create_publisher(
        msg.DegradationLevel, names.LEVEL, names.LATCHED_QOS)
    world.spin_until(levels.get_subscription_count, 'who heeds the level')

    def answerer(segment, level, **fields):
        """Tell of a level, wait until another recogniser is announced, and have one answer."""
        announced = world.statuses[-1].recogniser
        levels.publish(conversions.level_message(
            Degradation(level, 'too hot', **fields), conversions.time_message(0)))
        world.spin_until(lambda: world.statuses[-1].recogniser != announced, 'another recogniser')
        world.segments.say(segment, 1, SAMPLES)
        said = answered(world, segment)
        assert said.recogniser == world.statuses[-1].recogniser
        return said.backend, said.reason
    backend, reason = answerer(1, DegradationLevel.CPU, forced=True)
    assert backend == 'onnxruntime'
    assert reason.startswith('scripted: level cpu, too hot; onnxruntime took over')
    backend, reason = answerer(2, DegradationLevel.CPU_SMALL, forced=True)
    assert backend == 'onnxruntime_small'
    assert 'onnxruntime: level cpu_small, too hot' in reason
    assert answerer(3, DegradationLevel.FINALS) == ('scripted', '')
