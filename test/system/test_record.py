"""Recording: what goes over the topics lies in the bag, byte for byte, and plays from there."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from rclpy.duration import Duration
from rclpy.serialization import deserialize_message, serialize_message

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.records import Chunk
from xlerobot_asr_opt.ros.client import GraphClient
from xlerobot_asr_opt.sources.bag import STORAGES, BagReader
from xlerobot_asr_opt.sources.wire import decode, encode

COMMAND = [sys.executable, '-m', 'xlerobot_asr_opt.cli.main']


@pytest.fixture
def domain(monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', '71')
    monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')


def make_chunk(sequence):
    rng = np.random.default_rng(sequence)
    samples = rng.integers(-32768, 32767, 1600, np.int16, endpoint=True)
    return Chunk('küche', sequence, 1_700_000_000_000_000_000 + sequence, 16_000, 1, samples)


@pytest.mark.parametrize('storage', STORAGES)
def test_a_bag_holds_what_was_published(tmp_path, domain, storage):
    recorder = subprocess.Popen(
        [*COMMAND, 'record', '-o', str(tmp_path / 'bag'), '--storage', storage],
        stderr=subprocess.PIPE, text=True)
    try:
        with GraphClient('asr') as client:
            publisher = client.audio_publisher('/asr/audio')
            client.await_readers(20)
            for sequence in range(300):
                publisher.publish(encode(make_chunk(sequence)))
            assert publisher.wait_for_all_acked(Duration(seconds=10))
            # What is acknowledged may not be written yet: the recorder writes it within a moment.
            client.spin_until(lambda: False, 0.5)
    finally:
        recorder.send_signal(signal.SIGINT)
        _, said = recorder.communicate(timeout=20)
    assert recorder.returncode == 0, said
    assert '300 of /asr/audio' in said
    with BagReader(tmp_path / 'bag') as bag:
        assert {topic.name for topic in bag.topics} == {
            '/asr/audio', '/asr/transcript', '/asr/streams'}
        for sequence, message in enumerate(bag.messages()):
            assert message.data == encode(make_chunk(sequence))
        assert sequence == 299


def test_the_bytes_are_those_of_ros():
    chunk = make_chunk(3)
    message = deserialize_message(encode(chunk), msg.AudioChunk)
    np.testing.assert_array_equal(message.samples, chunk.samples)
    assert bytes(message.stream).rstrip(b'\0').decode() == 'küche'
    assert serialize_message(message) == encode(chunk)
    np.testing.assert_array_equal(decode(serialize_message(message)).samples, chunk.samples)


def test_nothing_to_record(tmp_path, domain):
    done = subprocess.run(
        [*COMMAND, 'record', '-o', str(tmp_path / 'bag'), '--duration', '0.2'],
        capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert 'nothing was recorded' in done.stderr


def test_a_topic_that_is_not_there(tmp_path, domain):
    done = subprocess.run(
        [*COMMAND, 'record', '-o', str(tmp_path / 'bag'), '--topics', 'nowhere'],
        capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert '/asr/nowhere carries nothing, expected one of xlerobot_asr_interfaces' in done.stderr
    assert not (tmp_path / 'bag').exists()
