"""Helpers of the targets of hostile_targets.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xlerobot_asr_opt.errors import AsrError

__all__ = ['each', 'written']


def each(*readers: Callable[[], object]) -> None:
    """Have several read the same: what one refuses keeps it from no other."""
    refused = [error for error in map(refusal, readers) if error is not None]
    if refused:
        raise refused[0]


def refusal(reader: Callable[[], object]) -> AsrError | None:
    try:
        reader()
    except AsrError as error:
        return error
    return None


def written(place: Path, name: str, data: bytes) -> Path:
    """Write a file; returns its path."""
    path = place / name
    path.write_bytes(data)
    return path
