"""Chunks as rows of an array, and as records of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from xlerobot_asr_opt.core.clocks import NS
from xlerobot_asr_opt.errors import AudioError
from xlerobot_asr_opt.records import CHUNK, CHUNK_CAPACITY, SAMPLE_RATE, Chunk, Chunks

__all__ = ['chunk_of', 'chunk_row', 'name_of']


def name_of(field: bytes) -> str:
    """Return the name that a field holds as UTF-8 padded with zeros."""
    return field.split(b'\0', 1)[0].decode(errors='replace')


def chunk_of(stream: str, row: Any) -> Chunk:
    """Return the record of a CHUNK; its samples are a view of the row.

    Raises:
        AudioError: it says that it is longer than it can be.
    """
    length = int(row['length'])
    if length > CHUNK_CAPACITY:
        raise AudioError(
            f'chunk {row["sequence"]} refused: got a length of {length}, expected at most '
            f'{CHUNK_CAPACITY} samples')
    stamp_ns = int(row['stamp']['sec']) * NS + int(row['stamp']['nanosec'])
    return Chunk(
        stream, int(row['sequence']), stamp_ns, int(row['rate']), int(row['channels']),
        row['samples'][:length])


def chunk_row(chunk: Chunk) -> Chunks | None:
    """Return CHUNK[1] of 16 kHz mono, without its name; None for what no message can carry."""
    size = chunk.samples.size
    if (chunk.rate, chunk.channels) != (SAMPLE_RATE, 1) or size > CHUNK_CAPACITY:
        return None
    row = np.empty(1, CHUNK)
    row['stamp']['sec'], row['stamp']['nanosec'] = divmod(chunk.stamp_ns, NS)
    row['sequence'], row['rate'], row['channels'] = chunk.sequence, chunk.rate, chunk.channels
    row['length'] = size
    row['samples'][0, :size] = chunk.samples
    return row
