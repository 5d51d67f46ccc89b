"""The calls of librcl that rclpy has no name for (ros2/rclpy issue 889), by ctypes.

Everything here takes addresses: handle.pointer of an rclpy publisher or subscription (an
rcl_publisher_t *, rcl_subscription_t *), and messages by the address of their C struct. The caller
keeps the handle entered (`with subscription.handle:`) for as long as a call or a loan lasts, so
that rclpy does not destroy it meanwhile. All calls let go of the interpreter lock.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np

from xlerobot_asr_opt.errors import TransportError

__all__ = [
    'Rows',
    'borrow',
    'disabled_by_environment',
    'give_back_borrowed',
    'give_back_taken',
    'publish',
    'publish_borrowed',
    'publisher_can_loan',
    'subscription_can_loan',
    'take',
    'take_loan',
    'take_rows',
    'type_support',
]

_OK = 0
_UNSUPPORTED = 3
_TAKE_FAILED = 401
_NO_LOAN = 8  # an address at which no message can lie


class _ErrorText(ctypes.Structure):
    """rcutils_error_string_t, which is returned by value."""

    _fields_ = (('text', ctypes.c_char * 1024),)


class _MessageInfo(ctypes.Structure):
    """rmw_message_info_t; the last field takes what the distributions differ in after 16 bytes."""

    _fields_ = (
        ('source_timestamp', ctypes.c_int64),
        ('received_timestamp', ctypes.c_int64),
        ('publication_sequence_number', ctypes.c_uint64),
        ('reception_sequence_number', ctypes.c_uint64),
        ('implementation_identifier', ctypes.c_void_p),
        ('writer', ctypes.c_ubyte * 16),
        ('rest', ctypes.c_ubyte * 16),
    )


class _MessageSequence(ctypes.Structure):
    """rmw_message_sequence_t; rmw_message_info_sequence_t has the same fields."""

    _fields_ = (
        ('data', ctypes.c_void_p),
        ('size', ctypes.c_size_t),
        ('capacity', ctypes.c_size_t),
        ('allocator', ctypes.c_void_p),
    )


def _function(library: ctypes.CDLL, name: str, result: Any, arguments: int) -> Any:
    function = getattr(library, name)
    function.restype = result
    function.argtypes = (ctypes.c_void_p,) * arguments
    return function


# rclpy has loaded both, so the bare names find the libraries of the ROS that is running.
_librcl = ctypes.CDLL('librcl.so')
_librcutils = ctypes.CDLL('librcutils.so')
_code = ctypes.c_int32

_error_text = _function(_librcutils, 'rcutils_get_error_string', _ErrorText, 0)
_reset_error = _function(_librcutils, 'rcutils_reset_error', None, 0)
_publisher_can_loan = _function(_librcl, 'rcl_publisher_can_loan_messages', ctypes.c_bool, 1)
_borrow = _function(_librcl, 'rcl_borrow_loaned_message', _code, 3)
_return_borrowed = _function(_librcl, 'rcl_return_loaned_message_from_publisher', _code, 2)
_publish_borrowed = _function(_librcl, 'rcl_publish_loaned_message', _code, 3)
_publish = _function(_librcl, 'rcl_publish', _code, 3)
_take_loan = _function(_librcl, 'rcl_take_loaned_message', _code, 4)
_return_taken = _function(_librcl, 'rcl_return_loaned_message_from_subscription', _code, 2)
_take = _function(_librcl, 'rcl_take', _code, 4)
_take_sequence = _function(_librcl, 'rcl_take_sequence', _code, 5)

_capsule_name = ctypes.pythonapi.PyCapsule_GetName
_capsule_name.restype = ctypes.c_char_p
_capsule_name.argtypes = (ctypes.py_object,)
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)


def _last_error() -> str:
    """Read and clear this thread's error: rcl complains when one is overwritten."""
    text: bytes = _error_text().text
    _reset_error()
    return text.decode(errors='replace')


def _require(code: int, deed: str) -> None:
    if code != _OK:
        raise TransportError(f'rcl could not {deed}: {_last_error()} (code {code})')


def disabled_by_environment() -> bool:
    """Say whether ROS_DISABLE_LOANED_MESSAGES forbids loans, which the calls below do not ask."""
    return os.environ.get('ROS_DISABLE_LOANED_MESSAGES') == '1'


