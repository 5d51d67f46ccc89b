"""Audio files: every form that people have, and every way in which one can be bad."""

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from xlerobot_asr_opt.core.audio import count_clipped
from xlerobot_asr_opt.errors import AudioError, SourceError
from xlerobot_asr_opt.records import CHUNK_CAPACITY
from xlerobot_asr_opt.sources.file import AudioFile

START_NS = 1_700_000_000_123_456_789


def tone(seconds=1.0, rate=16_000, channels=1, level=0.5):
    """float64[frames, channels]: a tone in noise, another one in each channel."""
    time = np.arange(round(seconds * rate))[:, None] / rate
    noise = np.random.default_rng(1).normal(0, 0.02, (time.size, channels))
    return level * np.sin(2 * np.pi * 220 * (1 + np.arange(channels)) * time) + noise


def written(path, samples, rate=16_000, **form):
    soundfile.write(path, samples, rate, **form)
    return path


def read(path):
    """Chunks, and the complaint behind them."""
    chunks = []
    with AudioFile(path) as recording:
        try:
            chunks.extend(recording.chunks('kitchen', START_NS))
        except AudioError as error:
            return chunks, str(error)
    return chunks, ''


def joined(chunks):
    return np.concatenate([chunk.samples for chunk in chunks])


def write_wav(path, data, length, rate=16_000):
    """A 16 bit mono WAV file whose header promises length bytes."""
    form = struct.pack('<HHIIHH', 1, 1, rate, 2 * rate, 2, 16)
    riff = min(36 + length, 0xFFFFFFFF)
    path.write_bytes(
        b'RIFF' + struct.pack('<I', riff) + b'WAVEfmt ' + struct.pack('<I', 16) + form
        + b'data' + struct.pack('<I', length) + data)
    return path


# What must work

@pytest.mark.parametrize(('name', 'subtype', 'rate', 'channels', 'step'), [
    ('a.wav', 'PCM_U8', 16_000, 1, 256),
    ('a.wav', 'PCM_16', 44_100, 2, 1),
    ('a.wav', 'PCM_24', 48_000, 1, 1),
    ('a.wav', 'PCM_32', 16_000, 1, 1),
    ('a.wav', 'FLOAT', 16_000, 1, 1),
    ('a.wav', 'DOUBLE', 22_050, 2, 1),
    ('a.wav', 'ULAW', 8_000, 1, 1024),
    ('a.wav', 'PCM_16', 96_000, 6, 1),
    ('a.wav', 'PCM_16', 192_000, 32, 1),
    ('a.flac', 'PCM_16', 16_000, 1, 1),
    ('a.flac', 'PCM_24', 96_000, 6, 1),
])
def test_gives_the_samples_of_every_form(tmp_path, name, subtype, rate, channels, step):
    samples = tone(0.5, rate, channels)
    chunks, complaint = read(written(tmp_path / name, samples, rate, subtype=subtype))
    assert not complaint
    assert {(chunk.rate, chunk.channels) for chunk in chunks} == {(rate, channels)}
    got = joined(chunks).reshape(-1, channels)
    assert got.dtype == np.int16
    assert got.shape == samples.shape
    assert np.abs(got - samples * 32768).max() <= step


@pytest.mark.parametrize('subtype', ['VORBIS', 'OPUS'])
def test_ogg(tmp_path, subtype):
    samples = tone(2.0)
    path = written(tmp_path / 'a.ogg', samples, format='OGG', subtype=subtype)
    chunks, complaint = read(path)
    assert not complaint
    got = joined(chunks) / 32768
    assert got.size == samples.size
    assert np.corrcoef(got, samples[:, 0])[0, 1] > 0.98


def test_sixteen_bits_come_through_untouched(tmp_path):
    samples = np.arange(-32768, 32768, dtype=np.int16)
    for name in ('a.wav', 'a.flac'):
        np.testing.assert_array_equal(
            joined(read(written(tmp_path / name, samples))[0]), samples)


@pytest.mark.parametrize(('rate', 'channels'), [(16_000, 1), (44_100, 2), (96_000, 6), (8_000, 7)])
def test_chunks_are_full_whole_and_stamped_without_drift(tmp_path, rate, channels):
    chunks, _ = read(written(tmp_path / 'a.wav', tone(1.7, rate, channels), rate))
    frames = CHUNK_CAPACITY // channels
    position = 0
    for sequence, chunk in enumerate(chunks):
        assert chunk.stream == 'kitchen'
        assert chunk.sequence == sequence
        assert chunk.stamp_ns == START_NS + position * 1_000_000_000 // rate
        assert chunk.samples.size % channels == 0
        position += chunk.samples.size // channels
        if chunk is not chunks[-1]:
            assert chunk.samples.size == frames * channels
    assert position == round(1.7 * rate)


