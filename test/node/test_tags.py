"""Emotion and event of a recognition go over the wire as they are."""

from xlerobot_asr_opt.records import Recognition, RecognitionStatus, Transcript, TranscriptStatus
from xlerobot_asr_opt.ros import conversions


def test_a_recognition_keeps_its_tags():
    said = Recognition(1, 2, 'w', RecognitionStatus.DONE, text='hi', confidence=0.5,
                       emotion='happy', event='laughter')
    assert conversions.read_recognition(conversions.recognition_message(said)) == said


def test_a_transcript_keeps_its_tags():
    said = Transcript(1, 'kitchen', 2, TranscriptStatus.DONE, 3, 4, text='hi', confidence=0.5,
                      emotion='sad', event='bgm')
    assert conversions.read_transcript(conversions.transcript_message(said)) == said
