"""Files and directories that are this user's alone, and lead nowhere else.

A directory may have been open to others before, or lie where others can write: what was planted
there, a link, a pipe, somebody else's file, is neither followed nor waited for.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ['foreign_entry', 'make_private', 'open_private']


def open_private(path: Path, flags: int) -> int:
    """Open a regular file of this user, or make it with mode 0600; returns the descriptor.

    Args:
        path: of the file; a link in its place is refused, those on the way to it are not.
        flags: of os.open, such as os.O_RDWR | os.O_CREAT.

    Raises:
        OSError: it cannot be opened, or is a link, a pipe, a device or of somebody else.
    """
    # Non-blocking: a pipe would hold up whoever opens it until somebody writes.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            fault = 'is no regular file'
        elif found.st_uid != os.geteuid() or found.st_nlink > 1:
            fault = 'belongs to another user, or has a second name'
        else:
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise PermissionError(f'{path} {fault}; remove it')


def make_private(directory: Path) -> None:
    """Make a directory for this user alone, or see that nobody else writes into an existing one.

    Raises:
        OSError: it cannot be made, is another user's, or one that all users share.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionError(
            0, 'belongs to another user; choose another directory', str(directory))
    if found.st_mode & 0o022:
        if found.st_mode & stat.S_ISVTX or found.st_uid != os.geteuid():
            raise PermissionError(
                0, 'others write into it as well; choose a directory below it', str(directory))
        directory.chmod(stat.S_IMODE(found.st_mode) & ~0o022)


def foreign_entry(directory: Path) -> str:
    """Say what lies there that is no regular file of this user; empty for nothing.

    Raises:
        OSError: the directory cannot be read.
    """
    if directory.is_symlink():
        return f'{directory} is a link'
    with os.scandir(directory) as entries:
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                return f'{entry.path} is no file of this user'
    return ''
