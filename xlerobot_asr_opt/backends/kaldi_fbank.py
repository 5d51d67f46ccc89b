"""Kaldi's log-mel filter bank, stacked and normalised as CTC models want it.

The filter bank is kaldi-native-fbank's, which sherpa-onnx has inside: equal samples give equal
features, to the last bit. Stacking (low frame rate, LFR) and normalisation are FunASR's
(funasr/frontends/wav_frontend.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import kaldi_native_fbank
import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    from xlerobot_asr_opt.backends.base import Samples
    from xlerobot_asr_opt.models.ctc_files import Frontend

__all__ = ['KaldiFbank', 'normalise_bands', 'stack']

Frames = npt.NDArray[np.float32]
"""float32[frames, width]."""

_FULL_SCALE = 32768.0


class KaldiFbank:
    """Makes features of one model; keeps nothing between segments.

    Args:
        frontend: of the model.
    """

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend
        self._options = _options(frontend)

    def __call__(self, samples: Samples) -> Frames:
        """Features of samples.

        Args:
            samples: int16[n] at SAMPLE_RATE.

        Returns:
            float32[frames, width], none for less than one window; refers to samples no more.
        """
        frontend = self._frontend
        frames = self._bands(samples.astype(np.float32) * (frontend.scale / _FULL_SCALE))
        if frontend.normalise and len(frames):
            frames = normalise_bands(frames)
        if frontend.stack > 1 or frontend.shift > 1:
            frames = stack(frames, frontend.stack, frontend.shift)
        if frontend.cmvn is not None:
            frames = (frames + frontend.cmvn.neg_mean) * frontend.cmvn.inv_stddev
        return frames

    def _bands(self, wave: npt.NDArray[np.float32]) -> Frames:
        extractor = kaldi_native_fbank.OnlineFbank(self._options)
        # A list: the library takes an array number by number through Python's protocols, slower.
        extractor.accept_waveform(SAMPLE_RATE, wave.tolist())
        extractor.input_finished()
        count = extractor.num_frames_ready
        bands = np.empty((count, self._frontend.bins), np.float32)
        for index in range(count):
            bands[index] = extractor.get_frame(index)
        return bands


def _options(frontend: Frontend) -> kaldi_native_fbank.FbankOptions:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    # Equal samples must give an equal text: no noise is added.
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = frontend.window
    options.frame_opts.snip_edges = frontend.snip_edges
    options.frame_opts.remove_dc_offset = frontend.remove_dc_offset
    options.mel_opts.num_bins = frontend.bins
    options.mel_opts.low_freq = frontend.low
    options.mel_opts.high_freq = frontend.high
    options.mel_opts.is_librosa = frontend.librosa
    return options


def stack(frames: Frames, size: int, shift: int) -> Frames:
    """Stack frames around every shift-th one; beyond the ends the first and last are repeated.

    Args:
        frames: float32[n, bins].
        size: frames in a stack; (size - 1) // 2 of them come before its centre.
        shift: frames from one centre to the next.

    Returns:
        float32[ceil(n / shift), size * bins].
    """
    count = len(frames)
    if not count:
        return np.empty((0, size * frames.shape[1]), np.float32)
    centres = np.arange(0, count, shift)[:, None]
    offsets = np.arange(size) - (size - 1) // 2
    stacked: Frames = frames[np.clip(centres + offsets, 0, count - 1)]
    return stacked.reshape(len(centres), -1)


def normalise_bands(frames: Frames) -> Frames:
    """Make the mean of each band 0 and its deviation 1, as NeMo's per_feature in sherpa-onnx.

    Args:
        frames: float32[n, bins], n at least 1.
    """
    mean = frames.mean(axis=0, dtype=np.float64)
    variance = np.maximum(np.square(frames, dtype=np.float64).mean(axis=0) - mean * mean, 0.0)
    normalised: npt.NDArray[np.float64] = (frames - mean) / (np.sqrt(variance) + 1e-5)
    return normalised.astype(np.float32)
