"""An ingest node, and publishers of other packages' audio messages, in one process.

    foreign_audio_graph.py drivers|others STORE

Every publisher says the same utterance, in real time, each in its own type and encoding; a last
one sends what cannot be heard. Prints one JSON object: tickets and status by stream. The
publishers have a context of their own: a participant has one type to a topic.
"""

import json
import sys
import time

import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.lifecycle import Transition
from xlerobot_asr_opt.core.topic_entries import TopicEntry
from xlerobot_asr_opt.known_speech import known_speech
from xlerobot_asr_opt.nodes.ingest import IngestNode
from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE, Chunk
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.lifecycle_client import LifecycleClient
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription

NAMESPACE = '/foreign'
PATIENCE_S = 30.0
PAUSE = np.zeros(SAMPLE_RATE, np.int16)
BLOCK = 2000
"""Samples of a message: more than a chunk holds, and no multiple of it."""


class Publishers:
    """The publishers of one set of packages; each is a name and what it makes of a block."""

    def __init__(self, node):
        self.node = node
        self.topics = {}
        self.refused = set()
        self._publishers = {}

    def add(self, topic, message_type, make, qos=10, entry='', *, refused=False):
        self._publishers[topic] = self.node.create_publisher(message_type, topic, qos), make
        self.topics[topic] = f'{topic}{entry}'
        if refused:
            self.refused.add(topic)

    @property
    def matched(self):
        return all(publisher.get_subscription_count() for publisher, _ in
                   self._publishers.values())

    def say(self, number, block, stamp):
        for publisher, make in self._publishers.values():
            message = make(number, block, stamp)
            if message is not None:
                publisher.publish(message)


