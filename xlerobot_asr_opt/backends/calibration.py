"""What a model's own confidence is worth: the share of words that are right where it says so.

A model is too sure of some texts and too modest of others. Where it was measured on people's
speech whose text is known, a curve of two numbers puts that right; bench/confidence.py measures
and fits, docs/recogniser.md has what was found. A model that was not measured says what it says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ['CURVES', 'UNCHANGED', 'Curve']

_EDGE = 1e-6


@dataclass(frozen=True)
class Curve:
    """sigmoid(slope x logit(confidence) + offset): rising, from 0 to 1 (Platt 1999).

    Attributes:
        slope: above 0; 1 with offset 0 changes nothing.
        offset: above 0 where the model is too modest.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, confidence: float) -> float:
        """Map a confidence, 0 to 1; NaN stays NaN."""
        if math.isnan(confidence) or self == UNCHANGED:
            return confidence
        inside = min(max(confidence, _EDGE), 1.0 - _EDGE)
        return 1.0 / (1.0 + math.exp(-self.slope * math.log(inside / (1.0 - inside))
                                     - self.offset))


UNCHANGED = Curve()

CURVES = {
    'whisper-tiny.en': Curve(1.645, -0.072),
}
"""Name of a model to its curve: python bench/confidence.py --model NAME --speech FOLDER TEXTS."""
