"""Every family of audio messages is read, and what is wrong with a message is told."""

from types import SimpleNamespace as Message

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.chunk_cutter import ChunkCutter
from xlerobot_asr_opt.core.encodings import WIDTHS
from xlerobot_asr_opt.core.topic_entries import Form
from xlerobot_asr_opt.errors import AudioError, ConfigurationError
from xlerobot_asr_opt.records import CHANNELS, RATES
from xlerobot_asr_opt.ros.audio_messages import FAMILIES, form_of_info, message_class

SAMPLES = np.array([0, 1, -2, 300, -32768, 32767], np.int16)
STAMP = Message(sec=7, nanosec=5)
STAMP_NS = 7_000_000_005
HEADER = Message(stamp=STAMP, frame_id='head')


def read(kind, message, form=None):
    return FAMILIES[kind].read(message, form or Form())


def raw(samples=SAMPLES, dtype='<i2'):
    return np.frombuffer(samples.astype(dtype).tobytes(), np.uint8)


def audio(number, **fields):
    """A message of mgonzs13 in one of PortAudio's sample formats."""
    data = dict.fromkeys(
        ('float32_data', 'int32_data', 'int16_data', 'int8_data', 'uint8_data'), ())
    return Message(audio_data=Message(**{**data, **fields}),
                   info=Message(format=number, channels=2, rate=44_100, chunk=3))


def smart(kind, data=b''):
    return Message(frame_type=Message(value=kind), event_type=Message(value=0), cmd_word='go',
                   data=data, doa_theta=0.0)


def frame(kind, data=b'', smart_audio=None):
    return Message(index=41, pts=STAMP, frame_type=Message(value=kind), data=data,
                   smart_audio=smart_audio or smart(2))


def earlier(**fields):
    return Message(**{
        'header': HEADER, 'sample_rate': 16_000, 'channels': 1, 'format': 'S16_LE',
        'frame_size': 6, 'is_processed': False, 'data': raw(), **fields})


CASES = {
    # type, message, form: rate, channels, stamp, number
    'raw bytes': ('audio_common_msgs/msg/AudioData', Message(data=raw()), Form(),
                  (16_000, 1, 0, None)),
    'raw bytes, 24 bits, stereo': (
        'audio_common_msgs/msg/AudioData',
        Message(data=bytes(np.stack([np.zeros(6, np.uint8), raw()[::2], raw()[1::2]], 1))),
        Form('S24LE', 48_000, 2), (48_000, 2, 0, None)),
    'stamped': ('audio_common_msgs/msg/AudioDataStamped',
                Message(header=HEADER, audio=Message(data=raw())), Form('S16LE', 8000, 1),
                (8000, 1, STAMP_NS, None)),
    'arrays, int16': ('audio_common_msgs/msg/Audio', audio(8, int16_data=SAMPLES), Form(),
                      (44_100, 2, 0, None)),
    'arrays, float': ('audio_common_msgs/msg/AudioStamped', Message(
        header=HEADER, audio=audio(1, float32_data=(SAMPLES / 32768).astype(np.float32))),
        Form(), (44_100, 2, STAMP_NS, None)),
    'arrays, int32': ('audio_common_msgs/msg/AudioStamped', Message(
        header=HEADER, audio=audio(2, int32_data=SAMPLES.astype(np.int32) << 16)), Form(),
        (44_100, 2, STAMP_NS, None)),
    'a frame': ('audio_msg/msg/AudioFrame', frame(1, raw()), Form('S16LE', 16_000, 2),
                (16_000, 2, STAMP_NS, 41)),
    'a smart frame': ('audio_msg/msg/AudioFrame', frame(2, smart_audio=smart(1, raw())), Form(),
                      (16_000, 1, STAMP_NS, 41)),
    'smart audio': ('audio_msg/msg/SmartAudioData', smart(1, raw()), Form(),
                    (16_000, 1, 0, None)),
    'the earlier one': ('audio_msg/msg/AudioData', earlier(), Form('F32LE', 8000, 3),
                        (16_000, 1, STAMP_NS, None)),
    'the earlier one, as rclpy gives byte[]': (
        'audio_msg/msg/AudioData',
        earlier(data=[bytes([one]) for one in raw()], format='PCM', channels=3), Form(),
        (16_000, 3, STAMP_NS, None)),
}


@pytest.mark.parametrize('case', CASES)
def test_every_family_gives_its_samples(case):
    kind, message, form, expected = CASES[case]
    heard = read(kind, message, form)
    assert np.array_equal(heard.samples, SAMPLES)
    assert (heard.rate, heard.channels, heard.stamp_ns, heard.number) == expected


def test_every_family_is_tried():
    assert {kind for kind, *_ in CASES.values()} == set(FAMILIES)


@pytest.mark.parametrize(('number', 'field', 'dtype'), [
    (16, 'int8_data', np.int8), (32, 'uint8_data', np.uint8)])
