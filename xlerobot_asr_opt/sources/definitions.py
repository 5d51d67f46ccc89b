"""The definitions of our messages, which a bag carries along: found without ROS."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

__all__ = ['AUDIO_CHUNK_TYPE', 'PACKAGE', 'definitions_directory', 'typestore']

PACKAGE = 'xlerobot_asr_interfaces'
AUDIO_CHUNK_TYPE = f'{PACKAGE}/msg/AudioChunk'


def definitions_directory(prefixes: str | None = None) -> Path:
    """Find the directory that holds the .msg files.

    Args:
        prefixes: prefixes to look in, as AMENT_PREFIX_PATH writes them; None: that variable.

    Raises:
        ConfigurationError: the interface package is not in any of them.
    """
    if prefixes is None:
        prefixes = os.environ.get('AMENT_PREFIX_PATH', '')
    for prefix in filter(None, prefixes.split(os.pathsep)):
        directory = Path(prefix) / 'share' / PACKAGE / 'msg'
        if directory.is_dir():
            return directory
    raise ConfigurationError(
        f'{PACKAGE} was not found on AMENT_PREFIX_PATH ({prefixes or "empty"}): build the '
        'workspace and source its environment')


@functools.cache
def typestore(directory: Path) -> Typestore:
    """Read every message definition in directory, beside those that ROS brings."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for path in sorted(directory.glob('*.msg')):
        types.update(get_types_from_msg(path.read_text(), f'{PACKAGE}/msg/{path.stem}'))
    store.register(types)
    return store
