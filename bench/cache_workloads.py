"""Workloads of real speech for bench/cache.py: how much of it the cache answers.

A person's recording goes through the core of ingest, the scheduler's and the cache, as the nodes
join them; a worker alone is played: it answers 0.2 s later, in the time of the audio.
"""

import heapq
import itertools
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.cache_system import MultiLevelCacheSystem
from xlerobot_asr_opt.core import dispatch
from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.vad import SileroDetector
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.models.speech import read, two_cities
from xlerobot_asr_opt.parameters import (
    CacheParameters,
    InferenceParameters,
    IngestParameters,
    SchedulerParameters,
)
from xlerobot_asr_opt.records import (
    CHUNK_CAPACITY,
    SAMPLE_RATE,
    Acknowledgement,
    Chunk,
    Recognition,
    RecognitionStatus,
    TranscriptStatus,
    WorkerStatus,
)

INFERENCE_S = 0.2
STORE_BYTES = 64 << 20
PROMPTS, PLAYS = 12, 100
WINDOW = 512
"""Of the voice activity detector [samples]."""


def workloads():
    """Name to the lives of a graph, each a list of (stream, begin [s], samples)."""
    random = np.random.default_rng(0)
    voice = read(asset_path('two_cities'))
    prompts = [one.samples for one in two_cities((2.0, 4.0))][:PROMPTS]
    ranks = 1.0 / np.arange(1, len(prompts) + 1)
    order = random.choice(len(prompts), PLAYS, p=ranks / ranks.sum())
    played = [np.pad(prompts[one], (8000, 16000)) for one in order]
    begins = [0.0, *itertools.accumulate(len(one) / SAMPLE_RATE for one in played)]
    return {
        'a bag, replayed 5 times': [[('bag', 0.0, voice)]] * 5,
        'one source on 4 streams at once': [
            [(f'copy {number}', 0.0, voice) for number in range(4)]],
        '4 microphones, one voice (40 dB)': [
            [(f'microphone {number}', 0.0, heard(voice, 40.0, random)) for number in range(4)]],
        f'{len(prompts)} announcements as files, {PLAYS} times': [
            [(f'file {at}', begin, samples)
             for at, (begin, samples) in enumerate(zip(begins, played, strict=False))]],
        'the same in one stream that goes on': [
            [('speaker', 0.0, in_a_row(played, 1, random))]],
        'the same, each begun at a whole window of the VAD': [
            [('speaker', 0.0, in_a_row(played, WINDOW, random))]],
        'the same through the air (30 dB)': [
            [('microphone', 0.0, heard(np.concatenate(played), 30.0, random))]],
        'live: a person says the same 5 times (30 dB)': [
            [('microphone', 0.0, heard(voice, 30.0, random))] for _ in range(5)],
    }


def in_a_row(pieces, step, random):
    """One recording of all, each followed by silence of any length, in whole steps."""
    lengths = [int(random.integers(8000)) for _ in pieces]
    return np.concatenate([
        np.pad(one, (0, length + -(len(one) + length) % step))
        for one, length in zip(pieces, lengths, strict=True)])


def heard(samples, ratio_db, random):
    """What a microphone makes of it: noise of its own, at this ratio to the speech."""
    level = np.sqrt(np.mean(np.square(samples[samples != 0], dtype=float)))
    noise = random.normal(0.0, level * 10 ** (-ratio_db / 20), len(samples))
    return np.clip(np.rint(samples + noise), -32768, 32767).astype(np.int16)


def recogniser():
    """The digest of whisper-tiny.en as the inference node has it by default."""
    backend = WhisperBackend(InferenceParameters())
    backend.load()
    digest = backend.digest
    backend.close()
    return digest


def answered(lives, digest):
    """Play a workload; count the transcripts by where their text comes from."""
    counts = Counter()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with MultiLevelCacheSystem(CacheParameters(directory=str(folder / 'cache'))) as cache:
            for number, streams in enumerate(lives):
                counts += Graph(folder / f'{number}.store', cache, digest).play(streams)
    return counts


class Graph:
    """Ingest, the dispatcher and the cache, joined as the nodes join them."""

    def __init__(self, path, cache, digest):
        """Begin with one worker and no stream."""
        self.now = 0.0
        self.cache, self.digest = cache, digest
        self.counts = Counter()
        self.running = []
        self.store = SegmentStore(path, STORE_BYTES)
        detector = SileroDetector(asset_path('silero-vad'))
        self.ingest = Ingest(IngestParameters(), self.store, detector, lambda: self.now)
        self.dispatcher = dispatch.Dispatcher(SchedulerParameters(), lambda: self.now)
        self.carry_out(self.dispatcher.on_worker(
            WorkerStatus('worker', 1, True, 2, 30 * SAMPLE_RATE, digest)))

    def play(self, streams):
        """Hear all streams in their time; return the counts."""
        for self.now, stream, samples, sequence, is_last in in_time(streams):
            self.work()
            if sequence == 0:
                self.ingest.open(stream)
            tickets = self.ingest.accept(Chunk(
                stream, sequence, int(self.now * 1e9), SAMPLE_RATE, 1, samples))
            if is_last:
                tickets += self.ingest.finish(stream)
            for ticket in tickets:
                self.carry_out(self.dispatcher.on_ticket(ticket))
        while self.running:
            self.now = self.running[0][0]
            self.work()
        self.store.close()
        return self.counts

    def work(self):
        """Give the answers that are due."""
        while self.running and self.running[0][0] <= self.now:
            _, _, grant = heapq.heappop(self.running)
            self.carry_out(self.dispatcher.on_recognition(Recognition(
                grant.segment, grant.attempt, 'worker', RecognitionStatus.DONE, text='said',
                recogniser=self.digest)))

    def carry_out(self, actions):
        """Do what the dispatcher decides."""
        for action in actions:
            if isinstance(action, dispatch.LookUp):
                hit = self.cache.look_up(action.key)
                told = (hit.value, hit.level) if hit else (None, '')
                self.carry_out(self.dispatcher.on_cache(action.segment, *told))
            elif isinstance(action, dispatch.Store):
                self.cache.store(action.key, action.value)
            elif isinstance(action, dispatch.Send):
                grant = action.grant
                heapq.heappush(
                    self.running, (self.now + INFERENCE_S, grant.segment, grant))
            elif isinstance(action, dispatch.Publish):
                self.counts[action.transcript.cache] += 1
            else:
                self.ingest.acknowledge(Acknowledgement(
                    action.acknowledgement.segment, TranscriptStatus.DONE))


def in_time(streams):
    """Every chunk of every stream when it is over: (time, stream, samples, sequence, is last)."""
    chunks = []
    for stream, begin, samples in streams:
        pieces = np.split(samples, range(CHUNK_CAPACITY, len(samples), CHUNK_CAPACITY))
        for sequence, piece in enumerate(pieces):
            at = begin + (sequence + 1) * CHUNK_CAPACITY / SAMPLE_RATE
            chunks.append((at, stream, piece, sequence, sequence == len(pieces) - 1))
    return sorted(chunks, key=lambda chunk: chunk[0])
