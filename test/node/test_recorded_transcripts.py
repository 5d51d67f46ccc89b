"""A transcript that ROS serialised is read from a bag without ROS."""

import dataclasses

from rclpy.serialization import serialize_message

from xlerobot_asr_opt.records import (
    Flag,
    Latency,
    Transcript,
    TranscriptStatus,
    Word,
)
from xlerobot_asr_opt.ros.conversions import transcript_message
from xlerobot_asr_opt.sources.bag import BagWriter
from xlerobot_asr_opt.sources.transcripts import TRANSCRIPT_TYPE, read_transcripts

NOW_NS = 1_700_000_000_123_456_789


def test_every_field_survives(tmp_path):
    stages = Latency(**{field.name: number + 0.5 for number, field
                        in enumerate(dataclasses.fields(Latency))})
    said = Transcript(
        segment=2 ** 63, stream='küche', sequence=7, status=TranscriptStatus.EXPIRED,
        begin_ns=NOW_NS, end_ns=NOW_NS + 10 ** 9, text='geh in die Küche', language='de',
        confidence=0.75, words=(Word('geh', 0.25, 0.5, 0.125), Word('in', 0.5, 0.75, 0.5)),
        emotion='happy', event='speech', flags=Flag.SPLIT | Flag.RECOVERED, worker='inference_0',
        backend='onnxruntime', reason='too late', cache='l2', attempts=3, missing_chunks=2,
        latency=stages)
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/asr/transcript', TRANSCRIPT_TYPE)
        bag.write('/asr/transcript', NOW_NS, serialize_message(transcript_message(said)))
    assert read_transcripts(tmp_path / 'bag') == [(NOW_NS, said)]
