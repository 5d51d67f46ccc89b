"""Attention for the BPU: a head at a time, its weights normalised behind the product.

What a softmax gives is spread over all positions of the window: of 600 of them most weigh less
than int8's smallest step, and the sum of their weights has no more than 127 steps either. So the
weights stay what they are before the division, 1 for the largest of a row, and the products with
the values are divided by the weights' sum, both in 16 bits. These are small: a number for each
position and channel, not for each pair of positions.

A head's scores are 360 kB for 12 s, which the BPU's own memory holds; those of all heads went out
to the DDR and back at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xlerobot_asr_opt.models.onnx_graph import Graph

__all__ = ['HeadBuilder']

_REACH = 5.6
"""Weights below exp(-_REACH) of a row's largest round to 0 in int8 anyway: 1 / 270."""


class HeadBuilder:
    """Adds heads to a graph.

    Args:
        graph: takes the nodes.

    Attributes:
        wide: nodes that need 16 bits; see Precision.
        limits: values that are cut off; see Precision.
    """

    def __init__(self, graph: Graph) -> None:
        self._g = graph
        self.wide: list[str] = []
        self.limits: dict[str, float] = {}

    def attend(self, query: str, key: str, value: str) -> str:
        """Mix the values of one head.

        Args:
            query: [1, 1, time, size], divided by the root of size.
            key: [1, 1, size, time].
            value: [1, 1, time, size].

        Returns:
            [1, size, 1, time].
        """
        g = self._g
        # Keys first: the compiler wants the axis of a maximum or a sum as channels, and turns
        # every four dimensions to channels last; this turning and its own cancel each other.
        scores = g.node('Transpose', g.node('MatMul', query, key), perm=[0, 3, 1, 2])
        below = g.node('Sub', scores, g.node('ReduceMax', scores, axes=[1], keepdims=1))
        self.limits[below] = _REACH
        weights = g.node('Exp', below)
        total = g.node('ReduceSum', weights, axes=[1], keepdims=1)
        mixed = g.node('MatMul', g.node('Transpose', weights, perm=[0, 2, 3, 1]), value)
        mixed = g.node('Transpose', mixed, perm=[0, 3, 1, 2])
        share = g.node('Reciprocal', total)
        normalised = g.node('Mul', mixed, share)
        self.wide += [share, normalised]
        return normalised
