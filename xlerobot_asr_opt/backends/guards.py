"""What tells a text that was said from one that the model made up.

The measures and their default thresholds are Whisper's: no-speech probability, mean
log-probability, compression ratio (whisper/transcribe.py). The second threshold of the no-speech
probability is this package's own: docs/adapters.md has what it was chosen by.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xlerobot_asr_opt.backends.decoding import Stop

if TYPE_CHECKING:
    from xlerobot_asr_opt.backends.decoding import Decoded

__all__ = ['Thresholds', 'compression_ratio', 'doubt', 'silence']


_SURE = -0.5
"""Mean log-probability above which a text stays, however likely it is that nobody spoke."""


@dataclass(frozen=True)
class Thresholds:
    """Where the measures begin to tell; as the parameters of the same meaning.

    Attributes:
        no_speech: no-speech probability above which an unsure text is dropped.
        log_probability: mean log-probability below which a text is unsure.
        compression: compression ratio above which a text repeats itself.
        noise: no-speech probability above which any text is dropped that is not sure.
    """

    no_speech: float = 0.6
    log_probability: float = -1.0
    compression: float = 2.4
    noise: float = 0.8


def compression_ratio(text: str) -> float:
    """Bytes of a text over its bytes when compressed; 0 for an empty text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))


def silence(text: str, decoded: Decoded, thresholds: Thresholds) -> str:
    """Say why a text means that nobody spoke; empty if somebody did."""
    if not any(character.isalnum() for character in text):
        return 'no words'
    unsure = decoded.mean_log_probability < thresholds.log_probability
    not_sure = decoded.mean_log_probability < _SURE
    if ((unsure and decoded.no_speech_probability > thresholds.no_speech)
            or (not_sure and decoded.no_speech_probability > thresholds.noise)):
        return (f'no-speech probability {decoded.no_speech_probability:.2f} '
                f'and mean log-probability {decoded.mean_log_probability:.2f}')
    return ''


def doubt(text: str, decoded: Decoded, thresholds: Thresholds) -> str:
    """Say why a text may not be what was said; empty for no doubt."""
    if decoded.stop is Stop.LOOP:
        return 'the decoder ran in a loop'
    if decoded.stop is Stop.LENGTH:
        return f'cut after {len(decoded.tokens)} tokens'
    ratio = compression_ratio(text)
    if ratio > thresholds.compression:
        return f'compression ratio {ratio:.2f}'
    if decoded.mean_log_probability < thresholds.log_probability:
        return f'mean log-probability {decoded.mean_log_probability:.2f}'
    return ''
