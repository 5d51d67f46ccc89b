"""Reader of CTranslate2's model.bin, the form in which package indexes carry Whisper's weights.

The file (little endian): uint32 format version, spec name, uint32 spec revision, uint32 tensor
count; per tensor its name, uint8 rank, uint32 dims, uint8 type, uint32 byte count, data; then
uint32 alias count and pairs of names. A string is a uint16 length with its terminating zero, then
the bytes. Source: ctranslate2/specs/model_spec.py of CTranslate2, format version 6.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import ModelError

__all__ = ['Tensors', 'read']

Tensors = dict[str, npt.NDArray[np.generic]]

_VERSIONS = (5, 6)
_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
_LONGEST_NAME = 256
_HIGHEST_RANK = 4
_MOST_TENSORS = 100_000


def read(path: Path, spec: str) -> Tensors:
    """All tensors of a model.bin by name; aliases are resolved.

    Args:
        path: the file.
        spec: the kind of model expected, such as `WhisperSpec`.

    Returns:
        Read-only arrays over the mapped file.

    Raises:
        ModelError: not such a file, another kind of model, or cut short; the message says what was
            got.
    """
    try:
        with path.open('rb') as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ModelError(f'{path}: cannot be read as a CTranslate2 model: {error}') from error
    return _Reader(path, memoryview(data)).tensors(spec)


class _Reader:
    """A cursor that never leaves the file."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self._path = path
        self._data = data
        self._at = 0

    def tensors(self, spec: str) -> Tensors:
        version = self._number('<I')
        if version not in _VERSIONS:
            raise self._error(
                f'got format version {version}, expected a CTranslate2 model.bin of '
                f'version {" or ".join(map(str, _VERSIONS))}'
            )
        found = self._string()
        if found != spec:
            raise self._error(f'got a model of kind {found!r}, expected {spec!r}')
        self._number('<I')
        tensors = dict(self._tensor() for _ in range(self._count('tensors')))
        for _ in range(self._count('aliases')):
            alias, name = self._string(), self._string()
            if name not in tensors:
                raise self._error(f'{alias!r} stands for the tensor {name!r}, which is not there')
            tensors[alias] = tensors[name]
        if self._at != len(self._data):
            raise self._error(
                f'{len(self._data) - self._at} bytes are left over after the last tensor'
            )
        return tensors

    def _tensor(self) -> tuple[str, npt.NDArray[np.generic]]:
        name = self._string()
        rank = self._number('<B')
        if rank > _HIGHEST_RANK:
            raise self._error(f'tensor {name!r} has rank {rank}, expected at most {_HIGHEST_RANK}')
        shape = tuple(self._number('<I') for _ in range(rank))
        kind = self._number('<B')
        if kind >= len(_TYPES):
            raise self._error(f'tensor {name!r} has the unknown type {kind}')
        dtype = np.dtype(_TYPES[kind]).newbyteorder('<')
        size = self._number('<I')
        if size != math.prod(shape) * dtype.itemsize:
            raise self._error(
                f'tensor {name!r} has {size} bytes for the shape {shape} of {dtype.name}'
            )
        return name, np.frombuffer(self._take(size), dtype).reshape(shape)

    def _count(self, what: str) -> int:
        count = self._number('<I')
        if count > _MOST_TENSORS:
            raise self._error(f'announces {count} {what}')
        return count

    def _string(self) -> str:
        length = self._number('<H')
        if not 1 <= length <= _LONGEST_NAME:
            raise self._error(f'a name of {length} bytes at {self._at}')
        raw = bytes(self._take(length))
        try:
            return raw.removesuffix(b'\0').decode('ascii')
        except UnicodeDecodeError as error:
            raise self._error(f'a name that is not ASCII at {self._at - length}') from error

    def _number(self, form: str) -> int:
        value = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return int(value)

    def _take(self, size: int) -> memoryview:
        end = self._at + size
        if end > len(self._data):
            raise self._error(
                f'cut short: {size} bytes are expected at {self._at}, '
                f'{len(self._data) - self._at} are there'
            )
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def _error(self, what: str) -> ModelError:
        return ModelError(f'{self._path}: {what}; fetch the model again')
