"""The committed contract is what is declared, and a break of it is told."""

import ast
import copy
import json
from pathlib import Path

import pytest

from xlerobot_asr_opt.cli.public_names import public_names
from xlerobot_asr_opt.core.contract import SECTIONS, added, broken, read_contract
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import NODES, table

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / 'config' / 'contract.json'
REFRESH = 'run tools/document_contract.py, if others may be asked to follow'
KINDS = {bool: 'bool', int: 'integer', float: 'double', str: 'string', tuple: 'string_array'}


@pytest.fixture
def contract():
    return read_contract(PATH)


def declared_names():
    """Relative names of ros/names.py, read without ROS."""
    tree = ast.parse((ROOT / 'xlerobot_asr_opt' / 'ros' / 'names.py').read_text('utf-8'))
    return {node.value.value for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}


def test_parameters_are_those_that_are_declared(contract):
    assert contract['parameters'] == {
        f'{node}.{item.name}': KINDS[type(item.default)]
        for node, parameters in NODES.items() for item in table(parameters)}, REFRESH


def test_names_are_those_of_the_package(contract):
    assert contract['names'] == public_names(), REFRESH


def test_topics_and_services_are_those_that_are_declared(contract):
    told = {*contract['topics'], *contract['services']}
    # LiveSpeech is published where its package is installed, /diagnostics is of every robot; the
    # others are of every node.
    fixed = {name for name in declared_names() if not name.startswith(('~/', 'humans/', '/'))}
    assert fixed <= told, REFRESH
    private = {name.removeprefix('~/') for name in declared_names() if name.startswith('~/')}
    assert all(name.rpartition('/')[2] in private or name == 'inference_0/segments'
               for name in told - fixed), REFRESH


def test_what_is_gone_or_another_type_is_a_break(contract):
    found = copy.deepcopy(contract)
    assert broken(contract, found) == []
    del found['topics']['transcript']
    found['parameters']['ingest.hangover'] = 'integer'
    found['names']['BPUMemoryPool.allocate'] = '(self, size)'
    found['services']['ingest/close_stream'] = 'xlerobot_asr_interfaces/srv/CloseStream'
    assert broken(contract, found) == [
        'topics: transcript is gone, expected xlerobot_asr_interfaces/msg/Transcript',
        'parameters: ingest.hangover is integer, expected double',
        'names: BPUMemoryPool.allocate is (self, size), expected '
        '(self, size_bytes, pool_name, alignment=...)']
    assert added(contract, found) == [
        'services: ingest/close_stream (xlerobot_asr_interfaces/srv/CloseStream)']


@pytest.mark.parametrize(('text', 'said'), [
    (None, 'cannot be read: No such file'), ('{', 'not valid JSON'), ('[]', 'not a contract'),
    (json.dumps(dict.fromkeys(SECTIONS, 3)), 'not a contract: expected an object with topics')])
def test_no_contract(tmp_path, text, said):
    path = tmp_path / 'contract.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_contract(path)
