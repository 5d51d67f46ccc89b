"""What both of the vendor's libraries are made to look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ['OpenModel', 'Port', 'reason_of']


@dataclass(frozen=True)
class Port:
    """One input or output of a compiled model.

    Attributes:
        shape: without padding.
        dtype: NumPy's.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class OpenModel(Protocol):
    """One model that a library holds open.

    Attributes:
        inputs: by name, in the model's order.
        outputs: by name, in the model's order.
    """

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run it once; one call at a time.

        Args:
            inputs: of exactly the names, dtypes and shapes of ``inputs``.

        Returns:
            The outputs, in memory of their own.
        """


def reason_of(error: BaseException) -> str:
    """What an error of a library says; the cause, where it wraps one into a SystemError.

    pyeasy_dnn sets an exception and returns a value all the same (dnn_python.cpp): Python makes a
    SystemError of that, which says nothing, with the exception as its cause.
    """
    cause = error.__cause__ if isinstance(error, SystemError) else None
    return str(cause or error) or type(error).__name__
