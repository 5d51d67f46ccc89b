"""Opens ONNX graphs as the recogniser runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.onnx_external import check_external

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ['open_session']


def open_session(
    path: Path, threads: int, cure: str = 'fetch the model again',
) -> onnxruntime.InferenceSession:
    """Open one graph.

    Args:
        path: the .onnx file.
        threads: of this graph; 0: one for each core.
        cure: what to do about one that cannot be opened, for the message.

    Raises:
        ModelError: it is missing, damaged, reads files outside of its directory, or asks for what
            this onnxruntime does not know.
    """
    check_external(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores that the other nodes need.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider'])
    # Its errors have no common root but Exception.
    except Exception as error:
        raise ModelError(f'{path}: onnxruntime cannot open it ({error}); {cure}') from error
