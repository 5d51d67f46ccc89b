"""The names of the encodings in which raw samples are written down.

They are GStreamer's: kind, bits, order of the bytes. ALSA's and PortAudio's way of writing them is
understood, too. What is compressed is refused: nothing here decodes it.
"""

from __future__ import annotations

import re

from xlerobot_asr_opt.errors import AudioError

__all__ = ['WIDTHS', 'encoding_named']

WIDTHS = {
    'S8': 1, 'U8': 1,
    **{f'{kind}{order}': width for order in ('LE', 'BE') for kind, width in (
        ('S16', 2), ('S24', 3), ('S24_32', 4), ('S32', 4), ('F32', 4), ('F64', 8))},
}
"""Encoding to the bytes of a sample."""

_NAMED = {re.sub(r'[^A-Z0-9]', '', name): name for name in WIDTHS}
_ALSO = {
    'PCM': 'S16LE', 'RAW': 'S16LE', 'WAV': 'S16LE', 'WAVE': 'S16LE', 'INT8': 'S8', 'UINT8': 'U8',
    'FLOAT': 'F32LE', 'FLOATLE': 'F32LE', 'FLOATBE': 'F32BE', 'FLOAT64LE': 'F64LE',
    'FLOAT64BE': 'F64BE', 'S243LE': 'S24LE', 'S243BE': 'S24BE',
    **{f'{stem}{bits}': f'{kind}{bits}LE' for stem, kind in (
        ('S', 'S'), ('INT', 'S'), ('PCM', 'S'), ('PCMS', 'S')) for bits in (16, 24, 32)},
    **{f'PCMS{bits}{order}': f'S{bits}{order}' for bits in (16, 24, 32) for order in ('LE', 'BE')},
    **{f'{stem}{bits}': f'F{bits}LE' for stem in ('F', 'FLOAT') for bits in (32, 64)},
}
"""Other ways to write them, in capitals, without what is no letter or digit."""


def encoding_named(text: str) -> str:
    """Return the encoding that a text names: S16LE of s16le, S16_LE, int16, PCM or wave.

    Raises:
        AudioError: a compressed one, or one that is not known.
    """
    letters = re.sub(r'[^A-Z0-9]', '', text.upper())
    name = _NAMED.get(letters) or _ALSO.get(letters)
    if name is None:
        raise AudioError(
            f'got audio in the format {text!r}, expected raw samples in one of '
            f'{", ".join(WIDTHS)}; set the publisher to raw samples (format wave, S16LE)')
    return name
