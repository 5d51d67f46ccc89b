"""How much of the source has changed between two revisions of a git work tree."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from xlerobot_asr_opt.errors import ConfigurationError

__all__ = ['ChangedLines', 'changed_lines']

_EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
"""The hash that git gives to a tree without a file: everything is new beside it."""


@dataclass(frozen=True)
class ChangedLines:
    """Lines between two revisions.

    Attributes:
        since: the earlier revision.
        added: lines.
        removed: lines.
        lines: that the earlier revision had.
    """

    since: str
    added: int
    removed: int
    lines: int

    @property
    def ratio(self) -> float:
        """Lines added and removed, for each line that the earlier revision had."""
        return (self.added + self.removed) / self.lines if self.lines else float('nan')


def changed_lines(since: str, directory: Path) -> ChangedLines:
    """Count the lines that changed from a revision to HEAD.

    Raises:
        ConfigurationError: no git, no work tree, or no such revision.
    """
    added, removed = _numstat(directory, f'{since}^{{commit}}', 'HEAD')
    lines, _ = _numstat(directory, _EMPTY_TREE, f'{since}^{{commit}}')
    return ChangedLines(since, added, removed, lines)


def _numstat(directory: Path, earlier: str, later: str) -> tuple[int, int]:
    """Lines added and removed; binary files have none."""
    command = [
        'git', '-C', str(directory), 'diff', '--numstat', '--end-of-options', earlier, later, '--']
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConfigurationError(f'--since: git cannot be run: {error.strerror}') from error
    if done.returncode:
        # What follows the first line is the usage of git.
        said = done.stderr.strip().partition('\n')[0]
        raise ConfigurationError(
            f'--since: {said or "git failed"}; expected a revision of the work tree in '
            f'{directory}')
    counts = [line.split('\t')[:2] for line in done.stdout.splitlines()]
    numbers = [(int(new), int(old)) for new, old in counts if new != '-']
    return sum(new for new, _ in numbers), sum(old for _, old in numbers)
