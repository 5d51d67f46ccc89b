"""In which order the backends of a chain are asked: as given, or by what they were measured."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.routing import Figures, fastest_first, word_errors, words
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xlerobot_asr_opt.backends.base import Samples
    from xlerobot_asr_opt.backends.link import Link

__all__ = ['Routes']

_log = logging.getLogger(__name__)


class Routes:
    """The order of the backends for each length; as given, until it is measured.

    Args:
        links: in order of preference.
    """

    def __init__(self, links: tuple[Link, ...]) -> None:
        self._links = links
        self._measured: tuple[tuple[int, tuple[Link, ...]], ...] = ()

    def order(self, length: int) -> tuple[Link, ...]:
        """All backends, in the order in which they are asked for so many samples."""
        if not self._measured:
            return self._links
        return next((links for longest, links in self._measured if length <= longest),
                    self._measured[-1][1])

    def measure(
        self, speech: Sequence[tuple[Samples, str]], accuracy_loss: float, timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Have all of them recognise what is known, and put them in order.

        Args:
            speech: utterances with their texts, the shortest first; each stands for all up to
                its length in whole seconds.
            accuracy_loss: as in core/routing.py.
            timeout_s: longest time for one utterance [s].
            clock: seconds, monotonic.
        """
        figures = [_measure(link, speech, timeout_s, clock) for link in self._links]
        orders = fastest_first(figures, accuracy_loss)
        self._measured = tuple(
            (_whole_seconds(len(samples)), tuple(self._links[number] for number in order))
            for (samples, _), order in zip(speech, orders, strict=True))
        for at, (length, links) in enumerate(self._measured):
            told = (f'{link.name} {one.times_ms[at]:.0f} ms'
                    for link, one in zip(self._links, figures, strict=True)
                    if one.times_ms[at] < math.inf)
            _log.info('up to %g s: %s; measured: %s', length / SAMPLE_RATE,
                      ', '.join(link.name for link in links), ', '.join(told))
        _log.info('words wrong: %s', ', '.join(
            f'{link.name} {one.errors} of {one.words}'
            for link, one in zip(self._links, figures, strict=True)))


def _whole_seconds(samples: int) -> int:
    return -(-samples // SAMPLE_RATE) * SAMPLE_RATE


def _measure(
    link: Link, speech: Sequence[tuple[Samples, str]], timeout_s: float,
    clock: Callable[[], float],
) -> Figures:
    """Have one backend recognise each utterance twice, and take the shorter time."""
    def once(samples: Samples) -> tuple[float, str]:
        begin = clock()
        text = link.backend.recognise(link.backend.prepare(samples, '')).text
        return 1e3 * (clock() - begin), text

    times_ms, errors, spoken = [], 0, 0
    for samples, text in speech:
        best = math.inf
        if link.can_take(len(samples)) and not link.busy:
            try:
                best, heard = min(
                    link.call(lambda: once(samples), timeout_s)  # noqa: B023 - called at once
                    for _ in range(2))
            except BackendError as error:
                link.failed(error)
            else:
                errors += word_errors(text, heard)
                spoken += len(words(text))
        times_ms.append(best)
    return Figures(tuple(times_ms), errors, spoken)
