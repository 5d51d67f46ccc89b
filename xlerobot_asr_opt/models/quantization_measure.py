"""Two graphs side by side on the same real inputs: how alike, and which is faster."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.onnx_session import open_session
from xlerobot_asr_opt.models.quantization import Change, Inputs, Similarity

__all__ = ['Pair']

Floats = npt.NDArray[np.float64]


class Pair:
    """A graph before and after, open to be run.

    Args:
        before: the float graph.
        after: the quantised one.
        threads: of each; 0: one for each core.

    Raises:
        ModelError: onnxruntime cannot open one.
    """

    def __init__(self, before: Path, after: Path, threads: int) -> None:
        self._after = after
        self._sessions = tuple(
            open_session(path, threads, cure='give a graph that this onnxruntime knows')
            for path in (before, after))
        self._outputs = [output.name for output in self._sessions[0].get_outputs()]

    def similarity(self, inputs: Sequence[Inputs]) -> Similarity:
        """Compare every output.

        Raises:
            ModelError: a graph cannot be run with these inputs.
        """
        cosines, errors, values = [], [], []
        for one in inputs:
            before, after = (self._run(session, one) for session in self._sessions)
            outputs = list(zip(before, after, strict=True))
            # NaN is the worst of all; NumPy keeps it, min() and max() pass it over.
            cosines.append(np.min([_cosine(old, new) for old, new in outputs]))
            errors += [np.abs(old - new).max(initial=0.0) for old, new in outputs]
            values += [np.abs(old).max(initial=0.0) for old, _ in outputs]
        return Similarity(*(float(value) for value in (
            np.mean(cosines), np.min(cosines), np.max(errors), np.max(values))))

    def latency(self, inputs: Sequence[Inputs], rounds: int,
                clock: Callable[[], float]) -> Change:
        """Median time of one call [ms]; the graphs take turns, so that load is shared.

        Raises:
            ModelError: a graph cannot be run with these inputs.
        """
        inputs = [dict(one) for one in inputs]
        times: tuple[list[float], list[float]] = ([], [])
        for session in self._sessions:
            self._run(session, inputs[0])
        for _ in range(rounds):
            for one in inputs:
                for session, taken in zip(self._sessions, times, strict=True):
                    start = clock()
                    session.run(self._outputs, one)
                    taken.append(1e3 * (clock() - start))
        return Change(*(statistics.median(taken) for taken in times))

    def _run(self, session: Any, inputs: Inputs) -> list[Floats]:
        try:
            outputs = session.run(self._outputs, dict(inputs))
        # Its errors have no common root but Exception.
        except Exception as error:
            raise ModelError(
                f'{self._after.name}: cannot be run with the inputs given ({error}); they must be '
                'those of the float model') from error
        return [np.asarray(output, np.float64).ravel() for output in outputs]


def _cosine(expected: Floats, found: Floats) -> float:
    """Cosine of the angle between two vectors; 1 if both are zero, 0 if one of them is."""
    norms = float(np.linalg.norm(expected)) * float(np.linalg.norm(found))
    if norms == 0.0:
        return float(not expected.any() and not found.any())
    return float(expected @ found) / norms
