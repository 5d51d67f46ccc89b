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
_BPU = Path('/sys/devices/system/bpu')
_BPU_LIBRARIES = ('hbm_runtime', 'hobot_dnn')


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
    """The default recogniser and the voice activity detector, every byte of them."""
    from xlerobot_asr_opt.models.layout import asset_directory, is_fetched
    from xlerobot_asr_opt.models.manifest import Manifest
    names = tuple(names)
    missing = [name for name in names if not is_fetched(name)]
    if missing:
        return warn(f'not fetched: {", ".join(missing)}',
                    f'xlerobot-asr models fetch {" ".join(missing)}')
    try:
        for name in names:
            Manifest.read(asset_directory(name)).check(asset_directory(name))
    except AsrError as error:
        return fail(str(error), 'xlerobot-asr models remove, then fetch')
    return ok(f'{", ".join(names)}: hashes are right')


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


def bpu(root: Path = _BPU, modules: Iterable[str] = _BPU_LIBRARIES) -> Finding:
    """The neural processor of the RDK boards, and the library that drives it."""
    if not root.is_dir():
        return ok('none on this machine: models run on the CPU')
    libraries_found = [name for name in modules if found(name)]
    if not libraries_found:
        return warn('present, but neither hbm_runtime nor hobot_dnn can be imported',
                    'sudo apt-get install hobot-spdev (RDK OS 3.5 or newer) or hobot-dnn')
    return ok(f'present, driven by {libraries_found[0]}')


MACHINE: tuple[tuple[str, Callable[[], Finding]], ...] = (
    ('python', python),
    ('libraries', libraries),
    ('processor', processor),
    ('memory', memory),
    ('cache directory', cache_directory),
    ('models', models),
    ('microphone', microphone),
    ('BPU', bpu),
)
"""Name and check, in the order in which doctor shows them."""
