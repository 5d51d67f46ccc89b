"""SenseVoice's graph: its inputs, its features and what it can be told.

sherpa-onnx's export (scripts/sense-voice/export-onnx.py) and FunASR's name the inputs differently;
the static export for accelerators (rknn/export-onnx.py) takes one length, and the prompt at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.ctc_checks import check_features, integer_of, number
from xlerobot_asr_opt.models.ctc_files import Cmvn, Frontend, Inputs, Prompt

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from xlerobot_asr_opt.models.onnx_signature import Signature

__all__ = [
    'is_sense_voice', 'read_mvn', 'sense_voice_frontend', 'sense_voice_inputs',
    'sense_voice_prompt',
]

_LAYOUTS = (
    Inputs(features='x', length='x_length', language='language', text_norm='text_norm',
           logits='logits'),
    Inputs(features='speech', length='speech_lengths', language='language', text_norm='textnorm',
           logits='ctc_logits'),
    Inputs(features='x', prompt='prompt', logits='logits'),
)
_LANGUAGES = {'zh': 3, 'en': 4, 'yue': 7, 'ja': 11, 'ko': 12}
"""Codes with FunASR's ids, for a graph whose metadata do not say them."""
_BINS = 80


def is_sense_voice(signature: Signature) -> bool:
    """Whether a graph without metadata has the inputs of a SenseVoice."""
    return any(set(_names(layout)) == set(signature.inputs) for layout in _LAYOUTS)


def _names(layout: Inputs) -> list[str]:
    return [name for name in (layout.features, layout.length, layout.language, layout.text_norm,
                              layout.prompt) if name]


def sense_voice_inputs(graph: Path, signature: Signature) -> Inputs:
    """How the graph is fed.

    Raises:
        ModelError: it is none of the three exports.
    """
    for layout in _LAYOUTS:
        if (set(_names(layout)) == set(signature.inputs)
                and layout.logits in signature.outputs):
            features = signature.inputs[layout.features]
            check_features(graph, features)
            frames = features.shape[1]
            integers = {integer_of(graph, signature.inputs[name])
                        for name in _names(layout) if name != layout.features}
            if len(integers) > 1:
                raise ModelError(f'{graph}: its inputs mix int32 and int64, expected one of them')
            return Inputs(
                layout.features, layout.logits, layout.length, layout.language, layout.text_norm,
                layout.prompt, integer=integers.pop(),
                frames=frames if isinstance(frames, int) and frames > 0 else 0)
    expected = '; or '.join(', '.join(_names(layout)) for layout in _LAYOUTS)
    raise ModelError(
        f'{graph}: not a SenseVoice: expected the inputs {expected}; it has the inputs '
        f'{", ".join(signature.inputs)} and the outputs {", ".join(signature.outputs)}')


def sense_voice_prompt(graph: Path, signature: Signature) -> Prompt:
    """What the model can be told, by its metadata, or by FunASR's numbering without them."""
    return Prompt(
        languages=tuple((code, number(graph, signature, f'lang_{code}', default))
                        for code, default in _LANGUAGES.items()),
        automatic=number(graph, signature, 'lang_auto', 0),
        with_itn=number(graph, signature, 'with_itn', 14),
        without_itn=number(graph, signature, 'without_itn', 15))


def sense_voice_frontend(graph: Path, signature: Signature, inputs: Inputs) -> Frontend:
    """How its features are made; the static export normalises them itself.

    Raises:
        ModelError: neither the metadata nor am.mvn say the normalisation, or its length is wrong.
    """
    stack = number(graph, signature, 'lfr_window_size', 7)
    shift = number(graph, signature, 'lfr_window_shift', 6)
    if stack < 1 or shift < 1:
        raise ModelError(
            f'{graph}: its metadata stack {stack} frames every {shift}, expected 1 or more')
    width = signature.inputs[inputs.features].shape[2]
    if isinstance(width, int) and width > 0 and width != _BINS * stack:
        raise ModelError(
            f'{graph}: takes features of width {width}, expected {_BINS} bands in {stack} frames')
    scaled = number(graph, signature, 'normalize_samples', 0)
    return Frontend(
        scale=1.0 if scaled else 32768.0, window='hamming', low=20.0, high=0.0, snip_edges=True,
        remove_dc_offset=True, librosa=False, bins=_BINS, stack=stack, shift=shift,
        cmvn=_cmvn(graph, signature, inputs, _BINS * stack))


def _cmvn(graph: Path, signature: Signature, inputs: Inputs, width: int) -> Cmvn | None:
    metadata, mvn = signature.metadata, graph.with_name('am.mvn')
    if 'neg_mean' in metadata or 'inv_stddev' in metadata:
        rows = [_floats(graph, key, metadata.get(key, '').split(','))
                for key in ('neg_mean', 'inv_stddev')]
    elif inputs.prompt:
        return None
    elif mvn.is_file():
        rows = read_mvn(mvn)
    else:
        raise ModelError(
            f'{graph}: its metadata have no neg_mean and no inv_stddev, and there is no am.mvn '
            'beside it; take it from where the model is from')
    if [row.size for row in rows] != [width, width]:
        raise ModelError(
            f'{graph}: its normalisation has {" and ".join(str(row.size) for row in rows)} '
            f'numbers, expected {width} twice')
    return Cmvn(*rows)


def read_mvn(path: Path) -> list[npt.NDArray[np.float32]]:
    """Shift and scale out of Kaldi's am.mvn.

    Returns:
        Two of float32[n].

    Raises:
        ModelError: it cannot be read, or is something else.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f'{path}: cannot be read: {error}; get it again') from error
    # <LearnRateCoef> 0 [ numbers ], once for the shift and once for the scale.
    rows = [line.split()[3:-1] for line in lines if line.startswith('<LearnRateCoef>')]
    if len(rows) != 2:
        raise ModelError(f'{path}: got {len(rows)} rows of numbers, expected shift and scale')
    return [_floats(path, 'a row', row) for row in rows]


def _floats(path: Path, what: str, texts: list[str]) -> npt.NDArray[np.float32]:
    try:
        row = np.array([float(text) for text in texts], np.float32)
    except ValueError as error:
        raise ModelError(f'{path}: {what} holds no numbers: {error}') from error
    if not np.isfinite(row).all():
        raise ModelError(f'{path}: {what} holds numbers that are not finite')
    return row
