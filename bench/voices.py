"""People who speak commands now and then, each at a microphone of his own: many streams at once.

    voices.py FIRST COUNT CROWD

Publishes streams FIRST to FIRST + COUNT of a crowd (a JSON object) in real time, and tells on
standard output how far behind real time it fell. What is said, by whom and when follows from the
crowd alone, so that bench/streams.py knows it too. Between commands there is noise, as of a quiet
room: a microphone never falls silent. No two commands have the same samples, so no cache answers.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE

CHUNK_S = CHUNK_CAPACITY / SAMPLE_RATE
NOISE = 12.0
"""Standard deviation of the noise: -69 dBFS."""
NOISE_S = 20
SHORTEST_GAP_S = 1.5
"""Longer than any hangover: two commands are two utterances."""
LISTENING_S = 5.0
"""Microphones are on for this long before anybody speaks: nobody's room is known at first [s]."""
PACE_S = 0.002
"""Chunks that are due this close together [s] are published with one wake-up."""
REST_S = 2.0
"""Nobody begins what he cannot end this long before the end [s]."""
NAMESPACE = 'asr_streams'


@dataclass(frozen=True)
class Crowd:
    """Who speaks: streams, the share of the time for which each speaks, for how long, and when.

    Attributes:
        commands: path of an .npz with an int16[n] for each command.
        streams: how many.
        duty: share of the time for which a stream speaks, 0 to 1.
        seconds: how long it lasts [s].
        begin: the monotonic clock's time at which it begins [s].
        seed: of what is said when.
    """

    commands: str
    streams: int
    duty: float
    seconds: float
    begin: float
    seed: int = 1

    @cached_property
    def spoken(self):
        """The commands, int16[n] each."""
        with np.load(self.commands) as archive:
            return [archive[name] for name in archive.files]

    @property
    def chunks(self):
        """Chunks of each stream."""
        return int(self.seconds / CHUNK_S)

    def begins(self, stream):
        """When the first sample of a stream is recorded [s]; streams do not speak in step."""
        return self.begin + CHUNK_S * stream / self.streams

    def sequence(self, stream):
        """List (first chunk, number of the command) of what a stream says."""
        random = np.random.default_rng([self.seed, stream])
        mean_s = np.mean([one.size for one in self.spoken]) / SAMPLE_RATE
        gap_s = max(mean_s * (1.0 - self.duty) / self.duty, SHORTEST_GAP_S)
        at, said = LISTENING_S + random.uniform(0.0, gap_s), []
        while True:
            command = int(random.integers(len(self.spoken)))
            first = int(at / CHUNK_S)
            length_s = self.spoken[command].size / SAMPLE_RATE
            if first * CHUNK_S + length_s > self.seconds - REST_S:
                return said
            said.append((first, command))
            at += length_s + max(random.uniform(0.5, 1.5) * gap_s, SHORTEST_GAP_S)


def name_of(stream):
    """Name of a stream."""
    return f'voice_{stream:04}'


class Voice:
    """One stream's samples, chunk by chunk."""

    def __init__(self, crowd, stream, noise):
        """Begin with the first chunk; noise is int16[n], shared by all."""
        self._noise = noise
        self._at = int(np.random.default_rng([crowd.seed, stream, 1]).integers(noise.size))
        self._said = {}
        for first, command in crowd.sequence(stream):
            samples = crowd.spoken[command]
            for index in range(-(-samples.size // CHUNK_CAPACITY)):
                begin = index * CHUNK_CAPACITY
                self._said[first + index] = samples[begin:begin + CHUNK_CAPACITY]

    def write(self, chunk, samples):
        """Write a chunk into int16[CHUNK_CAPACITY]."""
        at = (self._at + chunk * CHUNK_CAPACITY) % (self._noise.size - CHUNK_CAPACITY)
        samples[:] = self._noise[at:at + CHUNK_CAPACITY]
        said = self._said.get(chunk)
        if said is not None:
            # Commands stay far from full scale: the sum does not overflow.
            samples[:said.size] += said


def publish(crowd, first, count):
    """Publish streams in real time; tell how late chunks were [ms], and the processor time."""
    import rclpy

    from xlerobot_asr_interfaces.msg import AudioChunk
    from xlerobot_asr_opt.ros import conversions, names
    from xlerobot_asr_opt.ros.loans import LoanedPublisher

    noise = np.random.default_rng(crowd.seed).normal(0.0, NOISE, NOISE_S * SAMPLE_RATE)
    noise = np.round(noise).astype(np.int16)
    rclpy.init()
    node = rclpy.create_node(f'voices_{first}', namespace=NAMESPACE)
    publisher = LoanedPublisher(node, AudioChunk, names.AUDIO, names.AUDIO_QOS)
    streams = range(first, first + count)
    voices = [Voice(crowd, stream, noise) for stream in streams]
    texts = [name_of(stream).encode().ljust(64, b'\0') for stream in streams]
    texts = [np.frombuffer(text, np.uint8) for text in texts]
    begins = [crowd.begins(stream) for stream in streams]
    print('ready', flush=True)
    late = []
    busy = time.process_time()
    for chunk in range(crowd.chunks):
        for voice, text, begin in zip(voices, texts, begins, strict=True):
            recorded = begin + chunk * CHUNK_S
            wait = recorded + CHUNK_S - time.monotonic()
            if wait > 0.0:
                time.sleep(max(wait, PACE_S))
            late.append(time.monotonic() - recorded - CHUNK_S)
            with publisher.loan() as view:
                view['stream'] = text
                conversions.write_time(view['stamp'], int(recorded * 1e9))
                view['sequence'] = chunk
                view['rate'] = SAMPLE_RATE
                view['channels'] = 1
                view['length'] = CHUNK_CAPACITY
                voice.write(chunk, view['samples'])
    busy = time.process_time() - busy
    print(json.dumps({
        'late_ms': [1e3 * float(np.percentile(late, percent)) for percent in (50, 95, 100)],
        'cores': busy / crowd.seconds, 'refused': publisher.loans_refused}), flush=True)
    sys.stdin.readline()  # a writer stays until its reader has taken everything
    node.destroy_node()
    rclpy.shutdown()


def main():
    """Speak."""
    first, count, crowd = sys.argv[1:]
    publish(Crowd(**json.loads(crowd)), int(first), int(count))


def speakers_line(crowd, first, count):
    """The command line of the process that publishes some streams of a crowd."""
    return [sys.executable, str(Path(__file__)), str(first), str(count),
            json.dumps(asdict(crowd))]


if __name__ == '__main__':
    main()
