"""One CTC recogniser in a process of its own, on behalf of bench/ctc.py.

    ctc_lane.py {ours,peer} FAMILY MODEL THREADS UTTERANCES.npz

MODEL is a directory, FAMILY one of models/ctc_files.py. It reads one line for each pass, ``itn``
or ``words``, and answers with one line of JSON: milliseconds, tokens and their times of every
utterance. Samples to text is timed; loading is not. The peer's environment has neither this
package nor anything of ROS.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def ours(_family, model, threads):
    """Make a function of int16[n] and style that recognises; and one that tells the tokens."""
    from xlerobot_asr_opt.backends.ctc import CtcBackend
    from xlerobot_asr_opt.backends.ctc_graph import CtcGraph
    from xlerobot_asr_opt.backends.ctc_greedy import greedy
    from xlerobot_asr_opt.backends.kaldi_fbank import KaldiFbank
    from xlerobot_asr_opt.models.layout import open_model
    from xlerobot_asr_opt.parameters import InferenceParameters

    backends = {}
    for style in ('itn', 'words'):
        backends[style] = CtcBackend(InferenceParameters(
            model=model, threads=threads, digits=style == 'itn'))
        backends[style].load()
    files = open_model(model)
    frontend, graph = KaldiFbank(files.frontend), CtcGraph(files, threads)
    begin = files.prompt.FRAMES if files.prompt else 0

    def recognise(samples, style):
        return backends[style].recognise(backends[style].prepare(samples, ''))

    def tell(samples, style, _result):
        logits = graph(frontend(samples), '', normalised=style == 'itn')
        said = [one for one in greedy(logits, files.blank) if one.begin >= begin]
        return ([files.pieces[one.token].replace('\u2581', ' ', 1) for one in said],
                [round(files.subsampling / 100 * (one.begin - begin), 2) for one in said])

    return recognise, tell


def peer(family, model, threads):
    """Make the same of sherpa-onnx."""
    import sherpa_onnx

    make = getattr(sherpa_onnx.OfflineRecognizer, f'from_{family}')
    (graph,) = Path(model).glob('*.onnx')
    common = {'model': str(graph), 'tokens': f'{model}/tokens.txt', 'num_threads': threads}
    styles = ('itn', 'words') if family == 'sense_voice' else ('itn',)
    recognisers = {style: make(**common, **(
        {'use_itn': style == 'itn'} if family == 'sense_voice' else {})) for style in styles}

    def recognise(samples, style):
        recogniser = recognisers.get(style, recognisers['itn'])
        stream = recogniser.create_stream()
        stream.accept_waveform(16000, samples.astype(np.float32) / 32768.0)
        recogniser.decode_stream(stream)
        result = stream.result
        result.text  # noqa: B018  what a caller asks for is part of the time
        return result

    def tell(_samples, _style, result):
        return list(result.tokens), [round(time, 2) for time in result.timestamps]

    return recognise, tell


def main():
    """Load, then make a pass over all utterances for every line read."""
    lane, family, model, threads, path = sys.argv[1:]
    recognise, tell = {'ours': ours, 'peer': peer}[lane](family, model, int(threads))
    with np.load(path) as archive:
        utterances = [archive[name] for name in archive.files]
    recognise(utterances[0], 'itn')
    print(json.dumps('ready'), flush=True)
    for line in sys.stdin:
        style, answers = line.strip(), []
        for samples in utterances:
            begin = time.perf_counter()
            result = recognise(samples, style)
            spent = (time.perf_counter() - begin) * 1e3
            answers.append((spent, *tell(samples, style, result)))
        print(json.dumps(answers), flush=True)


if __name__ == '__main__':
    main()
