"""Reads what the vendor's compiler wrote: its estimate, where each node runs, why it failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.bundle import Estimate
from xlerobot_asr_opt.models.tokens import read_json

__all__ = ['Placement', 'read_estimate', 'read_placement', 'read_reason']

_NODE = re.compile(
    r'^(?P<name>\S+)\s+(?P<where>BPU|CPU)\s+(?P<part>id\(\d+\)|--)\s+(?P<kind>\S+)', re.MULTILINE)
_PLAIN = re.compile(r'\x1b\[[0-9;]*m|\[9[0-9]m|\[0m')
_ERROR = re.compile(r'ERROR|Error:|Exception:|FATAL')
_LAST_LINES = 3


@dataclass(frozen=True)
class Placement:
    """Where the nodes of a compiled model run: the number on the BPU, the names on the CPU."""

    bpu: int
    cpu: tuple[str, ...]


def read_estimate(paths: Sequence[Path]) -> Estimate:
    """Sum the estimates of a model's parts on the BPU.

    Args:
        paths: the compiler's JSON of each subgraph.

    Raises:
        ModelError: there is none, or it is of another form.
    """
    if not paths:
        raise ModelError(
            'the compiler wrote no estimate: no part of the model is on the BPU; see its log')
    latency_us, ddr_bytes, ops = 0.0, 0, 0
    for path in paths:
        summary = read_json(path).get('summary')
        try:
            latency_us += float(summary['latency (us)'])  # type: ignore[index]
            ddr_bytes += int(summary['DDR bytes per frame'])  # type: ignore[index]
            ops += int(summary['BPU OPs per frame (effective)'])  # type: ignore[index]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f'{path}: no estimate of the form that is known ({error!r}), expected a summary '
                'with latency (us), DDR bytes per frame and BPU OPs per frame (effective): '
                'another version of the tools?') from error
    return Estimate(latency_us, round(1e6 / latency_us, 2), ddr_bytes, ops)


def read_placement(log: str) -> Placement:
    """Read the compiler's table of nodes; the float nodes of the CPU have no subgraph.

    Raises:
        ModelError: there is no such table.
    """
    nodes = list(_NODE.finditer(_PLAIN.sub('', log)))
    if not nodes:
        raise ModelError("the compiler's log has no table of nodes: another version of the tools?")
    return Placement(
        bpu=sum(node['where'] == 'BPU' for node in nodes),
        cpu=tuple(node['name'] for node in nodes if node['where'] == 'CPU'))


def read_reason(log: str) -> str:
    """Say why the compiler failed, in its own words: its last error, else its last lines."""
    lines = [line.strip() for line in _PLAIN.sub('', log).splitlines() if line.strip()]
    told = [line for line in lines if _ERROR.search(line)]
    return '\n'.join((told or lines)[-_LAST_LINES:]) or 'nothing was said'
