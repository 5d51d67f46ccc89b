"""One recogniser in a process of its own, on behalf of bench/recogniser.py.

    recogniser_lane.py {ours,peer} MODEL THREADS UTTERANCES.npz

It reads one line for each pass, the beam size, and answers with one line of JSON: the milliseconds
and the text of every utterance. Samples to text is timed; loading is not. The peer's environment
has neither this package nor anything of ROS.
"""

import json
import sys
import time

import numpy as np


def ours(model, threads):
    """Make a function of int16[n] and beam size that recognises; greedy only."""
    from xlerobot_asr_opt.backends.base import create
    from xlerobot_asr_opt.parameters import InferenceParameters

    backend = create(InferenceParameters(model=model, threads=threads, language='en'))
    backend.load()

    def recognise(samples, _beam):
        return backend.recognise(backend.prepare(samples, '')).text

    return recognise


def peer(model, threads):
    """Make a function of int16[n] and beam size that recognises by faster-whisper.

    Its settings are the fastest that lose nothing on short utterances: no timestamps, no text
    before, no voice activity detection; the language is told.
    """
    from faster_whisper import WhisperModel

    whisper = WhisperModel(model, device='cpu', compute_type='int8', cpu_threads=threads)

    def recognise(samples, beam):
        segments, _ = whisper.transcribe(
            samples.astype(np.float32) / 32768.0, language='en', beam_size=beam,
            without_timestamps=True, condition_on_previous_text=False, vad_filter=False)
        return ' '.join(segment.text.strip() for segment in segments)

    return recognise


def main():
    """Load, then make a pass over all utterances for every line read."""
    lane, model, threads, path = sys.argv[1:]
    recognise = {'ours': ours, 'peer': peer}[lane](model, int(threads))
    with np.load(path) as archive:
        utterances = [archive[name] for name in archive.files]
    recognise(utterances[0], 1)
    print(json.dumps('ready'), flush=True)
    for line in sys.stdin:
        answers = []
        for samples in utterances:
            begin = time.perf_counter()
            text = recognise(samples, int(line))
            answers.append(((time.perf_counter() - begin) * 1e3, text))
        print(json.dumps(answers), flush=True)


if __name__ == '__main__':
    main()
