"""What is shipped and documented of the parameters is what is declared."""

import runpy
from pathlib import Path

import pytest
import yaml

from xlerobot_asr_opt.configuration import read_file
from xlerobot_asr_opt.parameters import NODES, table
from xlerobot_asr_opt.processes import GraphArguments, process_table

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / 'config' / 'asr.yaml'
PAGE = ROOT / 'docs' / 'parameters.md'
REFRESH = 'run tools/document_parameters.py'


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(ROOT / 'tools' / 'document_parameters.py'))


def plain(default):
    return list(default) if isinstance(default, tuple) else default


def test_the_page_is_what_the_tool_writes(tool):
    assert tool['page']() == PAGE.read_text('utf-8'), REFRESH


def test_the_configuration_is_what_the_tool_writes(tool):
    assert tool['configuration']() == CONFIGURATION.read_text('utf-8'), REFRESH


@pytest.mark.parametrize('node', NODES)
def test_the_configuration_holds_every_parameter_with_its_default(node):
    content = yaml.safe_load(CONFIGURATION.read_text('utf-8'))
    assert set(content) == {f'/**/{name}' for name in NODES}
    # ROS has no empty list in a parameter file: such a default is a comment.
    assert content[f'/**/{node}']['ros__parameters'] == {
        item.name: plain(item.default) for item in table(NODES[node]) if item.default != ()}


@pytest.mark.parametrize(('node', 'name'), [
    (node, item.name) for node in NODES for item in table(NODES[node]) if item.default == ()])
def test_an_empty_list_is_a_comment_of_its_node(node, name):
    text = CONFIGURATION.read_text('utf-8')
    own = text.partition(f'/**/{node}:\n')[2].partition('\n/**/')[0]
    assert f'\n    # {name}: []\n' in own


def test_the_configuration_is_one_that_the_graph_takes():
    graph = {f'/asr/{name}': name.partition('_')[0]
             for name in ('cache', 'inference_0', 'scheduler', 'ingest', 'manager')}
    values = read_file(CONFIGURATION, graph)
    for node, executable in graph.items():
        assert values[node] == {
            item.name: item.default for item in table(NODES[executable]) if item.default != ()}


def test_the_configuration_changes_nothing():
    assert process_table(GraphArguments(config=str(CONFIGURATION))) == process_table(
        GraphArguments())


@pytest.mark.parametrize(('heading', 'parameters'), [
    ('Arguments of the graph', GraphArguments), *NODES.items()])
def test_the_page_tells_all_of_each_parameter(heading, parameters):
    section = PAGE.read_text('utf-8').partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in section.splitlines() if line.startswith('| `')]
    assert [row[0] for row in rows] == [f'`{item.name}`' for item in table(parameters)]
    for row, item in zip(rows, table(parameters), strict=True):
        assert yaml.safe_load(row[1].strip('`')) == plain(item.default)
        assert row[2:] == [item.unit, item.bounds, item.description]
