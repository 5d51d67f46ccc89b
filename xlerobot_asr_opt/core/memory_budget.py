"""How much memory there is: readings, the ceilings that follow from them, and what still fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xlerobot_asr_opt.errors import MemoryBudgetError

__all__ = [
    'Ceiling', 'ProcessMemory', 'SystemMemory', 'admit', 'ceilings', 'least_headroom',
    'tightest_ceiling',
]

MB = 1e6


@dataclass(frozen=True)
class ProcessMemory:
    """Memory of one process [bytes].

    Attributes:
        uss: unique set size: what comes back when the process ends.
        pss: proportional set size: shared pages count in equal parts.
        rss: resident set size: shared pages count in full.
    """

    uss: int
    pss: int
    rss: int


@dataclass(frozen=True)
class SystemMemory:
    """Memory of the machine, and of the control group that this process is in.

    Attributes:
        total: of the machine [bytes].
        available: without swapping [bytes].
        stalled: share of the last 10 s in which some task waited for memory; None: not told.
        group_limit: the tightest limit of the control group or one above it [bytes]; None: none.
        group_used: used there, without what the kernel can drop at once [bytes].
    """

    total: int
    available: int
    stalled: float | None = None
    group_limit: int | None = None
    group_used: int = 0


@dataclass(frozen=True)
class Ceiling:
    """A limit that memory must stay below, and how much of it is used [bytes]."""

    name: str
    used: int
    limit: int

    @property
    def headroom(self) -> int:
        """What is left [bytes]; 0: nothing."""
        return max(0, self.limit - self.used)

    @property
    def share(self) -> float:
        """Used part of the limit."""
        return self.used / self.limit

    def __str__(self) -> str:
        return (f'{self.used / MB:.1f} of {self.limit / MB:.1f} MB '
                f'({100 * self.share:.0f} %) of {self.name}')


def ceilings(
    system: SystemMemory, processes: Mapping[str, ProcessMemory], limit: float, share: float,
) -> list[Ceiling]:
    """Return every ceiling that there is, the machine's first.

    Args:
        system: as read last.
        processes: of the graph, by node.
        limit: for the graph's processes together, by their PSS [bytes]; 0: none of its own.
        share: of the machine's memory, or of its control group's limit, that may be used.
    """
    found = [Ceiling('the machine', system.total - system.available, int(share * system.total))]
    if system.group_limit is not None:
        found.append(Ceiling(
            'the control group', system.group_used, int(share * system.group_limit)))
    if limit:
        found.append(Ceiling(
            'memory_limit', sum(process.pss for process in processes.values()), int(limit)))
    return found


def tightest_ceiling(found: Sequence[Ceiling]) -> Ceiling:
    """Return the ceiling of which the largest share is used."""
    return max(found, key=lambda ceiling: ceiling.share)


def least_headroom(found: Sequence[Ceiling]) -> Ceiling:
    """Return the ceiling below which the least is left.

    It may be another than the tightest one: a small control group that is hardly used can have
    less room than a large machine that is nearly full.
    """
    return min(found, key=lambda ceiling: ceiling.headroom)


def admit(
    what: str, needed: int, ceiling: Ceiling, cure: str = 'free memory',
) -> None:
    """Let something in, if it fits.

    Args:
        what: names it, for the message.
        needed: what it takes [bytes].
        ceiling: the one with the least headroom.
        cure: what to do about it, for the message.

    Raises:
        MemoryBudgetError: it does not fit; the message has the numbers.
    """
    if needed > ceiling.headroom:
        raise MemoryBudgetError(
            f'{what} needs {needed / MB:.1f} MB, but {ceiling.headroom / MB:.1f} MB are left: '
            f'{ceiling} are used; {cure}')
