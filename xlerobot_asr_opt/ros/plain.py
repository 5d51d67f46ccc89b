"""The memory of a plain message as a NumPy structured dtype.

A message is plain when everything in it has a fixed size: numbers, bool, char, fixed arrays of
them, and other plain messages. Its C struct, which the middleware loans, copies and shares, is
then a structured dtype with align=True: NumPy lays fields out by the rules of the C compiler.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
from rosidl_parser.definition import AbstractType, Array, BasicType, NamespacedType

from xlerobot_asr_opt.errors import TransportError

__all__ = ['dtype_of']

# Type names of the interface definition language to what rosidl_generator_c writes for them.
_SCALARS = {
    'boolean': np.bool_,
    'octet': np.uint8,
    'char': np.uint8,
    'int8': np.int8,
    'uint8': np.uint8,
    'int16': np.int16,
    'uint16': np.uint16,
    'int32': np.int32,
    'uint32': np.uint32,
    'int64': np.int64,
    'uint64': np.uint64,
    'float': np.float32,
    'double': np.float64,
}


@functools.cache
def dtype_of(message_type: Any) -> np.dtype:
    """Give the structured dtype that has the memory layout of a plain message class.

    Args:
        message_type: A message class of rclpy, e.g. xlerobot_asr_interfaces.msg.AudioChunk.

    Returns:
        An aligned structured dtype with the message's fields, in their order; nested messages are
        nested dtypes, fixed arrays are subarrays. Its itemsize is the C struct's size in bytes.

    Raises:
        TransportError: The message is not plain; the text names the field.
    """
    names = list(message_type.get_fields_and_field_types())
    if not names:
        raise TransportError(f'{message_type.__name__} has no field, so there is nothing to loan')
    # SLOT_TYPES lies beside the fields, in their order.
    return np.dtype(
        [
            (name, *_element(message_type, name, slot))
            for name, slot in zip(names, message_type.SLOT_TYPES, strict=True)
        ],
        align=True,
    )


def _element(message_type: Any, name: str, slot: AbstractType) -> tuple[Any, ...]:
    """Give (dtype,) or (dtype, shape) of one field."""
    if isinstance(slot, Array):
        return (*_element(message_type, name, slot.value_type), (slot.size,))
    if isinstance(slot, NamespacedType):
        module = importlib.import_module('.'.join(slot.namespaces))
        try:
            return (dtype_of(getattr(module, slot.name)),)
        except TransportError as error:
            raise TransportError(f'{message_type.__name__}.{name}: {error}') from error
    if isinstance(slot, BasicType) and slot.typename in _SCALARS:
        return (_SCALARS[slot.typename],)
    kind = message_type.get_fields_and_field_types()[name]
    raise TransportError(
        f'{message_type.__name__}.{name} is {kind}, which has no fixed size: '
        'only messages of numbers and fixed arrays can be loaned',
    )
