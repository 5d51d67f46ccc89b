"""manifest.json: what lies in a directory of the cache, where from, and the hash of every file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.files import Dims, SpecialTokens
from xlerobot_asr_opt.models.tokens import read_json
from xlerobot_asr_opt.untrusted import plain_name

__all__ = [
    'FORMAT',
    'MANIFEST',
    'FileRecord',
    'Manifest',
    'WhisperRecord',
    'digest_of',
    'sha256_of',
    'typed',
]

FORMAT = 3
"""Raised when the files that a build writes change; an older directory is fetched again."""

MANIFEST = 'manifest.json'

T = TypeVar('T')

_SHA256 = re.compile('[0-9a-f]{64}')


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and hex SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Measure a file."""
        return cls(path.stat().st_size, sha256_of(path))

    @classmethod
    def read_all(cls, content: Mapping[str, Any]) -> dict[str, FileRecord]:
        """Records by the names of files that lie in one directory.

        Raises:
            ValueError: a name that leads out of the directory, or no size and hash.
            TypeError, AttributeError: not such a mapping.
        """
        records = {plain_name(name): cls(**record) for name, record in content.items()}
        for name, record in records.items():
            if type(record.size) is not int or record.size < 0 or not (
                    isinstance(record.sha256, str) and _SHA256.fullmatch(record.sha256)):
                raise ValueError(f'{name}: {record}, expected its size and its SHA-256')
        return records


@dataclass(frozen=True)
class WhisperRecord:
    """What ModelFiles says of a Whisper, without its paths."""

    dims: Dims
    tokens: SpecialTokens
    multilingual: bool
    suppress: tuple[int, ...]
    suppress_at_begin: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """Contents of one manifest.json.

    Attributes:
        name: name in the catalog.
        sources: `package==version` to hex SHA-256 of the distribution.
        files: every other file of the directory.
        whisper: set for a recogniser.
    """

    name: str
    sources: Mapping[str, str]
    files: Mapping[str, FileRecord]
    whisper: WhisperRecord | None = None

    def write(self, directory: Path) -> None:
        """Write it into directory.

        Raises:
            OSError: it cannot be written.
        """
        content = {'format': FORMAT, **dataclasses.asdict(self)}
        (directory / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True) + '\n')

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Read it, and see that all files are there in their full size.

        Raises:
            ModelError: missing, of another format, damaged, or a file is missing or cut.
        """
        path = directory / MANIFEST
        content = read_json(path)
        if content.get('format') != FORMAT:
            raise ModelError(
                f'{path}: got format {content.get("format")!r}, expected {FORMAT}; fetch it again'
            )
        try:
            manifest = cls._from(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f'{path}: damaged ({error!r}); fetch it again') from error
        for name, record in manifest.files.items():
            _check_size(directory / name, record)
        return manifest

    @classmethod
    def _from(cls, content: dict[str, Any]) -> Manifest:
        whisper = content['whisper']
        return cls(
            name=typed(str, content['name']),
            sources={typed(str, name): typed(str, one)
                     for name, one in content['sources'].items()},
            files=FileRecord.read_all(content['files']),
            whisper=None if whisper is None else _whisper(whisper),
        )

    def check(self, directory: Path) -> None:
        """Compare the hash of every file.

        Raises:
            ModelError: one differs.
        """
        for name, record in self.files.items():
            found = sha256_of(directory / name)
            if found != record.sha256:
                raise ModelError(
                    f'{directory / name}: SHA-256 is {found}, expected {record.sha256}; '
                    f'fetch it again'
                )


def typed(kind: type[T], value: object) -> T:
    """The value, if it is of this type; a bool is no int.

    Raises:
        TypeError: it is not.
    """
    if type(value) is not kind:
        raise TypeError(f'got {value!r}, expected {kind.__name__}')
    return value


def _whisper(content: dict[str, Any]) -> WhisperRecord:
    dims = Dims(**{name: typed(int, size) for name, size in content['dims'].items()})
    if min(vars(dims).values()) < 1:
        raise ValueError(f'got {dims}, expected sizes above 0')
    tokens = dict(content['tokens'])
    languages = tuple((typed(str, code), typed(int, token))
                      for code, token in tokens.pop('languages'))
    return WhisperRecord(
        dims=dims,
        tokens=SpecialTokens(
            **{name: typed(int, token) for name, token in tokens.items()}, languages=languages),
        multilingual=typed(bool, content['multilingual']),
        suppress=tuple(typed(int, token) for token in content['suppress']),
        suppress_at_begin=tuple(typed(int, token) for token in content['suppress_at_begin']))


def digest_of(hashes: Mapping[str, str]) -> bytes:
    """BLAKE2b-256 over names and hex hashes of files, in the names' order."""
    digest = hashlib.blake2b(digest_size=32)
    for name in sorted(hashes):
        digest.update(f'{name} {hashes[name]}\n'.encode())
    return digest.digest()


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _check_size(path: Path, record: FileRecord) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}; fetch it again') from error
    if size != record.size:
        raise ModelError(f'{path}: has {size} bytes, expected {record.size}; fetch it again')
