"""Prints what each node of a running graph uses; a test compares it with deploy/sros2/policy.xml.

python tools/survey_policy.py
"""

from __future__ import annotations

import time

from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.cli.session import free_namespace, private_store
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.ros.guest import Guest
from xlerobot_asr_opt.ros.policy import uses_of

NODES = ('ingest', 'scheduler', 'cache', 'inference_0', 'manager')


class Survey(Guest):
    """Looks at a graph."""

    def __init__(self, namespace: str) -> None:
        super().__init__('survey', namespace)
        self._namespace = namespace

    def tell(self) -> None:
        """Print what each node uses."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            self._executor.spin_once(timeout_sec=0.1)
        for name in NODES:
            print(name)
            for kind, names in uses_of(self._node, name, self._namespace).items():
                print(f'  {kind}: {", ".join(sorted(names))}')


if __name__ == '__main__':
    with free_namespace() as namespace:
        arguments = GraphArguments(
            namespace=namespace, backends=('scripted',), parameters=('cache.l3_entries=0',))
        with private_store(arguments) as private, Graph(private) as graph:
            graph.wait_active()
            with Survey(namespace) as survey:
                survey.tell()
