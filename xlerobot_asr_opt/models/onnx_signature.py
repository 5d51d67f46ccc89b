"""Inputs, outputs and metadata of an ONNX file, without the onnx library and its weights.

A process that recognises needs neither: importing onnx costs some 40 MB, and loading a model to
look at its inputs costs its size. Reads the protocol buffer's wire format; field numbers are those
of onnx.proto (stable since IR version 3).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xlerobot_asr_opt.errors import ModelError

__all__ = ['Signature', 'Value', 'WireError', 'fields', 'read_signature']

_MODEL_GRAPH = 7
_MODEL_METADATA = 14
_ENTRY_KEY = 1
_ENTRY_VALUE = 2
_GRAPH_INPUT = 11
_GRAPH_OUTPUT = 12
_VALUE_NAME = 1
_VALUE_TYPE = 2
_TYPE_TENSOR = 1
_TENSOR_ELEMENT = 1
_TENSOR_SHAPE = 2
_SHAPE_DIM = 1
_DIM_VALUE = 1
_DIM_NAME = 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Value:
    """One input or output.

    Attributes:
        name: its name.
        element: ONNX's number of the element type: 1 float32, 6 int32, 7 int64, 9 bool, 10
            float16.
        shape: sizes; a string where the size is free, empty if it has no name.
    """

    name: str
    element: int
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name, in the graph's order, and the model's metadata by key."""

    inputs: dict[str, Value]
    outputs: dict[str, Value]
    metadata: dict[str, str] = field(default_factory=dict)


def read_signature(path: Path) -> Signature:
    """Inputs, outputs and metadata of the ONNX file.

    Raises:
        ModelError: not an ONNX file, or cut short.
    """
    try:
        with path.open('rb') as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ModelError(f'{path}: cannot be read as an ONNX model: {error}') from error
    try:
        model = memoryview(data)
        return _graph(_last_graph(model), _metadata(model))
    except (WireError, UnicodeDecodeError) as error:
        raise ModelError(
            f'{path}: not an ONNX model, or cut short: {error}; get it again'
        ) from error


class WireError(Exception):
    """The bytes are not a protocol buffer."""


def _last_graph(model: memoryview) -> memoryview:
    graphs = [
        value
        for number, value in fields(model)
        if number == _MODEL_GRAPH and isinstance(value, memoryview)
    ]
    if not graphs:
        raise WireError('it has no graph')
    return graphs[-1]


def _metadata(model: memoryview) -> dict[str, str]:
    entries: dict[str, str] = {}
    for number, value in fields(model):
        if number == _MODEL_METADATA:
            parts = {kind: str(_bytes(part), 'utf-8') for kind, part in fields(_bytes(value))}
            entries[parts.get(_ENTRY_KEY, '')] = parts.get(_ENTRY_VALUE, '')
    return entries


def _graph(data: memoryview, metadata: dict[str, str]) -> Signature:
    inputs: dict[str, Value] = {}
    outputs: dict[str, Value] = {}
    for number, value in fields(data):
        if number in (_GRAPH_INPUT, _GRAPH_OUTPUT):
            found = _value(_bytes(value))
            (inputs if number == _GRAPH_INPUT else outputs)[found.name] = found
    return Signature(inputs, outputs, metadata)


def _value(data: memoryview) -> Value:
    name, element = '', 0
    shape: tuple[int | str, ...] = ()
    for number, value in fields(data):
        if number == _VALUE_NAME:
            name = str(_bytes(value), 'utf-8')
        elif number == _VALUE_TYPE:
            for kind, tensor in fields(_bytes(value)):
                if kind == _TYPE_TENSOR:
                    element, shape = _tensor(_bytes(tensor))
    return Value(name, element, shape)


def _tensor(data: memoryview) -> tuple[int, tuple[int | str, ...]]:
    element = 0
    shape: tuple[int | str, ...] = ()
    for number, value in fields(data):
        if number == _TENSOR_ELEMENT and isinstance(value, int):
            element = value
        elif number == _TENSOR_SHAPE:
            shape = tuple(
                _dim(_bytes(dim)) for kind, dim in fields(_bytes(value)) if kind == _SHAPE_DIM
            )
    return element, shape


def _dim(data: memoryview) -> int | str:
    for number, value in fields(data):
        if number == _DIM_VALUE and isinstance(value, int):
            return value
        if number == _DIM_NAME:
            return str(_bytes(value), 'utf-8')
    return ''


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise WireError('a number where a message is expected')
    return value


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field of one message; fixed-width values are skipped."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif kind == _BYTES:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise WireError(f'{size} bytes are announced at {at}, {len(data) - at} are there')
            yield number, data[at : at + size]
            at += size
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
            if at > len(data):
                raise WireError('it ends in the middle of a number')
        else:
            raise WireError(f'the wire type {kind} at {at}')


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise WireError('it ends in the middle of a number')
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WireError(f'a number without an end at {at}')
