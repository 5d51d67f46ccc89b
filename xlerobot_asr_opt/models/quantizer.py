"""Makes models smaller, measures what that costs, and says whether it pays; docs/quantizer.md."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from xlerobot_asr_opt.errors import ConfigurationError, ModelError
from xlerobot_asr_opt.models.build import build_whisper
from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.manifest import FileRecord, Manifest, sha256_of
from xlerobot_asr_opt.models.quantization import (
    QUANT_TYPES,
    Change,
    GraphChange,
    Inputs,
    InputsOf,
    QuantizationResult,
    QuantType,
)
from xlerobot_asr_opt.models.quantization_bpu import compile_for_bpu
from xlerobot_asr_opt.models.quantization_measure import Pair
from xlerobot_asr_opt.models.quantization_onnx import (
    check_graph,
    graph_files,
    weights_change,
    write_fp16,
    write_int8,
    write_int8_static,
)
from xlerobot_asr_opt.models.quantization_verdict import judge
from xlerobot_asr_opt.models.speech import Utterance
from xlerobot_asr_opt.models.whisper_onnx import Precision

__all__ = ['ModelQuantizer']

_GRAPHS = ('encoder.onnx', 'decoder.onnx')
_WHISPER = ('the directory of a Whisper as CTranslate2 has it (model.bin, config.json, '
            'tokenizer.json)')
_MULTILINGUAL_VOCABULARY = 51865
_MOST_TIMED = 8
"""Inputs that are timed: more give no other median, and take as much longer."""


class ModelQuantizer:
    """Quantises one ONNX graph, or a whole Whisper as CTranslate2 has it.

    Nothing is ever calibrated or compared with random numbers: without real inputs, int8-static is
    refused, and similarity and latency are not measured.

    Args:
        inputs: real inputs of a graph; the first half calibrates, the second is measured with.
        word_error_rate: recognises a set of recordings with the model at a path, and gives the
            rate of wrong words [%].
        recordings: name to utterances of people with their words, which bpu calibrates and
            verifies with.
        threads: of each graph while it is timed; 0: one for each core.
        rounds: how often each input is timed.
        clock: seconds, monotonic; handed in by tests.
    """

    def __init__(
        self,
        *,
        inputs: InputsOf | None = None,
        word_error_rate: Callable[[Path], float] | None = None,
        recordings: Mapping[str, Sequence[Utterance]] | None = None,
        threads: int = 1,
        rounds: int = 5,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._inputs = inputs
        self._word_error_rate = word_error_rate
        self._recordings = recordings or {}
        self._threads = threads
        self._rounds = rounds
        self._clock = clock

    def quantize_model(
        self, model_path: Path | str, output_path: Path | str, quant_type: QuantType,
    ) -> QuantizationResult:
        """Quantise a model, and compare it with what it was made from.

        The output appears at the end, whole; an interrupted call leaves none.

        Args:
            model_path: a float32 ONNX file, or the directory of a Whisper with CTranslate2's
                model.bin, config.json and tokenizer.json.
            output_path: the ONNX file, or the directory of the own layout, to write.
            quant_type: int8 (activations quantised as they come), int8-static (by calibrated
                ranges), fp16, or bpu (a Whisper's encoder, compiled by the board vendor's tools).

        Raises:
            ConfigurationError: an unknown type, calibration missing, or the output exists.
            ModelError: the model is missing, damaged, foreign, or cannot be quantised so.
            OSError: the output cannot be written.
        """
        model, output = Path(model_path), Path(output_path)
        self._check(model, output, quant_type)
        if quant_type == 'bpu':
            return compile_for_bpu(model, output, self._recordings)
        with _beside(output) as scratch:
            made = scratch / output.name
            if model.is_dir():
                float_model = self._write_whisper(model, scratch, made, quant_type)
            else:
                float_model = model
                self._write_graph(model, made, quant_type)
            result = self._compare(model, output, float_model, made, quant_type)
            _publish(made, output)
        return result

    def _check(self, model: Path, output: Path, quant_type: QuantType) -> None:
        if quant_type not in QUANT_TYPES:
            raise ConfigurationError(
                f'quant_type: got {quant_type!r}, expected one of {", ".join(QUANT_TYPES)}')
        if quant_type == 'bpu' and not self._recordings:
            raise ConfigurationError(
                'bpu needs recordings of people with their words, to calibrate and to verify: '
                'give some, or run `xlerobot-asr models compile`')
        if quant_type == 'int8-static' and self._inputs is None:
            raise ConfigurationError(
                'int8-static needs calibration: give real inputs of the model (recordings), or '
                'take int8, which needs none')
        if not model.exists():
            raise ModelError(f'{model}: there is no such file or directory')
        _check_free(output)
        if model.is_dir():
            _check_whisper(model)
        elif quant_type == 'bpu':
            raise ModelError(
                f'{model}: got a file, expected {_WHISPER}: an ONNX file is not compiled for the '
                'BPU here')
        else:
            check_graph(model)

    def _write_graph(self, source: Path, target: Path, quant_type: QuantType) -> None:
        if quant_type == 'int8':
            write_int8(source, target)
        elif quant_type == 'fp16':
            write_fp16(source, target)
        else:
            write_int8_static(source, target, self._some(source, 0))

    def _write_whisper(
        self, model: Path, scratch: Path, made: Path, quant_type: QuantType,
    ) -> Path:
        """Write the own layout; returns the directory of the same in float32.

        int8 comes from our own writer, which quantises the table of tokens row by row; the other
        types are made of its float32 graphs.
        """
        sources = {f'{model.resolve().name}/model.bin': sha256_of(model / 'model.bin')}
        rows = read(model / 'model.bin', 'WhisperSpec').get('decoder/embeddings/weight')
        multilingual = rows is not None and rows.shape[0] >= _MULTILINGUAL_VOCABULARY

        def build(directory: Path, precision: Precision) -> None:
            directory.mkdir()
            build_whisper(model, directory, name=made.name, sources=sources,
                          multilingual=multilingual, precision=precision)

        plain = scratch / 'float32'
        build(plain, 'float32')
        if quant_type == 'int8':
            build(made, 'int8')
        else:
            made.mkdir()
            for graph in _GRAPHS:
                self._write_graph(plain / graph, made / graph, quant_type)
            _complete(plain, made)
        return plain

    def _compare(
        self, model: Path, output: Path, before: Path, after: Path, quant_type: QuantType,
    ) -> QuantizationResult:
        pairs = ([(before / graph, after / graph) for graph in _GRAPHS] if before.is_dir()
                 else [(before, after)])
        graphs = tuple(self._compare_graphs(old, new) for old, new in pairs)
        size = Change(sum(map(_bytes, (old for old, _ in pairs))),
                      sum(map(_bytes, (new for _, new in pairs))))
        rate = None
        if self._word_error_rate is not None:
            rate = Change(self._word_error_rate(before), self._word_error_rate(after))
        pays, reasons = judge(quant_type, size, graphs, rate)
        return QuantizationResult(
            model, output, quant_type, size, graphs, rate, pays, reasons)

    def _compare_graphs(self, before: Path, after: Path) -> GraphChange:
        weights = weights_change(before, after)
        pair = Pair(before, after, self._threads)
        if self._inputs is None:
            return GraphChange(before.name, weights, None, None)
        inputs = self._some(before, 1)
        latency = pair.latency(inputs[:_MOST_TIMED], self._rounds, self._clock)
        return GraphChange(before.name, weights, pair.similarity(inputs), latency)

    def _some(self, graph: Path, which: int) -> Sequence[Inputs]:
        """One half of a graph's inputs: 0 the one that calibrates, 1 the one to measure with."""
        inputs = self._inputs(graph) if self._inputs is not None else []
        if len(inputs) < 2:
            raise ConfigurationError(
                f'{graph.name}: got {len(inputs)} inputs, expected at least 2: one half '
                'calibrates, the other is measured with')
        middle = len(inputs) // 2
        return inputs[middle:] if which else inputs[:middle]


