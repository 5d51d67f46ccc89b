"""The contract of the graph: what others rely on, and what has become of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.untrusted import parse_json

__all__ = ['SECTIONS', 'Contract', 'added', 'broken', 'read_contract']

Contract = Mapping[str, Mapping[str, str]]
"""Type of each topic, service, parameter (node.name) and public name, by section and name."""

SECTIONS = ('topics', 'services', 'parameters', 'names')


def broken(contract: Contract, found: Contract) -> list[str]:
    """Say what others relied on and what is gone or another type now."""
    problems = []
    for section in SECTIONS:
        for name, kind in contract[section].items():
            got = found[section].get(name)
            if got is None:
                problems.append(f'{section}: {name} is gone, expected {kind}')
            elif got != kind:
                problems.append(f'{section}: {name} is {got}, expected {kind}')
    return problems


def added(contract: Contract, found: Contract) -> list[str]:
    """Say what is new: nobody relies on it yet."""
    return [f'{section}: {name} ({kind})' for section in SECTIONS
            for name, kind in found[section].items() if name not in contract[section]]


def read_contract(path: Path) -> Contract:
    """Read a contract.

    Raises:
        ConfigurationError: no such file, or no contract.
    """
    try:
        content: Any = parse_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f'{path}: cannot be read: {error.strerror}') from error
    except ValueError as error:
        raise ConfigurationError(f'{path}: not valid JSON: {error}') from error
    if not (isinstance(content, dict) and set(content) == set(SECTIONS)
            and all(isinstance(content[name], dict) for name in SECTIONS)):
        raise ConfigurationError(f'{path}: not a contract: expected an object with '
                                 f'{", ".join(SECTIONS)}, each a type by name; '
                                 'tools/document_contract.py writes one')
    return content
