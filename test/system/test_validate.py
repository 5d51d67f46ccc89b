"""Real graphs are validated and analysed: a cache that answers, a contract that holds."""

import json

import pytest
import soundfile
from talking import command, utterance

from xlerobot_asr_opt.records import SAMPLE_RATE

DOMAIN = 63


@pytest.fixture(scope='module')
def validated(tmp_path_factory):
    """The directory of a validation of one clause, and what the command said."""
    directory = tmp_path_factory.mktemp('validated')
    soundfile.write(directory / 'clause.wav', utterance(), SAMPLE_RATE)
    (directory / 'answers.yaml').write_text('answers: [{text: nothing before us, delay_s: 0.1}]')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('XDG_STATE_HOME', str(directory / 'state'))
        done = command(
            'validate', directory / 'clause.wav', '--output', directory / 'report', '--json',
            '--stages', 'cache', 'compatibility', '--parameters', 'inference.backends=scripted',
            f'inference.script={directory / "answers.yaml"}', patience_s=120)
    return directory / 'report', done


@pytest.fixture(scope='module')
def rows(validated):
    """The checks of the validation."""
    _, done = validated
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_cache_answers_and_the_contract_holds(rows):
    assert {row['stage'] for row in rows} == {'cache', 'compatibility'}
    # How long something takes is this machine's matter, and not this test's.
    assert [row for row in rows if not row['holds'] and '[ms]' not in row['figure']] == []
    again = next(row for row in rows if 'answered by the cache' in row['figure'])
    assert again['after'] == '100%'


def test_the_verdict_follows_from_the_checks(validated, rows):
    directory, done = validated
    kept = all(row['holds'] for row in rows)
    assert done.returncode == (0 if kept else 1)
    text = (directory / 'report.md').read_text('utf-8')
    verdict = 'accepted' if kept else 'rolled back'
    assert f'**cache: {verdict}.** scheduler.use_cache=true' in text
    assert '**compatibility: accepted.**' in text
    assert '</html>' in (directory / 'report.html').read_text('utf-8')


def test_every_measurement_can_be_analysed(validated):
    directory, _ = validated
    for name in ('cache_before_1', 'cache_1', 'cache_1_again'):
        done = command('analyze', directory / f'{name}.json', '--json')
        assert done.returncode == 0, done.stderr
        rows = {row.get('name', row['row']): row
                for row in map(json.loads, done.stdout.splitlines())}
        # Each of the two streams said one clause.
        assert rows['outcomes']['done'] == 2
        assert rows['all PSS']['count'] > 0
        assert (rows['decode']['max'] > 50.0) == (name != 'cache_1_again')
