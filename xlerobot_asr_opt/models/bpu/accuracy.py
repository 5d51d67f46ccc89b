"""Words wrong of a compiled encoder in the board's arithmetic, beside the float model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from xlerobot_asr_opt.backends.bpu_graphs import whisper_on
from xlerobot_asr_opt.backends.bpu_runner import Runner, RunnerFile
from xlerobot_asr_opt.backends.onnx_sessions import failing_as_backend
from xlerobot_asr_opt.models.bundle import Accuracy
from xlerobot_asr_opt.models.onnx_session import open_session
from xlerobot_asr_opt.models.speech import Utterance, errors, words
from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['FloatRunner', 'measure', 'words_wrong']


class FloatRunner:
    """A Runner that runs the float graphs in place of what was compiled of them.

    Args:
        graphs: name of the model to the ONNX file that was compiled.
        threads: 0: one for each core.
    """

    name = 'bpu_float'
    file: RunnerFile = 'quantised'

    def __init__(self, graphs: Mapping[str, Path], threads: int = 1) -> None:
        self._graphs = graphs
        self._threads = threads
        self._sessions: dict[str, Any] = {}

    def load(self, models: Mapping[str, Path]) -> None:
        """Open the graphs of these models; see Runner."""
        self._sessions = {
            name: open_session(self._graphs[name], self._threads) for name in models}

    def run(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]],
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a graph; see Runner."""
        session = self._sessions[model]
        names = [output.name for output in session.get_outputs()]
        with failing_as_backend(f'float graph of {model}'):
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    def close(self) -> None:
        """Let go of the graphs."""
        self._sessions = {}


def measure(
    directory: Path,
    recordings: Mapping[str, Sequence[Utterance]],
    exact: Runner,
    single: Runner,
    report: Callable[[str], None],
) -> tuple[Accuracy, ...]:
    """Recognise recordings with both runners, in the windows of the bundle's buckets.

    Args:
        directory: a bundle.
        recordings: name to utterances that fit into its longest bucket.
        exact: the board's arithmetic.
        single: the float model.
        report: told of every set of recordings.

    Raises:
        ModelError: the bundle cannot be opened.
        BackendError: a runner failed.
    """
    found = []
    for name, utterances in recordings.items():
        if not utterances:
            continue
        report(f'recognising {len(utterances)} utterances of {name}')
        one = Accuracy(
            name, sum(len(said.words) for said in utterances),
            words_wrong(directory, utterances, exact), words_wrong(directory, utterances, single))
        report(f'{one.wrong} of {one.words} words wrong, in float {one.wrong_float}')
        found.append(one)
    return tuple(found)


def words_wrong(directory: Path, utterances: Sequence[Utterance], runner: Runner) -> int:
    """Words replaced, left out or put in, with the recogniser's default settings.

    Raises:
        ModelError: the bundle cannot be opened.
        BackendError: the runner failed.
    """
    backend = whisper_on(runner, InferenceParameters(model=str(directory), threads=1))
    backend.load()
    try:
        return sum(
            errors(one.words, words(backend.recognise(backend.prepare(one.samples, '')).text))
            for one in utterances)
    finally:
        backend.close()
