"""Whether an audio file is all there: libsndfile plays what it finds and says nothing of a cut."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ['missing_part']

_LENGTH_NOT_KNOWN = 0x7FFF0000
"""Programs that write into a pipe promise this many bytes or more, and mean: until the end."""
_LONGEST_PAGE = 65307
"""Bytes of the largest OGG page, RFC 3533 section 6."""
_PAGE_HEADER = 27
_LAST_PAGE = 4
"""Bit of an OGG page's header_type."""


def missing_part(path: Path) -> str:
    """Say what a WAV or OGG file lacks at its end; empty for nothing, and for other formats.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open('rb') as file:
        head = file.read(12)
        if head[:4] == b'RIFF' and head[8:] == b'WAVE':
            missing = _missing_bytes(file, path.stat().st_size)
            return f'{missing} bytes that its header promises are missing' if missing else ''
        if head[:4] == b'OggS':
            return '' if _has_last_page(file, path.stat().st_size) else 'its last page is missing'
    return ''


def _missing_bytes(file: BinaryIO, size: int) -> int:
    """Count what the data chunk of a WAV file promises beyond the end of the file."""
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack('<4sI', header)
        if name == b'data':
            known = length < _LENGTH_NOT_KNOWN
            return max(0, length - (size - file.tell())) if known else 0
        file.seek(length + length % 2, 1)
    return 0


def _has_last_page(file: BinaryIO, size: int) -> bool:
    """Tell whether an OGG file ends in a whole page that says to be the last one."""
    file.seek(max(0, size - _LONGEST_PAGE))
    tail = file.read()
    begin = tail.rfind(b'OggS')
    header = tail[begin:begin + _PAGE_HEADER]
    if begin < 0 or len(header) < _PAGE_HEADER or not header[5] & _LAST_PAGE:
        return False
    lengths = tail[begin + _PAGE_HEADER:begin + _PAGE_HEADER + header[26]]
    whole = _PAGE_HEADER + header[26] + sum(lengths)
    return len(lengths) == header[26] and len(tail) - begin >= whole
