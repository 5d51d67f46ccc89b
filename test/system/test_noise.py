"""Noise, hum, claps and music give no transcript with words: neither stage lets them through."""

import time

import pytest
from scripted_speech import chunks

from bench.noises import NOISES, noise
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.vad import SileroDetector
from xlerobot_asr_opt.known_speech import known_speech
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.parameters import InferenceParameters, IngestParameters
from xlerobot_asr_opt.records import RecognitionStatus


@pytest.fixture(scope='module')
def detector():
    return SileroDetector(asset_path('silero-vad'))


@pytest.fixture(scope='module')
def recognise():
    """Recognises samples by the model itself."""
    backend = WhisperBackend(InferenceParameters())
    backend.load()
    yield lambda samples: backend.recognise(backend.prepare(samples, ''))
    backend.close()


def segments(tmp_path, detector, samples):
    """Hear samples as a stream, every window judged; return how many segments that makes."""
    store = SegmentStore(tmp_path / 'a.store', 16 << 20)
    ingest = Ingest(IngestParameters(gate=0.0), store, detector, time.monotonic)
    tickets = [ticket for chunk in chunks(samples) for ticket in ingest.accept(chunk)]
    tickets += ingest.finish('hall')
    store.close()
    return len(tickets)


@pytest.mark.parametrize('name', NOISES)
def test_the_detector_hears_no_speech_in_it(tmp_path, detector, name):
    assert segments(tmp_path, detector, noise(name, 4.0)) == 0


@pytest.mark.parametrize('name', NOISES)
def test_the_recogniser_makes_no_words_of_it(recognise, name):
    result = recognise(noise(name, 1.5))
    assert (result.status, result.text) == (RecognitionStatus.NO_SPEECH, '')
    assert result.reason


def test_speech_passes_both(tmp_path, detector, recognise):
    speech = known_speech()[0]
    assert segments(tmp_path, detector, speech.samples) == 1
    assert recognise(speech.samples).status is RecognitionStatus.DONE
