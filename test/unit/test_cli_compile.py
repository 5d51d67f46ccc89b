"""xlerobot-asr models compile: what it hands on, what it shows, and how it ends."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_bundle import write_bundle

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models import speech
from xlerobot_asr_opt.models.bpu import compile as compiling
from xlerobot_asr_opt.models.bundle import Bundle


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(speech, 'two_cities', lambda between: [])
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)


@pytest.fixture
def orders(monkeypatch, tmp_path):
    """The orders that the command gave; each is answered with a small bundle."""
    orders = []

    def compile_bundle(order, recordings, environment, report, progress):
        order.check()
        orders.append((order, recordings, environment.directory))
        report('4 s, int8: compiling')
        progress('download weights', 1, 3)
        progress('download weights', 2, 3)
        return Bundle.read(write_bundle(tmp_path / 'made'))

    monkeypatch.setattr(compiling, 'compile_bundle', compile_bundle)
    return orders


def models(capsys, *arguments):
    code = entry.main(['models', *arguments])
    return code, *capsys.readouterr()


def test_the_defaults_are_those_of_the_rdk_x5(orders, capsys, tmp_path):
    code, out, err = models(capsys, 'compile', 'whisper-tiny.en')
    assert code == 0
    ((order, recordings, directory),) = orders
    assert order.buckets == (4.0, 8.0, 12.0)
    assert order.march == 'bayes-e'
    assert order.output == tmp_path / 'cache' / 'bundles' / 'whisper-tiny.en-bayes-e'
    assert directory == tmp_path / 'cache' / 'bpu-tools'
    assert list(recordings) == ['two_cities']
    assert out.splitlines()[0] == (
        '1.6 s: 1.0 ms and 0 MB of memory traffic (estimated), 10 nodes on the BPU, 1 on the '
        'CPU; two_cities: 2 of 10 words wrong, in float 1')
    assert err.splitlines()[0] == '4 s, int8: compiling'
    assert err.count('download weights') == 1


def test_what_is_said_is_handed_on(orders, capsys, tmp_path):
    texts = tmp_path / 'texts'
    texts.write_text('')
    code, _, _ = models(capsys, 'compile', 'whisper-base', '--buckets', '5.12', '--output',
                        str(tmp_path / 'out'), '--speech', str(tmp_path), str(texts))
    assert code == 0
    ((order, recordings, _),) = orders
    assert (order.buckets, order.output) == ((5.12,), Path(tmp_path / 'out'))
    assert list(recordings) == ['two_cities', tmp_path.name]


@pytest.mark.parametrize(('arguments', 'told'), [
    (('none',), "'none' is neither a Whisper of the catalog"),
    (('whisper-tiny.en', '--march', 'bernoulli2'), "march: got 'bernoulli2', expected bayes-e"),
    (('whisper-tiny.en', '--buckets', '60'), 'buckets: got 60 s')])
def test_what_cannot_be_done_is_told_before_anything_is_installed(
        orders, capsys, tmp_path, arguments, told):
    code, out, err = models(capsys, 'compile', *arguments)
    assert code != 0
    assert out == ''
    assert told in err
    assert not orders
    assert not (tmp_path / 'cache' / 'bpu-tools').exists()


def test_the_compilers_own_reason_is_shown(capsys, monkeypatch):
    def compile_bundle(*_):
        raise ModelError("the vendor's compiler ended with 1:\nERROR no such thing\nThe end")

    monkeypatch.setattr(compiling, 'compile_bundle', compile_bundle)
    code, out, err = models(capsys, 'compile', 'whisper-tiny.en')
    assert code != 0
    assert out == ''
    assert 'ERROR no such thing' in err


def test_the_line_of_a_bucket_names_no_cpu_where_all_is_on_the_bpu(tmp_path):
    from xlerobot_asr_opt.cli.compile import describe
    bucket = replace(Bundle.read(write_bundle(tmp_path)).buckets[0], cpu_nodes=())
    assert 'CPU' not in describe(bucket)