def _check_whisper(directory: Path) -> None:
    """See that a directory has a Whisper that can be rebuilt.

    Raises:
        ModelError: it has not; the message names what is there.
    """
    if not (directory / 'model.bin').is_file():
        found = ', '.join(sorted(path.name for path in directory.iterdir())) or 'nothing'
        raise ModelError(
            f'{directory}: got a directory with {found}, expected {_WHISPER}; quantise ONNX files '
            'one by one')


def _complete(plain: Path, made: Path) -> None:
    """Put beside the graphs what the own layout has besides."""
    shutil.copyfile(plain / 'tokenizer.json', made / 'tokenizer.json')
    manifest = Manifest.read(plain)
    files = {path.name: FileRecord.of(path) for path in sorted(made.iterdir())}
    Manifest(manifest.name, manifest.sources, files, manifest.whisper).write(made)


def _bytes(graph: Path) -> int:
    return sum(file.stat().st_size for file in graph_files(graph))


def _check_free(output: Path) -> None:
    """See that nothing would be overwritten.

    Raises:
        ConfigurationError: the output exists, or the directory that it belongs into does not.
    """
    if output.exists() or output.is_symlink():
        raise ConfigurationError(f'{output}: exists; remove it, or name another output')
    if not output.parent.is_dir():
        raise ConfigurationError(f'{output}: there is no directory {output.parent}; make it')


@contextlib.contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """A directory for unfinished work on the same file system, removed at the end."""
    with tempfile.TemporaryDirectory(prefix=f'.{output.name}.', dir=output.parent) as scratch:
        yield Path(scratch)


def _publish(made: Path, output: Path) -> None:
    _check_free(output)  # another process may have been as slow
    made.rename(output)
