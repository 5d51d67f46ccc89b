"""Writes config/contract.json: what the running graph and the package offer to others.

Starts a graph whose recogniser is scripted, looks at its topics, services and parameters, and adds
the public Python names. Run after one of them was changed on purpose; a test holds the file to
what runs.
"""

from __future__ import annotations

import json
from pathlib import Path

from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.cli.public_names import public_names
from xlerobot_asr_opt.cli.session import free_namespace, private_store
from xlerobot_asr_opt.core.contract import Contract
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.ros.contract import GraphSurvey

PATH = Path(__file__).parent.parent / 'config' / 'contract.json'


def found() -> Contract:
    """What is there now; what was there before is waited for."""
    before = json.loads(PATH.read_text('utf-8'))
    with free_namespace() as namespace:
        arguments = GraphArguments(
            namespace=namespace, backends=('scripted',), parameters=('cache.l3_entries=0',))
        with private_store(arguments) as private, Graph(private) as graph:
            graph.wait_active()
            with GraphSurvey(namespace) as survey:
                wanted = *before['topics'], *before['services']
                return {**survey.found(wanted), 'names': public_names()}


if __name__ == '__main__':
    PATH.write_text(json.dumps(found(), indent=2, sort_keys=True) + '\n', 'utf-8')
