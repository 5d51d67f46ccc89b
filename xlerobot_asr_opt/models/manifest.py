"""manifest.json: what lies in a directory of the cache, where from, and the hash of every file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.files import Dims, SpecialTokens
from xlerobot_asr_opt.models.tokens import read_json

__all__ = [
    'FORMAT',
    'MANIFEST',
    'FileRecord',
    'Manifest',
    'WhisperRecord',
    'digest_of',
    'sha256_of',
]

FORMAT = 3
"""Raised when the files that a build writes change; an older directory is fetched again."""

MANIFEST = 'manifest.json'


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and hex SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Measure a file."""
        return cls(path.stat().st_size, sha256_of(path))


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
            name=content['name'],
            sources=content['sources'],
            files={name: FileRecord(**record) for name, record in content['files'].items()},
            whisper=None
            if whisper is None
            else WhisperRecord(
                dims=Dims(**whisper['dims']),
                tokens=SpecialTokens(
                    **{
                        **whisper['tokens'],
                        'languages': tuple(
                            (code, token) for code, token in whisper['tokens']['languages']
                        ),
                    }
                ),
                multilingual=whisper['multilingual'],
                suppress=tuple(whisper['suppress']),
                suppress_at_begin=tuple(whisper['suppress_at_begin']),
            ),
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
