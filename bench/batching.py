"""Whether Whisper's graphs gain by a batch: four segments at once beside one after the other.

    python bench/batching.py [--json FILE]

Encoder: the graph as it is shipped, up to its last normalisation, with the batch let free; windows
of 6 s, as most commands have. Decoder: a step of four tokens with four rows of logits beside four
steps of one. Four segments would read four times the keys and values of the cross attention, which
the four tokens of one segment share: the decoder's gain is the most that a batch could bring.
Needs whisper-tiny.en.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import report

from xlerobot_asr_opt.backends.onnx_own import OwnDecoder, OwnEncoder
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.models.onnx_session import open_session

MODEL = 'whisper-tiny.en'
BATCH, FRAMES = 4, 600
ROUNDS, STEPS = 15, 24
TRUNK = 'LayerNormalization_52'
"""Last tensor of the encoder before it is laid out for one segment."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--json', help='write the figures there')
    args = parser.parse_args()
    files = open_model(MODEL)
    figures = []
    for threads in (1, 2):
        figures += of_encoder(files, threads) + of_decoder(files, threads)
    for row in figures:
        print('{name:60} {value:10.4g} {unit}'.format(**row))
    if args.json:
        report.write(args.json, figures)


def compare(what, threads, one, all_at_once):
    """Medians of both in turns; one is run BATCH times."""
    alone, together = [], []
    for _ in range(ROUNDS):
        alone.append(milliseconds(lambda: [one() for _ in range(BATCH)]))
        together.append(milliseconds(all_at_once))
    name = f'{what}, {threads} threads' if threads > 1 else f'{what}, 1 thread'
    apart, joined = statistics.median(alone), statistics.median(together)
    return [
        {'name': f'{name}: {BATCH} times 1', 'unit': 'ms', 'value': apart},
        {'name': f'{name}: once {BATCH}', 'unit': 'ms', 'value': joined},
        {'name': f'{name}: gain', 'unit': 'times', 'value': apart / joined},
    ]


def milliseconds(work):
    begin = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begin)


def of_encoder(files, threads):
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / 'trunk.onnx'
        path.write_bytes(trunk(files.encoder).SerializeToString())
        session = open_session(path, threads)
    mel = np.random.default_rng(0).normal(0, 0.5, (BATCH, 80, FRAMES)).astype(np.float32)
    each, whole = [mel[place:place + 1] for place in range(BATCH)], mel
    apart = np.concatenate([session.run(None, {'mel': one})[0] for one in each])
    assert np.abs(apart - session.run(None, {'mel': whole})[0]).max() < 0.1 * np.abs(apart).max()
    return compare('encoder, 6 s', threads, lambda: session.run(None, {'mel': each[0]}),
                   lambda: session.run(None, {'mel': whole}))


def trunk(path):
    """The encoder with its batch let free, without what lays its outputs out for one segment."""
    model = onnx.load(str(path))
    graph = model.graph
    last = next(place for place, node in enumerate(graph.node) if TRUNK in node.output)
    del graph.node[last + 1:]
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(
        TRUNK, onnx.TensorProto.FLOAT, ['batch', 'time', 'width']))
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = 'batch'
    return model


def of_decoder(files, threads):
    encoder = OwnEncoder(files, threads)
    decoder = OwnDecoder(files, threads, encoder.silence())
    mel = np.zeros((1, files.dims.mel_bins, FRAMES), np.float32)
    encoded = encoder.run(mel)

    def steps(tokens):
        feed = decoder.start(encoded)
        for _ in range(STEPS):
            feed([50] * tokens, list(range(tokens)))

    return compare(f'decoder, {STEPS} steps', threads, lambda: steps(1), lambda: steps(BATCH))


if __name__ == '__main__':
    onnxruntime.set_default_logger_severity(3)
    main()
