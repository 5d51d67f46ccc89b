"""Where this package keeps what it fetched and what it must not forget: private directories."""

from __future__ import annotations

import os
from pathlib import Path

from xlerobot_asr_opt.errors import StoreError
from xlerobot_asr_opt.private_files import make_private

__all__ = ['cache_root', 'private_directory', 'state_root']

NAME = 'xlerobot_asr_opt'


def cache_root() -> Path:
    """Directory of models and caches, made if missing, mode 0700.

    $XLEROBOT_ASR_CACHE, else $XDG_CACHE_HOME/xlerobot_asr_opt, else ~/.cache/xlerobot_asr_opt.

    Raises:
        StoreError: it cannot be made.
    """
    own = os.environ.get('XLEROBOT_ASR_CACHE')
    return private_directory(Path(own) if own else _xdg('XDG_CACHE_HOME', '.cache'))


def state_root() -> Path:
    """Directory of what must survive a process, such as the segment store; made if missing, 0700.

    $XDG_STATE_HOME/xlerobot_asr_opt, else ~/.local/state/xlerobot_asr_opt.

    Raises:
        StoreError: it cannot be made.
    """
    return private_directory(_xdg('XDG_STATE_HOME', '.local/state'))


def private_directory(path: Path) -> Path:
    """Make path, and what is missing above it, readable for this user alone.

    Raises:
        StoreError: it cannot be made, a file is in its place, or others can write into it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_private(path)
    except OSError as error:
        raise StoreError(
            f'cannot make the directory {path}: {error.strerror}; free the place, or name '
            'another one with XLEROBOT_ASR_CACHE or the XDG variables'
        ) from error
    return path


def _xdg(variable: str, default: str) -> Path:
    # The XDG specification has relative values ignored.
    base = Path(os.environ.get(variable) or '')
    return (base if base.is_absolute() else Path.home() / default) / NAME
