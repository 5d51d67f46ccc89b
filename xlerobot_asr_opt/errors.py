"""Every error that this package raises on purpose.

    AsrError                     what was got, what was expected, what to do
    |-- AudioError (ValueError)        a chunk, a file or a recording that is not usable
    |   `-- SourceError (OSError)      a file, device or bag that cannot be opened or breaks off
    |-- ConfigurationError (ValueError)  a parameter, argument or YAML that is not valid
    |-- ModelError (ValueError)        a model that is missing, damaged or of another kind
    |-- StoreError (OSError)           the segment store or a cache directory that cannot be used
    |   `-- StoreFullError             no room: the oldest must be acknowledged first
    |-- BackendError (RuntimeError)    a backend that failed on one segment
    `-- TransportError (RuntimeError)  the middleware refused a loan, a publish or a take

Each one also inherits a builtin, so that a caller who knows nothing of this package can catch it.
"""

from __future__ import annotations

__all__ = [
    'AsrError',
    'AudioError',
    'BackendError',
    'ConfigurationError',
    'ModelError',
    'SourceError',
    'StoreError',
    'StoreFullError',
    'TransportError',
]


class AsrError(Exception):
    """Root of the tree. The message says what was got, what was expected and what to do."""


class AudioError(AsrError, ValueError):
    """Audio that cannot be used: bad rate, channel count, length or encoding."""


class SourceError(AudioError, OSError):
    """A file, a device or a bag that cannot be opened, or that breaks off."""


class ConfigurationError(AsrError, ValueError):
    """A parameter, an argument or a configuration file that is not valid."""


class ModelError(AsrError, ValueError):
    """A model that is missing, damaged, cut short or of another kind."""


class StoreError(AsrError, OSError):
    """A segment store or a cache directory that cannot be used."""


class StoreFullError(StoreError):
    """The segment store has no room: segments must be acknowledged first."""


class BackendError(AsrError, RuntimeError):
    """A backend failed on one segment; the segment may be tried on another."""


class TransportError(AsrError, RuntimeError):
    """The middleware refused to loan, publish or take a message."""
