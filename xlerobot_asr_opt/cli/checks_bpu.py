"""What doctor looks at on an RDK X5: the BPU, what drives it, its state, and its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.backends.board_health import DEVICES, Board
from xlerobot_asr_opt.cli.checks import Finding, ok, warn
from xlerobot_asr_opt.errors import AsrError, BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ['BPU']

_NONE = 'none on this machine: models run on the CPU'
_HOT_C = 95.0
"""Where the X5's kernel begins to slow down its units (cpu-alert1 and ddr-alert0 of x5.dtsi)."""


def device(board: Board | None = None) -> Finding:
    """The board and its BPU, and the library that drives it."""
    from xlerobot_asr_opt.backends.bpu_board import find_runtime
    board = board or Board()
    nodes = board.devices()
    if not nodes:
        if board.march:
            return warn(f'{board.model}, but no /dev/{DEVICES[0]}',
                        "the BPU's driver is not loaded: see `sudo dmesg | grep -i bpu`")
        return ok(_NONE)
    text = f'{board.model or "unknown board"}, /dev/{", /dev/".join(nodes)}'
    try:
        runtime, *_ = find_runtime()
    except BackendError as error:
        return warn(text, str(error))
    return ok(f'{text}, driven by {runtime}')


def state(board: Board | None = None) -> Finding:
    """How busy, how hot and how full the BPU is."""
    board = board or Board()
    if not board.devices():
        return ok(_NONE)
    report = board.report()
    load = report.load
    told = [f'load unknown ({load.reason})' if load.value is None else f'load {load.value:.0%}']
    told += [f'{one.name} {one.value:.0f} C' for one in report.temperatures
             if one.value is not None]
    told += [f'{heap.name} {heap.bpu_bytes >> 20} MiB of the BPU, {heap.used_bytes >> 20} of '
             f'{heap.total_bytes >> 20} MiB in use' for heap in report.heaps]
    if report.heaps_reason:
        told.append(f'memory unknown ({report.heaps_reason})')
    hottest = max((one.value for one in report.temperatures if one.value is not None),
                  default=None)
    text = ', '.join(told)
    if hottest is None:
        return warn(f'{text}, no temperature', 'the inference node cannot see that it is too hot')
    if hottest >= _HOT_C:
        return warn(text, f'from {_HOT_C:g} C on the board slows down: cool it')
    return ok(text)


def models(directories: Iterable[Path] | None = None, board: Board | None = None) -> Finding:
    """The models that were compiled for a BPU: whole, and for this one."""
    from xlerobot_asr_opt.models.bundle import MARCH, Bundle
    board = board or Board()
    try:
        found = list(_bundles() if directories is None else directories)
        if not found:
            if not board.devices():
                return ok('none compiled')
            return warn('none compiled', 'the CPU does it all: on an x86 machine run '
                        '`xlerobot-asr models compile`, then copy the directory')
        told = []
        for directory in found:
            bundle = Bundle.read(directory, board.march or MARCH)
            bundle.check(directory)
            lengths = ', '.join(f'{bucket.seconds:g}' for bucket in bundle.buckets)
            told.append(f'{directory.name} for {bundle.march}, {lengths} s: hashes are right')
    except (AsrError, OSError) as error:
        return warn(str(error), 'the CPU does it all: compile it again, or copy it again')
    return ok('; '.join(told))


def _bundles() -> list[Path]:
    """The bundles in the cache directory."""
    from xlerobot_asr_opt.models.bundle import BUNDLE
    from xlerobot_asr_opt.models.paths import cache_root
    return sorted(path.parent for path in (cache_root() / 'bundles').glob(f'*/{BUNDLE}'))


BPU: tuple[tuple[str, Callable[[], Finding]], ...] = (
    ('BPU', device),
    ('BPU state', state),
    ('BPU models', models),
)
"""Name and check, in the order in which doctor shows them."""