def test_length(tmp_path):
    with AudioFile(written(tmp_path / 'a.wav', tone(1.25, 44_100), 44_100)) as recording:
        assert recording.duration_s == 1.25
        assert (recording.rate, recording.channels) == (44_100, 1)


def test_two_hours_are_not_held_in_memory(tmp_path):
    length = 2 * 3600 * 2 * 16_000
    path = write_wav(tmp_path / 'long.wav', b'', length)
    os.truncate(path, 44 + length)
    tracemalloc.start()
    with AudioFile(path) as recording:
        assert recording.duration_s == 7200
        chunks = recording.chunks('s', 0)
        last = [next(chunks) for _ in range(500)][-1]
        del chunks
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last.stamp_ns == 49_900_000_000
    assert most < 4_000_000


def test_overshoot_of_a_lossy_codec_is_limited_and_does_not_wrap_around(tmp_path):
    square = np.sign(np.sin(2 * np.pi * 300 * (np.arange(16_000) + 0.5) / 16_000)) * 0.99
    path = written(tmp_path / 'a.ogg', square)
    decoded = soundfile.read(path, dtype='float32')[0]
    assert np.abs(decoded).max() > 1.0
    got = joined(read(path)[0])
    np.testing.assert_array_equal(np.sign(got), np.sign(np.rint(decoded * 32768)))


def test_float_beyond_full_scale_is_limited_and_counts_as_clipped(tmp_path):
    samples = np.array([0.0, 0.5, 1.5, -1.5, 40.0, -0.25])
    got = joined(read(written(tmp_path / 'a.wav', samples, subtype='FLOAT'))[0])
    assert got.tolist() == [0, 16384, 32767, -32768, 32767, -8192]
    assert count_clipped(got) == 3


