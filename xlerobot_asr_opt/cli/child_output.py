"""Where the output of child processes goes: to standard error, or into a directory."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import sys
from pathlib import Path

from xlerobot_asr_opt.models.paths import private_directory

__all__ = ['LogDirectory', 'to_standard_error']

MOST_BYTES = 10_000_000
"""Size at which a log file is put aside; one older file is kept."""


def to_standard_error(name: str, line: str) -> None:
    """Write one line, prefixed with the name of the child it comes from."""
    # Whoever read our messages may have gone: the children go on.
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f'[{name}] {line}\n')


class LogDirectory:
    """Writes the lines of each child into DIRECTORY/NAME.log, of bounded size.

    Args:
        directory: made if it is missing, for its owner alone: a log may quote what was said.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = private_directory(directory)
        self._files: dict[str, logging.handlers.RotatingFileHandler] = {}

    def __call__(self, name: str, line: str) -> None:
        """Write one line of a child."""
        if name not in self._files:
            self._files[name] = logging.handlers.RotatingFileHandler(
                self.directory / f'{name}.log', maxBytes=MOST_BYTES, backupCount=1,
                encoding='utf-8')
        self._files[name].emit(logging.makeLogRecord({'msg': line}))

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
