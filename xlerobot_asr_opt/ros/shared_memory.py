"""Fast DDS's files in /dev/shm: what lies there, and what killed processes left behind.

A participant has a transport segment and ports (fastrtps_*, locked by their owner through a file
of the same name with _el or _sl); a data-sharing endpoint has a pool or a mailbox without a lock
(fast_datasharing_*). A clean exit removes them all, kill -9 none. `fastdds shm clean` goes by the
locks and so never removes the last kind; the memory maps of the processes tell of all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ['SharedMemory', 'inspect_shared_memory', 'mapped_files', 'sweep_stale_segments']

_DIRECTORY = Path('/dev/shm')

# fastrtps up to Fast DDS 2, fastdds from 3 on. The stem is what the files of one thing share.
_TRANSPORT = re.compile(
    r'(?:sem\.)?(?P<stem>(?:fastrtps|fastdds)_(?:port\d+|[0-9a-f]{16}))(?:_el|_sl|_mutex)?'
)
_DATA_SHARING = re.compile(r'(?P<stem>fast_datasharing_.+)')
_LOCKS = ('_el', '_sl')


@dataclass(frozen=True)
class SharedMemory:
    """What /dev/shm looks like now.

    Attributes:
        size_bytes: Its capacity.
        free_bytes: What is left of it.
        in_use: Names of Fast DDS's files that a process uses, or that are another user's.
        stale: Names of this user's files that nobody uses.
    """

    size_bytes: int
    free_bytes: int
    in_use: tuple[str, ...]
    stale: tuple[str, ...]


def inspect_shared_memory(directory: Path = _DIRECTORY) -> SharedMemory:
    """Look at Fast DDS's files; for the doctor and for people.

    Raises:
        OSError: The directory cannot be read.
    """
    usage = shutil.disk_usage(directory)
    stale = {file.name for file in _stale(directory)}
    names = {file.name for files in _things(directory).values() for file in files}
    return SharedMemory(
        usage.total, usage.free, tuple(sorted(names - stale)), tuple(sorted(stale & names))
    )


def sweep_stale_segments(directory: Path = _DIRECTORY) -> list[str]:
    """Remove what killed participants of this user left behind, and nothing that is in use.

    Safe while other graphs run. A file that is just being created is not mapped yet, so that only
    what is stale in two looks goes.

    Returns:
        Names of the removed files, sorted.

    Raises:
        OSError: The directory cannot be read.
    """
    stale = _stale(directory)
    removed = []
    for file in stale & _stale(directory):
        with contextlib.suppress(FileNotFoundError):  # another sweep was faster
            file.unlink()
            removed.append(file.name)
    return sorted(removed)


def _stale(directory: Path) -> set[Path]:
    """Find this user's files that no process maps or locks."""
    mapped = mapped_files(directory)
    things = _things(directory)
    unseen = {
        stem: files
        for stem, files in things.items()
        if not mapped.intersection(file.name for file in files)
    }
    locked = {stem for stem, files in unseen.items() if any(map(_is_locked, files))}
    # A lock whose owner is not seen: another user's process, or one in a container that shares
    # this directory. It may have data-sharing files as well, and nothing tells which.
    strangers = bool(locked)
    return {
        file
        for stem, files in unseen.items()
        if stem not in locked and not (strangers and _DATA_SHARING.fullmatch(stem))
        for file in files
        if _is_ours(file)
    }


def _things(directory: Path) -> dict[str, list[Path]]:
    """Group Fast DDS's files by what they belong to."""
    things = defaultdict(list)
    for file in directory.iterdir():
        match = _TRANSPORT.fullmatch(file.name) or _DATA_SHARING.fullmatch(file.name)
        if match:
            things[match['stem']].append(file)
    return things


def mapped_files(directory: Path) -> set[str]:
    """Give the names of files that a process we may look at has mapped, removed ones included."""
    names: set[str] = set()
    for process in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):  # it has ended, or it is another user's
            names.update(_names_in((process / 'maps').read_text().splitlines(), f'{directory}/'))
    return names


def _names_in(maps: Iterable[str], prefix: str) -> Iterable[str]:
    for line in maps:
        _, found, name = line.partition(prefix)
        if found:
            yield name.removesuffix(' (deleted)')


def _is_locked(file: Path) -> bool:
    """Say whether a process holds a lock file; asked only where no process is seen to use it."""
    if not file.name.endswith(_LOCKS):
        return False
    try:
        with file.open('ab') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except (BlockingIOError, PermissionError):
        return True
    return False


def _is_ours(file: Path) -> bool:
    try:
        return file.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False
