"""What doctor looks at of ROS: the distribution, the messages, the middleware, shared memory."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from xlerobot_asr_opt.cli.checks import Finding, fail, found, ok, warn
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.ros.shared_memory import inspect_shared_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ['ROS']

_TESTED = ('humble', 'jazzy', 'kilted')
_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_SHARED_MEMORY = Path('/dev/shm')
_SHARED_MEMORY_NEEDED = 256


def distribution(environment: Mapping[str, str] = os.environ) -> Finding:
    """The ROS that the shell has."""
    name = environment.get('ROS_DISTRO')
    if environment.get('XLEROBOT_ASR_ENV') == 'wheels':
        return ok('Jazzy, from Python wheels')
    if not name:
        return fail('no ROS 2 in this shell', 'source /opt/ros/DISTRO/setup.sh, or . ./env.sh')
    if name not in _TESTED:
        return warn(f'{name}, sourced', f'tested with {", ".join(_TESTED)}')
    return ok(f'{name}, sourced')


def client_library() -> Finding:
    """The library that the nodes are written with."""
    try:
        importlib.import_module('rclpy')
    except ImportError as error:
        return fail(f'rclpy cannot be imported: {error}',
                    'use the Python that ROS was built for, in a shell where ROS is sourced')
    return ok('rclpy can be imported')


def interfaces() -> Finding:
    """Our own messages."""
    from xlerobot_asr_opt.sources.definitions import definitions_directory
    try:
        directory = definitions_directory()
        importlib.import_module('xlerobot_asr_interfaces.msg')
    except (ConfigurationError, ImportError) as error:
        return fail(str(error), 'colcon build, then source the workspace: . ./env.sh')
    return ok(str(directory.parent))


def middleware() -> Finding:
    """What carries the messages; only Fast DDS loans them."""
    try:
        name = importlib.import_module('rclpy.utilities').get_rmw_implementation_identifier()
    except ImportError as error:
        return fail(str(error), 'see the line of rclpy')
    if name != 'rmw_fastrtps_cpp':
        return warn(name, 'audio is copied where it could be shared: '
                    'RMW_IMPLEMENTATION=rmw_fastrtps_cpp loans messages')
    return ok(name)


def zero_copy(environment: Mapping[str, str] = os.environ) -> Finding:
    """The profile that has Fast DDS share memory between reader and writer."""
    if environment.get('ROS_DISABLE_LOANED_MESSAGES') == '1':
        return warn('off by ROS_DISABLE_LOANED_MESSAGES=1', 'unset it to loan messages')
    path = next((environment[name] for name in _PROFILES if environment.get(name)), None)
    if path is None:
        return ok('left to `xlerobot-asr up` and the launch file, which set it for their nodes')
    try:
        ET.parse(path)  # noqa: S314 - a file that this machine's owner configured
    except (OSError, ET.ParseError) as error:
        return fail(f'{path}: {error}', f'name a profile that exists in {_PROFILES[0]}')
    if environment.get('RMW_FASTRTPS_USE_QOS_FROM_XML') != '1':
        return warn(f'{path} is set, RMW_FASTRTPS_USE_QOS_FROM_XML=1 is not',
                    'without it loans are copied in silence: set it for every process')
    return ok(path)


def shared_memory(root: Path = _SHARED_MEMORY) -> Finding:
    """Room for the segments of the middleware."""
    if not root.is_dir():
        return fail(f'no {root}', 'mount a tmpfs there; in a container: --ipc=host')
    free = inspect_shared_memory(root).free_bytes // 2**20
    text = f'{free} MiB free in {root}'
    if free < _SHARED_MEMORY_NEEDED:
        return fail(text, f'{_SHARED_MEMORY_NEEDED} MiB are needed; in a container: --shm-size=1g')
    return ok(text)


def leftovers(root: Path = _SHARED_MEMORY) -> Finding:
    """Segments of the middleware whose processes were killed."""
    if not root.is_dir():
        return ok('none')
    seen = inspect_shared_memory(root)
    if seen.stale:
        size = sum((root / name).stat().st_size for name in seen.stale) // 2**20
        return warn(f'{len(seen.stale)} files that no process uses, {size} MiB, such as '
                    f'{seen.stale[0]}', 'the next `xlerobot-asr up` removes them')
    return ok(f'none; {len(seen.in_use)} files in use')


def launch() -> Finding:
    """The launch system of ROS."""
    if found('launch_ros'):
        return ok('ros2 launch xlerobot_asr_opt asr.launch.py')
    return ok('launch_ros is not here: `xlerobot-asr up` starts the graph')


ROS: tuple[tuple[str, Callable[[], Finding]], ...] = (
    ('ROS', distribution),
    ('rclpy', client_library),
    ('messages', interfaces),
    ('middleware', middleware),
    ('zero copy', zero_copy),
    ('shared memory', shared_memory),
    ('leftovers', leftovers),
    ('launch', launch),
)
"""Name and check, in the order in which doctor shows them."""
