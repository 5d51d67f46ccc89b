"""What a model will take of memory, foretold from the size of its files.

Told is the most that it takes at once, from opening it to its longest segment.
bench/model_memory.py measures that, and docs/memory.md has what it measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.models.files import ModelFiles

if TYPE_CHECKING:
    from pathlib import Path

    from xlerobot_asr_opt.models.ctc_files import CtcFiles

__all__ = ['footprint', 'graph_bytes']

WHISPER_FACTOR = 3.0
"""Bytes for each byte of the graphs: 2.7 were measured of two sizes, in which the weights, as
onnxruntime arranges them, and what is computed grow together."""
CTC_FACTOR = 2.0
"""The same, for the weights alone: 1.6 (float) and 1.75 (int8) were measured."""
CTC_SCORES = 3
"""Arrays as large as the scores of the longest segment: the graph's, normalised, and one amid."""
CTC_FRAMES = 3000
"""Frames of 10 ms in the longest segment."""
FLOAT_BYTES = 4


def footprint(files: ModelFiles | CtcFiles) -> int:
    """Return the most memory that a model takes on onnxruntime [bytes]."""
    size = graph_bytes(files)
    if isinstance(files, ModelFiles):
        return round(WHISPER_FACTOR * size)
    scores = FLOAT_BYTES * len(files.pieces) * (CTC_FRAMES // files.subsampling)
    return round(CTC_FACTOR * size) + CTC_SCORES * scores


def graph_bytes(files: ModelFiles | CtcFiles) -> int:
    """Return the size of a model's graphs, with the weights that lie beside them [bytes]."""
    return sum(path.stat().st_size for graph in _graphs(files) for path in _parts(graph))


def _graphs(files: ModelFiles | CtcFiles) -> list[Path]:
    if not isinstance(files, ModelFiles):
        return [files.graph]
    graphs = files.encoder, files.decoder, files.decoder_with_past
    return [graph for graph in graphs if graph is not None]


def _parts(graph: Path) -> list[Path]:
    """The graph and what it is continued in, such as encoder.onnx.data or encoder.onnx_data_1."""
    begins = f'{graph.name}.', f'{graph.name}_'
    return [path for path in graph.parent.iterdir()
            if path.name == graph.name or path.name.startswith(begins)]
