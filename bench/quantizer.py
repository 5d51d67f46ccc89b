"""Quantises whisper-tiny.en and silero-vad every way, and tells what each costs and gives.

    python bench/quantizer.py [--threads 1] [--rounds 5] [--json FILE]

The Whisper is quantised as a whole, from the float weights that its package carries, and its two
graphs once more by onnxruntime's tools alone, which know nothing of Whisper. Similarity and
latency are those of the second half of two_cities' cuts; the first half calibrates int8-static.
Latency is the median of one call, float and quantised graph in turns: of the encoder with its
window, of the decoder with one token mostly. Words are counted over all cuts of two_cities.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import report
from recogniser import MODEL, peer_model

from xlerobot_asr_opt.backends.base import create
from xlerobot_asr_opt.backends.recorded_inputs import RecordedInputs
from xlerobot_asr_opt.cli.quantize import table
from xlerobot_asr_opt.models.build import build_whisper
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.models.quantizer import ModelQuantizer
from xlerobot_asr_opt.models.speech import errors, two_cities, words
from xlerobot_asr_opt.parameters import InferenceParameters

TYPES = ('int8', 'int8-static', 'fp16')
WEIGHTS_GOAL = '>= 3.9'
WORDS_GOAL = '<= 2'


def main():
    """Run the bench, print what comes of each type, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    utterances = two_cities()
    print(f'{len(utterances)} utterances, {sum(len(one.words) for one in utterances)} words')
    settings = {'inputs': RecordedInputs([one.samples for one in utterances]),
                'threads': args.threads, 'rounds': args.rounds}
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name, model, types, rate in subjects(Path(folder), utterances):
            quantizer = ModelQuantizer(word_error_rate=rate, **settings)
            for quant_type in types:
                ending = model.suffix if model.is_file() else ''
                output = Path(folder) / f'{name}, {quant_type}{ending}'
                figures += measure(quantizer, name, model, output, quant_type)
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def subjects(folder, utterances):
    """Give name, model, types and the function that counts wrong words, of all that is tried."""
    source = peer_model()
    yield MODEL, source, TYPES, lambda model: word_error_rate(model, utterances)
    plain = folder / 'float32'
    plain.mkdir()
    build_whisper(source, plain, name=MODEL, sources={}, multilingual=False, precision='float32')
    for graph in ('encoder', 'decoder'):
        yield f'{graph} by onnxruntime', plain / f'{graph}.onnx', ('int8',), None
    yield 'silero-vad', asset_path('silero-vad'), ('int8', 'int8-static', 'fp16'), None


def word_error_rate(model, utterances):
    """Recognise every utterance; return the rate of wrong words [%]."""
    backend = create(InferenceParameters(model=str(model), language='en'))
    backend.load()
    wrong = sum(
        errors(one.words, words(backend.recognise(backend.prepare(one.samples, '')).text))
        for one in utterances)
    return 100.0 * wrong / sum(len(one.words) for one in utterances)


def measure(quantizer, name, model, output, quant_type):
    """Quantise once, print it, return its figures."""
    result = quantizer.quantize_model(model, output, quant_type)
    print('\n'.join(table(result)), flush=True)
    goals = quant_type == 'int8'
    what = f'{name}, {quant_type}'
    figures = [
        {'name': f'size, {what}', 'unit': 'times', 'value': result.size.ratio},
        {'name': f'weights, {what}', 'unit': 'times', 'value': result.weights.ratio}
        | ({'goal': WEIGHTS_GOAL} if goals else {}),
        {'name': f'pays, {what}', 'unit': 'yes or no', 'value': int(result.pays),
         'reasons': result.reasons}]
    if (rate := result.word_error_rate) is not None:
        figures.append(
            {'name': f'more words wrong, {what}', 'unit': 'points',
             'value': rate.after - rate.before, 'peer': 'float32 [%]', 'peer_value': rate.before}
            | ({'goal': WORDS_GOAL} if goals else {}))
    for graph in result.graphs:
        where = f'{what}, {graph.name}'
        figures += [
            {'name': f'cosine, {where}', 'unit': '1', 'value': graph.similarity.cosine},
            {'name': f'lowest cosine, {where}', 'unit': '1',
             'value': graph.similarity.lowest_cosine},
            {'name': f'largest error, {where}', 'unit': '1',
             'value': graph.similarity.largest_error, 'peer': 'largest value',
             'peer_value': graph.similarity.largest_value},
            {'name': f'time of a call, {where}', 'unit': 'ms', 'value': graph.latency.after,
             'peer': 'float32', 'peer_value': graph.latency.before,
             'ratio': graph.latency.ratio}]
    return figures


if __name__ == '__main__':
    sys.exit(main())
