"""Bad input to a graph that runs: told, or dropped and counted, and the next one is understood.

Every test ends with an utterance that gets its transcript from the same processes.

    chunk: values that were NaN           test_a_spoiled_stream [nan]
    chunk: no samples, too many           test_a_spoiled_stream [empty, over-long, longest]
    chunk: wrong rate, wrong channels     test_a_spoiled_stream [rate, channels, half-frame, form]
    chunk: out of order, doubled          test_a_spoiled_stream [out-of-order, duplicated]
    two publishers on one stream          test_of_two_publishers_the_first_is_understood
    a clock that jumps                    test_a_spoiled_stream [clock-ahead, clock-back]
    file: empty, cut, no audio, NaN       test_files_that_are_no_good
    file: 8, 24 bit, 96 kHz, 6 channels   test_files_of_every_form
    bag: not our topics, another type,    test_bags_that_are_no_good
         damaged
    messages of other nodes, nonsense     test_messages_that_cannot_be_right
    services asked for too much           test_services_refuse_what_is_too_much
    SROS2: more or less than it does      test_the_policy_allows_what_the_nodes_do_and_no_more
    YAML: unknown keys, out of bounds     test_a_configuration_that_is_no_good
    two instances in one namespace        test_a_second_instance_is_refused
    cache: damaged, not writable, full    test_bad_cache.py

test_continuity.py, test_audio_file.py, test_bag.py and test_configuration.py have the cases in
full; test_up.py shows the last two items on an idle graph, and with a killed one.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rclpy.node import NodeNameNonExistentError
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from talking import NS, as_chunks, command, conversation, utterance

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.records import Flag
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.client import GraphClient
from xlerobot_asr_opt.ros.guest import Guest
from xlerobot_asr_opt.ros.policy import OPERATOR, read_policy, uses_of
from xlerobot_asr_opt.sources import wire
from xlerobot_asr_opt.sources.bag import BagWriter

DOMAIN = 55
NAMESPACE = '/bad_input'
MIDDLE = 12
"""A chunk in the midst of the utterance's speech."""


@pytest.fixture(scope='module')
def talk(tmp_path_factory):
    # Without a cache: every answer shows that the worker lives.
    with conversation(tmp_path_factory.mktemp('graph'), DOMAIN, NAMESPACE,
                      'scheduler.use_cache=false') as talk:
        yield talk
        assert not [line for line in talk.lines if 'Traceback' in line]


@pytest.fixture(autouse=True)
def _goes_on(talk):
    """The processes outlive the test, and understand what is said next."""
    before = talk.graph.pids
    yield
    assert talk.ask().text == talk.text
    assert talk.graph.pids == before


# Chunks


def insert(chunk, *others):
    """Messages of the utterance with others in its midst."""
    return lambda good: [*good[:MIDDLE], *(other(good[MIDDLE]) for other in (chunk, *others)),
                         *good[MIDDLE:]]


def with_length(length):
    """A message that claims another number of samples than it has."""
    def spoil(chunk):
        body = np.frombuffer(wire.encode(chunk)[4:], wire.AUDIO_CHUNK).copy()
        body['length'] = length
        return wire.encode(chunk)[:4] + body.tobytes()
    return spoil


def with_fields(**fields):
    return lambda chunk: dataclasses.replace(chunk, **fields)


def set_clock(seconds):
    """The publisher's clock is set in the midst of the utterance."""
    return lambda good: [*good[:MIDDLE], *(
        dataclasses.replace(chunk, stamp_ns=chunk.stamp_ns + seconds * NS)
        for chunk in good[MIDDLE:])]


def give_nan(good):
    """Somebody has sent float32 as int16, not a number among them, and the lowest number."""
    floats = np.full(400, np.nan, np.float32).view(np.int16)
    lowest = np.full(800, -32768, np.int16)
    odd = dataclasses.replace(good[MIDDLE], samples=np.concatenate([floats, lowest]))
    return [*good[:MIDDLE], odd, *good[MIDDLE + 1:]]


