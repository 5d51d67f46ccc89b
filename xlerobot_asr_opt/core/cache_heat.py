"""Which keys are asked for most, in bounded memory, and their list on disk for the next start."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_values import KEY_BYTES
from xlerobot_asr_opt.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ['MOST_KEPT', 'Heat', 'HeatList', 'read_heat', 'write_heat']

MOST_KEPT = 4096
"""Keys of a list at most."""

PERIOD = 10
"""Lookups for each key of the list after which all heat is halved."""

LARGEST_FILE = 128 * MOST_KEPT
"""Of a list on disk [bytes]; a key takes some 75."""

Heat = list[tuple[bytes, int]]
"""Keys, the hottest first, and how often each was asked for of late."""


class HeatList:
    """Counts lookups of the keys that are asked for most.

    New keys get in beside the list, and when there are as many as in it, the hotter half of all
    goes on: one lookup of a thousand takes half a millisecond, and the others next to nothing.

    Args:
        keys: on the list, at most MOST_KEPT are.
    """

    def __init__(self, keys: int) -> None:
        self._keys = min(keys, MOST_KEPT)
        self._counts: dict[bytes, int] = {}
        self._lookups = 0

    def asked(self, key: bytes) -> None:
        """Note a lookup."""
        self._counts[key] = self._counts.get(key, 0) + 1
        if len(self._counts) > 2 * self._keys:
            self._counts = dict(reversed(self.hottest()))
        self._lookups += 1
        if self._lookups >= PERIOD * self._keys:
            self._lookups = 0
            self._counts = {key: count // 2 for key, count in self._counts.items() if count > 1}

    def hottest(self) -> Heat:
        """The list; of two keys that are as hot, the one that was new later comes first."""
        latest_first = list(self._counts.items())[::-1]
        return sorted(latest_first, key=lambda item: item[1], reverse=True)[:self._keys]

    def load(self, heat: Iterable[tuple[bytes, int]]) -> None:
        """Add the heat of an earlier life."""
        for key, count in reversed([*heat][:self._keys]):
            self._counts[key] = self._counts.get(key, 0) + count


def write_heat(path: Path, heat: Heat) -> None:
    """Write a list down as JSON; a reader finds the old file or the new one.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps({'heat': [[key.hex(), count] for key, count in heat]})
    scratch = path.with_suffix('.new')
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, 'w') as file:
        file.write(text)
    scratch.replace(path)


def read_heat(path: Path) -> Heat:
    """Read what write_heat wrote; no file: an empty list.

    Raises:
        OSError: the file cannot be read.
        StoreError: it is too large, not JSON, or says something else than keys and counts.
    """
    if not path.exists():
        return []
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise StoreError(f'{path}: got {size} bytes, expected at most {LARGEST_FILE}')
    try:
        rows = json.loads(path.read_bytes())['heat']
        return [_entry(*row) for row in rows[:MOST_KEPT]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f'{path}: expected keys and counts as JSON ({error})') from None


def _entry(name: str, count: int) -> tuple[bytes, int]:
    key = bytes.fromhex(name)
    if len(key) != KEY_BYTES or type(count) is not int or count < 1:
        raise ValueError(f'got key {name!r} and count {count!r}')
    return key, count
