"""The Runner on the board itself: compiled models on the BPU of an RDK X5.

Two libraries of the vendor do it. RDK OS 3.5 and newer has hbm_runtime; older images have
hobot_dnn.pyeasy_dnn. Which of them is there is found when models are loaded.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt

from xlerobot_asr_opt.backends.bpu_easy_dnn import EasyDnnModel
from xlerobot_asr_opt.backends.bpu_hbm import HbmModel
from xlerobot_asr_opt.backends.bpu_port import reason_of
from xlerobot_asr_opt.errors import BackendError, ConfigurationError, ModelError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import ModuleType

    from xlerobot_asr_opt.backends.bpu_port import OpenModel, Port
    from xlerobot_asr_opt.backends.bpu_runner import RunnerFile

    Opener = Callable[[ModuleType, Path, str, int], OpenModel]

__all__ = ['HIGHEST_PRIORITY', 'BoardRunner', 'find_runtime']

HIGHEST_PRIORITY: Final = 255
"""Of a model on the BPU; the lowest is 0."""

_RUNTIMES: tuple[tuple[str, str, Opener], ...] = (
    ('hbm_runtime', 'HB_HBMRuntime', HbmModel),
    ('hobot_dnn.pyeasy_dnn', 'load', EasyDnnModel),
)
"""Module, what it must have, and what opens a model with it; the preferred one first."""

_INSTALL = ('install hobot-spdev (RDK OS 3.5 or newer) or hobot-dnn (older) with apt-get, or use '
            'another backend')


def find_runtime() -> tuple[str, ModuleType, Opener]:
    """Import the vendor's library.

    Returns:
        Its name, the module, and what opens a model with it.

    Raises:
        BackendError: neither is there, or neither can be imported.
    """
    reasons = []
    for name, needed, opener in _RUNTIMES:
        module, reason = _import(name, needed)
        if module is not None:
            return name, module, opener
        reasons.append(f'{name}: {reason}')
    raise BackendError(
        f'no library for the BPU ({"; ".join(reasons)}), expected hbm_runtime or '
        f'hobot_dnn.pyeasy_dnn; {_INSTALL}')


def _import(name: str, needed: str) -> tuple[ModuleType | None, str]:
    """Import one of the libraries, or say why that cannot be."""
    try:
        module = importlib.import_module(name)
    # hbm_runtime raises RuntimeError where the libraries below it are missing.
    except Exception as error:  # noqa: BLE001 - told to whoever asked for the library
        return None, str(error)
    if not hasattr(module, needed):
        return None, f'has no {needed}: another package has its name'
    return module, ''


class BoardRunner:
    """A Runner on the board's BPU.

    Args:
        priority: of these models on the BPU, 0 to HIGHEST_PRIORITY: a higher one goes first.

    Raises:
        ConfigurationError: another priority.
    """

    name = 'bpu'
    file: RunnerFile = 'binary'

    def __init__(self, priority: int = 0) -> None:
        if not 0 <= priority <= HIGHEST_PRIORITY:
            raise ConfigurationError(
                f'got the BPU priority {priority}, expected 0 to {HIGHEST_PRIORITY}')
        self._priority = priority
        self._lock = threading.Lock()
        self._models: dict[str, OpenModel] = {}
        self._runtime = ''

    @property
    def runtime(self) -> str:
        """The library that runs the models; empty: nothing is loaded."""
        return self._runtime

    def load(self, models: Mapping[str, Path]) -> None:
        """Open models, each in a handle of its own, so that an error names its file; see Runner.

        Raises:
            ModelError: a file does not hold that model, or not for this BPU.
            BackendError: no library for the BPU.
        """
        self.close()
        runtime, module, opener = find_runtime()
        opened = {}
        for model, path in models.items():
            if not path.is_file():
                raise ModelError(f'{path}: no such file; compile the model again')
            try:
                opened[model] = opener(module, path, model, self._priority)
            except ModelError:
                raise
            # Both libraries raise errors without a common root.
            except Exception as error:
                raise ModelError(
                    f'{path}: {runtime} cannot open it ({reason_of(error)}); expected a whole '
                    '.bin for the march of this board, compile it again') from error
        self._models, self._runtime = opened, runtime

    def run(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]],
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a model; see Runner.

        Raises:
            ShapeError: an input or output of another name, dtype or shape.
            BackendError: it failed, or the model is not loaded.
        """
        opened = self._models.get(model)
        if opened is None:
            raise BackendError(
                f'got model {model!r}, expected {", ".join(self._models) or "none: load first"}')
        # Checked here and not left to the library: the older one checks nothing and writes past
        # the end of the device's memory.
        _check(f'inputs of {model}', inputs, opened.inputs)
        try:
            # The libraries serve one call at a time, and the older one hands out the memory that
            # its next call overwrites.
            with self._lock:
                outputs = opened.run(inputs)
        # Both libraries raise errors without a common root.
        except Exception as error:
            raise BackendError(
                f'{model} failed in {self._runtime}: {reason_of(error)}; try another backend'
            ) from error
        _check(f'outputs of {model}', outputs, opened.outputs)
        return outputs

    def close(self) -> None:
        """Let go of the models."""
        self._models, self._runtime = {}, ''


def _check(
    what: str, arrays: Mapping[str, npt.NDArray[Any]], ports: Mapping[str, Port],
) -> None:
    """Compare names, dtypes and shapes.

    Raises:
        ShapeError: they differ.
    """
    got = {name: f'{array.dtype}{list(array.shape)}' for name, array in arrays.items()}
    expected = {name: f'{port.dtype}{list(port.shape)}' for name, port in ports.items()}
    if got != expected:
        raise ShapeError(f'{what}: got {_listed(got)}, expected {_listed(expected)}; compile the '
                         'model again, or use another backend')


def _listed(ports: Mapping[str, str]) -> str:
    return ', '.join(f'{name} {port}' for name, port in ports.items()) or 'nothing'
