"""Processes of this host, seen through /proc."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

__all__ = ['is_running', 'runs_node', 'signal_node', 'waited_s']

STAT_SIZE = 512
"""Of /proc/PID/stat, more than its name and state ever take [bytes]."""


def is_running(pid: int) -> bool:
    """Whether a process with this number is there and has not ended yet."""
    with contextlib.suppress(OSError):
        # Asked several times a second: a plain read, without a buffer and a decoder.
        with Path(f'/proc/{pid}/stat').open('rb', buffering=0) as file:
            stat = file.read(STAT_SIZE)
        # The state follows the name, which is in brackets and may hold brackets itself.
        return stat.rpartition(b') ')[2][:1] not in (b'Z', b'X')
    return False


def waited_s(pid: int) -> float:
    """How long a process's first thread has been ready to run, and had no processor [s].

    0: the process has gone, or this kernel does not tell.
    """
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f'/proc/{pid}/schedstat').read_text().split()[1]) / 1e9
    return 0.0


def runs_node(pid: int, node: str, executable: str) -> bool:
    """Whether a process of this host runs a node, by its command line.

    Args:
        pid: number of the process.
        node: name of the node, as in ``-r __node:=inference_0``.
        executable: name of the program; enough where the node was not given another name.
    """
    try:
        words = Path(f'/proc/{pid}/cmdline').read_bytes().decode('utf-8', 'replace').split('\0')
    except OSError:
        return False
    names = [word.removeprefix('__node:=') for word in words if word.startswith('__node:=')]
    if names:
        return node in names
    return any(re.split(r'[/.]', word)[-1] == executable for word in words)


def signal_node(pid: int, node: str, executable: str, number: signal.Signals) -> bool:
    """Send a signal to the process that runs a node; return False where it is not on this host."""
    if not runs_node(pid, node, executable):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return True
