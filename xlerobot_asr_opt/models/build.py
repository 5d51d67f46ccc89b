"""From the files of a distribution to a directory that open_model opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.files import Dims
from xlerobot_asr_opt.models.manifest import FileRecord, Manifest, WhisperRecord
from xlerobot_asr_opt.models.silero_onnx import write_silero
from xlerobot_asr_opt.models.tokens import read_json, read_special_tokens
from xlerobot_asr_opt.models.whisper_onnx import Precision, write_decoder, write_encoder
from xlerobot_asr_opt.models.whisper_weights import gather

__all__ = ['build_files', 'build_silero', 'build_whisper']


def build_whisper(
    source: Path,
    directory: Path,
    *,
    name: str,
    sources: Mapping[str, str],
    multilingual: bool,
    precision: Precision = 'int8',
) -> None:
    """Rebuild a CTranslate2 Whisper as ONNX. The same source gives the same bytes.

    Args:
        source: directory with model.bin, config.json and tokenizer.json.
        directory: an empty directory for the own layout.
        name: the model's name.
        sources: `package==version` to SHA-256, for the manifest.
        multilingual: the model knows more than English.
        precision: of the linear layers.

    Raises:
        ModelError: a source file is damaged or foreign.
        OSError: a file cannot be written.
    """
    weights = gather(read(source / 'model.bin', 'WhisperSpec'))
    write_encoder(weights, directory / 'encoder.onnx', precision)
    write_decoder(weights, directory / 'decoder.onnx', precision)
    shutil.copyfile(source / 'tokenizer.json', directory / 'tokenizer.json')
    config = read_json(source / 'config.json')
    record = WhisperRecord(
        dims=weights.dims,
        tokens=read_special_tokens(source / 'tokenizer.json'),
        multilingual=multilingual,
        suppress=_ids(config, 'suppress_ids', weights.dims),
        suppress_at_begin=_ids(config, 'suppress_ids_begin', weights.dims),
    )
    _write_manifest(directory, name, sources, record)


def build_silero(source: Path, directory: Path, *, name: str, sources: Mapping[str, str]) -> None:
    """Rebuild silero-vad as one small graph. The same source gives the same bytes.

    Args:
        source: directory with silero_vad.onnx as its authors publish it.
        directory: an empty directory.
        name: the asset's name.
        sources: `package==version` to SHA-256, for the manifest.

    Raises:
        ModelError: the file is damaged or foreign.
        OSError: a file cannot be written.
    """
    write_silero(source / 'silero_vad.onnx', directory / 'silero_vad.onnx')
    _write_manifest(directory, name, sources, None)


def build_files(
    files: Iterable[Path], directory: Path, *, name: str, sources: Mapping[str, str],
) -> None:
    """Take the files of an asset that is used as it is.

    Raises:
        OSError: a file cannot be written.
    """
    for file in files:
        shutil.copyfile(file, directory / file.name)
    _write_manifest(directory, name, sources, None)


def _write_manifest(
    directory: Path, name: str, sources: Mapping[str, str], record: WhisperRecord | None
) -> None:
    files = {path.name: FileRecord.of(path) for path in sorted(directory.iterdir())}
    Manifest(name, dict(sources), files, record).write(directory)


def _ids(config: dict[str, Any], key: str, dims: Dims) -> tuple[int, ...]:
    return tuple(
        sorted({token for token in config.get(key) or () if 0 <= token < dims.vocabulary})
    )
