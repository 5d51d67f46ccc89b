"""What a graph wants of the compiler beyond int8: 16 bits for some nodes, limits for values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ['ALL_INT8', 'Precision']


@dataclass(frozen=True)
class Precision:
    """How nodes and values of a graph are quantised; all others by the calibration's largest.

    Attributes:
        wide: nodes whose inputs have 16 bits.
        limits: value to the largest magnitude that int8 still tells apart; what is larger is
            taken as this.
    """

    wide: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)


ALL_INT8 = Precision()
