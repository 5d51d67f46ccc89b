"""Runs quantised models inside the vendor's environment, for backends/bpu_exact.py.

    python -I bpu_exact_server.py EXECUTOR.so < requests > answers

Started by path in a Python 3.10 that has NumPy 1.23 and nothing of this package: it imports the
standard library and NumPy alone. A request and an answer are each a uint32 length, so many bytes
of JSON, then the arrays that the JSON names, as plain bytes in its order:

    {"load": {model: path}}                          -> {} or {"error": text}
    {"run": model, "arrays": [[name, dtype, shape]]} -> {"arrays": [...]} or {"error": text}

It ends at the end of its input.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import struct
import sys
from typing import IO, Any

import numpy as np

Arrays = dict[str, Any]


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)  # what the vendor's library prints is no answer
    requests = sys.stdin.buffer
    executor = import_executor(sys.argv[1])
    sessions = {}
    while (request := receive(requests)) is not None:
        header, arrays = request
        try:
            if 'load' in header:
                sessions = {model: open_session(executor, path)
                            for model, path in header['load'].items()}
                send(answers, {}, {})
            else:
                send(answers, {}, run(sessions[header['run']], arrays))
        # Its errors have no common root but Exception; each is the answer.
        except Exception as error:  # noqa: BLE001
            told = ' '.join(str(error).split())
            send(answers, {'error': f'{type(error).__name__}: {told}'}, {})


def import_executor(path: str) -> Any:
    """Import the vendor's build of onnxruntime from its file, without the package round it."""
    name = 'onnxruntime_pybind11_state'
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    module = importlib.util.module_from_spec(
        importlib.machinery.ModuleSpec(name, loader, origin=path))
    loader.exec_module(module)
    return module


def open_session(executor: Any, path: str) -> Any:
    """Open one model."""
    options = executor.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = executor.InferenceSession(options, path, True)
    session.load_model([])
    return session


def run(session: Any, arrays: Arrays) -> Arrays:
    """Run one model; name to array."""
    names = [meta.name for meta in session.outputs_meta]
    return dict(zip(names, session.run(names, arrays, None), strict=True))


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], Arrays] | None:
    """Read a header and its arrays; None at the end of the input."""
    length = stream.read(4)
    if len(length) < 4:
        return None
    header = json.loads(stream.read(struct.unpack('<I', length)[0]))
    arrays = {}
    for name, dtype, shape in header.get('arrays', ()):
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        arrays[name] = np.frombuffer(stream.read(size), kind).reshape(shape)
    return header, arrays


def send(stream: IO[bytes], header: dict[str, Any], arrays: Arrays) -> None:
    """Write a header and its arrays."""
    header['arrays'] = [[name, array.dtype.str, list(array.shape)]
                        for name, array in arrays.items()]
    text = json.dumps(header).encode()
    stream.write(struct.pack('<I', len(text)) + text)
    for array in arrays.values():
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.flush()


if __name__ == '__main__':
    main()
