"""AudioChunk as it lies in a bag: CDR, mapped by one NumPy structure, without ROS.

The message is plain and its fields lie on their natural alignment, so CDR's body has a fixed
layout. A test holds the structure equal to AudioChunk.msg.
"""

from __future__ import annotations

import numpy as np

from xlerobot_asr_opt.errors import AudioError
from xlerobot_asr_opt.records import Chunk

__all__ = ['AUDIO_CHUNK', 'CAPACITY', 'decode', 'encode']

CAPACITY = 1600
"""int16 values that fit into one chunk (AudioChunk.CAPACITY)."""

AUDIO_CHUNK = np.dtype([
    ('sec', '<i4'), ('nanosec', '<u4'), ('stream', 'u1', (64,)), ('sequence', '<u8'),
    ('rate', '<u4'), ('channels', '<u2'), ('length', '<u2'), ('samples', '<i2', (CAPACITY,)),
])
"""Body of a serialised AudioChunk: 3288 bytes."""

_HEADER = b'\x00\x01\x00\x00'
"""CDR encapsulation: plain, little-endian, no options."""


def encode(chunk: Chunk) -> bytes:
    """Serialise one chunk as ROS does.

    Raises:
        AudioError: more samples or a longer name than the message holds.
    """
    name = chunk.stream.encode()
    if chunk.samples.size > CAPACITY:
        raise AudioError(f'got a chunk of {chunk.samples.size} int16 values, expected at most '
                         f'{CAPACITY}: send shorter chunks')
    if len(name) > 63:
        raise AudioError(f'got a stream name of {len(name)} bytes, expected at most 63')
    body = np.zeros((), AUDIO_CHUNK)
    body['sec'], body['nanosec'] = divmod(chunk.stamp_ns, 1_000_000_000)
    body['stream'][:len(name)] = np.frombuffer(name, np.uint8)
    body['sequence'] = chunk.sequence
    body['rate'] = chunk.rate
    body['channels'] = chunk.channels
    body['length'] = chunk.samples.size
    body['samples'][:chunk.samples.size] = chunk.samples
    return _HEADER + body.tobytes()


def decode(data: bytes) -> Chunk:
    """Read one serialised chunk; its samples are a view of data.

    The values are as they were recorded: whether a rate or a channel count makes sense is for
    the caller to judge.

    Raises:
        AudioError: not the bytes of an AudioChunk.
    """
    if len(data) < len(_HEADER) + AUDIO_CHUNK.itemsize or data[:2] != _HEADER[:2]:
        raise AudioError(
            f'got {len(data)} bytes that begin with {data[:4].hex()}, expected an AudioChunk of '
            f'{len(_HEADER) + AUDIO_CHUNK.itemsize} bytes of little-endian CDR')
    body = np.frombuffer(data, AUDIO_CHUNK, count=1, offset=len(_HEADER))[0]
    length = int(body['length'])
    if length > CAPACITY:
        raise AudioError(f'got a chunk of length {length}, expected at most {CAPACITY}')
    return Chunk(
        stream=body['stream'].tobytes().split(b'\0', 1)[0].decode(errors='replace'),
        sequence=int(body['sequence']),
        stamp_ns=int(body['sec']) * 1_000_000_000 + int(body['nanosec']),
        rate=int(body['rate']),
        channels=int(body['channels']),
        samples=body['samples'][:length],
    )
