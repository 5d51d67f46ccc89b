"""The lock file that each node of this machine holds for as long as it runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from xlerobot_asr_opt.local_process import runs_node
from xlerobot_asr_opt.models.paths import private_directory, state_root

__all__ = ['lock_path', 'runs_here']


def lock_path(full_name: str) -> Path:
    """Where a node with this full name, in this process's domain, has its lock; it holds its pid.

    Raises:
        StoreError: the directory cannot be made.
    """
    name = f'{os.environ.get("ROS_DOMAIN_ID") or 0}{full_name}'
    return private_directory(state_root() / 'run') / f'{name.replace("/", "-")}.lock'


def runs_here(full_name: str) -> bool:
    """Whether this user runs a node of this full name on this machine, discovered or not.

    The lock itself is left alone: somebody who tries it keeps a node that starts from taking it.
    """
    name = full_name.rpartition('/')[2]
    with contextlib.suppress(OSError, ValueError):
        return runs_node(int(lock_path(full_name).read_text()), name, name)
    return False
