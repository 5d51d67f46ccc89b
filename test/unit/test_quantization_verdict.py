"""When a quantised model pays, and what is said of it."""

import math

import pytest

from xlerobot_asr_opt.models.quantization import Change, GraphChange, Similarity
from xlerobot_asr_opt.models.quantization_verdict import judge

SMALLER = Change(4e6, 1.1e6)
FEWER, FASTER = Change(3.95, 1), Change(2.0, 1.0)


def graph(*, weights=FEWER, cosine=0.998, latency=FASTER):
    """One graph that is fine but for what is changed."""
    similarity = None if cosine is None else Similarity(cosine, cosine, 0.1, 1.0)
    return GraphChange('a.onnx', weights, similarity, latency)


def test_what_is_smaller_alike_and_faster_pays():
    assert judge('int8', SMALLER, [graph()], Change(5.0, 5.5)) == (True, (
        'size: 3.64 times smaller', 'accuracy: word error rate 5.0 to 5.5 %',
        'speed: a.onnx is 2.00 times as fast'))


@pytest.mark.parametrize(('changed', 'rate', 'said'), [
    ({'weights': Change(3.7, 1)}, None, 'size: the weights of a.onnx are 3.70 times smaller'),
    ({'cosine': 0.9}, None, 'accuracy: outputs of a.onnx have a cosine of only 0.900 to float'),
    ({'cosine': math.nan}, Change(5, 5), 'accuracy: a.onnx gives NaN'),
    ({}, Change(5, 7.1), 'accuracy: word error rate rises from 5.0 to 7.1 %'),
    ({}, Change(5, math.nan), 'accuracy: word error rate rises from 5.0 to nan %'),
    ({'latency': Change(1.0, 1.2)}, None, 'speed: a.onnx takes 1.20 times as long'),
    ({'latency': Change(1.0, 0.98)}, None, 'speed: nothing is gained, a.onnx is 1.02 times as'),
])
def test_what_does_not_pay_says_why(changed, rate, said):
    pays, reasons = judge('int8', SMALLER, [graph(**changed)], rate)
    assert pays is False
    (reason,) = reasons
    assert reason.startswith(said)


def test_words_decide_where_they_were_counted():
    assert judge('int8', SMALLER, [graph(cosine=0.9)], Change(5, 7))[0] is True


def test_a_model_that_stays_as_large_does_not_pay():
    pays, reasons = judge('int8', Change(4e6, 3e6), [graph()], None)
    assert (pays, reasons) == (
        False, ('size: only 1.33 times smaller, most of the model stays as it is',))


def test_float16_that_is_computed_in_float32_says_so():
    halved = graph(weights=Change(2, 1), latency=Change(1.0, 1.1))
    pays, reasons = judge('fp16', Change(2, 1), [halved], None)
    assert pays is False
    assert reasons == ('speed: a.onnx takes 1.10 times as long: onnxruntime has no float16 '
                       'arithmetic here, computes in float32 and converts',)


def test_every_reason_is_told_at_once():
    poor = graph(weights=Change(3, 1), cosine=0.5, latency=Change(1, 2))
    pays, reasons = judge('int8-static', Change(1, 1), [poor], None)
    assert pays is False
    assert [reason.partition(':')[0] for reason in reasons] == [
        'size', 'size', 'accuracy', 'speed']


def test_what_was_not_measured_is_not_judged():
    assert judge('int8', SMALLER, [graph(cosine=None, latency=None)], None) == (
        None, ('neither accuracy nor speed were measured: real inputs are needed',))
