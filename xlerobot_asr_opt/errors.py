"""Every error that this package raises on purpose.

    AsrError                     what was got, what was expected, what to do
    |-- AudioError (ValueError)        a chunk, a file or a recording that is not usable
    |   `-- SourceError (OSError)      a file, device or bag that cannot be opened or breaks off
    |-- MessageError (ValueError)      a message of another node that cannot be right
    |-- ConfigurationError (ValueError)  a parameter, argument or YAML that is not valid
    |-- ModelError (ValueError)        a model that is missing, damaged or of another kind
    |-- MeasurementError (ValueError)  a figure that was not measured: NaN, or time that goes back
    |-- MemoryBudgetError (MemoryError)  a model or a stream that would not fit into the memory
    |-- MemoryPoolError (ValueError)   a request that a memory pool cannot understand
    |   |-- OverSizeError                more than the arena, or the allocation, has
    |   |-- PoolFullError (MemoryError)  no free block has room for it now
    |   |-- UnknownPoolError             a pool that nothing was allocated from
    |   |-- WrongPoolError               an allocation of another pool
    |   |-- DoubleFreeError              an allocation that was given back before
    |   `-- ForeignAddressError          an address where no allocation begins
    |-- StoreError (OSError)           the segment store or a cache directory that cannot be used
    |   `-- StoreFullError             no room: the oldest must be acknowledged first
    |-- BackendError (RuntimeError)    a backend that failed on one segment
    |   |-- GarbageError                 it gave what no backend may give
    |   |-- NoAnswerError                it gave nothing in time
    |   |-- NotANumberError              its model gave NaN
    |   `-- ShapeError                   its model takes or gives arrays of another shape
    |-- RefusedError (RuntimeError)    a task that could not be done in time, or at all
    |-- ExpiredError (TimeoutError)    a task that was not done in time
    `-- TransportError (RuntimeError)  the middleware refused a loan, a publish or a take

Each one also inherits a builtin, so that a caller who knows nothing of this package can catch it.
"""

from __future__ import annotations

__all__ = [
    'AsrError',
    'AudioError',
    'BackendError',
    'ConfigurationError',
    'DoubleFreeError',
    'ExpiredError',
    'ForeignAddressError',
    'GarbageError',
    'MeasurementError',
    'MemoryBudgetError',
    'MemoryPoolError',
    'MessageError',
    'ModelError',
    'NoAnswerError',
    'NotANumberError',
    'OverSizeError',
    'PoolFullError',
    'RefusedError',
    'ShapeError',
    'SourceError',
    'StoreError',
    'StoreFullError',
    'TransportError',
    'UnknownPoolError',
    'WrongPoolError',
]


class AsrError(Exception):
    """Root of the tree. The message says what was got, what was expected and what to do."""


class AudioError(AsrError, ValueError):
    """Audio that cannot be used: bad rate, channel count, length or encoding."""


class SourceError(AudioError, OSError):
    """A file, a device or a bag that cannot be opened, or that breaks off."""


class MessageError(AsrError, ValueError):
    """A message of another node that cannot be right: it is dropped."""


class ConfigurationError(AsrError, ValueError):
    """A parameter, an argument or a configuration file that is not valid."""


class ModelError(AsrError, ValueError):
    """A model that is missing, damaged, cut short or of another kind."""


class MeasurementError(AsrError, ValueError):
    """A figure that cannot have been measured: NaN, infinite, or of a time that goes back."""


class MemoryBudgetError(AsrError, MemoryError):
    """A model or a stream that would not fit into the memory that is left."""


class MemoryPoolError(AsrError, ValueError):
    """A request that a memory pool cannot understand, or must not fulfil."""


class OverSizeError(MemoryPoolError):
    """More bytes than the whole arena has, or than the allocation that is viewed."""


class PoolFullError(MemoryPoolError, MemoryError):
    """No free block of the arena has room: something must be given back first."""


class UnknownPoolError(MemoryPoolError):
    """A pool of this name has never had an allocation."""


class WrongPoolError(MemoryPoolError):
    """The allocation at this address belongs to another pool."""


class DoubleFreeError(MemoryPoolError):
    """The allocation that began at this address was given back, or moved, before."""


class ForeignAddressError(MemoryPoolError):
    """No allocation of this arena begins, or ever began, at this address."""


class StoreError(AsrError, OSError):
    """A segment store or a cache directory that cannot be used."""


class StoreFullError(StoreError):
    """The segment store has no room: segments must be acknowledged first."""


class BackendError(AsrError, RuntimeError):
    """A backend failed on one segment; the segment may be tried on another."""


class GarbageError(BackendError):
    """A backend gave a result that no backend may give."""


class NoAnswerError(BackendError):
    """A backend gave no answer within the time that it has."""


class NotANumberError(BackendError):
    """The model gave NaN where numbers were expected."""


class ShapeError(BackendError):
    """The model takes or gives arrays of another shape than its backend."""


class RefusedError(AsrError, RuntimeError):
    """A task is not taken: it could not be done in time, or too many wait, or nobody works."""


class ExpiredError(AsrError, TimeoutError):
    """The deadline of a task has passed before it was done."""


class TransportError(AsrError, RuntimeError):
    """The middleware refused to loan, publish or take a message."""
