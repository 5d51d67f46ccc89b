"""Prepares the audio of a validation: one bag, on one topic, with as many streams as wanted."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.records import CHUNK_CAPACITY, Chunk
from xlerobot_asr_opt.sources.bag import BagReader, BagWriter
from xlerobot_asr_opt.sources.file import AudioFile

__all__ = ['prepare']

QUIETER = 0.98
"""A copy of a stream has this level: a person who hears both hears the same, but its samples are
new, so that no cache answers and no job is shared."""
SILENCE_S = 1.0
"""At the end of every stream, so that the last word ends as the others do: by a pause."""


def prepare(source: Path, bag: Path, topic: str, copies: int, seconds: float) -> float:
    """Write the begin of a bag or a recording into a new bag.

    Args:
        source: a bag, or a WAV, FLAC or OGG file.
        bag: directory to make.
        topic: that all streams are written on.
        copies: how often each stream is heard, at the same time, each time under another name.
        seconds: so much of it.

    Returns:
        Its length [s].

    Raises:
        SourceError: source cannot be read or holds no audio, or the bag cannot be written.
    """
    begin_ns = heard_ns = None
    newest: dict[str, Chunk] = {}
    with BagWriter(bag) as writer:
        writer.add_topic(topic)
        for heard_ns, chunk in _chunks(source):
            begin_ns = heard_ns if begin_ns is None else begin_ns
            if heard_ns - begin_ns >= seconds * 1e9:
                break
            newest[chunk.stream] = chunk
            for number in range(copies):
                writer.write_chunk(topic, _copy(chunk, number))
        for last in newest.values():
            for silent in _silence(last):
                for number in range(copies):
                    writer.write_chunk(topic, _copy(silent, number))
    if begin_ns is None or heard_ns is None:
        raise SourceError(f'{source}: no audio in it')
    return (heard_ns - begin_ns) / 1e9


def _chunks(source: Path) -> Iterator[tuple[int, Chunk]]:
    """Every chunk, with when it was heard [ns]."""
    if source.is_file() and source.suffix not in {'.mcap', '.db3'}:
        with AudioFile(source) as recording:
            for chunk in recording.chunks(source.stem, time.time_ns()):
                yield chunk.stamp_ns, chunk
        return
    with BagReader(source) as reader:
        for message, chunk in reader.chunks():
            yield message.time_ns, chunk


def _silence(last: Chunk) -> Iterator[Chunk]:
    """The chunks that go on where the last one of a stream ends."""
    frames = CHUNK_CAPACITY // last.channels
    stamp_ns = last.stamp_ns + _duration_ns(last.samples.size // last.channels, last.rate)
    count = max(1, round(SILENCE_S * last.rate / frames))
    for number in range(count):
        yield dataclasses.replace(
            last, sequence=last.sequence + 1 + number,
            stamp_ns=stamp_ns + number * _duration_ns(frames, last.rate),
            samples=np.zeros(frames * last.channels, np.int16))


def _duration_ns(frames: int, rate: int) -> int:
    return frames * 1_000_000_000 // rate


def _copy(chunk: Chunk, number: int) -> Chunk:
    if not number:
        return chunk
    samples = np.rint(chunk.samples * QUIETER ** number).astype(np.int16)
    return dataclasses.replace(chunk, stream=f'{chunk.stream}_{number}', samples=samples)
