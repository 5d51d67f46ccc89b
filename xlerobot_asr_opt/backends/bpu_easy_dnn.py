"""hobot_dnn.pyeasy_dnn: the library for the BPU of images before RDK OS 3.5.

Written after "Model inference interface" of D-Robotics' RDK documentation and after its source,
dnn_python.cpp in their repository x5-hobot-spdev, which has traps that no page tells:

- An array is copied to the device as many *bytes* as it has *elements*, and the arrays of a list
  are cast to uint8 on the way. So everything goes over as a list of uint8 views.
- No size is checked; too many bytes are written past the end of the device's memory.
- An output is copied out as if its rows were not padded, and has four axes whatever the model
  says. Integers straight from the BPU are padded: only float32 outputs can be trusted.
- Errors come as SystemError, with what happened as its cause.
- The GIL is held while the BPU works: a call that hangs stops every thread of the process.
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

__all__ = ['EasyDnnModel']

_DTYPES = ('int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float32',
           'float64')
"""What it calls as NumPy does; it takes no float16."""

_ANY_CORE = 0


class EasyDnnModel:
    """An OpenModel of pyeasy_dnn.

    Args:
        module: hobot_dnn.pyeasy_dnn.
        path: of the .bin.
        model: name of the model in it.
        priority: on the BPU, 0 to 255.

    Raises:
        ModelError: the file holds another model, or one with images or with integer outputs.
    """

    def __init__(self, module: ModuleType, path: Path, model: str, priority: int) -> None:
        # Of a file with several models it opens the first one.
        self._model = module.load(str(path))[0]
        if self._model.name != model:
            raise ModelError(
                f'{path}: holds {self._model.name}, expected {model}; compile it again')
        self._priority = priority
        self.inputs: Mapping[str, Port] = _ports(path, self._model.inputs)
        self.outputs: Mapping[str, Port] = _ports(path, self._model.outputs)
        for name, port in self.outputs.items():
            if port.dtype != np.float32:
                raise ModelError(
                    f'{path}: the output {name} is {port.dtype}, expected float32: pyeasy_dnn '
                    'reads padded integers wrong; update to RDK OS 3.5')

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run it once; see OpenModel."""
        # In one piece: reshape copies what is not.
        views = [inputs[name].reshape(-1).view(np.uint8) for name in self.inputs]
        tensors = self._model.forward(views, core_id=_ANY_CORE, priority=self._priority)
        # buffer makes an array of its own each time that it is asked.
        return {name: tensor.buffer.reshape(port.shape)
                for (name, port), tensor in zip(self.outputs.items(), tensors, strict=True)}


def _ports(path: Path, tensors: Iterable[Any]) -> dict[str, Port]:
    ports = {}
    for tensor in tensors:
        told = tensor.properties
        # The images have the dtype uint8, too: tensor_type tells them apart.
        if told.tensor_type not in _DTYPES:
            raise ModelError(f'{path}: {tensor.name} is of the type {told.tensor_type}, expected '
                             f'one of {", ".join(_DTYPES)}; it is not a model of speech')
        ports[tensor.name] = Port(tuple(told.shape), np.dtype(told.tensor_type))
    return ports
