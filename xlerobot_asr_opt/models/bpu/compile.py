"""From a Whisper's float weights to a bundle: export, calibrate, compile, verify, write."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.backends.bpu_exact import ExactRunner
from xlerobot_asr_opt.backends.bpu_graphs import CROSS, MARGIN
from xlerobot_asr_opt.backends.log_mel import FRAME_RATE, HOP
from xlerobot_asr_opt.errors import ConfigurationError, ModelError
from xlerobot_asr_opt.models.bpu.accuracy import FloatRunner, measure
from xlerobot_asr_opt.models.bpu.calibration import calibration_windows, write_windows
from xlerobot_asr_opt.models.bpu.encoder_graph import (
    FOLD,
    HIDDEN,
    MEL,
    Loud,
    cross_weights,
    write_bpu_encoder,
)
from xlerobot_asr_opt.models.bpu.environment import TOOLS, VendorEnvironment
from xlerobot_asr_opt.models.bpu.mapper import Compiled, Job, compile_graph
from xlerobot_asr_opt.models.bpu.recipe import STEPS, Step, good_enough, loud_neurons
from xlerobot_asr_opt.models.bpu.source import Source, check_source, find_source
from xlerobot_asr_opt.models.build import build_whisper
from xlerobot_asr_opt.models.bundle import MARCH, Bucket, Bundle, Tensor
from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.download import Progress
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.models.manifest import FileRecord
from xlerobot_asr_opt.models.speech import Utterance
from xlerobot_asr_opt.models.whisper_onnx import write_cross
from xlerobot_asr_opt.models.whisper_weights import Weights, gather

__all__ = ['CALIBRATES', 'Order', 'compile_bundle']

CALIBRATES = 5
"""Of so many utterances of a set one calibrates; the words wrong are of the others."""

_LONGEST_S = 30.0
Report = Callable[[str], None]
Recordings = Mapping[str, Sequence[Utterance]]


@dataclass(frozen=True)
class Order:
    """What a person asked for.

    Attributes:
        model: a name of the catalog, or a directory in CTranslate2's format.
        buckets: lengths of the windows [s].
        output: directory of the bundle; must not be there.
        march: the BPU.
    """

    model: str
    buckets: tuple[float, ...]
    output: Path
    march: str = MARCH

    def check(self) -> None:
        """Refuse what cannot be compiled.

        Raises:
            ConfigurationError: a length or a BPU that is not possible, or the output is there.
            ModelError: there is no such model.
        """
        check_source(self.model)
        if self.march != MARCH:
            raise ConfigurationError(
                f'march: got {self.march!r}, expected {MARCH} (RDK X5): no other was tried')
        step = 2 * FOLD / FRAME_RATE
        for seconds in self.buckets:
            frames = round(seconds * FRAME_RATE)
            if not MARGIN < frames <= _LONGEST_S * FRAME_RATE or frames % (2 * FOLD):
                raise ConfigurationError(
                    f'buckets: got {seconds:g} s, expected more than {MARGIN / FRAME_RATE:g} s '
                    f'and at most {_LONGEST_S:g} s, in steps of {step:g} s')
        if not self.buckets or len(set(self.buckets)) < len(self.buckets):
            raise ConfigurationError(
                f'buckets: got {self.buckets}, expected at least one and none twice')
        if self.output.exists():
            raise ConfigurationError(
                f'output: {self.output} is there already; remove it, or name another directory')


def compile_bundle(
    order: Order, recordings: Recordings, environment: VendorEnvironment, report: Report,
    progress: Progress,
) -> Bundle:
    """Compile a Whisper's encoder; the bundle appears only when it is whole and verified.

    Args:
        order: what is asked for.
        recordings: of people, name to utterances: every fifth of a set calibrates, the others
            tell how accurate the result is; of a set with fewer than 50 all do both.
        environment: the vendor's; made if it is missing.
        report: told of every step.
        progress: told of the bytes downloaded.

    Raises:
        ConfigurationError: the order cannot be done.
        ModelError: the weights, the environment or the compiler failed; the message says why.
        BackendError: the compiled model cannot be run.
        StoreError: the cache directory cannot be made.
    """
    order.check()
    environment.make(report)
    with _workplace() as work:
        source = find_source(order.model, work, progress)
        report(f'rebuilding {source.name}')
        bundle = _Compilation(order, source, recordings, environment, report, work).run()
        order.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(work / 'bundle'), order.output)
    return bundle


@contextmanager
def _workplace() -> Iterator[Path]:
    """A directory that goes with success, and stays with a failure, for its logs are in it."""
    work = Path(tempfile.mkdtemp(prefix='xlerobot-asr-compile-'))
    yield work
    shutil.rmtree(work)


class _Compilation:
    """One order, while it is done."""

    def __init__(
        self, order: Order, source: Source, recordings: Recordings,
        environment: VendorEnvironment, report: Report, work: Path,
    ) -> None:
        self._order = order
        self._recordings = recordings
        self._environment = environment
        self._report = report
        self._work = work
        self._directory = work / 'bundle'
        self._directory.mkdir()
        build_whisper(source.directory, self._directory, name=source.name, sources=source.sources,
                      multilingual=source.multilingual)
        self._weights: Weights = gather(read(source.directory / 'model.bin', 'WhisperSpec'))
        write_cross(cross_weights(self._weights), self._directory / CROSS, 'int8')
        self._bundle = Bundle(
            name=source.name, source=open_model(str(self._directory)).digest.hex(),
            march=order.march, tools=dict(tool.split('==') for tool in TOOLS), buckets=(),
            files={CROSS: FileRecord.of(self._directory / CROSS)})

    def run(self) -> Bundle:
        lengths = sorted(round(seconds * FRAME_RATE) for seconds in self._order.buckets)
        loud = loud_neurons(self._weights, self._windows(lengths[0]))
        done: list[Bundle] = []
        steps: dict[str, str] = {}
        for index, frames in enumerate(lengths):
            step, one = self._bucket(frames, lengths[index - 1] if index else 0, loud)
            done.append(one)
            steps[one.buckets[0].model] = step.name
        bundle = replace(
            self._bundle, buckets=tuple(one.buckets[0] for one in done),
            files={name: record for one in done for name, record in one.files.items()},
            recipe={'family': 'whisper', 'rotated': True, 'steps': steps,
                    'loud_neurons': {str(layer): list(found) for layer, found in loud.items()}})
        bundle.write(self._directory)
        bundle.check(self._directory)
        return bundle

    def _bucket(self, frames: int, shorter: int, loud: Loud) -> tuple[Step, Bundle]:
        """Take the cheapest step that is good enough, or the last; a bundle of this alone."""
        model = f'encoder_{frames}'
        graph = self._work / f'{model}.onnx'
        precision = write_bpu_encoder(self._weights, frames, graph, loud)
        windows = self._work / f'{model}_windows'
        windows.mkdir()
        write_windows(self._windows(frames), windows)
        for number, step in enumerate(STEPS):
            what = f'{frames / FRAME_RATE:g} s, {step.name}'
            work = self._work / f'{model}_step_{number}'
            work.mkdir()
            job = Job(graph, MEL, self._input(frames).shape, model, self._order.march, windows,
                      step.optimisation, step.precision(precision))
            tell = functools.partial(self._tell, what)
            compiled = compile_graph(self._environment, job, work, tell)
            bundle = self._place(compiled, frames, model)
            bundle = self._measured(bundle, graph, shorter, tell)
            if good_enough(bundle.buckets[0].accuracy):
                break
            tell('too many words wrong')
        return step, bundle

    def _tell(self, what: str, told: str) -> None:
        self._report(f'{what}: {told}')

    def _input(self, frames: int) -> Tensor:
        return Tensor(MEL, (1, self._weights.dims.mel_bins, 1, frames))

    def _place(self, compiled: Compiled, frames: int, model: str) -> Bundle:
        """Copy what was compiled into the bundle."""
        names = f'{model}.bin', f'{model}_quantized.onnx'
        for path, name in zip((compiled.binary, compiled.quantised), names, strict=True):
            shutil.copyfile(path, self._directory / name)
        files = {name: FileRecord.of(self._directory / name) for name in names}
        bucket = Bucket(
            seconds=frames / FRAME_RATE, frames=frames, model=model, binary=names[0],
            quantised=names[1], inputs=(self._input(frames),),
            outputs=(Tensor(HIDDEN, (1, self._weights.dims.width, FOLD, frames // 2 // FOLD)),),
            estimate=compiled.estimate, bpu_nodes=compiled.placement.bpu,
            cpu_nodes=compiled.placement.cpu)
        return replace(self._bundle, buckets=(bucket,), files={**self._bundle.files, **files})

    def _measured(self, bundle: Bundle, graph: Path, shorter: int, tell: Report) -> Bundle:
        """Recognise what fits into this bucket and into no shorter one."""
        (bucket,) = bundle.buckets
        bundle.write(self._directory)
        fitting = {
            name: [one for one in _testing(utterances)
                   if shorter - MARGIN < len(one.samples) / HOP <= bucket.frames - MARGIN]
            for name, utterances in self._recordings.items()}
        accuracy = measure(
            self._directory, fitting, ExactRunner(self._environment),
            FloatRunner({bucket.model: graph}), tell)
        if not accuracy:
            raise ModelError(
                f'no recording fits into {bucket.seconds:g} s alone: the result cannot be '
                'verified; name more recordings with --speech, or leave this bucket out')
        return replace(bundle, buckets=(replace(bucket, accuracy=accuracy),))

    def _windows(self, frames: int) -> list[npt.NDArray[np.float32]]:
        utterances = [one for all_of_set in self._recordings.values()
                      for one in _calibrating(all_of_set)]
        return calibration_windows(utterances, frames, MARGIN, self._weights.dims.mel_bins)


def _calibrating(utterances: Sequence[Utterance]) -> Sequence[Utterance]:
    return utterances if len(utterances) < 10 * CALIBRATES else utterances[::CALIBRATES]


def _testing(utterances: Sequence[Utterance]) -> Sequence[Utterance]:
    if len(utterances) < 10 * CALIBRATES:
        return utterances
    return [one for index, one in enumerate(utterances) if index % CALIBRATES]
