"""Which keys are asked for most, in bounded memory, and their list on disk for the next start."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_values import KEY_BYTES
from xlerobot_asr_opt.private_files import open_private
from xlerobot_asr_opt.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ['Heat', 'HeatFile', 'HeatList']

logger = logging.getLogger(__name__)

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


class HeatFile:
    """The list on disk, as JSON. The cache does without one that is no good, and says so.

    Args:
        path: of the file; its directory is this process's alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, heat: Heat) -> None:
        """Write a list; a reader finds the old one or the new one."""
        text = json.dumps({'heat': [[key.hex(), count] for key, count in heat]})
        scratch = self._path.with_suffix('.new')
        try:
            with os.fdopen(open_private(scratch, os.O_WRONLY | os.O_CREAT), 'w') as file:
                file.truncate()
                file.write(text)
            scratch.replace(self._path)
        except OSError as error:
            logger.warning('the next start will not know what is asked for most: %s', error)

    def read(self) -> Heat:
        """The list that was written last; empty where there is none, or it is no good."""
        try:
            return _parsed(self._path)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning('nothing is known of what was asked for before: got %s, expected keys '
                           'and counts as JSON (%s)', self._path, error)
            return []


def _parsed(path: Path) -> Heat:
    with os.fdopen(open_private(path, os.O_RDONLY), 'rb') as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f'more than {LARGEST_FILE} bytes')
    rows = parse_json(content)['heat']
    return [_entry(*row) for row in rows[:MOST_KEPT]]


def _entry(name: str, count: int) -> tuple[bytes, int]:
    key = bytes.fromhex(name)
    if len(key) != KEY_BYTES or type(count) is not int or count < 1:
        raise ValueError(f'got key {name!r} and count {count!r}')
    return key, count