@pytest.mark.parametrize('length', [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_wav_from_a_pipe_is_heard_to_its_end(tmp_path, length):
    samples = np.arange(2000, dtype=np.int16)
    chunks, complaint = read(write_wav(tmp_path / 'a.wav', samples.tobytes(), length))
    assert not complaint
    np.testing.assert_array_equal(joined(chunks), samples)


def test_flac_from_a_pipe_is_heard_to_its_end(tmp_path):
    samples = tone(3.0)
    path = unknown_length(written(tmp_path / 'a.flac', samples))
    with AudioFile(path) as recording:
        assert recording.duration_s == 0.0
    chunks, complaint = read(path)
    assert not complaint
    assert joined(chunks).size == len(samples)


def unknown_length(path):
    """Sets the 36 bits of a FLAC file that tell the number of samples to 0."""
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    return path


# What is cut or damaged gives what is there, and then says so

@pytest.mark.parametrize('subtype', ['PCM_16', 'PCM_24', 'FLOAT', 'ULAW'])
def test_cut_wav(tmp_path, subtype):
    path = written(tmp_path / 'a.wav', tone(), subtype=subtype)
    size = path.stat().st_size
    os.truncate(path, size // 2)
    chunks, complaint = read(path)
    assert joined(chunks).size == pytest.approx(8000, abs=30)
    assert complaint.startswith(f'{path}: broken off at 0.50 s (')
    assert f'{size - size // 2} bytes that its header promises are missing' in complaint


def test_wav_of_a_whole_length_with_a_note_behind_it_is_not_cut(tmp_path):
    path = write_wav(tmp_path / 'a.wav', bytes(4000), 4000)
    with path.open('ab') as file:
        file.write(b'LIST' + struct.pack('<I', 4) + b'INFO')
    assert read(path)[1] == ''


def test_cut_flac(tmp_path):
    samples = tone(3.0)
    path = written(tmp_path / 'a.flac', samples)
    os.truncate(path, path.stat().st_size * 6 // 10)
    chunks, complaint = read(path)
    got = joined(chunks)
    # Its last whole block of 4096 frames is heard, not only the last read that went well.
    assert got.size == 28_672
    assert np.abs(got - samples[:got.size, 0] * 32768).max() <= 1
    assert complaint.startswith(f'{path}: broken off at 1.79 s (')


def test_damaged_flac_from_a_pipe(tmp_path):
    path = unknown_length(written(tmp_path / 'a.flac', tone(3.0)))
    os.truncate(path, path.stat().st_size * 6 // 10)
    chunks, complaint = read(path)
    assert joined(chunks).size == 28_672
    assert 'broken off at 1.79 s' in complaint


@pytest.mark.parametrize('subtype', ['VORBIS', 'OPUS'])
def test_cut_ogg(tmp_path, subtype):
    path = written(tmp_path / 'a.ogg', tone(10.0), format='OGG', subtype=subtype)
    os.truncate(path, path.stat().st_size * 7 // 10)
    chunks, complaint = read(path)
    assert 3 * 16_000 < joined(chunks).size < 8 * 16_000
    assert 'its last page is missing' in complaint


def test_ogg_that_lacks_its_last_byte(tmp_path):
    path = written(tmp_path / 'a.ogg', tone(10.0))
    os.truncate(path, path.stat().st_size - 1)
    chunks, complaint = read(path)
    assert chunks
    assert 'its last page is missing' in complaint


def test_ogg_with_a_damaged_page(tmp_path):
    path = written(tmp_path / 'a.ogg', tone(10.0))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 20] = bytes(20)
    path.write_bytes(content)
    chunks, complaint = read(path)
    heard = joined(chunks).size
    assert 0 < heard < 160_000
    assert f'its header promises {10 - heard / 16_000:.2f} s more' in complaint


def test_values_that_are_no_numbers_are_heard_as_silence_and_told(tmp_path):
    samples = tone()[:, 0]
    samples[[0, 7000, -1]] = np.nan, np.inf, -np.inf
    path = written(tmp_path / 'a.wav', samples, subtype='FLOAT')
    chunks, complaint = read(path)
    got = joined(chunks)
    assert got.size == 16_000
    samples[[0, 7000, -1]] = 0.0
    assert np.abs(got - samples * 32768).max() <= 1
    assert complaint == (f'{path}: 3 values are no numbers (NaN or infinite), heard as silence; '
                         f'copy or record it again')


# What cannot be heard at all is refused when it is opened

def test_empty_file(tmp_path):
    path = tmp_path / 'a.wav'
    path.touch()
    with pytest.raises(AudioError, match='got an empty file, expected WAV, FLAC or OGG'):
        AudioFile(path)


@pytest.mark.parametrize('name', ['a.wav', 'a.flac', 'a.ogg', 'a.raw', 'a.txt'])
def test_no_audio(tmp_path, name):
    path = tmp_path / name
    path.write_text('It was the best of times, it was the worst of times.\n' * 100)
    with pytest.raises(AudioError, match=r'cannot be read as audio .*; expected WAV, FLAC or OGG'):
        AudioFile(path)


@pytest.mark.parametrize(('form', 'size'), [
    ({'format': 'WAV'}, 30), ({'format': 'FLAC'}, 20), ({'format': 'OGG'}, 200)])
def test_cut_within_its_header(tmp_path, form, size):
    path = written(tmp_path / 'a', tone(), **form)
    os.truncate(path, size)
    with pytest.raises(AudioError, match='cannot be read as audio'):
        AudioFile(path)


def test_refused_files_leave_no_descriptor_open(tmp_path):
    descriptors = Path('/proc/self/fd')
    noise = tmp_path / 'a.wav'
    noise.write_bytes(b'RIFF of nothing')
    slow = written(tmp_path / 'slow.wav', tone(), 2)
    before = len(list(descriptors.iterdir()))
    for path in (noise, slow) * 10:
        with pytest.raises(AudioError):
            AudioFile(path)
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize('data', [b'', bytes(2000)])
def test_header_without_samples(tmp_path, data):
    with pytest.raises(AudioError, match=r'without samples.*killed'):
        AudioFile(write_wav(tmp_path / 'a.wav', data, 0))


@pytest.mark.parametrize('rate', [3999, 192_001])
def test_rate_that_chunks_do_not_carry(tmp_path, rate):
    with pytest.raises(AudioError, match=f'got a rate of {rate} Hz, expected 4000 to 192000'):
        AudioFile(written(tmp_path / 'a.wav', tone(0.1), rate))


def test_more_channels_than_chunks_carry(tmp_path):
    with pytest.raises(AudioError, match='got 33 channels, expected 1 to 32'):
        AudioFile(written(tmp_path / 'a.wav', tone(0.1, channels=33)))


def test_no_such_file(tmp_path):
    with pytest.raises(SourceError, match='cannot be read: No such file or directory'):
        AudioFile(tmp_path / 'none.wav')


def test_directory(tmp_path):
    with pytest.raises(SourceError, match='got a directory, expected an audio file'):
        AudioFile(tmp_path)


def test_link_to_itself(tmp_path):
    (tmp_path / 'a.wav').symlink_to('a.wav')
    with pytest.raises(SourceError, match='cannot be read: Too many levels of symbolic links'):
        AudioFile(tmp_path / 'a.wav')


def test_pipe_is_refused_and_does_not_hold_up_the_reader(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(SourceError, match='no regular file, expected an audio file'):
        AudioFile(tmp_path / 'pipe')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_file_that_may_not_be_read(tmp_path):
    path = written(tmp_path / 'a.wav', tone(0.1))
    path.chmod(0)
    with pytest.raises(SourceError, match='cannot be read: Permission denied'):
        AudioFile(path)


def test_name_that_is_no_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b'k\xfcche.wav')
    written(tmp_path / 'a.wav', tone(0.1)).rename(path)
    assert joined(read(path)[0]).size == 1600
