"""What a quantised model is compared by with the one it was made from, and whether it pays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy.typing as npt

__all__ = [
    'QUANT_TYPES',
    'Change',
    'GraphChange',
    'Inputs',
    'InputsOf',
    'QuantType',
    'QuantizationResult',
    'Similarity',
]

QuantType = Literal['int8', 'int8-static', 'fp16', 'bpu']
QUANT_TYPES: tuple[QuantType, ...] = get_args(QuantType)

Inputs = Mapping[str, npt.NDArray[Any]]
"""One call of a graph: an array by the name of each input."""

InputsOf = Callable[[Path], Sequence[Inputs]]
"""Gives real inputs of the float graph at a path, whose directory has the model's other files."""


@dataclass(frozen=True)
class Change:
    """One figure of the model before and after.

    Attributes:
        before: of the float model.
        after: of the quantised one.
    """

    before: float
    after: float

    @property
    def ratio(self) -> float:
        """How many times less it is afterwards; infinite if nothing is left."""
        return self.before / self.after if self.after else float('inf')


@dataclass(frozen=True)
class Similarity:
    """How near outputs are to those of the float graph, over all inputs that were tried.

    Attributes:
        cosine: between an output and the float graph's; of all outputs of a call the lowest, the
            mean of that over all calls.
        lowest_cosine: of any call.
        largest_error: the largest difference of one number.
        largest_value: the largest number that the float graph gave.
    """

    cosine: float
    lowest_cosine: float
    largest_error: float
    largest_value: float


@dataclass(frozen=True)
class GraphChange:
    """One graph of the model.

    Attributes:
        name: of its file.
        weights: bytes of the weights that were quantised; after: with scales and zero points.
        similarity: of the outputs; None without real inputs.
        latency: median of one call [ms], both graphs in turns; None without real inputs.
    """

    name: str
    weights: Change
    similarity: Similarity | None
    latency: Change | None


@dataclass(frozen=True)
class QuantizationResult:
    """What came of quantising one model.

    Attributes:
        model: what was quantised.
        output: what was written.
        quant_type: the type.
        size: bytes of all its files.
        graphs: each of its graphs.
        word_error_rate: on the set that was given [%]; None without one.
        pays: whether this type is worth it; None if nothing was measured to judge it by.
        reasons: why it does not pay, or what speaks for it, in words.
    """

    model: Path
    output: Path
    quant_type: QuantType
    size: Change
    graphs: tuple[GraphChange, ...]
    word_error_rate: Change | None
    pays: bool | None
    reasons: tuple[str, ...]

    @property
    def weights(self) -> Change:
        """Bytes of the weights that were quantised, over all graphs."""
        return Change(sum(graph.weights.before for graph in self.graphs),
                      sum(graph.weights.after for graph in self.graphs))
