"""What the pages name exists: links, files, commands with their options, topics, services."""

import argparse
import ast
import fnmatch
import importlib
import itertools
import re
from pathlib import Path

import pytest

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.parameters import NODES, table
from xlerobot_asr_opt.processes import GraphArguments

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CHANGELOG.md', *sorted((ROOT / 'docs').glob('*.md'))]
ROOMS = ('bench', 'config', 'docs', 'launch', 'test', 'tools', 'xlerobot_asr_interfaces',
         'xlerobot_asr_opt')
FILES = [str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob('*.*')]

LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
CODE = re.compile(r'```[\s\S]*?```|(?<!`)`[^`\n]+`|^ {4,}\S.*$', re.MULTILINE)
FILE = re.compile(r'(?:[\w*.-]+/)+[\w*.-]+\.(?:py|md|msg|srv|yaml|xml|txt|sh)\b')
PLACEHOLDER = re.compile(r'[A-Z|]+|\.\.\.')

pages = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', page.read_text('utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


def code(page):
    """Every line of code of a page, without its comment."""
    for span in CODE.findall(page.read_text('utf-8').replace(r'\|', '|')):
        for line in span.strip('`').splitlines():
            yield line.partition('# ')[0].strip().removeprefix('$ ')


def parser_of(command):
    subparsers = argparse.ArgumentParser().add_subparsers()
    importlib.import_module(f'xlerobot_asr_opt.cli.{command.module}').add_parser(subparsers)
    return subparsers.choices[command.name]


def actions_of(parser):
    """The parsers of a command's actions, by name."""
    return next((action.choices for action in parser._actions
                 if isinstance(action, argparse._SubParsersAction)), {})


PARSERS = {command.name: parser_of(command) for command in entry.COMMANDS}


def options_of(*parsers):
    everything = itertools.chain(parsers, *(actions_of(one).values() for one in parsers))
    return {option for one in everything for option in one._option_string_actions}


def invocations(page):
    """Name of the command, or '' where an option stands alone, and the words behind it."""
    for line in code(page):
        for part in re.split(r'&&|;| \| ', line):
            words = part.split()
            if words[:1] == ['xlerobot-asr']:
                yield words[1], words[2:]
            elif words and words[0] in PARSERS:
                yield words[0], words[1:]
            elif words and words[0].startswith('--'):
                yield '', words


def wrong(name, words):
    """Say what a command does not know; empty for nothing."""
    if name and name not in PARSERS:
        return name
    parsers = [PARSERS[name]] if name else [*PARSERS.values()]
    actions = actions_of(parsers[0]) if name else {}
    if actions and words and not words[0].startswith('-'):
        asked = words[0].split('|')
        if not set(asked) <= set(actions):
            return words[0]
        parsers = [actions[one] for one in asked]
    given = {re.split(r'[=\]]', word.lstrip('['))[0] for word in words
             if re.match(r'\[?--?[a-z]', word)}
    return ' '.join(sorted(given - options_of(*parsers)))


def rows(page, heading):
    """The cells of the table below a heading, its head left out."""
    section = page.read_text('utf-8').partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    return [[cell.strip().strip('`') for cell in line.split('|')[1:-1]]
            for line in section.splitlines() if line.startswith('| `')]


@pytest.fixture(scope='module')
def names():
    """The topics and services that ros/names.py declares, read without ROS."""
    tree = ast.parse((ROOT / 'xlerobot_asr_opt' / 'ros' / 'names.py').read_text('utf-8'))
    return {node.targets[0].id: node.value.value for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}


@pytest.fixture(scope='module')
def running():
    return ROOT / 'docs' / 'running.md'


@pages
def test_every_link_leads_somewhere(page):
    for link in LINK.findall(page.read_text('utf-8')):
        if link.startswith('https://'):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_every_file_that_is_named_is_there(page):
    for line in code(page):
        for name in FILE.findall(line):
            own = name.split('/')[0] in (*ROOMS, 'core', 'ros', 'unit', 'node', 'system')
            assert not own or any(fnmatch.fnmatch(f'/{file}', f'*/{name}') for file in FILES), name


@pages
def test_every_command_and_option_exists(page):
    for name, words in invocations(page):
        if name.startswith('-') or PLACEHOLDER.fullmatch(name):
            continue
        assert not wrong(name, words), f'xlerobot-asr {name} {" ".join(words)}'


@pages
def test_every_argument_of_launch_exists(page):
    declared = {item.name for item in table(GraphArguments)}
    assert {name for line in code(page)
            for name in re.findall(r'(\w+):=', line)} <= declared


@pages
def test_every_parameter_of_a_node_exists(page):
    for line in code(page):
        for node, name in re.findall(rf'\b({"|".join(NODES)})(?:_\d+)?\.(\w+)', line):
            file = name in ('py', 'md', 'msg', 'srv')
            assert file or name in {item.name for item in table(NODES[node])}, f'{node}.{name}'


def test_options_before_the_command_exist(capsys):
    with pytest.raises(SystemExit):
        entry.main(['--help'])
    told = capsys.readouterr().out
    options = {name for page in PAGES for name, _ in invocations(page) if name.startswith('-')}
    assert options
    assert all(option in told for option in options)


def test_the_page_of_commands_has_all_of_them():
    told = ' '.join(code(ROOT / 'docs' / 'commands.md'))
    assert [name for name in PARSERS if not re.search(rf'\b{name}\b', told)] == []


@pytest.mark.parametrize(('name', 'words', 'unknown'), [
    ('listn', [], 'listn'),
    ('up', ['--sorce', 'mic'], '--sorce'),
    ('models', ['fetsh', 'whisper-base'], 'fetsh'),
    ('models', ['list', '--quiet'], '--quiet'),
    ('', ['--no-such-option'], '--no-such-option'),
    ('models', ['fetch', '--quiet', 'whisper-base'], ''),
    ('replay', ['kitchen', '--rate', '4'], ''),
])
def test_a_command_that_does_not_exist_is_noticed(name, words, unknown):
    assert wrong(name, words) == unknown


def test_topics_and_services_are_those_of_the_graph(running, names):
    told = [row[0].removeprefix('/') for heading in ('Topics', 'Services')
            for row in rows(running, heading)]
    # The segments of a worker have a topic by the worker's name.
    assert sorted(told) == sorted(
        [*(name.removeprefix('/') for name in names.values()), 'inference_0/segments'])


@pytest.mark.parametrize(('heading', 'kind'), [('Topics', 'msg'), ('Services', 'srv')])
def test_types_of_topics_and_services_are_declared(running, heading, kind):
    table = rows(running, heading)
    assert table
    for name, declared, *_ in table:
        package, _, type_name = declared.rpartition('/')
        path = ROOT / 'xlerobot_asr_interfaces' / kind / f'{type_name}.{kind}'
        assert package or path.is_file(), f'{name}: {declared}'