def drivers(publishers):
    """Messages of ros-drivers' audio_common_msgs and of TogetheROS.Bot's audio_msg."""
    from audio_common_msgs.msg import AudioData, AudioDataStamped, AudioInfo
    from audio_msg.msg import AudioFrame, SmartAudioData

    def stamped(_, block, stamp):
        message = AudioDataStamped(audio=AudioData(data=packed(block)))
        message.header.stamp = stamp
        return message

    def frame(number, block, stamp):
        if number == 1:
            return None  # lost, while nobody speaks
        message = AudioFrame(index=number, pts=stamp, data=octets(block))
        message.frame_type.value = message.frame_type.FRAME_TYPE_AUDIO
        return message

    def smart(number, block, _):
        message = SmartAudioData(data=octets(block))
        message.frame_type.value = message.frame_type.SMART_AUDIO_TYPE_VOIP
        return message

    def event(number, *_):
        message = SmartAudioData(cmd_word='go')
        message.frame_type.value = message.frame_type.SMART_AUDIO_TYPE_CMD_WORD
        return message

    info = publishers.node.create_publisher(AudioInfo, 'raw_info', QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    info.publish(AudioInfo(channels=2, sample_rate=SAMPLE_RATE, sample_format='S32LE',
                           coding_format='wave'))
    publishers.add('raw', AudioData, lambda _, block, stamp: AudioData(
        data=octets(np.repeat(block, 2).astype(np.int32) << 16)))
    publishers.add('voice_stamped', AudioDataStamped, stamped,
                   entry=':audio_common_msgs/AudioDataStamped:S24LE')
    publishers.add('frames', AudioFrame, frame)
    publishers.add('smart', SmartAudioData, smart)
    publishers.add('events', SmartAudioData, event)
    publishers.add('/humans/voices/bob/audio', AudioData, lambda _, block, stamp: AudioData(
        data=octets(block)))
    publishers.add('coded', AudioData, lambda *_: AudioData(data=b'ID3' + bytes(100)),
                   refused=True)
    publishers.node.create_publisher(AudioData, 'coded', 10)


def others(publishers):
    """Messages of mgonzs13's audio_common_msgs and of the earlier system's audio_msg."""
    from audio_common_msgs.msg import Audio, AudioStamped
    from audio_msg.msg import AudioData

    def audio(number, **fields):
        message = Audio()
        for field, value in fields.items():
            setattr(message.audio_data, field, value)
        message.info.format, message.info.rate, message.info.channels = number, SAMPLE_RATE, 1
        return message

    def stamped(_, block, stamp):
        message = AudioStamped(
            audio=audio(1, float32_data=(block / 32768).astype(np.float32)))
        message.header.stamp = stamp
        return message

    def earlier(_, block, stamp):
        message = AudioData(
            sample_rate=SAMPLE_RATE, channels=1, format='S16_LE', frame_size=block.size,
            data=[bytes([one]) for one in octets(block)])
        message.header.stamp = stamp
        return message

    publishers.add('in', AudioStamped, stamped, qos_profile_sensor_data)
    publishers.add('bare', Audio, lambda _, block, stamp: audio(
        2, int32_data=block.astype(np.int32) << 16), entry=':audio_common_msgs/Audio')
    publishers.add('raw', AudioData, earlier)
    publishers.add('wide', Audio, lambda *_: audio(4), refused=True)


def octets(samples):
    return np.frombuffer(samples.tobytes(), np.uint8)


def packed(block):
    """int16[n] in 24 bits."""
    wide = (block.astype('<i4') << 8).view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(wide[:, :3]).ravel()


class Chunks:
    """The publisher of this package's own message, which the others are held against."""

    def __init__(self, node):
        self._publisher = LoanedPublisher(node, msg.AudioChunk, 'audio', names.AUDIO_QOS)
        self._sequence = 0

    @property
    def matched(self):
        return self._publisher.matched

    def say(self, block, stamp):
        begin_ns = conversions.nanoseconds(stamp)
        for at in range(0, block.size, CHUNK_CAPACITY):
            with self._publisher.loan() as view:
                conversions.write_chunk(view, Chunk(
                    'audio', self._sequence, begin_ns + at * 1_000_000_000 // SAMPLE_RATE,
                    SAMPLE_RATE, 1, block[at:at + CHUNK_CAPACITY]))
            self._sequence += 1


class Graph:
    """The ingest node, spun here, and what it tells."""

    def __init__(self, which, topics, store):
        rclpy.init(args=[
            '--ros-args', '-r', f'__ns:={NAMESPACE}', '-p', f'topics:={json.dumps(topics)}',
            '-p', f'store_directory:={store}'],
            signal_handler_options=rclpy.SignalHandlerOptions.NO)
        self.node = IngestNode()
        self.tickets, self.statuses = {}, {}
        self._player = rclpy.create_node('player', namespace=NAMESPACE, use_global_arguments=False)
        LoanedSubscription(self._player, msg.SpeechTicket, names.TICKETS, self._on_ticket,
                           names.CONTROL_QOS)
        LoanedSubscription(self._player, msg.StreamStatus, names.STREAMS, self._on_status,
                           names.STREAMS_QOS)
        self.voices = {'speaking': [], 'tracked': []}
        if which == 'drivers':
            self._listen_to_voices()
        self._executor = DirectExecutor()
        self._executor.add_node(self.node)
        self._executor.add_node(self._player)
        self._lifecycle = LifecycleClient(self._player, 'ingest')
        self.spin_until(lambda: self._lifecycle.is_ready)
        self.transit(Transition.CONFIGURE, Transition.ACTIVATE)

    def transit(self, *transitions):
        for transition in transitions:
            done = []
            self._lifecycle.change(transition, done.append)
            self.spin_until(lambda done=done: done)

    def _listen_to_voices(self):
        from hri_msgs.msg import IdsList
        from std_msgs.msg import Bool
        self._player.create_subscription(
            Bool, '/humans/voices/bob/is_speaking',
            lambda heard: self.voices['speaking'].append(heard.data), names.LATCHED_QOS)
        self._player.create_subscription(
            IdsList, '/humans/voices/tracked',
            lambda heard: self.voices['tracked'].append(list(heard.ids)), names.LATCHED_QOS)

    def _on_ticket(self, view):
        ticket = conversions.read_ticket(view)
        if not ticket.provisional:
            self.tickets.setdefault(ticket.stream, []).append(
                [ticket.length, ticket.digest.hex(), ticket.begin_ns, ticket.missing_chunks])

    def _on_status(self, view):
        self.statuses[conversions.read_text(view['stream'])] = {
            field: int(view[field]) for field in conversions.COUNTERS}

    def spin_until(self, condition, limit_s=PATIENCE_S):
        """Work until the condition holds; return whether it does."""
        until = time.monotonic() + limit_s
        while not (held := condition()) and time.monotonic() < until:
            self._executor.spin_once(0.02)
        return bool(held)

    def close(self):
        self._executor.shutdown()
        self.node.cleanup()
        self.node.destroy_node()
        self._player.destroy_node()
        rclpy.try_shutdown()


def main(which, store):
    context = rclpy.Context()
    rclpy.init(context=context)
    speaker = rclpy.create_node('speaker', namespace=NAMESPACE, context=context)
    publishers = Publishers(speaker)
    {'drivers': drivers, 'others': others}[which](publishers)
    chunks = Chunks(speaker)
    graph = Graph(which, ['audio', *publishers.topics.values()], store)
    assert graph.spin_until(lambda: chunks.matched and publishers.matched), 'not all are heard'
    graph.spin_until(lambda: False, 1.2)  # the info of raw comes at the next look
    heard = {TopicEntry(topic).stream for topic in
             {'audio', *publishers.topics} - publishers.refused - {'events'}}
    samples = np.concatenate([PAUSE, known_speech()[0].samples, PAUSE])
    begun, origin_ns = time.monotonic(), time.time_ns()
    for number, at in enumerate(range(0, samples.size, BLOCK)):
        due = begun + (at + BLOCK) / SAMPLE_RATE
        graph.spin_until(lambda: False, due - time.monotonic())
        block = samples[at:at + BLOCK]
        stamp = conversions.time_message(origin_ns + at * 1_000_000_000 // SAMPLE_RATE)
        chunks.say(block, stamp)
        publishers.say(number, block, stamp)
    graph.spin_until(lambda: heard <= graph.tickets.keys())
    graph.spin_until(lambda: False, 1.1)  # the newest states
    graph.transit(Transition.DEACTIVATE, Transition.CLEANUP)
    graph.spin_until(lambda: False, 0.3)
    print(json.dumps({'tickets': graph.tickets, 'statuses': graph.statuses,
                      'heard': sorted(heard), 'voices': graph.voices}))
    graph.close()
    speaker.destroy_node()
    rclpy.try_shutdown(context=context)


if __name__ == '__main__':
    main(*sys.argv[1:])
