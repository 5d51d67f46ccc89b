"""The level of the cache on disk: text in SQLite by diskcache.

A get reads and never writes. What is put waits in memory until drain(), which runs in a thread of
the caller's; readers do not wait for it, since the database has a write-ahead log.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import diskcache

from xlerobot_asr_opt.core.text_disk import TextDisk
from xlerobot_asr_opt.private_files import foreign_entry, make_private, open_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ['DiskTier']

logger = logging.getLogger(__name__)

PENDING = 1000
"""Writes that may wait; more are dropped and counted."""

BATCH = 100
"""Writes in one transaction."""

BUSY_TIMEOUT_S = 1.0
"""Wait for a lock that somebody else holds on the database."""

UNUSABLE = ('readonly', 'full', 'unable to open', 'I/O error', 'locked')
"""In SQLite's messages: the place is at fault, and a new database would fare no better."""

SETTINGS = {
    'eviction_policy': 'none',
    'cull_limit': 0,
    'statistics': 0,
    'sqlite_cache_size': 1024,  # pages of 4 KiB, for each connection
    'sqlite_mmap_size': 0,  # a mapped file that is cut short kills the process by SIGBUS
}


class DiskTier:
    """Values on disk; the one that was put least recently goes first.

    One process owns the directory, and this user alone can read it. Where it cannot be used, or
    stops being usable, the tier is off: it finds nothing, counts what it cannot write, and
    says why in ``fault``. A damaged database is moved aside, to l3.damaged, and begun anew.

    put is called from one thread, drain from another if wanted, get from any.

    Args:
        directory: made if it is missing.
        entries: most values held.
    """

    def __init__(self, directory: Path, entries: int) -> None:
        self.fault = ''
        self.write_failures = 0
        self.evictions = 0
        self._entries = entries
        self._directory = directory / 'l3'
        self._owner: int | None = None
        self._cache: Any = None
        self._damage = ''
        self._pending: OrderedDict[bytes, str] = OrderedDict()
        self._pending_lock = threading.Lock()
        self._drain_lock = threading.RLock()
        try:
            self._owner = _own(directory)
            self._open_or_begin_anew()
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            self._turn_off(error)

    def __len__(self) -> int:
        return self._measure(len)

    @property
    def volume(self) -> int:
        """Size of the database [bytes]."""
        return self._measure(lambda cache: cache.volume())

    @property
    def pending(self) -> int:
        """Writes that wait for drain()."""
        return len(self._pending)

    @property
    def wants_drain(self) -> bool:
        """Whether drain() has something to do."""
        return bool(self._pending or self._damage)

    @property
    def is_damaged(self) -> bool:
        """Whether drain() has to mend the database."""
        return bool(self._damage)

    def get(self, key: bytes) -> str | None:
        """The value; None: not here."""
        with self._pending_lock:
            value = self._pending.get(key)
        cache = self._cache
        if value is not None or cache is None:
            return value
        try:
            found: str | None = cache.get(key)
        except sqlite3.Error as error:
            self._damage = self._damage or str(error)
            return None
        return found

    def put(self, key: bytes, value: str) -> None:
        """Have a value written by the next drain()."""
        if not self._queue(key, value, PENDING):
            self.write_failures += 1

    def refresh(self, key: bytes, value: str) -> None:
        """Have a value that was put before count as put now, unless half of PENDING waits."""
        self._queue(key, value, PENDING // 2)

    def drain(self) -> None:
        """Write what waits, evict what is too much, mend what is damaged."""
        with self._drain_lock:
            mended = False
            while self.wants_drain and self._cache is not None:
                error = self._attempt(self._write_batch)
                if error is None:
                    continue
                if mended:
                    self._turn_off(error)
                else:
                    self._mend(error)
                    mended = True

    def trim(self, keep: float) -> int:
        """Keep this share of the values, the most recently used ones; return how many went."""
        with self._drain_lock:
            self.drain()
            if self._cache is None:
                return 0
            before = len(self)
            surplus = before - int(keep * before)
            error = self._attempt(lambda: self._evict(surplus))
            if error is not None:
                self._mend(error)
            return before - len(self)

    def close(self) -> None:
        """Write what waits and give the directory back."""
        self.drain()
        if self._cache is not None:
            self._cache.close()
            self._cache = None
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    def _queue(self, key: bytes, value: str, most: int) -> bool:
        with self._pending_lock:
            if self._cache is None or (
                    len(self._pending) >= most and key not in self._pending):
                return False
            self._pending[key] = value
            return True

    def _attempt(self, change: Callable[[], None]) -> Exception | None:
        """Change the database, unless it is known to be damaged; returns what went wrong."""
        try:
            if self._damage:
                return sqlite3.DatabaseError(self._damage)
            change()
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            return error
        return None

    def _write_batch(self) -> None:
        with self._pending_lock:
            batch = list(self._pending.items())[:BATCH]
        with self._cache.transact():
            for key, value in batch:
                self._write(key, value)
        surplus = len(self._cache) - self._entries
        if surplus > 0:
            self._evict(surplus)
            self.evictions += surplus
        with self._pending_lock:
            for key, value in batch:
                if key in self._pending and self._pending[key] == value:
                    del self._pending[key]

    def _write(self, key: bytes, value: str) -> None:
        """Write a row anew, so that rows lie in the order in which they were put."""
        self._cache.delete(key)
        self._cache.set(key, value)

    def _evict(self, count: int) -> None:
        with self._cache.transact():
            for _ in range(count):
                key, _ = self._cache.peekitem(last=False)
                self._cache.delete(key)

    def _measure(self, what: Any) -> int:
        if self._cache is None:
            return 0
        try:
            return int(what(self._cache))
        except sqlite3.Error as error:
            self._damage = self._damage or str(error)
            return 0

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        foreign = foreign_entry(self._directory)
        if foreign:
            raise sqlite3.DatabaseError(f'{foreign}, and is not followed')
        try:
            self._cache = diskcache.Cache(
                str(self._directory), timeout=BUSY_TIMEOUT_S, disk=TextDisk, **SETTINGS)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            # The library believes what the database says its settings are.
            raise sqlite3.DatabaseError(f'{type(error).__name__}: {error}') from error

    def _open_or_begin_anew(self) -> None:
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if _unusable(error):
                raise
            self._begin_anew(error)

    def _begin_anew(self, error: Exception) -> None:
        if self._cache is not None:
            self._cache.close()
            self._cache = None
        aside = self._directory.with_suffix('.damaged')
        if aside.is_symlink() or aside.is_file():
            aside.unlink()
        shutil.rmtree(aside, ignore_errors=True)
        self._directory.rename(aside)
        logger.warning('the cache on disk is damaged (%s): moved aside to %s and begun anew',
                       error, aside)
        self._damage = ''
        self._open()

    def _mend(self, error: Exception) -> None:
        """Called in place of a write that failed: begin anew, or go on without the disk."""
        if isinstance(error, OSError) or _unusable(error):
            self._turn_off(error)
            return
        try:
            self._begin_anew(error)
        except (OSError, sqlite3.Error) as again:
            self._turn_off(again)

    def _turn_off(self, error: Exception) -> None:
        self._cache = None
        self._damage = ''
        with self._pending_lock:
            self.write_failures += len(self._pending)
            self._pending.clear()
        self.fault = f'{error or type(error).__name__}'
        logger.warning('the cache on disk, %s, is off (%s): values are kept in memory alone',
                       self._directory, self.fault)


def _unusable(error: Exception) -> bool:
    """Whether the place is at fault, not what lies in the database.

    diskcache raises Timeout for whatever kept a transaction from beginning.
    """
    cause = error.__context__ if isinstance(error, diskcache.Timeout) else error
    return isinstance(error, diskcache.Timeout) or any(word in str(cause) for word in UNUSABLE)


def _own(directory: Path) -> int:
    """Take the directory for this process; returns the descriptor that holds it.

    Raises:
        OSError: it cannot be made or written, belongs to another user, or another process has it.
    """
    make_private(directory)
    if directory.stat().st_uid != os.geteuid():
        raise PermissionError(f'{directory} belongs to another user; choose another directory')
    directory.chmod(0o700)
    owner = open_private(directory / 'owner', os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(owner)
        raise BlockingIOError(
            f'another process uses {directory}; give each cache node its own') from None
    return owner
