"""The table of processes, of a whole graph and of a machine that lends to one."""

from pathlib import Path

import pytest

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.processes import GraphArguments, executable_of, process_table


def names(**arguments):
    return [process.name for process in process_table(GraphArguments(**arguments))]


def test_a_graph_has_every_node_and_the_manager_last():
    assert names(processes=2) == [
        'cache', 'inference_0', 'inference_1', 'scheduler', 'ingest', 'manager']


def test_who_lends_has_workers_and_a_manager_of_his_own():
    processes = process_table(GraphArguments(lend='desk', processes=2))
    assert [process.name for process in processes] == [
        'inference_desk_0', 'inference_desk_1', 'manager_desk']
    assert [process.executable for process in processes] == ['inference', 'inference', 'manager']
    assert processes[-1].parameters['nodes'] == ('inference_desk_0', 'inference_desk_1')


def test_parameters_reach_the_workers_of_who_lends():
    first, second, _ = process_table(GraphArguments(lend='desk', processes=2, parameters=(
        'inference.threads=3', 'inference_desk_1.threads=4')))
    assert (first.parameters['threads'], second.parameters['threads']) == (3, 4)


def test_what_comes_over_the_network_is_not_shared():
    (worker, _) = process_table(GraphArguments(lend='desk'))
    assert worker.environment['RMW_FASTRTPS_USE_QOS_FROM_XML'] == '1'
    profile = Path(worker.environment['FASTRTPS_DEFAULT_PROFILES_FILE'])
    assert 'inference_desk_0/segments' not in profile.read_text(encoding='utf-8')


@pytest.mark.parametrize('name', ['my desk', 'desk-1', 'd/e', 'tisch_ä'])
def test_a_name_that_no_node_can_have_is_refused(name):
    with pytest.raises(ConfigurationError, match=r'lend: got .*, expected letters, digits and _'):
        process_table(GraphArguments(lend=name))


def test_the_program_of_a_node():
    assert executable_of('inference_desk_0') == 'inference'
    assert executable_of('cache') == 'cache'


def test_a_topic_that_cannot_be_read_is_told_before_anything_starts():
    with pytest.raises(ConfigurationError, match="got the rate '1' in '/audio::S16LE:1'"):
        process_table(GraphArguments(topics=('/audio::S16LE:1',)))
