"""Several backends as one: what the first cannot do, the next one does, within the same call.

A segment is given to the first backend that is trusted (core/breaker.py) and takes its length. If
that one fails, or gives nothing in time, the next hears the same samples: the chain keeps a copy
of them until the segment is answered. The last one that is left is waited for without a limit,
since nobody could take over from it; a manager that watches the process judges that one.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from xlerobot_asr_opt.backends.base import (
    Prepared,
    Result,
    Samples,
    check_result,
    check_samples,
    recognise_each,
    takes_batches,
)
from xlerobot_asr_opt.backends.link import Link, LinkStatistics
from xlerobot_asr_opt.backends.routes import Routes
from xlerobot_asr_opt.core.breaker import HealthLimits, Rules, State
from xlerobot_asr_opt.errors import (
    AsrError,
    BackendError,
    ConfigurationError,
    MemoryBudgetError,
    ModelError,
)
from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xlerobot_asr_opt.backends.base import BatchBackend, Candidate
    from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['BackendChain', 'Policy']

LOADING_S = 20.0
"""Longest time in which a backend that is not the last one opens and warms up its model [s]."""

_log = logging.getLogger(__name__)

USUAL = 4 * SAMPLE_RATE
"""Samples of an utterance as most are: who is first for it is announced as the recogniser."""

NO_SAMPLES = np.empty(0, np.int16)


@dataclass(frozen=True)
class Policy:
    """How a chain decides.

    Attributes:
        timeout_s: time that a backend has for one segment, if another could take over [s].
        rules: of each breaker.
        limits: of the health of each backend that tells it.
    """

    timeout_s: float = 5.0
    rules: Rules = field(default_factory=Rules)
    limits: HealthLimits = field(default_factory=HealthLimits)

    @classmethod
    def of(cls, parameters: InferenceParameters) -> Policy:
        """Read it from the parameters of the inference node."""
        return cls(
            parameters.timeout,
            Rules(parameters.backoff, parameters.longest_backoff, parameters.good_probes),
            HealthLimits(parameters.temperature_limit, parameters.load_limit))


@dataclass(frozen=True)
class _Prepared(Prepared):
    """A segment between the two phases, with what another backend would need.

    Attributes:
        samples: a copy; empty where there is no other backend.
        asked: language that was asked for.
        maker: whose features they are.
        own: what the maker made.
    """

    samples: Samples
    asked: str
    maker: Link
    own: Prepared


class _RefusedError(BackendError):
    """A backend does not take this segment, by its length or language: no fault of its own."""


class BackendChain:
    """An InferenceBackend made of others, in order of preference.

    Equal samples give an equal text only as long as the same backend answers: Result.recogniser
    says whose text it is, so that no cache mistakes one for another's.

    Args:
        candidates: in order of preference; none is loaded.
        policy: how to decide.
        clock: seconds, monotonic; handed in by tests.
        keep: copies samples, for whoever takes over.

    Raises:
        ConfigurationError: no backend, or two of one name.
    """

    def __init__(
        self, candidates: Sequence[Candidate], policy: Policy,
        clock: Callable[[], float] = time.perf_counter,
        keep: Callable[[Samples], Samples] = np.copy,
    ) -> None:
        names = [candidate.backend.name for candidate in candidates]
        if not names or len(set(names)) < len(names):
            raise ConfigurationError(
                f'backends: got {", ".join(names) or "none"}, expected each name once')
        self._policy = policy
        self._clock = clock
        self._keep = keep
        self._links = tuple(Link(candidate, policy.rules, policy.limits, clock)
                            for candidate in candidates)
        self._routes = Routes(self._links)
        self._ranks = dict.fromkeys(self._links, 0)
        self._why_put_back = ''

    @property
    def name(self) -> str:
        """Of the first backend that is loaded: the one that should answer."""
        return self._first.name

    @property
    def digest(self) -> bytes:
        """Of the first backend that is loaded: the one that should answer."""
        return self._first.digest or self._first.backend.digest

    @property
    def longest(self) -> int:
        """Longest segment that any backend takes [samples at SAMPLE_RATE]."""
        loaded = [link.longest for link in self._links if link.loaded]
        return max(loaded) if loaded else self._first.backend.longest

    def load(self) -> None:
        """Open every model. One that cannot be opened is tried again later, by its breaker.

        Raises:
            ModelError: none can be opened, or the only one is missing, damaged or of another kind.
            MemoryBudgetError: the only one does not fit into the memory that is left.
            BackendError: what runs the only one is not there.
            ConfigurationError: a setting that a model does not know.
        """
        self._each(lambda link, timeout_s: link.load(timeout_s), 'loaded')

    def warm_up(self) -> None:
        """Warm up every backend that is loaded.

        Raises:
            BackendError: the only one failed.
            ModelError: all failed.
        """
        self._each(lambda link, timeout_s: link.call(link.backend.warm_up, timeout_s), 'used')

    def measure(self, speech: Sequence[tuple[Samples, str]], accuracy_loss: float) -> None:
        """Put the backends in order by their speed, for each length; once they are warm.

        Args:
            speech: utterances with their texts, the shortest first.
            accuracy_loss: share of the words by which one may be worse than the best one, and
                still go first.
        """
        self._routes.measure(speech, accuracy_loss, LOADING_S, self._clock)

    def close(self) -> None:
        """Let go of every model."""
        for link in self._links:
            link.close()

    def prepare(self, samples: Samples, language: str) -> Prepared:
        """Have the features made by the backend that will probably answer; copy the samples.

        Raises:
            BackendError: as of a backend; or every one that takes the segment is switched off.
        """
        check_samples(samples, self.longest)
        kept = self._keep(samples) if len(self._links) > 1 else NO_SAMPLES
        refused: BackendError | None = None
        for link in self._turns(len(samples)):
            try:
                own = link.backend.prepare(samples, language)
            except BackendError as error:
                refused = refused or error
                continue
            return _Prepared(own.features, own.length, own.language, own.features_ms,
                             samples=kept, asked=language, maker=link, own=own)
        raise refused or self._nobody(
            {link: self._rests(link, len(samples)) for link in self._links}, {})

    def recognise(self, prepared: Prepared) -> Result:
        """Ask one backend after the other until one answers.

        Raises:
            BackendError: all failed, or every one that takes the segment is switched off.
        """
        if not isinstance(prepared, _Prepared):
            raise BackendError('got features of another backend, expected those of this chain')
        begin = self._clock()
        for link in self._links:
            link.look()
        turns = self._turns(prepared.length)
        rests = {link: self._rests(link, prepared.length) for link in self._links}
        failed: dict[Link, BackendError] = {}
        for place, link in enumerate(turns, start=1):
            asked = self._clock()
            try:
                result = self._ask(link, prepared, is_last=place == len(turns))
            except BackendError as error:
                failed[link] = error
                continue
            order = self._routes.order(prepared.length)
            before = order[:order.index(link)]
            return dataclasses.replace(
                result, reason=_reason(link, before, rests, failed, result.reason),
                lost_ms=1e3 * (asked - begin), recogniser=link.digest)
        raise self._nobody(rests, failed)

    def recognise_batch(self, batch: Sequence[Prepared]) -> list[Result | BackendError]:
        """Ask one backend for all at once, if it is the first for each, and can do that.

        What fails in the batch is recognised once more alone, by whoever is next: no segment
        suffers from the one beside it.
        """
        for link in self._links:
            link.look()
        firsts = {link for prepared in batch for link in self._turns(prepared.length)[:1]}
        first = firsts.pop() if len(firsts) == 1 and len(batch) > 1 else None
        if first is None or not takes_batches(first.backend):
            return recognise_each(self, batch)
        told = self._ask_for_all(first, first.backend, batch)
        return [one if isinstance(one, Result) else recognise_each(self, [prepared])[0]
                for one, prepared in zip(told, batch, strict=True)]

    def arrange(self, rank: Callable[[str], int], why: str) -> None:
        """Ask the backends of a lower rank first, those of one rank in the order that they have.

        Args:
            rank: of a backend, by its name; 0: it stays where it is.
            why: what is said of one that is put back.
        """
        self._ranks = {link: rank(link.name) for link in self._links}
        self._why_put_back = why

    def force(self, name: str, state: State | None) -> None:
        """Switch a backend on (CLOSED) or off (OPEN) by hand, until ``release``.

        Raises:
            ConfigurationError: no backend of this name, or another state.
        """
        link = self._link(name)
        if state not in (State.OPEN, State.CLOSED):
            raise ConfigurationError(f'got {state}, expected open or closed')
        link.breaker.force(state)

    def release(self, name: str) -> None:
        """Let a backend's breaker decide again.

        Raises:
            ConfigurationError: no backend of this name.
        """
        self._link(name).breaker.release()

    def statistics(self) -> tuple[LinkStatistics, ...]:
        """A snapshot, in order of preference."""
        return tuple(link.statistics() for link in self._links)

    @property
    def _first(self) -> Link:
        links = self._order(USUAL)
        return next((link for link in links if link.loaded), links[0])

    def _each(self, work: Callable[[Link, float | None], None], done: str) -> None:
        """Do with every backend what may fail with some, but not with all."""
        errors: dict[Link, AsrError] = {}
        links = [link for link in self._links if link.loaded] or list(self._links)
        for link in links:
            # The last one is waited for if nobody could take over from it.
            is_last = len(errors) == len(links) - 1
            try:
                work(link, None if is_last else LOADING_S)
            except (BackendError, MemoryBudgetError, ModelError) as error:
                if len(self._links) == 1:
                    raise
                link.failed(error)
                errors[link] = error
        if len(errors) == len(links):
            told = '; '.join(f'{link.name}: {error}' for link, error in errors.items())
            raise ModelError(f'no backend can be {done}: {told}')

    def _order(self, length: int) -> list[Link]:
        """All backends, in the order in which they are asked if all are trusted."""
        return sorted(self._routes.order(length), key=self._ranks.__getitem__)

    def _rests(self, link: Link, length: int) -> str:
        """Say why a backend is not asked in the turn that it has by its route; empty: it is."""
        return link.rests(length) or (self._why_put_back if self._ranks[link] else '')

    def _turns(self, length: int) -> list[Link]:
        """Who is asked, in this order: the trusted ones, then those who may only help out.

        Only if there is nobody else, one that has still not returned: it is waited for.
        """
        able = [link for link in self._order(length) if link.can_take(length)
                and not (link.breaker.forced and link.breaker.state is State.OPEN)]
        free = [link for link in able if not link.busy]
        free.sort(key=lambda link: link.breaker.state is State.OPEN)
        return free or able[:1]

    def _ask(self, link: Link, prepared: _Prepared, *, is_last: bool) -> Result:
        """Have one backend recognise, and count how that went."""
        link.breaker.admit()
        try:
            result = link.call(lambda: _recognise(link, prepared),
                               None if is_last else self._policy.timeout_s)
            check_result(result)
        except _RefusedError:
            link.breaker.withdraw()
            raise
        except BackendError as error:
            link.failed(error)
            raise
        except Exception as error:
            if is_last:
                raise
            # No backend may raise this, but speech is not to be lost by what one may not do.
            _log.exception('%s: an error that no backend may raise', link.name)
            link.failed(error)
            raise BackendError(f'{type(error).__name__}: {error}') from error
        link.answered()
        return result

    def _ask_for_all(
        self, link: Link, backend: BatchBackend, batch: Sequence[Prepared],
    ) -> list[Result | None]:
        """Have one backend recognise a batch, and count how that went; None: it failed on that."""
        own = [prepared.own for prepared in batch
               if isinstance(prepared, _Prepared) and prepared.maker is link]
        if len(own) < len(batch):
            return [None] * len(batch)
        link.breaker.admit()
        is_only = len(self._links) == 1
        try:
            told = link.call(lambda: backend.recognise_batch(own),
                             None if is_only else self._policy.timeout_s * len(batch))
        except BackendError as error:
            link.failed(error)
            return [None] * len(batch)
        except Exception as error:
            if is_only:
                raise
            _log.exception('%s: an error that no backend may raise', link.name)
            link.failed(error)
            return [None] * len(batch)
        return [self._checked(link, one) for one in told]

    def _checked(self, link: Link, told: Result | BackendError) -> Result | None:
        """One result of a batch, counted; None: it is an error, or garbage."""
        try:
            if isinstance(told, BackendError):
                raise told
            check_result(told)
        except BackendError as error:
            link.failed(error)
            return None
        link.answered()
        return dataclasses.replace(told, recogniser=link.digest)

    def _nobody(
        self, rests: Mapping[Link, str], failed: Mapping[Link, BackendError],
    ) -> BackendError:
        """Return the error of a segment that nobody recognised."""
        if len(self._links) == 1 and failed:
            return failed[self._links[0]]
        told = (f'{link.name}: {failed.get(link) or rests[link]}' for link in self._links)
        return BackendError(f'no backend recognised it: {"; ".join(told)}')

    def _link(self, name: str) -> Link:
        for link in self._links:
            if link.name == name:
                return link
        known = ', '.join(link.name for link in self._links)
        raise ConfigurationError(f'got the backend {name!r}, expected one of {known}')


def _recognise(link: Link, prepared: _Prepared) -> Result:
    own = prepared.own
    if link is not prepared.maker:
        try:
            own = link.backend.prepare(prepared.samples, prepared.asked)
        except BackendError as error:
            raise _RefusedError(str(error)) from error
    return link.backend.recognise(own)


def _reason(
    maker: Link, before: Sequence[Link], rests: Mapping[Link, str],
    failed: Mapping[Link, BackendError], own: str,
) -> str:
    """Say why nobody before the maker made the text; its own reason stands behind."""
    told = [f'{link.name}: {failed.get(link) or why}' for link, why in rests.items()
            if link in failed or link in before]
    if not told:
        return own
    return '; '.join([*told, f'{maker.name} took over', *filter(None, [own])])
