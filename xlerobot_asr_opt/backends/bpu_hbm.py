"""hbm_runtime: the library for the BPU of RDK OS 3.5 and newer.

Written after "BPU algorithm interface manual" of D-Robotics' RDK documentation (names, shapes,
dtypes, errors, scheduling parameters) and the type stub in their package hobot-spdev.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.backends.bpu_port import Port
from xlerobot_asr_opt.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import ModuleType

__all__ = ['HbmModel']

_DTYPES = {
    'S8': np.int8, 'U8': np.uint8, 'S16': np.int16, 'U16': np.uint16, 'S32': np.int32,
    'U32': np.uint32, 'S64': np.int64, 'U64': np.uint64, 'F16': np.float16, 'F32': np.float32,
    'F64': np.float64,
}
"""hbDNNDataType to NumPy's; the image and sub-byte types have no place in a model of speech."""


class HbmModel:
    """An OpenModel of hbm_runtime.

    Args:
        module: hbm_runtime.
        path: of the .bin.
        model: name of the model in it.
        priority: on the BPU, 0 to 255.

    Raises:
        ModelError: the file holds no such model, or one with images.
    """

    def __init__(self, module: ModuleType, path: Path, model: str, priority: int) -> None:
        self._runtime = module.HB_HBMRuntime(str(path))
        self._model = model
        if model not in self._runtime.model_names:
            raise ModelError(
                f'{path}: holds {", ".join(self._runtime.model_names)}, expected {model}; compile '
                'it again')
        self.inputs: Mapping[str, Port] = _ports(
            path, self._runtime.input_names[model], self._runtime.input_shapes[model],
            self._runtime.input_dtypes[model])
        self.outputs: Mapping[str, Port] = _ports(
            path, self._runtime.output_names[model], self._runtime.output_shapes[model],
            self._runtime.output_dtypes[model])
        # The X5 has one core.
        self._runtime.set_scheduling_params(
            priority={model: priority}, bpu_cores={model: [0]})

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run it once; see OpenModel."""
        outputs = self._runtime.run({self._model: dict(inputs)})[self._model]
        # Copied: the documentation does not say whose memory it is, and a padded output has
        # strides.
        return {name: np.array(outputs[name], order='C') for name in self.outputs}


def _ports(
    path: Path, names: Iterable[str], shapes: Mapping[str, Iterable[int]],
    dtypes: Mapping[str, Any],
) -> dict[str, Port]:
    ports = {}
    for name in names:
        kind = dtypes[name].name
        if kind not in _DTYPES:
            raise ModelError(f'{path}: {name} is of the type {kind}, expected one of '
                             f'{", ".join(_DTYPES)}; it is not a model of speech')
        ports[name] = Port(tuple(shapes[name]), np.dtype(_DTYPES[kind]))
    return ports
