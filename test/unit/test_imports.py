"""The layers: nothing outside ros/, nodes/ and launch/ knows ROS."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / 'xlerobot_asr_opt'
ROS = {'rclpy', 'xlerobot_asr_interfaces', 'rcl_interfaces', 'std_msgs', 'std_srvs',
       'builtin_interfaces', 'lifecycle_msgs', 'diagnostic_msgs', 'hri_msgs', 'launch',
       'launch_ros', 'ament_index_python'}
COMMON = {'records', 'errors', 'parameters', 'private_files', 'untrusted'}
ALLOWED = {
    # room: the rooms of this package that it may import
    'core': {'backends', 'core', *COMMON},
    'backends': {'backends', 'core', 'models', *COMMON},
    'sources': {'sources', *COMMON},
    'models': {'models', *COMMON},
    # What compiles a model recognises people with it, to measure what is lost.
    'models/bpu': {'models', 'backends', 'core', *COMMON},
    'models/speech.py': {'models', 'core', 'sources', *COMMON},
}
FILES = sorted(PACKAGE.rglob('*.py'))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            yield node.module
            if node.module == 'xlerobot_asr_opt':
                yield from (f'xlerobot_asr_opt.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_its_layer_allows(path):
    parts = path.relative_to(PACKAGE).parts
    room, corner = parts[0], '/'.join(parts[:2])
    allowed = ALLOWED.get(corner, ALLOWED.get(room))
    for name in imports(path):
        parts = name.split('.')
        if room not in ('ros', 'nodes'):
            assert parts[0] not in ROS, f'{room} must not import {name}'
        if parts[0] == 'xlerobot_asr_opt' and allowed and len(parts) > 1:
            assert parts[1] in allowed, f'{corner} must not import {name}'
