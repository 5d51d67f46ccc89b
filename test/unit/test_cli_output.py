"""What a transcript looks like on standard output."""

import json
import math

import pytest

from xlerobot_asr_opt.cli.output import as_line, clock, show
from xlerobot_asr_opt.records import Latency, Transcript, TranscriptStatus

ORIGIN = 1_700_000_000_123_456_789


def make(status=TranscriptStatus.DONE, **fields):
    return Transcript(
        segment=7, stream='kitchen', sequence=0, status=status, begin_ns=ORIGIN + 1_250_000_000,
        end_ns=ORIGIN + 62_000_400_000, **fields)


@pytest.mark.parametrize(('seconds', 'text'), [
    (0, '00:00.000'), (1.25, '00:01.250'), (59.9996, '01:00.000'), (3661.5, '61:01.500'),
])
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_line():
    assert as_line(make(text='grüß Gott'), ORIGIN) == '00:01.250  01:02.000  grüß Gott'


def test_json(capsys):
    transcript = make(text='grüß Gott', language='de', confidence=0.8765432, backend='onnxruntime',
                      emotion='happy', event='speech',
                      latency=Latency(ingest=1.23456, total=math.nan))
    assert show(transcript, ORIGIN, 'a.wav', as_json=True)
    captured = capsys.readouterr()
    assert 'grüß' in captured.out
    assert captured.out.count('\n') == 1
    said = json.loads(captured.out)
    latencies = said.pop('latencies')
    assert said == {
        'file': 'a.wav', 'stream': 'kitchen', 'begin': 1.25, 'end': 62.0, 'text': 'grüß Gott',
        'language': 'de', 'confidence': 0.8765, 'emotion': 'happy', 'event': 'speech',
        'backend': 'onnxruntime'}
    assert latencies['ingest'] == 1.2346
    assert latencies['total'] is None


@pytest.mark.parametrize('status', [
    TranscriptStatus.REJECTED, TranscriptStatus.EXPIRED, TranscriptStatus.CANCELLED])
def test_what_was_not_recognised_is_told(capsys, status):
    assert not show(make(status, reason='no worker'), ORIGIN, 'a.wav', as_json=True)
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err == (
        f'a.wav: 00:01.250 to 01:02.000 {status.name.lower()}: no worker\n')


def test_silence_is_not_shown(capsys):
    assert show(make(TranscriptStatus.NO_SPEECH), ORIGIN, 'a.wav', as_json=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ''
