"""Runs the vendor's hb_mapper with limits for some values, inside the vendor's environment.

    python mapper_with_limits.py LIMITS.json makertbin --config ...

Calibration takes the largest magnitude of a value as the end of its range, and hb_mapper has no
setting for one value alone. A score far below its row's largest has a weight of 0 whatever it is,
yet would take most of int8's steps. So the range that calibration found is cut before anything is
quantised. Started by path in a Python 3.10 that has nothing of this package.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SUFFIX = '_HzCalibration'
"""What calibration appends to a value's name to name the node that holds its range."""


def limited(calibrate: Callable[..., Any], limits: dict[str, float]) -> Callable[..., Any]:
    """Wrap the calibration, so that the ranges of some values are cut.

    Args:
        calibrate: a method that gives a calibrated model and what else it found.
        limits: value to the largest magnitude of its range.
    """
    @functools.wraps(calibrate)
    def wrapped(*arguments: Any) -> Any:
        model, *others = calibrate(*arguments)
        left = dict(limits)
        for node in model.graph.type2nodes['HzCalibration']:
            limit = left.pop(node.name.removesuffix(_SUFFIX), None)
            if limit is not None:
                node.thresholds = [min(limit, *node.thresholds)]
        if left:
            raise ValueError(f'no value to limit is called {", ".join(sorted(left))}')
        return model, *others
    return wrapped


def main() -> None:
    """Take the limits from the first argument, and leave the others to hb_mapper."""
    builder = importlib.import_module('horizon_nn.builder.model_builder').ModelBuilder
    limits = json.loads(Path(sys.argv.pop(1)).read_text())
    builder.calibrate = limited(builder.calibrate, limits)
    importlib.import_module('horizon_tc_ui.hb_mapper').main()


if __name__ == '__main__':
    main()
