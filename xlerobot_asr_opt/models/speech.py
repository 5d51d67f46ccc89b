"""Utterances of people, with what they said, and the word error rate against it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.core.segmenter import Begin, Cutting, End, Segmenter, Split
from xlerobot_asr_opt.core.vad import CONTEXT, FRAME, WINDOW, SileroDetector
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.records import SAMPLE_RATE
from xlerobot_asr_opt.sources.file import AudioFile

__all__ = ['Samples', 'Utterance', 'errors', 'from_folder', 'two_cities', 'words']

SHORTEST_S, LONGEST_S = 2.0, 6.0
PAUSE_S = 0.2

Samples = npt.NDArray[np.int16]
Between = tuple[float, float]
"""Shortest and longest utterance that is taken [s]."""

TWO_CITIES = (
    (2.0, 'it was the best of times'), (3.8, 'it was the worst of times'),
    (5.7, 'it was the age of wisdom'), (7.5, 'it was the age of foolishness'),
    (9.6, 'it was the epoch of belief'), (11.8, 'it was the epoch of incredulity'),
    (14.1, 'it was the season of light'), (16.0, 'it was the season of darkness'),
    (18.1, 'it was the spring of hope'), (19.9, 'it was the winter of despair'),
    (21.8, 'we had everything before us'), (23.4, 'we had nothing before us'),
    (25.3, 'we were all going direct to heaven'),
    (27.4, 'we were all going direct the other way'),
    (29.4, 'in short'), (31.2, 'the period was so far like the present period'),
    (34.7, 'that some of its noisiest authorities insisted on its being received'),
    (39.4, 'for good or for evil in the superlative degree of comparison only'),
)
"""Charles Dickens, A Tale of Two Cities (1859), and when each phrase is in mid-air [s]."""

NUMBERS = dict(zip('0123456789', (
    'zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'), strict=True))


@dataclass(frozen=True)
class Utterance:
    """int16[n] at SAMPLE_RATE, and the words that were said."""

    samples: Samples
    words: list[str]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / SAMPLE_RATE


def two_cities(between: Between = (SHORTEST_S, LONGEST_S)) -> list[Utterance]:
    """Cut the demo's recording at its pauses: every run of phrases that is not too short or long.

    The segments that ingest makes of it by default are among them, sample for sample.

    Raises:
        ModelError: two_cities or silero-vad is not fetched.
    """
    samples = read(asset_path('two_cities'))
    pieces = cut(samples)
    runs = [(begin, end) for first, (begin, _) in enumerate(pieces) for _, end in pieces[first:]]
    return [
        Utterance(samples[begin:end], words(' '.join(
            text for at, text in TWO_CITIES if begin <= at * SAMPLE_RATE < end)))
        for begin, end in runs if _usable(end - begin, between)]


def from_folder(
    folder: Path, texts: Path, between: Between = (SHORTEST_S, LONGEST_S),
) -> list[Utterance]:
    """Read the recordings of a folder whose text is known.

    Args:
        folder: WAV files, in folders of their own or not.
        texts: a file with a line ``name: text`` for each, the name without its ending.
        between: shortest and longest utterance that is taken [s].
    """
    said = dict(re.findall(r'^([^\s;:]+):[ \t]*(.+)$', _text(texts), re.MULTILINE))
    found = []
    for path in sorted(Path(folder).rglob('*.wav')):
        text = said.get(path.relative_to(folder).with_suffix('').as_posix(), '')
        # Brackets and the like tell of noises, and of words that are not said as written.
        if text and not re.search(r'[\[(<*#]', text):
            samples = read(path)
            if _usable(len(samples), between):
                found.append(Utterance(samples, words(text)))
    return found


def read(path: Path) -> Samples:
    """Read a recording as int16[n] at SAMPLE_RATE, by ingest's own resampler.

    Raises:
        SourceError: it is no recording.
    """
    file = AudioFile(path)
    resampler = Resampler(file.rate, file.channels)
    pieces = [resampler.push(chunk.samples).copy() for chunk in file.chunks('', 0)]
    return np.concatenate([*pieces, resampler.flush()])


def cut(samples: Samples) -> list[tuple[int, int]]:
    """Cut a recording as ingest does, at shorter pauses; return (begin, end) of each piece."""
    cutting = Cutting(hangover=round(PAUSE_S * SAMPLE_RATE), longest=int(LONGEST_S * SAMPLE_RATE))
    whole = samples.size - samples.size % WINDOW
    windows = samples[:whole].reshape(-1, WINDOW)
    probabilities = speech_probabilities(samples).tolist()
    segmenter = Segmenter(cutting, lambda begin, end: samples[begin:end])
    events = segmenter.hear(0, windows, probabilities[:len(windows)])
    events += segmenter.finish(whole, samples[whole:], probabilities[-1])
    pieces, begin = [], 0
    for event in events:
        if isinstance(event, (Split, End)):
            pieces.append((begin, event.at))
        if isinstance(event, (Begin, Split)):
            begin = event.at
    return pieces


def speech_probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """Judge every window of a recording by silero-vad, float32[windows]; the last one is padded.

    Raises:
        ModelError: silero-vad is not fetched.
    """
    padded = np.pad(samples, (CONTEXT, -samples.size % WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::WINDOW]
    tracks = SileroDetector(asset_path('silero-vad')).tracks(1)
    return tracks.probabilities(np.zeros(1, np.int64), frames[:, None])[:, 0]


def words(text: str) -> list[str]:
    """Split a text into words that can be compared: lower case, no marks, digits spelled out."""
    text = re.sub(r'\d', lambda digit: f' {NUMBERS[digit[0]]} ', text.lower())
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text)


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Count the words to replace, leave out or put in (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def _usable(samples: int, between: Between) -> bool:
    return between[0] <= samples / SAMPLE_RATE <= between[1]


def _text(path: Path) -> str:
    """The text of a file; Debian compresses what lies beside a package's documentation."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == '.gz' else content).decode()
