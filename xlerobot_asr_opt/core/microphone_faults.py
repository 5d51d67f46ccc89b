"""What can be wrong with a microphone, how it is told from samples and stamps, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import FULL_SCALE, count_clipped, is_silent, level_dbfs, peaks
from xlerobot_asr_opt.core.clocks import NS
from xlerobot_asr_opt.records import Fault

__all__ = ['OFFSET', 'REMEDIES', 'Ailment', 'ChannelWatch', 'RateWatch', 'ailments', 'faults_in']

OFFSET = 0.05 * FULL_SCALE
"""Mean of the samples, either way, from which it counts as an offset."""
_QUIETEST_DBFS = -70.0
"""A microphone that hears a person, or a room at all, is louder."""
_WINDOW_NS = 10 * NS
"""Over which a rate is told from stamps."""
_CHECKED_ERROR = 0.05
"""Of a rate that is measured in a few seconds, by the clock of this machine."""
_WINDOWS = 3
_RATE_ERROR = 0.02
_DEVICE_RATES = (8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000,
                 192_000)

REMEDIES = {
    Fault.SILENT: 'digitally silent, a muted or unplugged microphone: unmute it (alsamixer, F4), '
                  'plug it in, or choose another (xlerobot-asr devices)',
    Fault.CLIPPING: 'clipping, it is too loud: lower the gain, or the boost, of the microphone '
                    '(alsamixer, F4)',
    Fault.OFFSET: 'its samples have an offset, which takes from its range: look at the cable and '
                  'its power supply, or put a high-pass in front of it',
    Fault.RATE: 'it does not bring as many samples a second as it says: set the rate of what '
                'publishes it to that of the device',
    Fault.CHANNEL: 'a channel is dead: look at its capsule and cable, or record without it',
    Fault.ABSENT: 'it is open and brings nothing: plug it in again, or end the program that '
                  'holds it (fuser /dev/snd/*)',
}
"""Fault to what it is, and what to do."""


class Ailment(NamedTuple):
    """One thing that is wrong: which fault, what was measured, what to do."""

    fault: Fault
    text: str
    remedy: str


def faults_in(faults: Fault) -> Iterable[Fault]:
    """List the faults that are added up."""
    return [fault for fault in REMEDIES if fault in faults]


def ailments(
    samples: npt.NDArray[np.int16], rate: int, seconds: float,
) -> list[Ailment]:
    """Say what is wrong with a microphone, by a few seconds of what it gave.

    Args:
        samples: int16[frames, channels].
        rate: that it says [Hz].
        seconds: for which it was listened to; 0: not known.
    """
    if not samples.size:
        return [_ailment(Fault.ABSENT, f'no audio in {seconds:.1f} s')]
    loudest = peaks(samples.T)
    if is_silent(loudest).all():
        return [_ailment(Fault.SILENT, f'not one sound in {seconds:.1f} s')]
    found = []
    dead = np.flatnonzero(is_silent(loudest)) + 1
    if dead.size:
        found.append(_ailment(
            Fault.CHANNEL, f'no sound on channel {", ".join(map(str, dead))} of '
                           f'{samples.shape[1]}'))
    clipped = count_clipped(samples)
    if clipped:
        found.append(_ailment(Fault.CLIPPING, f'{clipped} samples at full scale'))
    means = samples.mean(axis=0)
    if np.abs(means).max() > OFFSET:
        worst = means[np.abs(means).argmax()] / FULL_SCALE
        found.append(_ailment(Fault.OFFSET, f'a mean of {worst:+.1%} of full scale'))
    measured = samples.shape[0] / seconds if seconds else float(rate)
    if abs(measured / rate - 1.0) > _CHECKED_ERROR:
        found.append(_ailment(
            Fault.RATE, f'{measured:.0f} samples a second, where {rate} are said'))
    level = level_dbfs((samples - means.astype(np.int16)).ravel())
    if level < _QUIETEST_DBFS:
        found.append(Ailment(
            Fault.NONE, f'a level of {level:.0f} dBFS',
            'hardly a room can be heard: raise the gain (alsamixer, F4), and say something'))
    return found


def _ailment(fault: Fault, text: str) -> Ailment:
    return Ailment(fault, text, REMEDIES[fault])


class ChannelWatch:
    """Finds channels of one stream that are digitally silent while others are not.

    Attributes:
        count: of the channels.
        dead: numbers of the channels, the first is 1.
    """

    def __init__(self, channels: int, warning_s: float) -> None:
        """Watch so many channels; warning_s: silence of this length counts [s]."""
        self.count = channels
        self._warning_s = warning_s
        self._silent_s: npt.NDArray[np.float64] = np.zeros(channels)
        self.dead: list[int] = []

    def hear(self, samples: npt.NDArray[np.int16], seconds: float) -> str:
        """Take the next int16[frames, channels]; say what should be told; empty for nothing."""
        silent = is_silent(peaks(samples.T))
        if silent.all():
            return ''  # of all channels together, others tell
        self._silent_s = np.where(silent, self._silent_s + seconds, 0.0)
        before = self.dead
        self.dead = (np.flatnonzero(self._silent_s >= self._warning_s) + 1).tolist()
        if not set(self.dead) - set(before):
            return ''
        return (f'{REMEDIES[Fault.CHANNEL]} (no sound on {", ".join(map(str, self.dead))} of '
                f'{silent.size} for {self._warning_s:.0f} s)')


class RateWatch:
    """Tells from sequence and stamps of one stream whether its rate is what it says.

    Looked at about once a second. A rate counts as wrong if some windows in a row show the same
    other one, of those that devices have: what pauses of a publisher show is hardly ever one.

    Attributes:
        wrong: whether it is.
    """

    def __init__(self) -> None:
        self.wrong = False
        self._from: tuple[int, int, int] | None = None
        self._at = 0
        self._shown = 0
        self._times = 0

    def see(self, sequence: int, stamp_ns: int, length_ns: int, rate: int) -> str:
        """Look at the newest chunk of the stream; say what should be told; empty for nothing."""
        stands_still, self._at = sequence == self._at, sequence
        begun = self._from
        if (begun is None or stands_still or stamp_ns == 0 or sequence < begun[0]
                or abs(length_ns - begun[2]) * 100 > length_ns):
            self._from = (sequence, stamp_ns, length_ns) if stamp_ns else None
            return ''
        said_ns, passed_ns = (sequence - begun[0]) * length_ns, stamp_ns - begun[1]
        if max(said_ns, passed_ns) < _WINDOW_NS or passed_ns <= 0:
            return ''
        self._from = sequence, stamp_ns, length_ns
        shown = _device_rate(rate * said_ns / passed_ns, rate)
        self._times = self._times + 1 if shown == self._shown else 1
        self._shown = shown
        told, self.wrong = self.wrong, shown not in (0, rate) and self._times >= _WINDOWS
        if told or not self.wrong:
            return ''
        return f'{REMEDIES[Fault.RATE]} (its stamps show {shown} Hz, it says {rate})'


def _device_rate(measured: float, said: int) -> int:
    """Return the rate that a device may have and that was measured; 0: none of them."""
    return next((rate for rate in (said, *_DEVICE_RATES)
                 if abs(measured / rate - 1.0) <= _RATE_ERROR), 0)
