"""A small writer of ONNX graphs: values are names, large weights lie in a file beside the graph.

Written the same way every time, so that the same weights give the same bytes. Large weights lie
page-aligned in a file of their own: onnxruntime maps that, so that a table of which few rows are
read costs memory for those rows only. A graph without such tables can be one file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ['CONTRIB', 'Graph']

CONTRIB = 'com.microsoft'
"""Domain of onnxruntime's own operators."""

_OPSET = 17
_IR_VERSION = 8
_SMALL = 1024
"""Weights below this many bytes lie in the graph itself."""
_PAGE = 4096

Shape = list[int | str]


class Graph:
    """Collects nodes, weights, inputs and outputs, then writes one model.

    Args:
        name: of the graph.
        opset: version of ONNX's operators; a compiler may know old ones only.
    """

    def __init__(self, name: str, opset: int = _OPSET) -> None:
        self._name = name
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, npt.NDArray[Any]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: type[np.generic], shape: Shape) -> str:
        """Declare an input; returns its name."""
        self._inputs.append(_value_info(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: type[np.generic], shape: Shape) -> None:
        """Declare value as the output called name."""
        self._nodes.append(helper.make_node('Identity', [value], [name]))
        self._outputs.append(_value_info(name, dtype, shape))

    def weight(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add a constant, return its name; the same name may come again with the same array."""
        self._weights.setdefault(name, np.ascontiguousarray(array))
        return name

    def node(self, kind: str, *inputs: str, domain: str = '', **attributes: Any) -> str:
        """Add a node of one output; returns the output's name. An empty input is one left out."""
        return self.nodes(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def nodes(
        self,
        kind: str,
        *inputs: str,
        outputs: int,
        domain: str = '',
        **attributes: Any,
    ) -> list[str]:
        """Add a node of several outputs; returns their names."""
        stem = f'{kind}_{len(self._nodes)}'
        names = [stem if index == 0 else f'{stem}_{index}' for index in range(outputs)]
        self._nodes.append(
            helper.make_node(kind, list(inputs), names, name=stem, domain=domain, **attributes)
        )
        return names

    def write(self, path: Path) -> None:
        """Write the graph to path, and its large weights to path + `.data`.

        Raises:
            OSError: one of them cannot be written.
        """
        data = path.with_name(path.name + '.data')
        with data.open('wb') as file:
            tensors = [
                self._tensor(name, array, data.name, file) for name, array in self._weights.items()
            ]
        self._write(path, tensors)

    def write_whole(self, path: Path) -> None:
        """Write the graph with its weights to one file, of at most 2 GB.

        Raises:
            OSError: it cannot be written.
        """
        self._write(path, [
            numpy_helper.from_array(array, name) for name, array in self._weights.items()])

    def _write(self, path: Path, tensors: list[onnx.TensorProto]) -> None:
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, tensors)
        model = helper.make_model(
            graph,
            ir_version=_IR_VERSION,
            producer_name='xlerobot_asr_opt',
            opset_imports=[helper.make_opsetid('', self._opset), *(
                [helper.make_opsetid(CONTRIB, 1)] if self._opset == _OPSET else [])],
        )
        path.write_bytes(model.SerializeToString(deterministic=True))

    @staticmethod
    def _tensor(name: str, array: npt.NDArray[Any], location: str, file: Any) -> onnx.TensorProto:
        if array.nbytes < _SMALL:
            return numpy_helper.from_array(array, name)
        file.write(bytes(-file.tell() % _PAGE))
        tensor = TensorProto(
            name=name,
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (
            ('location', location),
            ('offset', file.tell()),
            ('length', array.nbytes),
        ):
            tensor.external_data.add(key=key, value=str(value))
        file.write(array.tobytes())
        return tensor


def _value_info(name: str, dtype: type[np.generic], shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )
