"""What is wrong with a microphone shows in its stream's status, and is told with what to do."""

import dataclasses

import numpy as np
import pytest
from monitored_world import MonitoredWorld
from scripted_speech import BEGIN_NS, LoudnessDetector, chunks, rows, sound

from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.microphone_faults import REMEDIES, RateWatch, faults_in
from xlerobot_asr_opt.core.monitor.judgement import Level
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.parameters import IngestParameters
from xlerobot_asr_opt.records import Chunk, Fault, StreamState, StreamStatus

NS = 1_000_000_000


class Mic:
    """One stream of an ingest whose clock follows what it brings."""

    def __init__(self, path):
        self.now = 100.0
        self.store = SegmentStore(path / 'a.store', 16 << 20)
        self.ingest = Ingest(
            IngestParameters(), self.store, LoudnessDetector(), lambda: self.now)

    def hear(self, some, chunk_s=0.1):
        for chunk in some:
            self.ingest.accept_all(rows([chunk]))
            self.now += chunk_s
            self.ingest.tick()

    def wait(self, seconds):
        for _ in range(round(seconds)):
            self.now += 1.0
            self.ingest.tick()

    @property
    def faults(self):
        return self.ingest.statuses()[0].faults


@pytest.fixture
def mic(tmp_path):
    mic = Mic(tmp_path)
    yield mic
    mic.store.close()


def told(caplog, fault):
    return [record for record in caplog.records if REMEDIES[fault] in record.message]


ROOM = sound(11.0, loud=False)


def test_a_good_microphone_has_no_fault(mic, caplog):
    mic.hear(chunks(ROOM[:5 * 16_000]))
    assert mic.faults is Fault.NONE
    assert not caplog.records


def test_silence_and_its_end(mic, caplog):
    mic.hear(chunks(np.zeros(11 * 16_000, np.int16)))
    assert mic.faults is Fault.SILENT
    mic.hear(chunks(ROOM[:16_000], first=110, begin_ns=BEGIN_NS + 11 * NS))
    assert mic.faults is Fault.NONE
    assert len(told(caplog, Fault.SILENT)) == 1


def test_clipping_is_a_fault_for_ten_seconds(mic):
    loud = ROOM.copy()
    loud[100] = 32767
    mic.hear(chunks(loud[:16_000]))
    assert mic.faults is Fault.CLIPPING
    mic.hear(chunks(ROOM[:11 * 16_000], first=10, begin_ns=BEGIN_NS + NS))
    assert mic.faults is Fault.NONE


@pytest.mark.parametrize('offset', [-4000, 4000])
@pytest.mark.parametrize(('rate', 'channels'), [(16_000, 1), (48_000, 2)])
def test_an_offset(mic, caplog, offset, rate, channels):
    shifted = sound(3.0, loud=False, rate=rate * channels) + np.int16(offset)
    mic.hear(chunks(shifted, rate=rate, channels=channels), 1600 / rate / channels)
    assert mic.faults is Fault.OFFSET
    (record,) = told(caplog, Fault.OFFSET)
    # Told when it is believed, before the mean has settled.
    assert f'(a mean of {"+" if offset > 0 else "-"}5.' in record.message


def test_loud_speech_is_no_offset(mic):
    mic.hear(chunks(sound(5.0, loud=True)))
    assert mic.faults is Fault.NONE


def test_a_dead_channel_and_its_return(mic, caplog):
    one = sound(12.0, loud=False)
    dead = np.stack([one, np.zeros_like(one)], 1).ravel()
    mic.hear(chunks(dead, channels=2), 0.05)
    assert mic.faults is Fault.CHANNEL
    (record,) = told(caplog, Fault.CHANNEL)
    assert '(no sound on 2 of 2 for 10 s)' in record.message
    good = np.stack([one, one], 1).ravel()
    mic.hear(chunks(good[:32_000], channels=2, first=240, begin_ns=BEGIN_NS + 12 * NS), 0.05)
    assert mic.faults is Fault.NONE


def test_both_channels_silent_are_a_muted_microphone(mic):
    mic.hear(chunks(np.zeros(11 * 32_000, np.int16), channels=2), 0.05)
    assert mic.faults is Fault.SILENT


@pytest.mark.parametrize(('really', 'says'), [
    (48_000, 16_000), (44_100, 48_000), (8000, 16_000), (16_000, 8000)])
def test_a_rate_that_is_not_what_it_says(mic, caplog, really, says):
    count = 40 * max(really, says) // 800
    audio = sound(1.0, loud=False)[:800]
    mic.hear([Chunk('hall', index, BEGIN_NS + index * 800 * NS // really, says, 1, audio)
              for index in range(count)], 800 / really)
    assert mic.faults & Fault.RATE
    record = told(caplog, Fault.RATE)[0]
    assert f'(its stamps show {really} Hz, it says {says})' in record.message


def test_pauses_of_a_publisher_are_no_wrong_rate():
    watch, stamp_ns = RateWatch(), BEGIN_NS
    generator = np.random.default_rng(1)
    for sequence in range(1, 4000, 10):
        stamp_ns += NS + int(generator.integers(0, 2) * generator.integers(0, 900_000_000))
        assert not watch.see(sequence, stamp_ns, NS // 10, 16_000)


@pytest.mark.parametrize('fault', ['no stamps', 'stands still', 'other lengths'])
def test_what_says_nothing_of_the_rate_is_passed_by(fault):
    watch = RateWatch()
    for index in range(1, 100):
        assert not watch.see(
            1 if fault == 'stands still' else 30 * index,
            0 if fault == 'no stamps' else BEGIN_NS + index * NS,
            NS // 10 * (1 + index % 2 if fault == 'other lengths' else 1), 16_000)


def test_a_microphone_that_brings_nothing(mic, caplog):
    mic.ingest.open('mic', live=True)
    mic.wait(9)
    assert mic.faults is Fault.NONE
    mic.wait(3)
    assert mic.faults is Fault.ABSENT
    assert len(told(caplog, Fault.ABSENT)) == 1
    mic.ingest.accept(dataclasses.replace(chunks(ROOM)[0], stream='mic'))
    mic.wait(1)
    assert mic.faults is Fault.NONE


def test_a_file_that_waits_is_no_fault(mic):
    mic.ingest.open('file')
    mic.wait(30)
    assert mic.faults is Fault.NONE


def test_every_fault_has_a_remedy_and_is_listed():
    assert set(REMEDIES) == set(Fault) - {Fault.NONE}
    assert all(': ' in remedy for remedy in REMEDIES.values())
    assert faults_in(Fault.SILENT | Fault.RATE) == [Fault.SILENT, Fault.RATE]


def test_the_diagnostics_warn_of_it():
    world = MonitoredWorld()
    world.live(5)
    status = StreamStatus('hall', StreamState.SILENCE, position_s=6.0, faults=Fault.CHANNEL)
    world.monitor.on_stream(status)
    audio = next(one for one in world.monitor.judge() if one.name == 'audio')
    assert audio.level is Level.WARN
    assert audio.message == f'hall: {REMEDIES[Fault.CHANNEL]}'
