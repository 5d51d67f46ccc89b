"""Reads ROS 2 parameter files and single overrides for the whole graph, every key checked.

A file is what ``--params-file`` takes: sections by node name with the wildcards of rcl (``/**``
for any namespace, ``/*`` for one level), each with ros__parameters; later sections win. Two things
are easier than there: a name without a slash means the node in any namespace, and the name of an
executable (inference) means all processes of it (inference_0, inference_1). One thing is stricter:
what no node has is an error, not silence.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import NODES, from_mapping, table
from xlerobot_asr_opt.untrusted import parse_yaml

__all__ = ['COMMON', 'Values', 'parse_override', 'read_file', 'read_yaml']

MOST_BYTES = 1_000_000
"""Largest file that is taken for a configuration."""

Values = dict[str, dict[str, Any]]
"""Parameters by the full name of the node."""

COMMON: Mapping[str, type] = {'use_sim_time': bool}
"""Parameters that every ROS node has, beside its own."""


def read_file(path: Path, nodes: Mapping[str, str]) -> Values:
    """Read a parameter file.

    Args:
        path: a YAML file.
        nodes: executable of each node of the graph, by the node's full name (/asr/inference_0).

    Returns:
        What the file sets, by the full name of the node; checked, but not yet complete.

    Raises:
        ConfigurationError: no such file, not a parameter file, a section for no node, a parameter
            that no node of the section has, another type, out of bounds. The message names the
            file, the section and the key.
    """
    content = read_yaml(path)
    values: Values = {node: {} for node in nodes}
    for section, parameters in _sections(content, str(path)):
        chosen = [node for node, stem in nodes.items() if _matches(section, node, stem)]
        if not chosen:
            raise ConfigurationError(f'{path}: section {section} is for no node of this graph; '
                                     f'{_nearest(section, nodes)}')
        for node, some in _share_out(parameters, chosen, nodes, f'{path}: {section}').items():
            values[node].update(some)
    return values


def parse_override(text: str, nodes: Mapping[str, str]) -> Values:
    """Read one ``node.parameter=value``.

    Args:
        text: for example ``ingest.hangover=0.3``, or ``inference.threads=2`` for every process.
        nodes: as for read_file.

    Raises:
        ConfigurationError: no such node or parameter, another type, out of bounds.
    """
    name, equals, value = text.partition('=')
    section, dot, key = name.strip().partition('.')
    if not (equals and dot and key):
        raise ConfigurationError(f'got {text!r}, expected node.parameter=value')
    chosen = [node for node, stem in nodes.items() if _matches(section, node, stem)]
    if not chosen:
        raise ConfigurationError(f'{text}: no node {section}; {_nearest(section, nodes)}')
    parsed = _value(value, key, [nodes[node] for node in chosen])
    return _share_out({key: parsed}, chosen, nodes, text)


def read_yaml(path: Path) -> object:
    """Read a YAML file, of which JSON is a part.

    Raises:
        ConfigurationError: no such file, too large, not YAML, or not what parse_yaml takes.
    """
    try:
        with path.open('rb') as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f'{path}: cannot be read: {error.strerror}') from None
    if len(raw) > MOST_BYTES:
        raise ConfigurationError(f'{path}: larger than {MOST_BYTES} bytes')
    try:
        return parse_yaml(raw.decode('utf-8'))
    except ValueError as error:
        raise ConfigurationError(f'{path}: not valid YAML: {error}') from None


def _sections(
    content: object, where: str, prefix: str = '',
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk down nested namespaces to every ros__parameters."""
    if not isinstance(content, dict):
        got = 'nothing' if content is None else repr(content)
        raise ConfigurationError(
            f'{where}: got {got}{f" in {prefix}" if prefix else ""}, expected sections like '
            '"/**/ingest:", each with "ros__parameters:"')
    for key, inner in content.items():
        if key != 'ros__parameters':
            path = f'{prefix}/{str(key).lstrip("/")}' if prefix else str(key)
            yield from _sections(inner, where, path)
        elif isinstance(inner, dict):
            yield prefix, {str(name): value for name, value in inner.items()}
        elif inner is not None:
            raise ConfigurationError(
                f'{where}: {prefix}: got {inner!r} under ros__parameters, expected a mapping')


def _matches(section: str, node: str, executable: str) -> bool:
    """Whether a section is for a node, by the rules of rcl and the two of this module."""
    if '/' not in section and section not in ('*', '**'):
        section = f'/**/{section}'
    pattern = ''.join(
        {'': '', '**': r'(/\w+)*', '*': r'/\w+'}.get(token, '/' + re.escape(token))
        for token in section.split('/'))
    family = f'{node.rpartition("/")[0]}/{executable}'
    return any(re.fullmatch(pattern, name) for name in (node, family))


def _share_out(
    parameters: Mapping[str, Any], chosen: list[str], nodes: Mapping[str, str], where: str,
) -> Values:
    """Give each node those parameters that it has; every parameter must have found a node."""
    for key, kind in COMMON.items():
        if key in parameters and type(parameters[key]) is not kind:
            raise ConfigurationError(
                f'{where}: {key}: got {parameters[key]!r}, expected a {kind.__name__}')
    known = {node: {item.name for item in table(NODES[nodes[node]])} for node in chosen}
    for key in parameters:
        if key not in COMMON and not any(key in names for names in known.values()):
            everything = sorted(set().union(*known.values()))
            near = difflib.get_close_matches(key, everything, n=1)
            hint = f'did you mean {near[0]}?' if near else f'known: {", ".join(everything)}'
            raise ConfigurationError(f'{where}: unknown parameter {key}; {hint}')
    shares: Values = {}
    for node, names in known.items():
        own = {key: value for key, value in parameters.items() if key in names}
        checked: object = from_mapping(NODES[nodes[node]], own, where)
        shares[node] = {key: getattr(checked, key) for key in own}
        shares[node].update({key: parameters[key] for key in COMMON if key in parameters})
    return shares


def _value(text: str, key: str, executables: list[str]) -> Any:
    """Read a value as the type that the parameter was declared with."""
    declared = [item for stem in executables for item in table(NODES[stem]) if item.name == key]
    default = declared[0].default if declared else None
    if isinstance(default, str):
        return text
    if isinstance(default, tuple) and not text.lstrip().startswith('['):
        return tuple(item.strip() for item in text.split(',') if item.strip())
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigurationError(f'{key}: got {text!r}: {error}') from None


def _nearest(section: str, nodes: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(section, nodes, n=1) or difflib.get_close_matches(
        section.rpartition('/')[2], [name.rpartition('/')[2] for name in nodes], n=1)
    return f'did you mean {near[0]}?' if near else f'its nodes are {", ".join(nodes)}'
