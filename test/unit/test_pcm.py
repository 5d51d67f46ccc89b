"""Raw samples in every encoding come out as the int16 that they were made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.encodings import WIDTHS, encoding_named
from xlerobot_asr_opt.core.pcm import coded, from_numbers, to_int16
from xlerobot_asr_opt.errors import AudioError

SAMPLES = st.lists(st.integers(-32768, 32767), max_size=50).map(
    lambda values: np.array(values, np.int16))


def written(samples, encoding):
    """The bytes of int16[n] in an encoding; those of 8 bits keep the upper half."""
    kind, order = encoding.rstrip('LBE'), '>' if encoding.endswith('BE') else '<'
    wide = samples.astype(np.int32)
    if kind == 'S8':
        return (samples >> 8).astype(np.int8).tobytes()
    if kind == 'U8':
        return ((samples >> 8) + 128).astype(np.uint8).tobytes()
    if kind == 'S16':
        return samples.astype(f'{order}i2').tobytes()
    if kind == 'S24':
        four = (wide << 8).astype(f'{order}i4').view(np.uint8).reshape(-1, 4)
        return (four[:, 1:] if order == '>' else four[:, :3]).tobytes()
    if kind == 'S24_32':
        return ((wide << 8) & 0xFFFFFF).astype(f'{order}i4').tobytes()
    if kind == 'S32':
        return (wide << 16).astype(f'{order}i4').tobytes()
    return (samples / 32768.0).astype(f'{order}f{int(kind[1:]) // 8}').tobytes()


@pytest.mark.parametrize('encoding', WIDTHS)
@settings(deadline=None)
@given(samples=SAMPLES)
def test_every_encoding_gives_the_samples_back(encoding, samples):
    data = written(samples, encoding)
    if coded(data):
        return  # by chance the begin of a file
    expected = (samples >> 8) << 8 if encoding in ('S8', 'U8') else samples
    assert np.array_equal(to_int16(data, encoding, 1), expected)
    assert len(data) == samples.size * WIDTHS[encoding]


@pytest.mark.parametrize('encoding', WIDTHS)
def test_part_of_a_frame_is_refused_with_what_was_expected(encoding):
    size = 2 * WIDTHS[encoding]
    with pytest.raises(AudioError, match=f'expected whole frames of {size} bytes'):
        to_int16(bytes(3 * size + 1), encoding, 2)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers_are_refused(value):
    with pytest.raises(AudioError, match='NaN or infinite'):
        to_int16(np.array([0.1, value], '<f4').tobytes(), 'F32LE', 1)


def test_floats_beyond_full_scale_are_limited():
    assert from_numbers(np.array([1.0, 2.0, -1.0, -7.0], np.float32)).tolist() == [
        32767, 32767, -32768, -32768]


@pytest.mark.parametrize(('text', 'encoding'), [
    ('S16LE', 'S16LE'), ('S16_LE', 'S16LE'), ('s16le', 'S16LE'), ('PCM', 'S16LE'),
    ('wave', 'S16LE'), ('WAV', 'S16LE'), ('int16', 'S16LE'), ('pcm_s16le', 'S16LE'),
    ('PCM_24', 'S24LE'), ('S24_3LE', 'S24LE'), ('S24_32LE', 'S24_32LE'), ('FLOAT_LE', 'F32LE'),
    ('F32LE', 'F32LE'), ('float32', 'F32LE'), ('S32_BE', 'S32BE'), ('U8', 'U8'),
])
def test_an_encoding_has_many_names(text, encoding):
    assert encoding_named(text) == encoding


@pytest.mark.parametrize('text', ['mp3', 'MP3', 'opus', 'flac', '', 'S17LE'])
def test_what_is_compressed_or_unknown_is_refused_with_what_to_do(text):
    with pytest.raises(AudioError, match='expected raw samples in one of S8, U8, S16LE'):
        encoding_named(text)


def mp3_frame(bits=9, rate=0, padding=0):
    """A frame of MPEG 1 layer III as lame writes it, its body left empty."""
    head = bytes([0xFF, 0xFB, bits << 4 | rate << 2 | padding << 1, 0xC4])
    kilobits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128)[bits]
    size = 144 * kilobits * 1000 // (44_100, 48_000, 32_000)[rate] + padding
    return head.ljust(size, b'\x55')


@pytest.mark.parametrize(('data', 'kind'), [
    (mp3_frame(), 'MP3'),
    (mp3_frame(5, 1) + mp3_frame(5, 1, 1) + mp3_frame(5, 1)[:70], 'MP3'),
    (b'ID3\x04' + bytes(60), 'MP3'),
    (b'RIFF\x00\x00\x00\x00WAVEfmt ', 'a WAV file'),
    (b'OggS' + bytes(40), 'an Ogg stream'),
    (b'fLaC' + bytes(40), 'a FLAC file'),
    (b'', ''), (b'\xff', ''), (bytes(100), ''), (b'\xff\xfb' * 1000, ''),
    (mp3_frame()[:100], ''),
])
def test_bytes_of_files_and_of_compressed_streams_are_known(data, kind):
    assert coded(data) == kind
    if kind:
        with pytest.raises(AudioError, match=f'got bytes of {kind}, expected raw samples'):
            to_int16(data, 'S16LE', 1)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_noise_is_not_taken_for_mp3(seed):
    noise = np.random.default_rng(seed).integers(-3000, 3000, 1600).astype('<i2')
    assert coded(noise.tobytes()) == ''