def type_support(message_type: Any) -> int:
    """Give the rosidl_message_type_support_t * of a message class whose type support is loaded."""
    capsule = message_type._TYPE_SUPPORT  # rclpy itself reads it by this name
    return int(_capsule_pointer(capsule, _capsule_name(capsule)))


def publisher_can_loan(publisher: int) -> bool:
    """Say whether the middleware loans this publisher's messages; honours the environment."""
    return bool(_publisher_can_loan(publisher))


def subscription_can_loan(subscription: int) -> bool:
    """Say whether the middleware loans this subscription's messages.

    rcl_subscription_can_loan_messages says no unless ROS_DISABLE_LOANED_MESSAGES is "0" (ros2/rcl
    pull request 1110), for the sake of C++ callbacks that keep their messages. So the middleware
    itself is asked: a loan that was never given is refused as unsupported where there are none,
    and as unknown where there are.
    """
    code = _return_taken(subscription, _NO_LOAN)
    _reset_error()
    return bool(code != _UNSUPPORTED)


def borrow(publisher: int, support: int) -> int:
    """Borrow memory for one message; its content is whatever lay there.

    Raises:
        TransportError: The pool of loans is empty, or the middleware refuses.
    """
    message = ctypes.c_void_p()
    _require(_borrow(publisher, support, ctypes.addressof(message)), 'borrow a message')
    return int(message.value or 0)


def give_back_borrowed(publisher: int, message: int) -> None:
    """Give back what was borrowed and shall not be published."""
    _require(_return_borrowed(publisher, message), 'give a borrowed message back')


def publish_borrowed(publisher: int, message: int) -> None:
    """Publish what was borrowed; it belongs to the middleware from then on."""
    _require(_publish_borrowed(publisher, message, None), 'publish a borrowed message')


def publish(publisher: int, message: int) -> None:
    """Publish a copy of a message that lies in memory of our own."""
    _require(_publish(publisher, message, None), 'publish a message')


def take_loan(subscription: int) -> tuple[int, bytes] | None:
    """Take the next message as a loan: its address and its publisher; None when there is none."""
    message = ctypes.c_void_p()
    info = _MessageInfo()
    code = _take_loan(subscription, ctypes.addressof(message), ctypes.addressof(info), None)
    if code == _TAKE_FAILED:
        return None
    _require(code, 'take a loaned message')
    return int(message.value or 0), bytes(info.writer)


def give_back_taken(subscription: int, message: int) -> None:
    """Give back a loan that was taken."""
    _require(_return_taken(subscription, message), 'give a taken message back')


def take(subscription: int, message: int) -> bool:
    """Copy the next message to an address of our own; False when there is none."""
    code = _take(subscription, message, None, None)
    if code == _TAKE_FAILED:
        return False
    _require(code, 'take a message')
    return True


class Rows:
    """Memory for many plain messages, which one call fills.

    Attributes:
        array: structured array of shape (capacity,).
    """

    def __init__(self, dtype: np.dtype, capacity: int) -> None:
        self.array = np.zeros(capacity, dtype)
        begin, size = self.array.ctypes.data, dtype.itemsize
        self._addresses = (ctypes.c_void_p * capacity)(
            *range(begin, begin + capacity * size, size))
        # One is not longer than this in any distribution: they lie closer than we count them.
        self._infos = (_MessageInfo * capacity)()
        self._messages = _sequence(self._addresses)
        self._information = _sequence(self._infos)
        self.arguments = (
            capacity, ctypes.addressof(self._messages), ctypes.addressof(self._information))

    @property
    def taken(self) -> int:
        """Messages that the last call has filled in."""
        return int(self._messages.size)


def _sequence(array: ctypes.Array[Any]) -> _MessageSequence:
    return _MessageSequence(ctypes.addressof(array), 0, len(array), None)


def take_rows(subscription: int, rows: Rows) -> np.ndarray:
    """Copy the messages that have come into rows, as many as there are; return those filled."""
    code = _take_sequence(subscription, *rows.arguments, None)
    if code == _TAKE_FAILED:
        return rows.array[:0]
    _require(code, 'take messages')
    return rows.array[:rows.taken]
