"""The microphone, over a stand-in for the module sounddevice: test machines have no sound card."""

import importlib
import threading

import numpy as np
import pytest
from fake_portaudio import FakeError, FakePortAudio, FakeStream

from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE
from xlerobot_asr_opt.sources.microphone import Device, Microphone, devices

NOW_NS = 1_700_000_000_000_000_000


def opened(portaudio, name=''):
    microphone = Microphone(name, 'kitchen', lambda: NOW_NS, portaudio)
    return microphone, portaudio.streams[-1]


def block(value, size=CHUNK_CAPACITY):
    return np.full(size, value, np.int16)


def test_lists_input_devices_alone():
    assert devices(FakePortAudio(['USB Audio'], default=1)) == [
        Device(1, 'USB Audio', 2, 48_000, 'ALSA', is_default=True)]
    assert devices(FakePortAudio([])) == []


@pytest.mark.parametrize(('name', 'index'), [
    ('', 2), ('HDA Analog', 1), ('hda', 1), ('usb', 2), ('1', 1), ('2', 2)])
def test_is_chosen_by_name_part_of_it_or_number(name, index):
    microphone, stream = opened(FakePortAudio(default=2), name)
    assert microphone.device.index == index
    assert stream.settings['device'] == index


def test_a_whole_name_goes_before_a_part_of_another():
    portaudio = FakePortAudio(['USB Audio (2)', 'USB Audio'])
    assert opened(portaudio, 'USB Audio')[0].device.index == 2


def test_without_a_default_the_first_one_is_taken():
    assert opened(FakePortAudio())[0].device.index == 1


@pytest.mark.parametrize('name', ['Blue Yeti', '0', '7'])
def test_a_wrong_name_is_told_which_ones_there_are(name):
    with pytest.raises(SourceError) as error:
        opened(FakePortAudio(), name)
    assert str(error.value) == (
        f'no microphone is named {name!r}; there are: 1: HDA Analog, 2: USB Audio')


def test_a_name_that_fits_two_is_told_which():
    with pytest.raises(SourceError) as error:
        opened(FakePortAudio(['HDA Analog', 'USB one', 'USB two']), 'usb')
    assert str(error.value) == (
        "2 microphones are named 'usb', choose one by its number: 2: USB one, 3: USB two")


def test_no_device_at_all():
    with pytest.raises(SourceError, match='this machine has no input device'):
        opened(FakePortAudio([]))


@pytest.mark.parametrize(('refuses', 'form'), [
    (lambda rate, channels: False, (48_000, 1)),
    (lambda rate, channels: channels == 1, (48_000, 6)),
    (lambda rate, channels: rate != SAMPLE_RATE, (SAMPLE_RATE, 1)),
    (lambda rate, channels: rate != SAMPLE_RATE or channels == 1, (SAMPLE_RATE, 6)),
])
def test_takes_the_form_that_the_device_gives(refuses, form):
    microphone, stream = opened(FakePortAudio(rate=48_000, channels=6, refuses=refuses))
    assert (microphone.rate, microphone.channels) == form
    assert stream.settings['blocksize'] == CHUNK_CAPACITY // form[1]


def test_takes_no_more_channels_or_samples_than_chunks_carry():
    asked = []
    portaudio = FakePortAudio(
        rate=384_000, channels=128, refuses=lambda *form: asked.append(form) or True)
    with pytest.raises(SourceError):
        opened(portaudio)
    assert asked == [(SAMPLE_RATE, 1), (SAMPLE_RATE, 32)]


def test_a_device_that_takes_no_form_is_named_with_the_reason():
    with pytest.raises(SourceError, match=r'HDA Analog cannot be opened \(Invalid sample rate\)'):
        opened(FakePortAudio(refuses=lambda rate, channels: True))


def test_a_device_that_does_not_start_is_closed_again():
    class Busy(FakeStream):
        def start(self):
            raise FakeError('Device unavailable')

    portaudio = FakePortAudio()
    portaudio.stream_type = Busy
    with pytest.raises(SourceError, match=r'\(Device unavailable\); is another program using it'):
        opened(portaudio)
    assert portaudio.streams[0].closed


def test_blocks_become_chunks_with_the_time_of_their_first_sample():
    microphone, stream = opened(FakePortAudio(rate=16_000))
    assert microphone.take() == []
    for value in (1, 2, 3):
        stream.hear(block(value))
    chunks = microphone.take()
    assert [chunk.sequence for chunk in chunks] == [0, 1, 2]
    for chunk, value in zip(chunks, (1, 2, 3), strict=True):
        assert (chunk.stream, chunk.rate, chunk.channels) == ('kitchen', 16_000, 1)
        assert chunk.stamp_ns == NOW_NS - 100_000_000
        assert chunk.samples.dtype == np.int16
        np.testing.assert_array_equal(chunk.samples, block(value))
    assert microphone.take() == []
    assert microphone.overflows == 0


def test_channels_stay_interleaved():
    microphone, stream = opened(
        FakePortAudio(channels=2, refuses=lambda rate, channels: channels == 1))
    stream.hear(np.arange(1600))
    [chunk] = microphone.take()
    assert (chunk.rate, chunk.channels) == (48_000, 2)
    assert chunk.stamp_ns == NOW_NS - 800 * 1_000_000_000 // 48_000
    np.testing.assert_array_equal(chunk.samples, np.arange(1600))


def test_what_the_driver_lost_is_counted_and_leaves_a_hole():
    microphone, stream = opened(FakePortAudio())
    stream.hear(block(1))
    stream.hear(block(2), overflow=True)
    assert [chunk.sequence for chunk in microphone.take()] == [0, 2]
    assert microphone.overflows == 1


def test_what_nobody_reads_is_bounded_and_leaves_a_hole():
    microphone, stream = opened(FakePortAudio())
    for _ in range(1000):
        stream.hear(block(1))
    taken = microphone.take()
    assert [chunk.sequence for chunk in taken] == list(range(400))
    assert microphone.overflows == 600
    stream.hear(block(2))
    assert [chunk.sequence for chunk in microphone.take()] == [1000]


def test_another_thread_may_fill_while_one_takes():
    microphone, stream = opened(FakePortAudio())
    thread = threading.Thread(target=lambda: [stream.hear(block(n)) for n in range(300)])
    thread.start()
    taken = []
    while thread.is_alive():
        taken += microphone.take()
    thread.join()
    taken += microphone.take()
    assert [chunk.sequence for chunk in taken] == list(range(300))
    assert [chunk.samples[0] for chunk in taken] == list(range(300))


def test_a_device_that_went_away_gives_the_rest_and_then_says_so():
    microphone, stream = opened(FakePortAudio())
    stream.hear(block(1))
    stream.active = False
    assert len(microphone.take()) == 1
    with pytest.raises(SourceError, match='HDA Analog has stopped: unplugged'):
        microphone.take()


def test_close():
    microphone, stream = opened(FakePortAudio())
    microphone.close()
    assert stream.closed


@pytest.mark.parametrize(('error', 'advice'), [
    (OSError('PortAudio library not found'), 'apt-get install libportaudio2'),
    (ModuleNotFoundError("No module named 'sounddevice'"), 'pip install sounddevice'),
])
def test_what_is_not_installed_is_named(monkeypatch, error, advice):
    def refuse(name):
        raise error

    monkeypatch.setattr(importlib, 'import_module', refuse)
    for use in (devices, lambda: Microphone('', 's', lambda: 0)):
        with pytest.raises(SourceError) as raised:
            use()
        assert str(error) in str(raised.value)
        assert advice in str(raised.value)
