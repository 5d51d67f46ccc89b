"""Recordings without a word, made by rule: noise, hum, claps, and what sounds like music."""

import numpy as np

from xlerobot_asr_opt.records import SAMPLE_RATE

__all__ = ['NOISES', 'noise']

PEAK = 9000.0


def _times(seconds):
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _coloured(seconds, generator, slope):
    """Noise whose power falls with this power of the frequency: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(generator.normal(size=round(seconds * SAMPLE_RATE)))
    hertz = np.fft.rfftfreq(round(seconds * SAMPLE_RATE), 1 / SAMPLE_RATE)
    spectrum *= np.maximum(hertz, 20.0) ** (-slope / 2)
    return np.fft.irfft(spectrum, round(seconds * SAMPLE_RATE))


def _hum(seconds, base):
    """Mains, with its harmonics."""
    return sum(np.sin(2 * np.pi * base * k * _times(seconds)) / k for k in (1, 2, 3, 4, 5, 7))


def _claps(seconds, generator):
    """Bursts of 60 ms, 0.7 s apart, in a quiet room."""
    made = generator.normal(size=round(seconds * SAMPLE_RATE)) * 0.003
    burst = np.exp(-_times(0.06) / 0.012)
    for at in range(SAMPLE_RATE // 3, made.size - burst.size, 7 * SAMPLE_RATE // 10):
        made[at:at + burst.size] += generator.normal(size=burst.size) * burst
    return made


def _note(hertz, seconds):
    """A plucked string: eight partials that fade."""
    times = _times(seconds)
    return np.exp(-2 * times) * sum(
        np.sin(2 * np.pi * k * hertz * times) / k ** 1.2 for k in range(1, 9))


def _music(seconds, steps, chord, length):
    """Notes one after the other, in semitones above 220 Hz, each with those of a chord."""
    notes = [sum(_note(220 * 2 ** ((step + third) / 12), length) for third in chord)
             for step in steps]
    whole = np.concatenate(notes)
    return np.resize(whole, round(seconds * SAMPLE_RATE))


def _sweep(seconds):
    times = _times(seconds)
    return np.sin(2 * np.pi * (100 * times + 2900 / (2 * seconds) * times**2))


def _beeps(times):
    return np.sin(2000 * np.pi * times) * (times % 1 < 0.2)


def _motor(seconds, generator):
    """A square wave of 87 Hz that beats, in noise."""
    times = _times(seconds)
    beat = np.sign(np.sin(2 * np.pi * 87 * times)) * (1 + 0.3 * np.sin(6 * np.pi * times))
    return beat + generator.normal(size=times.size) * 0.5


NOISES = {
    'silence': lambda seconds, _: np.zeros(round(seconds * SAMPLE_RATE)),
    'white noise': lambda seconds, generator: _coloured(seconds, generator, 0),
    'pink noise': lambda seconds, generator: _coloured(seconds, generator, 1),
    'brown noise': lambda seconds, generator: _coloured(seconds, generator, 2),
    'hum of 50 Hz': lambda seconds, _: _hum(seconds, 50),
    'hum of 60 Hz': lambda seconds, _: _hum(seconds, 60),
    'claps': _claps,
    'a melody': lambda seconds, _: _music(seconds, (12, 14, 16, 17, 19, 17, 16, 14), (0,), 0.4),
    'chords': lambda seconds, _: _music(seconds, (0, 5, 7, 0), (0, 4, 7), 1.0),
    'a sweep': lambda seconds, _: _sweep(seconds),
    'beeps': lambda seconds, _: _beeps(_times(seconds)),
    'a motor': _motor,
}
"""Name to what makes float64[n] of a length [s], with a generator of random numbers."""


def noise(name, seconds, peak=PEAK, seed=0):
    """Make int16[n] of one of NOISES, as loud as the peak says."""
    made = NOISES[name](seconds, np.random.default_rng(seed))
    loudest = np.abs(made).max()
    return (made * (peak / loudest if loudest else 0.0)).astype(np.int16)
