"""The files that an ONNX graph reads its weights from, which must lie beside it.

onnxruntime opens whatever path a graph names, absolute or with ``..`` (1.23.2 does): a model from
somewhere else could read any file of this machine into its answers.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.onnx_signature import WireError, fields

__all__ = ['check_external']

# Numbers of the fields that may hold a tensor, or what may hold one, by the kind of message.
_INSIDE = {
    'model': {7: 'graph', 25: 'function'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'function': {7: 'node', 11: 'attribute'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
    'tensor': {13: 'entry'},
}
_DEEPEST = 50


def check_external(path: Path) -> None:
    """See that a graph names no file outside of its own directory.

    Raises:
        ModelError: it does, or it is no ONNX file.
    """
    try:
        with path.open('rb') as file, mmap.mmap(
                file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            # Without the key that names a file there is none; most graphs end here.
            found = list(_locations(path)) if data.find(b'location') >= 0 else []
    except (OSError, ValueError) as error:
        raise ModelError(f'{path}: cannot be read as an ONNX model: {error}') from error
    for location in found:
        parts = PurePosixPath(location)
        if parts.is_absolute() or '..' in parts.parts or not parts.parts:
            raise ModelError(
                f'{path}: reads its weights from {location!r}, expected a file beside it; take '
                'it from where you trust')


def _locations(path: Path) -> Iterator[str]:
    try:
        yield from _walk(memoryview(path.read_bytes()), 'model', 0)
    except (WireError, UnicodeDecodeError) as error:
        raise ModelError(f'{path}: not an ONNX model, or cut short: {error}') from error


def _walk(data: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise WireError(f'graphs within graphs, {depth} deep')
    for number, value in fields(data):
        inner = _INSIDE[kind].get(number)
        if inner is None or isinstance(value, int):
            continue
        if inner == 'entry':
            parts = {name: part for name, part in fields(value) if not isinstance(part, int)}
            if bytes(parts.get(1, b'')) == b'location':
                yield str(parts.get(2, b''), 'utf-8')
        else:
            yield from _walk(value, inner, depth + 1)
