"""A recogniser that is not ours, in a process of its own, on behalf of bench/peer_client.py.

    peer_lane.py {peer,ours} NAME MODEL THREADS WORKERS BATCH TAIL

NAME is faster-whisper, sherpa-onnx, ours, or ours-once: no unsure text is decoded a second time.

WORKERS threads recognise side by side, each as many as BATCH segments at a time of those that
wait, with THREADS threads of the model. TAIL is the silence behind a segment in which sherpa-onnx
lets Whisper see the end of it [10 ms]. A line tells that it is loaded. Then, little endian, a
segment is its number (uint32), its length (uint32) and int16 samples at 16 kHz; an answer is the
number, 0 for a text or 1 for an error, the time that the batch took (float32, ms), and the length
of the text (uint32) and its UTF-8. The end of the input ends the process. A peer's environment has
neither this package nor anything of ROS.
"""

import contextlib
import functools
import os
import queue
import signal
import struct
import sys
import threading
import time

import numpy as np

SEGMENT = struct.Struct('<II')
ANSWER = struct.Struct('<IBfI')
RATE = 16000
MOST_TOKENS = 224
"""After which Whisper's decoding stops, by its authors."""


def faster_whisper(model, threads, workers, batch, _tail):
    """Make a function of segments that recognises them by faster-whisper.

    Its settings are the fastest that lose nothing on short utterances: greedy, no timestamps, no
    text before, no voice activity detection, no second try at a higher temperature; the language
    is told. More than one segment at a time is the business of its BatchedInferencePipeline.
    """
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    whisper = WhisperModel(
        model, device='cpu', compute_type='int8', cpu_threads=threads, num_workers=workers)
    settings = {'language': 'en', 'beam_size': 1, 'temperature': 0.0, 'vad_filter': False,
                'without_timestamps': True, 'max_new_tokens': MOST_TOKENS}

    def one_by_one(segments):
        heard = (whisper.transcribe(one, condition_on_previous_text=False, **settings)[0]
                 for one in segments)
        return [' '.join(part.text.strip() for part in parts) for parts in heard]

    def together(segments):
        # The pipeline takes a recording, and where the segments lie in it; half a sample keeps
        # rounding from taking the one before.
        ends = np.cumsum([len(one) for one in segments])
        begins = ends - [len(one) for one in segments]
        texts = [''] * len(segments)
        parts, _ = BatchedInferencePipeline(whisper).transcribe(
            np.concatenate(segments), batch_size=batch, clip_timestamps=[
                {'start': (begin + 0.5) / RATE, 'end': (end + 0.5) / RATE}
                for begin, end in zip(begins, ends, strict=True)], **settings)
        for part in parts:
            index = np.searchsorted(begins, (part.start + 0.002) * RATE, side='right') - 1
            texts[index] = f'{texts[index]} {part.text.strip()}'.strip()
        return texts

    return one_by_one if batch == 1 else together


def sherpa_onnx(model, threads, _workers, _batch, tail):
    """Make the same of sherpa-onnx; workers share one recogniser, as its threads may."""
    import sherpa_onnx as sherpa

    recogniser = sherpa.OfflineRecognizer.from_whisper(
        encoder=f'{model}/encoder.int8.onnx', decoder=f'{model}/decoder.int8.onnx',
        tokens=f'{model}/tokens.txt', language='en', num_threads=threads, tail_paddings=tail)

    def recognise(segments):
        streams = [recogniser.create_stream() for _ in segments]
        for stream, samples in zip(streams, segments, strict=True):
            stream.accept_waveform(RATE, samples)
        recogniser.decode_streams(streams)
        return [stream.result.text.strip() for stream in streams]

    return recognise


def ours(model, threads, workers, _batch, _tail, **parameters):
    """Make the same of this package's recogniser, one for each worker."""
    from xlerobot_asr_opt.backends.base import create
    from xlerobot_asr_opt.parameters import InferenceParameters

    free = queue.SimpleQueue()
    for _ in range(workers):
        backend = create(InferenceParameters(
            model=model, threads=threads, language='en', **parameters))
        backend.load()
        free.put(backend)

    def recognise(segments):
        backend = free.get()
        try:
            return [backend.recognise(backend.prepare(
                np.rint(one * 32768).astype(np.int16), '')).text for one in segments]
        finally:
            free.put(backend)

    return recognise


RECOGNISERS = {
    'faster-whisper': faster_whisper, 'sherpa-onnx': sherpa_onnx, 'ours': ours,
    'ours-once': functools.partial(ours, retry_confidence=0.0)}


class Server:
    """Reads segments, has them recognised, writes the answers."""

    def __init__(self, recognise, batch, output):
        self._recognise = recognise
        self._batch = batch
        self._output = output
        self._waiting = queue.SimpleQueue()
        self._writing = threading.Lock()

    def run(self, workers, source):
        """Answer until the end of the source."""
        threads = [threading.Thread(target=self._work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        # Who writes may be killed in the midst of a segment.
        while len(head := source.read(SEGMENT.size)) == SEGMENT.size:
            number, length = SEGMENT.unpack(head)
            if len(raw := source.read(2 * length)) < 2 * length:
                break
            samples = np.frombuffer(raw, '<i2').astype(np.float32) / 32768.0
            self._waiting.put((number, samples))
        self._waiting.put(None)
        for thread in threads:
            thread.join()

    def _work(self):
        while taken := self._take():
            begin = time.perf_counter()
            try:
                texts, failed = self._recognise([samples for _, samples in taken]), False
            except Exception as error:  # noqa: BLE001 - told to who asked, who raises it
                texts, failed = [f'{type(error).__name__}: {error}'] * len(taken), True
            spent_ms = 1e3 * (time.perf_counter() - begin)
            with self._writing:
                for (number, _), text in zip(taken, texts, strict=True):
                    raw = text.encode()
                    self._output.write(ANSWER.pack(number, failed, spent_ms, len(raw)) + raw)
                self._output.flush()

    def _take(self):
        """Wait for a segment, and take others that wait; none at the end."""
        taken = [self._waiting.get()]
        with contextlib.suppress(queue.Empty):
            while taken[-1] is not None and len(taken) < self._batch:
                taken.append(self._waiting.get_nowait())
        if taken[-1] is None:  # every thread has to see the end
            self._waiting.put(taken.pop())
        return taken


def main():
    """Load, recognise two seconds of silence, and serve."""
    name, model, *numbers = sys.argv[2:]
    threads, workers, batch, tail = map(int, numbers)
    # The end of the input ends it, a Ctrl-C is for who holds the other end; and what a library
    # prints must not come between the answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)
    recognise = RECOGNISERS[name](model, threads, workers, batch, tail)
    recognise([np.zeros(2 * RATE, np.float32)] * batch)
    output.write(b'ready\n')
    output.flush()
    Server(recognise, batch, output).run(workers, sys.stdin.buffer)


if __name__ == '__main__':
    main()
