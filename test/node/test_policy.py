"""The SROS2 policy names what ros/names.py has, and is refused where it is none."""

from pathlib import Path

import pytest

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.processes import GraphArguments, process_table
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.policy import KINDS, OPERATOR, read_policy

POLICY = Path(__file__).resolve().parents[2] / 'deploy' / 'sros2' / 'policy.xml'


def relative(name, node):
    """As names.py writes it: ~ is only kept there for what several nodes have."""
    if name.startswith('~/'):
        name = name if name in (names.FORCE_BACKEND, names.RELEASE_MEMORY) else (
            f'{node}/{name[2:]}')
    return name


def test_it_names_what_the_graph_has():
    known = {value for name, value in vars(names).items()
             if name.isupper() and isinstance(value, str)}
    spoken = {relative(name, node) for node, uses in read_policy(POLICY).items()
              for kind in KINDS for name in uses[kind]}
    missing = {name for name in known if name not in spoken and '{}' not in name}
    assert missing == set()
    assert names.LIVE_SPEECH.format('*') in spoken
    assert names.segments('inference_0') in spoken


def test_each_process_has_an_enclave_where_security_is_on(monkeypatch):
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    enclaves = {process.name: process.environment['ROS_SECURITY_ENCLAVE_OVERRIDE']
                for process in process_table(GraphArguments(processes=2))}
    assert enclaves == {node: f'/asr/{node}' for node in read_policy(POLICY) if node != OPERATOR}
    monkeypatch.delenv('ROS_SECURITY_ENABLE')
    assert 'ROS_SECURITY_ENCLAVE_OVERRIDE' not in process_table(GraphArguments())[0].environment


def test_what_is_no_policy_is_refused(tmp_path):
    (tmp_path / 'a.xml').write_text('<policy><profile node="stranger"/></policy>')
    with pytest.raises(ConfigurationError, match='stranger'):
        read_policy(tmp_path / 'a.xml')
    (tmp_path / 'a.xml').write_text('<policy>')
    with pytest.raises(ConfigurationError, match='cannot be read'):
        read_policy(tmp_path / 'a.xml')