def test_eight_bits_are_the_upper_half(number, field, dtype):
    data = (SAMPLES >> 8) + (128 if dtype is np.uint8 else 0)
    heard = read('audio_common_msgs/msg/Audio', audio(number, **{field: data.astype(dtype)}))
    assert np.array_equal(heard.samples, (SAMPLES >> 8) << 8)


@pytest.mark.parametrize('kind', [2, 3, 4, 5, 6])
def test_events_and_copies_carry_no_audio(kind):
    assert read('audio_msg/msg/SmartAudioData', smart(kind, raw())) is None


@pytest.mark.parametrize(('kind', 'message', 'said'), [
    ('audio_common_msgs/msg/AudioData', Message(data=b'\x01'), 'got 1 bytes of S16LE'),
    ('audio_common_msgs/msg/AudioData', Message(data=b'ID3' + bytes(9)), 'got bytes of MP3'),
    ('audio_common_msgs/msg/Audio', audio(4), 'got the sample format 4, expected one of PortA'),
    ('audio_common_msgs/msg/Audio', audio(8), 'got no int16_data.* but no samples at all'),
    ('audio_common_msgs/msg/Audio', audio(8, int8_data=[1]), 'got no int16_data.* int8_data'),
    ('audio_common_msgs/msg/Audio', audio(1, float32_data=np.array([np.nan])), 'NaN'),
    ('audio_msg/msg/AudioFrame', frame(0), 'got the frame type 0, expected 1'),
    ('audio_msg/msg/AudioData', earlier(format='MP3'), "got audio in the format 'MP3'"),
    ('audio_msg/msg/AudioData', earlier(format='WAV', data=b'RIFF1234'), 'got bytes of a WAV'),
    ('audio_msg/msg/AudioData', earlier(channels=0), 'got 0 channels'),
    ('audio_msg/msg/AudioData', earlier(channels=4), 'got 12 bytes of S16LE in 4 channels'),
])
def test_what_cannot_be_heard_is_told_with_what_was_expected(kind, message, said):
    with pytest.raises(AudioError, match=said):
        read(kind, message)


@settings(deadline=None)
@given(
    data=st.binary(max_size=400), encoding=st.sampled_from([*WIDTHS]),
    rate=st.integers(-5, 200_000), channels=st.integers(-2, 40))
def test_whatever_a_message_holds_becomes_chunks_or_is_refused(data, encoding, rate, channels):
    size = WIDTHS[encoding]
    try:
        heard = read('audio_common_msgs/msg/AudioData', Message(data=data),
                     Form(encoding, rate, channels))
        rows = ChunkCutter('hall').cut(heard.samples, heard.rate, heard.channels, 1)
    except AudioError:
        return
    assert rate in RATES
    assert channels in CHANNELS
    assert len(data) % (size * channels) == 0
    assert int(rows['length'].sum()) == len(data) // size


def info(**fields):
    return Message(**{'channels': 2, 'sample_rate': 44_100, 'sample_format': 'S16LE',
                      'bitrate': 0, 'coding_format': 'wave', **fields})


def test_an_info_says_the_form():
    assert form_of_info(info()) == Form('S16LE', 44_100, 2)
    assert form_of_info(info(sample_format='S32LE', coding_format='')) == Form('S32LE', 44_100, 2)
    assert form_of_info(info(sample_format='')) == Form('S16LE', 44_100, 2)


def test_an_info_of_compressed_audio_is_refused():
    with pytest.raises(AudioError, match='format wave, S16LE'):
        form_of_info(info(coding_format='mp3'))


def package(**types):
    """Import a package that has these types, each with its fields."""
    def load(name):
        return Message(**{kind: Message(get_fields_and_field_types=lambda fields=fields: dict(
            fields)) for kind, fields in types.items()})
    return load


@pytest.mark.parametrize('kind', FAMILIES)
def test_a_type_is_taken_with_its_fields(kind):
    fields = [(name, 'x') for name in FAMILIES[kind].fields]
    name = kind.split('/')[-1]
    assert message_class(kind, package(**{name: fields})).get_fields_and_field_types()


def test_a_package_that_is_not_there_is_named():
    def load(name):
        raise ModuleNotFoundError(f"No module named '{name}'")
    with pytest.raises(ConfigurationError, match='install audio_msg of Togethe'):
        message_class('audio_msg/msg/AudioFrame', load)


@pytest.mark.parametrize(('types', 'said'), [
    ({'AudioData': [('float32_data', 'x'), ('int16_data', 'x')]},
     'it has float32_data, int16_data, expected data'),
    ({'Audio': []}, 'it has no AudioData, expected data'),
])
def test_the_other_package_of_that_name_is_told(types, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        message_class('audio_common_msgs/msg/AudioData', package(**types))
    assert 'is not that of ros-drivers/audio_common' in str(caught.value)


def test_a_type_that_is_not_known_is_told_which_ones_are():
    with pytest.raises(ConfigurationError, match='got messages of sensor_msgs/msg/Image, expected'
                       ' one of xlerobot_asr_interfaces/msg/AudioChunk, audio_common_msgs/msg/A'):
        message_class('sensor_msgs/msg/Image')
