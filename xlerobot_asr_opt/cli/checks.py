"""What doctor looks at on the machine itself: each check says what it found and what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xlerobot_asr_opt.errors import AsrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ['MACHINE', 'Finding', 'fail', 'found', 'ok', 'warn']

_LIBRARIES = ('numpy', 'onnxruntime', 'tokenizers', 'soxr', 'soundfile', 'diskcache', 'psutil',
              'rosbags', 'rich')
_MODELS = ('whisper-tiny.en', 'silero-vad')
_MEMORY_NEEDED = 600


class Finding(NamedTuple):
    """The outcome of one check: state is OK, WARN or FAIL; advice is empty where all is well."""

    state: str
    text: str
    advice: str = ''


def ok(text: str) -> Finding:
    """All is well."""
    return Finding('OK', text)


def warn(text: str, advice: str) -> Finding:
    """Recognition works, but something does not, or not as well as it could."""
    return Finding('WARN', text, advice)


def fail(text: str, advice: str) -> Finding:
    """Recognition does not work."""
    return Finding('FAIL', text, advice)


def found(module: str) -> bool:
    """Whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """The interpreter."""
    text = '.'.join(map(str, version))
    if version < (3, 10):
        return fail(text, 'Python 3.10 or newer is needed')
    return ok(text)


def libraries(names: Iterable[str] = _LIBRARIES) -> Finding:
    """The Python packages that the nodes import."""
    missing = [name for name in names if not found(name)]
    if missing:
        return fail(f'missing: {", ".join(missing)}',
                    f'python3 -m pip install {" ".join(missing)}')
    return ok(', '.join(f'{name} {importlib.metadata.version(name)}' for name in names))


def processor(cores: int | None = None) -> Finding:
    """The cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    if cores < 2:
        return warn('1 core', 'the graph shares it with everything else: expect long latencies')
    return ok(f'{cores} cores')


def memory(path: Path = Path('/proc/meminfo')) -> Finding:
    """The memory that is free for the graph."""
    sizes = dict(re.findall(r'^(\w+):\s+(\d+) kB$', path.read_text(), re.MULTILINE))
    available, total = (int(sizes[name]) // 1024 for name in ('MemAvailable', 'MemTotal'))
    text = f'{available} MiB available of {total} MiB'
    if available < _MEMORY_NEEDED:
        return warn(text, f'the graph takes about {_MEMORY_NEEDED} MiB: close something')
    return ok(text)


def cache_directory() -> Finding:
    """The directory of models and cached transcripts."""
    from xlerobot_asr_opt.models.paths import cache_root
    try:
        root = cache_root()
        with tempfile.TemporaryFile(dir=root):
            pass
    except (AsrError, OSError) as error:
        return fail(str(error), 'free the place, or name another one with XLEROBOT_ASR_CACHE')
    return ok(str(root))


def models(names: Iterable[str] = _MODELS) -> Finding:
    """The default recogniser, the voice activity detector, and whatever else was fetched."""
    from xlerobot_asr_opt.models.catalog import CATALOG
    from xlerobot_asr_opt.models.fetch import arrived
    from xlerobot_asr_opt.models.layout import is_fetched
    there = [asset.name for asset in CATALOG if is_fetched(asset.name)]
    for name in there:
        if damage := _damage(name):
            return fail(damage, f'xlerobot-asr models remove {name}, then fetch it')
    missing = [name for name in names if name not in there]
    halves = {asset.name: f'{asset.name} ({arrived(asset.name) / 1e6:.0f} of '
                          f'{asset.download_size / 1e6:.0f} MB)'
              for asset in CATALOG if asset.name not in there and arrived(asset.name)}
    if missing or halves:
        told = [f'{what}: {", ".join(listed)}' for what, listed in (
            ('not fetched', missing), ('fetched in part', [*halves.values()])) if listed]
        return warn('; '.join(told),
                    f'xlerobot-asr models fetch {" ".join(dict.fromkeys([*missing, *halves]))}')
    return ok(f'{", ".join(there)}: hashes are right')


def _damage(name: str) -> str:
    """What is wrong with a fetched asset; empty for nothing."""
    from xlerobot_asr_opt.models.layout import asset_directory
    from xlerobot_asr_opt.models.manifest import Manifest
    directory = asset_directory(name)
    try:
        Manifest.read(directory).check(directory)
    except AsrError as error:
        return str(error)
    return ''


def microphone() -> Finding:
    """The microphones that PortAudio sees."""
    from xlerobot_asr_opt.sources.microphone import devices
    try:
        listed = devices()
    except AsrError as error:
        return warn(str(error), 'needed only for the microphone; files, topics and bags work')
    if not listed:
        return warn('none', 'needed only for the microphone; plug one in, or see `arecord -l`')
    return ok(', '.join(device.name for device in listed))


MACHINE: tuple[tuple[str, Callable[[], Finding]], ...] = (
    ('python', python),
    ('libraries', libraries),
    ('processor', processor),
    ('memory', memory),
    ('cache directory', cache_directory),
    ('models', models),
    ('microphone', microphone),
)
"""Name and check, in the order in which doctor shows them."""
