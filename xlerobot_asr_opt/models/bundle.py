"""bundle.json: an encoder that was compiled for a BPU, in length buckets, beside its own layout.

A bundle is a directory of the own layout (docs/models.md) that holds for each length bucket two
files more: the .bin that the board runs, and the vendor's quantised ONNX, which gives the same
integers on x86. bundle.json says what they are, what the vendor estimates and what was measured.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.manifest import FileRecord, sha256_of, typed
from xlerobot_asr_opt.models.tokens import read_json
from xlerobot_asr_opt.untrusted import plain_name

__all__ = [
    'BUNDLE', 'FORMAT', 'MARCH', 'Accuracy', 'Bucket', 'Bundle', 'Estimate', 'Tensor', 'is_bundle']

FORMAT = 1
"""Raised when the content of bundle.json changes; an older bundle is compiled again."""

BUNDLE = 'bundle.json'

MARCH = 'bayes-e'
"""The BPU of the RDK X5, as the vendor's compiler calls it."""

_AGAIN = 'compile it again with `xlerobot-asr models compile`'


@dataclass(frozen=True)
class Tensor:
    """An input or output of a compiled model, as a runner takes and gives it.

    Attributes:
        name: in the model.
        shape: without any padding of the board's.
        dtype: NumPy's name of it.
        layout: order of its axes, such as `NCHW`.
        scale: what an integer is to be multiplied by, for all or for each channel; empty for
            floats.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = 'float32'
    layout: str = 'NCHW'
    scale: tuple[float, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """What the vendor's compiler estimates of the part on the BPU; not measured on a board.

    Attributes:
        latency_us: of one call [us].
        fps: calls a second.
        ddr_bytes: moved over the memory bus by one call.
        ops: effective operations of one call.
    """

    latency_us: float
    fps: float
    ddr_bytes: int
    ops: int


@dataclass(frozen=True)
class Accuracy:
    """Words wrong, measured with the quantised model and with the float model beside it.

    Attributes:
        recordings: what was recognised, such as `two_cities`.
        words: that were said.
        wrong: replaced, left out or put in, by the quantised encoder.
        wrong_float: by the float encoder in the same windows.
    """

    recordings: str
    words: int
    wrong: int
    wrong_float: int


@dataclass(frozen=True)
class Bucket:
    """One compiled window length.

    Attributes:
        seconds: length of the window.
        frames: mel frames of it.
        model: name of the model inside the .bin.
        binary: name of the .bin file, for the board.
        quantised: name of the vendor's quantised ONNX file, for the exact backend.
        inputs: of the model.
        outputs: of the model.
        estimate: the vendor's.
        bpu_nodes: number of nodes on the BPU.
        cpu_nodes: names of the nodes on the CPU.
        accuracy: measured on x86 in the board's arithmetic.
    """

    seconds: float
    frames: int
    model: str
    binary: str
    quantised: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    estimate: Estimate
    bpu_nodes: int
    cpu_nodes: tuple[str, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()


@dataclass(frozen=True)
class Bundle:
    """Contents of one bundle.json.

    Attributes:
        name: of the source model.
        source: hex digest of the source model (ModelFiles.digest).
        march: the BPU that it was compiled for.
        tools: the vendor's packages to their versions.
        recipe: how it was quantised, as models/bpu/recipe.py chose it; for people.
        buckets: shortest first.
        files: name to size and hash of every file of the buckets.
    """

    name: str
    source: str
    march: str
    tools: Mapping[str, str]
    buckets: tuple[Bucket, ...]
    files: Mapping[str, FileRecord]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def bucket(self, frames: int) -> Bucket:
        """The shortest bucket of at least so many frames.

        Raises:
            ModelError: there is none.
        """
        for one in self.buckets:
            if one.frames >= frames:
                return one
        there = ', '.join(f'{one.seconds:g} s' for one in self.buckets)
        raise ModelError(
            f'{self.name}: got a window of {frames} frames, has buckets of {there}; compile '
            'a longer one, or use another backend')

    def write(self, directory: Path) -> None:
        """Write it into directory.

        Raises:
            OSError: it cannot be written.
        """
        content = {'format': FORMAT, **dataclasses.asdict(self)}
        (directory / BUNDLE).write_text(json.dumps(content, indent=1, sort_keys=True) + '\n')

    @classmethod
    def read(cls, directory: Path, march: str = MARCH) -> Bundle:
        """Read it, and see that it is for this BPU and that all files are whole in size.

        Args:
            directory: of the bundle.
            march: the BPU that it is to run on.

        Raises:
            ModelError: no bundle, of another format or BPU, damaged, or a file is missing or cut.
        """
        if not is_bundle(directory):
            raise ModelError(
                f'{directory}: has no {BUNDLE}, it was not compiled for a BPU; make it with '
                '`xlerobot-asr models compile`')
        path = directory / BUNDLE
        content = read_json(path)
        if content.get('format') != FORMAT:
            raise ModelError(
                f'{path}: got format {content.get("format")!r}, expected {FORMAT}; {_AGAIN}')
        try:
            bundle = cls._from(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f'{path}: damaged ({error!r}); {_AGAIN}') from error
        if bundle.march != march:
            raise ModelError(
                f'{path}: got a model for the BPU {bundle.march!r}, expected {march!r}; compile '
                f'it with --march {march}')
        bundle._check_sizes(directory)
        return bundle

    @classmethod
    def _from(cls, content: dict[str, Any]) -> Bundle:
        bundle = cls(
            name=typed(str, content['name']), source=typed(str, content['source']),
            march=typed(str, content['march']),
            tools={typed(str, tool): typed(str, version)
                   for tool, version in content['tools'].items()},
            buckets=tuple(_bucket(one) for one in content['buckets']),
            files=FileRecord.read_all(content['files']),
            recipe=dict(content['recipe']))
        if not bundle.buckets:
            raise ValueError('no buckets')
        frames = [one.frames for one in bundle.buckets]
        if frames != sorted(set(frames)):
            raise ValueError(f'buckets of {frames} frames, expected the shortest first')
        return bundle

    def _check_sizes(self, directory: Path) -> None:
        for bucket in self.buckets:
            for name in (bucket.binary, bucket.quantised):
                if name not in self.files:
                    raise ModelError(
                        f'{directory / BUNDLE}: the bucket of {bucket.seconds:g} s needs {name}, '
                        f'which is not among its files; {_AGAIN}')
        for name, record in self.files.items():
            path = directory / name
            try:
                size = path.stat().st_size
            except OSError as error:
                raise ModelError(f'{path}: {error.strerror}; {_AGAIN}') from error
            if size != record.size:
                raise ModelError(f'{path}: has {size} bytes, expected {record.size}; {_AGAIN}')

    def check(self, directory: Path, names: tuple[str, ...] = ()) -> None:
        """Compare the hash of files.

        Args:
            directory: of the bundle.
            names: of the files; empty: all.

        Raises:
            ModelError: one differs.
        """
        for name in names or tuple(self.files):
            found, expected = sha256_of(directory / name), self.files[name].sha256
            if found != expected:
                raise ModelError(
                    f'{directory / name}: SHA-256 is {found}, expected {expected}; {_AGAIN}')


def is_bundle(directory: Path) -> bool:
    """Whether a directory says that it is a bundle."""
    return (directory / BUNDLE).is_file()


def _bucket(content: dict[str, Any]) -> Bucket:
    return Bucket(**{
        **content,
        'seconds': _number(content['seconds']),
        'frames': typed(int, content['frames']),
        'model': typed(str, content['model']),
        'binary': plain_name(content['binary']),
        'quantised': plain_name(content['quantised']),
        'inputs': tuple(_tensor(one) for one in content['inputs']),
        'outputs': tuple(_tensor(one) for one in content['outputs']),
        'estimate': _estimate(**content['estimate']),
        'bpu_nodes': typed(int, content['bpu_nodes']),
        'cpu_nodes': tuple(typed(str, one) for one in content['cpu_nodes']),
        'accuracy': tuple(_accuracy(**one) for one in content['accuracy'])})


def _estimate(latency_us: object, fps: object, ddr_bytes: object, ops: object) -> Estimate:
    return Estimate(_number(latency_us), _number(fps), typed(int, ddr_bytes), typed(int, ops))


def _accuracy(recordings: object, words: object, wrong: object, wrong_float: object) -> Accuracy:
    return Accuracy(
        typed(str, recordings), typed(int, words), typed(int, wrong), typed(int, wrong_float))


def _tensor(content: dict[str, Any]) -> Tensor:
    return Tensor(
        name=typed(str, content['name']), dtype=typed(str, content['dtype']),
        layout=typed(str, content['layout']),
        shape=tuple(typed(int, size) for size in content['shape']),
        scale=tuple(_number(one) for one in content['scale']))


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f'got {value!r}, expected a number')
    return float(value)
