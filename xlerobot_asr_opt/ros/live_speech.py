"""Speech as REP-155 has it, where the package hri_msgs is installed."""

from __future__ import annotations

import re
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher

from xlerobot_asr_opt.records import Flag, Transcript
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import time_message

try:
    from hri_msgs.msg import LiveSpeech
except ImportError:  # not on every robot, and not among the packages that this one may ask for
    LiveSpeech = None

__all__ = ['LiveSpeechPublisher']

VOICES = 256
"""Topics at most: a stream name is outside input, and every one makes a topic."""


class LiveSpeechPublisher:
    """Publishes each transcript on the voice of its stream; does nothing without hri_msgs."""

    def __init__(self, node: Node) -> None:
        """Publish from node; the topics are absolute, as REP-155 has them."""
        self._node = node
        self._voices: dict[str, Publisher] = {}
        if LiveSpeech is None:
            node.get_logger().info('hri_msgs is not installed: no LiveSpeech is published')

    def publish(self, transcript: Transcript) -> None:
        """Publish one text, as final speech or, with the flag PARTIAL, as incremental."""
        if LiveSpeech is None:
            return
        voice = self._voices.get(transcript.stream)
        if voice is None:
            if len(self._voices) >= VOICES:
                return
            topic = '/' + names.LIVE_SPEECH.format(voice_id(transcript.stream))
            voice = self._node.create_publisher(LiveSpeech, topic, names.TRANSCRIPT_QOS)
            self._voices[transcript.stream] = voice
        voice.publish(live_speech(transcript))


def voice_id(stream: str) -> str:
    """Return a stream's name as a token of a topic: letters, digits and underscores."""
    token = re.sub(r'[^A-Za-z0-9_]', '_', stream)
    return token if token[:1].isalpha() else f'voice_{token}'


def live_speech(transcript: Transcript) -> Any:
    """Return the transcript as a LiveSpeech message; newer versions of it know the locale."""
    message = LiveSpeech(confidence=transcript.confidence)
    setattr(message, 'incremental' if Flag.PARTIAL in transcript.flags else 'final',
            transcript.text)
    message.header.stamp = time_message(transcript.end_ns)
    for field in ('locale', 'language'):
        if hasattr(message, field):
            setattr(message, field, transcript.language)
    return message
