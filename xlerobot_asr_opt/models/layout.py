"""Finds what was fetched, and opens a model by its name or its directory, checked."""

from __future__ import annotations

from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.catalog import CATALOG, Asset, find
from xlerobot_asr_opt.models.ctc import holds_ctc, open_ctc
from xlerobot_asr_opt.models.ctc_files import CtcFiles
from xlerobot_asr_opt.models.files import ModelFiles
from xlerobot_asr_opt.models.hub import open_hub
from xlerobot_asr_opt.models.manifest import MANIFEST, Manifest, digest_of
from xlerobot_asr_opt.models.paths import cache_root

__all__ = ['asset_directory', 'asset_path', 'is_ctc', 'is_fetched', 'open_model']

_FILES = ('encoder.onnx', 'decoder.onnx', 'tokenizer.json')
"""What a recogniser of the own layout is made of, beside its weights."""


def asset_directory(name: str) -> Path:
    """Where an asset of the catalog lies once it is fetched.

    Raises:
        ModelError: no such asset.
    """
    return cache_root() / 'models' / find(name).name


def is_fetched(name: str) -> bool:
    """Whether the asset is there in this version's format, complete in size.

    Raises:
        ModelError: no such asset.
    """
    asset = find(name)
    try:
        Manifest.read(_fetched(asset))
    except ModelError:
        return False
    return True


def asset_path(name: str) -> Path:
    """The file of an asset that is one file: silero-vad's ONNX, the WAV of two_cities.

    Raises:
        ModelError: no such asset, not fetched, or damaged.
    """
    asset = find(name)
    if asset.kind == 'asr':
        raise ModelError(f'{name} is a recogniser of several files: use open_model')
    directory = _fetched(asset)
    (file,) = Manifest.read(directory).files
    return directory / file


def is_ctc(name_or_path: str) -> bool:
    """Whether a name of the catalog or a directory is a CTC model; looks at names of files alone.

    What is not there is none: ``open_model`` tells what is wrong with it.
    """
    return bool(name_or_path) and holds_ctc(_directory(name_or_path))


def open_model(name_or_path: str) -> ModelFiles | CtcFiles:
    """Open a recogniser: a name of the catalog, or a directory of any layout.

    Reads the manifest, or for what others have exported the graphs' signatures and the hashes of
    their files; no weights are loaded.

    Raises:
        ModelError: no such model, not fetched, damaged, cut or foreign.
    """
    if is_ctc(name_or_path):
        return open_ctc(_directory(name_or_path))
    names = _recognisers()
    if name_or_path in names:
        return _open_own(_fetched(find(name_or_path)))
    directory = Path(name_or_path)
    if not name_or_path or not directory.is_dir():
        raise ModelError(
            f'{name_or_path!r} is neither a recogniser ({", ".join(names)}) nor a directory with '
            'one')
    if (directory / MANIFEST).is_file():
        return _open_own(directory)
    return open_hub(directory)


def _recognisers() -> list[str]:
    return [asset.name for asset in CATALOG if asset.kind == 'asr']


def _directory(name_or_path: str) -> Path:
    known = name_or_path in _recognisers()
    return asset_directory(name_or_path) if known else Path(name_or_path)


def _fetched(asset: Asset) -> Path:
    directory = asset_directory(asset.name)
    if not directory.is_dir():
        raise ModelError(
            f'{asset.name} is not in {directory.parent}: run '
            f'`xlerobot-asr models fetch {asset.name}`'
        )
    return directory


def _open_own(directory: Path) -> ModelFiles:
    manifest = Manifest.read(directory)
    record = manifest.whisper
    if record is None:
        raise ModelError(f'{directory}: {manifest.name} is not a recogniser')
    missing = [name for name in _FILES if name not in manifest.files]
    if missing:
        raise ModelError(
            f'{directory / MANIFEST}: does not name {", ".join(missing)}; fetch it again')
    return ModelFiles(
        name=manifest.name,
        family='whisper',
        layout='own',
        encoder=directory / 'encoder.onnx',
        decoder=directory / 'decoder.onnx',
        decoder_with_past=None,
        decoder_is_merged=False,
        tokenizer=directory / 'tokenizer.json',
        dims=record.dims,
        tokens=record.tokens,
        multilingual=record.multilingual,
        languages=tuple(code for code, _ in record.tokens.languages)
        if record.multilingual
        else ('en',),
        suppress=record.suppress,
        suppress_at_begin=record.suppress_at_begin,
        digest=digest_of({name: file.sha256 for name, file in manifest.files.items()}),
    )
