"""What a recogniser needs to know of a CTC model on disk, whatever made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ['Cmvn', 'CtcFamily', 'CtcFiles', 'Frontend', 'Inputs', 'Prompt']

CtcFamily = Literal['sense_voice', 'nemo_ctc', 'zipformer_ctc', 'wenet_ctc']


@dataclass(frozen=True)
class Cmvn:
    """Global normalisation of features, (x + neg_mean) * inv_stddev; each float32[width]."""

    neg_mean: npt.NDArray[np.float32]
    inv_stddev: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frontend:
    """How samples become features: Kaldi's filter bank, 25 ms every 10 ms, without dither.

    Attributes:
        scale: what samples of -1 to 1 are multiplied by: 32768 or 1.
        window: name of the window, as kaldi-native-fbank knows it.
        low: begin of the lowest mel band [Hz].
        high: end of the highest mel band [Hz]; 0 or less: so far below half the sample rate.
        snip_edges: only whole windows; else the edges are mirrored.
        remove_dc_offset: subtract the mean of each window.
        librosa: librosa's mel filters instead of Kaldi's.
        bins: mel bands.
        stack: frames that are stacked into one (LFR); 1: none.
        shift: frames from one stack to the next.
        normalise: each band of a segment is made zero in mean and one in deviation.
        cmvn: applied to the stacked features; None: not at all, or within the graph.
    """

    scale: float
    window: str
    low: float
    high: float
    snip_edges: bool
    remove_dc_offset: bool
    librosa: bool
    bins: int = 80
    stack: int = 1
    shift: int = 1
    normalise: bool = False
    cmvn: Cmvn | None = None

    @property
    def width(self) -> int:
        """Numbers in one frame of features."""
        return self.bins * self.stack


@dataclass(frozen=True)
class Prompt:
    """What SenseVoice is told before the features: four embeddings, each with an output frame.

    Attributes:
        languages: pairs of ISO 639 code and id.
        automatic: id of the language that the model is to detect.
        with_itn: id of normalised text: punctuation, numbers in digits.
        without_itn: id of the words alone.
    """

    languages: tuple[tuple[str, int], ...]
    automatic: int
    with_itn: int
    without_itn: int

    FRAMES = 4


@dataclass(frozen=True)
class Inputs:
    """Names of the graph's inputs and outputs, by what they carry; empty: it has none.

    Attributes:
        features: float32[1, T, width], or [1, width, T] where transposed.
        length: int[1], frames of features.
        language: int32[1] of Prompt.
        text_norm: int32[1] of Prompt.
        prompt: int32[4], all of the prompt at once.
        logits: float32[1, T', V], logits or log-probabilities.
        logits_length: int[1], frames of logits that count.
        integer: NumPy's name of the integers that length takes.
        transposed: features come with the bands before the frames.
        frames: the only T that the graph takes, filled up with zeros; 0: any.
    """

    features: str
    logits: str
    length: str = ''
    language: str = ''
    text_norm: str = ''
    prompt: str = ''
    logits_length: str = ''
    integer: Literal['int32', 'int64'] = 'int32'
    transposed: bool = False
    frames: int = 0


@dataclass(frozen=True)
class CtcFiles:
    """A CTC model that lies on disk and was checked.

    Attributes:
        name: name in the catalog, or of its directory.
        family: who trained it, which tells how it is fed.
        graph: the .onnx file.
        pieces: text of each token by its number, as the file of tokens says it.
        blank: number of the token that writes nothing.
        frontend: how its features are made.
        inputs: how its graph is fed.
        subsampling: frames of 10 ms for each frame of logits.
        prompt: of SenseVoice; None: the graph takes features alone.
        digest: BLAKE2b-256 over names and hashes of all its files.
    """

    name: str
    family: CtcFamily
    graph: Path
    pieces: tuple[str, ...]
    blank: int
    frontend: Frontend
    inputs: Inputs
    subsampling: int
    prompt: Prompt | None
    digest: bytes

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639 codes that the model can be asked for; empty: the files do not tell."""
        return tuple(code for code, _ in self.prompt.languages) if self.prompt else ()

    @property
    def multilingual(self) -> bool:
        """Whether it can be told a language."""
        return len(self.languages) > 1

    @property
    def layout(self) -> str:
        """What ModelFiles.layout is to a Whisper."""
        return 'static' if self.inputs.frames else 'ctc'
