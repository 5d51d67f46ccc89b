"""How an encoder is quantised: chosen by measurement, the same for the same model and recordings.

Two measurements decide. Neurons that are far louder than their layer on the calibration's
recordings get a scale of their own. And of the steps, cheapest first, that is taken which keeps
the words wrong within WORST of the float model's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from xlerobot_asr_opt.models.bpu.encoder_graph import MEL, Loud, gelu_output, write_bpu_encoder
from xlerobot_asr_opt.models.bpu.precision import Precision
from xlerobot_asr_opt.models.bundle import Accuracy
from xlerobot_asr_opt.models.whisper_weights import Weights

__all__ = ['STEPS', 'WORST', 'Step', 'good_enough', 'loud_neurons']

WORST = 0.02
"""Most words wrong more than the float model's, of the words said."""

_QUANTILE = 0.99
_LOUD = 3.0
"""A neuron is loud if it peaks at so many times what 99 of 100 neurons of its layer stay under."""

_FRAMES = 400


@dataclass(frozen=True)
class Step:
    """One way to quantise.

    Attributes:
        name: for people.
        optimisation: what it asks of the vendor's compiler, in that one's own names.
        limited: values are cut off at their limits, which are int8's.
    """

    name: str
    optimisation: tuple[str, ...]
    limited: bool

    def precision(self, wanted: Precision) -> Precision:
        """What is asked of the compiler for a graph that wants this."""
        return wanted if self.limited else replace(wanted, limits={})


STEPS = (
    Step('int8', (), limited=True), Step('int16', ('set_all_nodes_int16',), limited=False))
"""Cheapest first; in both, what write_bpu_encoder wants in 16 bits has them."""


def loud_neurons(weights: Weights, windows: Sequence[npt.NDArray[np.float32]]) -> Loud:
    """The neurons of each feed-forward that are far louder than the rest of their layer.

    Args:
        weights: of the model.
        windows: float32[1, mels, 1, frames] each, all of one length.

    Raises:
        OSError: no room for a temporary file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'shown.onnx'
        write_bpu_encoder(weights, windows[0].shape[-1], path, {}, show=True)
        session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        names = [gelu_output(index) for index in range(len(weights.encoder))]
        peaks = np.zeros((len(names), 4 * weights.dims.width), np.float32)
        for window in windows:
            shown = session.run(names, {MEL: window})
            np.maximum(peaks, [np.abs(one).max(axis=(0, 2, 3)) for one in shown], out=peaks)
    return {
        layer: tuple(int(neuron) for neuron in found) for layer, row in enumerate(peaks)
        if len(found := np.flatnonzero(row > _LOUD * np.quantile(row, _QUANTILE)))}


def good_enough(measured: Sequence[Accuracy]) -> bool:
    """Whether the words wrong are at most WORST more than the float model's."""
    words = sum(one.words for one in measured)
    more = sum(one.wrong - one.wrong_float for one in measured)
    return more <= WORST * words