REFUSED = {'refused': 1}
WHOLE, SPOILED, CUT = 'whole', 'spoiled', 'cut'
CASES = {
    'nan': (give_nan, {'clipped': 800}, '(800 samples of one chunk at full scale)', SPOILED),
    'empty': (insert(with_fields(samples=np.zeros(0, np.int16))), REFUSED,
              'got no samples, expected at least one frame', WHOLE),
    'over-long': (insert(with_length(1601)), REFUSED,
                  'got a length of 1601, expected at most 1600', WHOLE),
    'longest': (insert(with_length(65_535)), REFUSED, 'got a length of 65535', WHOLE),
    'rate': (insert(with_fields(rate=0), with_fields(rate=2**32 - 1)), {'refused': 2},
             'got a rate of 0 Hz, expected 4000 to 192000', WHOLE),
    'channels': (insert(with_fields(channels=0), with_fields(channels=65_535)), {'refused': 2},
                 'got 0 channels, expected 1 to 32', WHOLE),
    'half-frame': (insert(with_fields(channels=3)), REFUSED,
                   'got 1600 samples of 3 channels, expected whole frames', WHOLE),
    'form': (insert(with_fields(rate=48_000)), REFUSED,
             'got 1 channels at 48000 Hz in a session of 1 at 16000 Hz', WHOLE),
    'duplicated': (lambda good: [chunk for chunk in good for _ in range(2)],
                   {'duplicated': len(as_chunks('')), 'missing': 0}, '', WHOLE),
    'out-of-order': (
        lambda good: [*good[:MIDDLE], good[MIDDLE + 1], good[MIDDLE], *good[MIDDLE + 2:]],
        {'duplicated': 1, 'missing': 1}, f'chunk {MIDDLE} does not follow', SPOILED),
    'clock-ahead': (set_clock(3600), {'missing': 0, 'duplicated': 0},
                    'stamps jumped ahead by 3600.000 s', CUT),
    'clock-back': (set_clock(-3600), {'missing': 0, 'duplicated': 0},
                   'stamps jumped back by 3600.000 s', WHOLE),
}


@pytest.mark.parametrize('case', CASES)
def test_a_spoiled_stream(talk, case):
    spoil, counted, told, outcome = CASES[case]
    talk.publish(spoil(as_chunks(case)))
    count = 2 if outcome == CUT else 1
    talk.until(lambda: len(talk.of(case)) == count, f'{count} transcripts')
    first, last = talk.of(case)[0], talk.of(case)[-1]
    assert (first.text == talk.text) is (outcome == WHOLE)
    assert bool(first.flags & Flag.INTERRUPTED) is (outcome == CUT)
    assert first.missing_chunks == counted.get('missing', 0)
    assert (last.begin_ns - first.begin_ns > 3600 * NS) is (outcome == CUT)
    talk.until(lambda: counted.items() <= dataclasses.asdict(talk.status(case)).items(), counted)
    if told:
        talk.said(f'{case}: ', told)
    assert talk.ask(case).text == talk.text


def test_of_two_publishers_the_first_is_understood(talk):
    with GraphClient(NAMESPACE) as other:
        publisher = other.audio_publisher(names.AUDIO)
        other.await_readers(10)
        ours = as_chunks('both')
        theirs = as_chunks(
            'both', utterance()[::-1], first=9000, begin_ns=ours[0].stamp_ns - 7 * NS)
        talk.publish(ours[:5])
        talk.until(lambda: talk.status('both').chunks, 'the first to be heard')
        for mine, strange in itertools.zip_longest(ours[5:], theirs[:-5]):
            talk.publish([mine])
            publisher.publish(wire.encode(strange))
        talk.until(lambda: talk.of('both'), 'a transcript')
    assert [one.text for one in talk.of('both')] == [talk.text]
    talk.said('both: ', 'a second publisher uses the name of this stream; the first one is kept')
    talk.until(lambda: talk.status('both').duplicated, 'the strange chunks to be counted')


# Files


def transcribe(*files):
    """Run the command on the graph; return status, objects by the file's stem, complaints."""
    done = command('transcribe', '--json', '--namespace', NAMESPACE, *files)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(one['backend'] == 'scripted' for one in told), 'it has found another graph'
    return done.returncode, {Path(one['file']).stem: one for one in told}, done.stderr


