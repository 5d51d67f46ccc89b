"""Writes config/asr.yaml and docs/parameters.md from the declarations in parameters.py.

Run without arguments after a parameter has changed; a test holds the files to what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path

from xlerobot_asr_opt.parameters import NODES, Parameter, table
from xlerobot_asr_opt.processes import GraphArguments

ROOT = Path(__file__).parent.parent

CONFIGURATION_HEAD = """\
# Every parameter of every node with its default: copy what you change.
#
# A section is for the node of its name in any namespace; inference stands for all inference
# processes, and inference_0 for the first. An empty list stays a comment, since ROS has no empty
# list in a parameter file. Written by tools/document_parameters.py.
"""

PAGE_HEAD = """\
# Parameters

Every node checks its parameters when it starts, and `xlerobot-asr up` and `ros2 launch` check all
of them before the first node starts: an unknown name, another type or a value out of bounds ends
with a message that names the file, the parameter and its bounds. Parameters are read-only while a
node runs. Values come from, the later winning: the defaults below, the file that `config` names
(like [config/asr.yaml](../config/asr.yaml)), the arguments of the graph, and single
`node.parameter=value` in the argument `parameters`.

This page is written by `tools/document_parameters.py` from `parameters.py` and `processes.py` in
`xlerobot_asr_opt`.
"""


def configuration() -> str:
    """The text of config/asr.yaml."""
    sections = [CONFIGURATION_HEAD]
    for node, parameters in NODES.items():
        lines = [f'/**/{node}:', '  ros__parameters:']
        for item in table(parameters):
            comment = '# ' if item.default == () else ''
            lines.append(f'    # {_explain(item)}')
            lines.append(f'    {comment}{item.name}: {_value(item)}')
        sections.append('\n'.join(lines) + '\n')
    return '\n'.join(sections)


def page() -> str:
    """The text of docs/parameters.md."""
    sections = [PAGE_HEAD, '## Arguments of the graph\n', _rows(GraphArguments)]
    for node, parameters in NODES.items():
        sections += [f'## {node}\n', _rows(parameters)]
    return '\n'.join(sections)


def _rows(parameters: type) -> str:
    lines = ['| name | default | unit | allowed | meaning |', '|---|---|---|---|---|']
    lines += [
        f'| `{item.name}` | `{_value(item)}` | {item.unit} | {item.bounds} | {item.description} |'
        for item in table(parameters)]
    return '\n'.join(lines) + '\n'


def _explain(item: Parameter) -> str:
    allowed = ' '.join(part for part in (item.bounds, item.unit) if part)
    return f'{item.description} [{allowed}]' if allowed else item.description


def _value(item: Parameter) -> str:
    """The default, as YAML reads it."""
    default = list(item.default) if isinstance(item.default, tuple) else item.default
    return json.dumps(default)


if __name__ == '__main__':
    (ROOT / 'config' / 'asr.yaml').write_text(configuration(), encoding='utf-8')
    (ROOT / 'docs' / 'parameters.md').write_text(page(), encoding='utf-8')
