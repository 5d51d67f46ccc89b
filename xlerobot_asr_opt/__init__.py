"""On-robot speech recognition as a ROS 2 graph.

The names below are imported from their rooms when they are first used: a process that needs one
does not load the rest.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    'BPUAllocationResult': 'core.memory_records',
    'BPUMemoryPool': 'core.memory_pool',
    'ModelQuantizer': 'models.quantizer',
    'MultiLevelCacheSystem': 'cache_system',
    'OptimizedBPUInferenceEngine': 'engine',
    'PerformanceIntegrator': 'core.performance',
    'PredictiveMemoryManager': 'memory',
    'QuantizationResult': 'models.quantization',
    'WorkStealingScheduler': 'scheduling',
}
"""Public name to the module that it lives in."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the home of a public name."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)


def __dir__() -> list[str]:
    """All names, those included that were not used yet."""
    return sorted({*globals(), *_HOMES})
