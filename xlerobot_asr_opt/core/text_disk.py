"""How diskcache reads and writes what the cache keeps: text, never a pickle.

diskcache's own formats unpickle what a row says is a pickle, JSONDisk too, so that whoever can
write the file can run code (CVE-2025-69872). TextDisk reads and writes text in the database and
nothing else; anything else counts as damage.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import diskcache

__all__ = ['TextDisk']


class TextDisk(diskcache.Disk):  # type: ignore[misc]
    """Keys are bytes, values are text, both in the database; everything else is refused."""

    def put(self, key: Any) -> tuple[Any, bool]:
        """Key to column."""
        return sqlite3.Binary(key), True

    def get(self, key: Any, raw: bool) -> bytes:
        """Column to key."""
        if not raw or not isinstance(key, bytes):
            raise sqlite3.DatabaseError('a key that is not raw bytes')
        return key

    def store(  # diskcache gives what no text in a row needs
        self, value: Any, read: bool, key: Any = None,  # noqa: ARG002
    ) -> tuple[int, int, None, str]:
        """Value to columns size, mode, filename, value."""
        return 0, diskcache.core.MODE_RAW, None, value

    def fetch(
        self, mode: int, filename: str | None, value: Any, read: bool,  # noqa: ARG002
    ) -> str:
        """Columns to value."""
        if mode != diskcache.core.MODE_RAW or filename is not None or not isinstance(value, str):
            raise sqlite3.DatabaseError('a value that is not text')
        return value

    def remove(self, file_path: str) -> None:
        """Never remove a file: no value of ours has one."""
