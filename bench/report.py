"""The form in which every bench writes its figures, and how a figure is held against its goal.

A figure is a dictionary: name, value and unit; goal where it has one (a number is the most that is
allowed; a text says '>= 5' or '<= 1.5'); peer, peer_value and ratio where something else was
measured beside it, in the same run and the same unit.
"""

import json
from pathlib import Path

__all__ = ['held', 'write']


def held(figure):
    """Say whether a figure reaches its goal; None where it has none."""
    goal = figure.get('goal')
    if goal is None:
        return None
    sign, _, bound = str(goal).rpartition(' ')
    return figure['value'] >= float(bound) if sign == '>=' else figure['value'] <= float(bound)


def write(path, figures):
    """Write figures, each with its verdict, as JSON."""
    judged = [figure | {'held': held(figure)} for figure in figures]
    Path(path).write_text(json.dumps({'figures': judged}, indent=1) + '\n')