def speech(rate=16_000, channels=1):
    """float64[frames, channels]: the utterance at any multiple of 16 kHz, on every channel."""
    samples = np.repeat(utterance() / 32768, rate // 16_000)
    return np.repeat(samples[:, None], channels, axis=1)


def test_files_that_are_no_good(talk, tmp_path):
    empty, cut, text, nan, good = (
        tmp_path / f'{name}.wav' for name in ('empty', 'cut', 'text', 'nan', 'good'))
    soundfile.write(good, utterance(), 16_000)
    empty.touch()
    cut.write_bytes(good.read_bytes()[:-20_000])
    text.write_text('Go to the kitchen.\n' * 100)
    odd = speech()
    odd[-4:] = np.nan
    soundfile.write(nan, odd, 16_000, subtype='FLOAT')
    status, told, complaints = transcribe(empty, cut, text, nan, good)
    assert status == 1
    assert f'{empty}: got an empty file, expected WAV, FLAC or OGG' in complaints
    assert f'{text}: cannot be read as audio' in complaints
    assert f'{cut}: the file broke off' in complaints
    talk.said('cut.wav: broken off at 2.77 s', '20000 bytes', 'are missing')
    talk.said('nan.wav: 4 values are no numbers (NaN or infinite), heard as silence')
    assert set(told) == {'cut', 'nan', 'good'}
    assert told['good']['text'] == talk.text


FORMS = {
    '8-bit': {'subtype': 'PCM_U8'}, '24-bit': {'subtype': 'PCM_24'},
    '96-kHz': {'rate': 96_000, 'subtype': 'PCM_16'}, '6-channel': {'channels': 6},
}


def test_files_of_every_form(talk, tmp_path):
    for name, form in FORMS.items():
        rate = form.get('rate', 16_000)
        soundfile.write(tmp_path / f'{name}.wav', speech(rate, form.get('channels', 1)), rate,
                        subtype=form.get('subtype'))
    status, told, complaints = transcribe(*(tmp_path / f'{name}.wav' for name in FORMS))
    assert (status, complaints) == (0, '')
    assert set(told) == set(FORMS)
    assert told['24-bit']['text'] == told['6-channel']['text'] == talk.text
    for one in told.values():
        assert one['end'] == pytest.approx(told['24-bit']['end'], abs=0.1)


# Bags


TOPIC = f'{NAMESPACE}/{names.AUDIO}'


def write_bag(path):
    with BagWriter(path, 'mcap') as bag:
        bag.add_topic(TOPIC)
        for chunk in as_chunks('bag'):
            bag.write_chunk(TOPIC, chunk)
    return path


def of_another_type(path):
    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topic = bag.add_connection(TOPIC, 'std_msgs/msg/String', typestore=store)
        text = store.types['std_msgs/msg/String'](data='hello')
        bag.write(topic, NS, store.serialize_cdr(text, 'std_msgs/msg/String'))
    return path


def cut_short(path):
    data = next(write_bag(path).glob('*.mcap'))
    data.write_bytes(data.read_bytes()[:data.stat().st_size // 2])
    return path


TYPE = 'xlerobot_asr_interfaces/msg/AudioChunk'
BAGS = {
    'none': (of_another_type, (), f'no topic of type {TYPE}; it holds {TOPIC} (std_msgs'),
    'type': (of_another_type, ('--topic', TOPIC), f'carries std_msgs/msg/String, expected {TYPE}'),
    'topic': (write_bag, ('--topic', '/audio'), f'no topic /audio; it holds {TOPIC}'),
    'damaged': (cut_short, (), 'damaged'),
}


@pytest.mark.parametrize('kind', BAGS)
def test_bags_that_are_no_good(talk, tmp_path, kind):
    make, arguments, complaint = BAGS[kind]
    done = command('replay', make(tmp_path / 'bag'), '--namespace', NAMESPACE, *arguments)
    assert (done.returncode, done.stdout) == (1, '')
    assert complaint in done.stderr


def test_a_good_bag_after_them(talk, tmp_path):
    done = command('replay', write_bag(tmp_path / 'bag'), '--namespace', NAMESPACE, '--rate', '0')
    assert done.returncode == 0, done.stderr
    assert talk.text in done.stdout


# Messages and services


class Stranger(Guest):
    """A node of somebody else's in the same domain."""

    def __init__(self):
        super().__init__('stranger', NAMESPACE)

    def publisher(self, kind, topic, qos):
        return self._node.create_publisher(kind, topic, qos)

    def look(self):
        self._executor.spin_once(timeout_sec=0.1)

    def uses_of(self, name):
        try:
            return dict(uses_of(self._node, name, NAMESPACE))
        except NodeNameNonExistentError:
            return {}

    def ask(self, kind, name, request):
        client = self._node.create_client(kind, name)
        assert client.wait_for_service(30)
        future = client.call_async(request)
        self._executor.spin_until_future_complete(future, 30)
        return future.result()


def name_field(name):
    field = np.zeros(64, np.uint8)
    field[:len(name)] = np.frombuffer(name, np.uint8)
    return field


def test_messages_that_cannot_be_right(talk):
    nan = float('nan')
    said = (
        (msg.Heartbeat(state=99), names.HEARTBEATS, names.CONTROL_QOS, 'got the State 99'),
        (msg.Acknowledgement(outcome=77), names.ACKNOWLEDGEMENTS, names.CONTROL_QOS,
         'got the TranscriptStatus 77'),
        (msg.WorkerStatus(worker=name_field(b'no name/ of a node'), active=True), names.WORKERS,
         names.LATCHED_QOS, 'expected the name of a node'),
        (msg.SpeechTicket(segment=1, stream=name_field(b'hall'), length=1, budget=nan),
         names.TICKETS, names.CONTROL_QOS, 'got a budget of nan s'),
        (msg.Recognition(status=66), names.RECOGNITIONS, names.CONTROL_QOS,
         'got the RecognitionStatus 66'))
    with Stranger() as other:
        for message, topic, qos, told in said:
            publisher = other.publisher(type(message), topic, qos)
            talk.until(lambda one=publisher: one.get_subscription_count(), f'a reader of {topic}')
            publisher.publish(message)
            talk.said(f'{topic}: a message is dropped', told)


def test_services_refuse_what_is_too_much(talk):
    with Stranger() as other:
        for kind, name, request, told in (
                (srv.OpenStream, names.OPEN_STREAM, srv.OpenStream.Request(source='a' * 5000),
                 'got 5000 characters, expected at most 4096'),
                (srv.Transcribe, names.TRANSCRIBE, srv.Transcribe.Request(
                    samples=np.zeros(4000 * 601, np.int16), rate=4000, channels=1),
                 'got 601 s, expected at most 600'),
                (srv.ManageNodes, names.MANAGE_NODES, srv.ManageNodes.Request(command=99),
                 'got command 99')):
            answer = other.ask(kind, name, request)
            assert not answer.success
            assert told in answer.message


POLICY = Path(__file__).resolve().parents[2] / 'deploy' / 'sros2' / 'policy.xml'
ABSENT = 'inference_1'
NOT_HERE = {f'{ABSENT}/segments', 'humans/voices/*/speech', 'humans/voices/*/is_speaking',
            'humans/voices/tracked', *(
    f'{ABSENT}/{service}' for service in ('change_state', 'get_state', 'release_memory'))}
"""Of a second worker, and where hri_msgs is installed."""


def test_the_policy_allows_what_the_nodes_do_and_no_more(talk):
    allowed = {node: {kind: names - NOT_HERE for kind, names in uses.items()}
               for node, uses in read_policy(POLICY).items() if node not in (ABSENT, OPERATOR)}
    with Stranger() as other:
        found = {}

        def same():
            other.look()
            found.update({node: other.uses_of(node) for node in allowed})
            return found == allowed

        try:
            talk.until(same, 'the nodes to do what the policy says')
        except AssertionError:
            assert found == allowed  # tells the difference
            raise


# Configurations and instances


@pytest.mark.parametrize(('line', 'complaint'), [
    ('hangovr: 0.3', 'unknown parameter hangovr; did you mean hangover?'),
    ('hangover: 60.0', 'hangover: got 60.0, expected 0.1 to 5 s'),
], ids=['unknown', 'bounds'])
def test_a_configuration_that_is_no_good(talk, tmp_path, line, complaint):
    file = tmp_path / 'wrong.yaml'
    file.write_text(f'/**/ingest:\n  ros__parameters:\n    {line}\n')
    done = command('up', '--config', file, '--namespace', NAMESPACE)
    assert done.returncode == 2
    assert f'{file}: /**/ingest: {complaint}' in done.stderr


def test_a_second_instance_is_refused(talk):
    done = command('up', '--backends', 'scripted', '--namespace', NAMESPACE)
    assert done.returncode == 2
    assert f'{NAMESPACE}/' in done.stderr
    assert 'runs already (process' in done.stderr
    assert 'choose another namespace' in done.stderr
