"""Checks that all CTC layouts share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from xlerobot_asr_opt.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from xlerobot_asr_opt.models.onnx_signature import Signature, Value

__all__ = ['check_features', 'integer_of', 'number']

_FLOAT, _INT32, _INT64 = 1, 6, 7
"""ONNX's numbers of element types."""


def check_features(graph: Path, value: Value) -> None:
    """Refuse features that are not float32 of three dimensions.

    Raises:
        ModelError: they are not.
    """
    if value.element != _FLOAT or len(value.shape) != 3:
        raise ModelError(
            f'{graph}: its input {value.name} has element type {value.element} and shape '
            f'{value.shape}, expected float32 of three dimensions')


def integer_of(graph: Path, value: Value) -> Literal['int32', 'int64']:
    """NumPy's name of the integers that an input takes.

    Raises:
        ModelError: it takes none.
    """
    if value.element not in (_INT32, _INT64):
        raise ModelError(
            f'{graph}: its input {value.name} has element type {value.element}, expected int32 or '
            'int64')
    return 'int32' if value.element == _INT32 else 'int64'


def number(graph: Path, signature: Signature, key: str, default: int | None = None) -> int:
    """A number out of the metadata, 0 or more.

    Raises:
        ModelError: it is missing, without a default, or no such number.
    """
    text = signature.metadata.get(key, '' if default is None else str(default))
    if not (text.isascii() and text.isdigit()):
        raise ModelError(
            f'{graph}: its metadata say {key} {text!r}, expected a number of 0 or more')
    return int(text)
