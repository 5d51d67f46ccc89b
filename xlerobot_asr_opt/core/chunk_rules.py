"""What a chunk must be like to be heard at all."""

from __future__ import annotations

from xlerobot_asr_opt.records import CHANNELS, LATEST_NS, RATES, Chunk

__all__ = ['fault']


def fault(chunk: Chunk) -> str:
    """Say what is wrong with a chunk, and what was expected; empty for nothing."""
    if chunk.rate not in RATES:
        return f'got a rate of {chunk.rate} Hz, expected {RATES[0]} to {RATES[-1]}'
    if chunk.channels not in CHANNELS:
        return f'got {chunk.channels} channels, expected {CHANNELS[0]} to {CHANNELS[-1]}'
    if not chunk.samples.size:
        return 'got no samples, expected at least one frame'
    if chunk.samples.size % chunk.channels:
        return (f'got {chunk.samples.size} samples of {chunk.channels} channels, expected whole '
                f'frames')
    if chunk.stamp_ns < 0:
        return f'got a stamp of {chunk.stamp_ns} ns, expected 0 or later'
    if chunk.stamp_ns > LATEST_NS:
        return f'got a stamp of {chunk.stamp_ns} ns, expected one before the year 2037'
    return ''
