"""rclpy keeps its own state in attributes of the node: ours must have other names."""

import ast
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import LifecycleNode

import xlerobot_asr_opt

PACKAGE = Path(xlerobot_asr_opt.__file__).parent
FILES = [*sorted((PACKAGE / 'nodes').glob('[!_]*.py')), PACKAGE / 'ros' / 'managed.py']


@pytest.fixture(scope='module')
def taken(monkeypatch_module):
    monkeypatch_module.setenv('ROS_DOMAIN_ID', '91')
    monkeypatch_module.setenv('ROS_LOCALHOST_ONLY', '1')
    rclpy.init()
    node = LifecycleNode('plain')
    attributes = set(vars(node)) | set(dir(LifecycleNode))
    node.destroy_node()
    rclpy.shutdown()
    return attributes


@pytest.fixture(scope='module')
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def assigned(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name) and node.value.id == 'self'):
            yield node.attr


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_node_overwrites_nothing_of_rclpy(path, taken):
    assert not set(assigned(path)) & taken
