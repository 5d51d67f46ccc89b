"""What the RDK X5 says of itself: model, load, memory and temperatures, read from its files.

Nothing is guessed: a file that is not there, or that this login may not read, gives a Reading
without a value, with the reason. The files and their form are those of D-Robotics' kernel for the
X5 (bpu_debug.c, ion.c, mr75203.c, x5.dtsi) and of the page "Thermal and CPU frequency management"
of its documentation; docs/board.md lists them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.breaker import Health

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ['DEVICES', 'Board', 'BoardReport', 'HeapUse', 'Reading']

DEVICES = ('bpu', 'bpu_core0')
"""What the kernel's driver makes in /dev."""

_FAMILY, _MARCH = 'X5', 'bayes-e'
"""Part of the model of every board with this SoC, and the march of its BPU."""
_PVT_SENSORS = ('DDR', 'BPU', 'CPU')
"""Of the channels temp1 to temp3 of the X5's sensor hub, which carry no labels."""
_HEAPS = ('carveout', 'ion_cma', 'cma_reserved')
"""Reserved heaps that the BPU's driver allocates from."""


@dataclass(frozen=True)
class Reading:
    """One figure of the board.

    Attributes:
        name: what it is of.
        value: in the unit that its owner names, or None.
        reason: why there is no value; empty if there is one.
    """

    name: str
    value: float | None
    reason: str = ''


@dataclass(frozen=True)
class HeapUse:
    """One heap of the memory that the BPU shares with the other units.

    Attributes:
        name: of the heap.
        total_bytes: its size.
        used_bytes: allocated by anybody.
        bpu_bytes: allocated for the BPU.
    """

    name: str
    total_bytes: int
    used_bytes: int
    bpu_bytes: int


@dataclass(frozen=True)
class BoardReport:
    """All that the board says.

    Attributes:
        model: for example ``D-Robotics RDK X5 V1.0``; empty: it does not say.
        march: that models have to be compiled for; empty: not known.
        load: share of the time in which the BPU was busy of late, 0 to 1.
        temperatures: degrees Celsius, by sensor.
        heaps: memory, where it can be read.
        heaps_reason: why no heap could be read; empty if one could.
    """

    model: str
    march: str
    load: Reading
    temperatures: tuple[Reading, ...]
    heaps: tuple[HeapUse, ...]
    heaps_reason: str


class Board:
    """Reads the files of one board; holds nothing open.

    Args:
        root: where its file system begins; tests hand in one of their own.
    """

    def __init__(self, root: Path = Path('/')) -> None:
        self._root = root

    @property
    def model(self) -> str:
        """What the device tree calls the board; empty: it does not say."""
        try:
            raw = (self._root / 'proc/device-tree/model').read_bytes()
        except OSError:
            return ''
        return raw.rstrip(b'\0').decode(errors='replace')

    @property
    def march(self) -> str:
        """The march that models have to be compiled for; empty: not known."""
        return _MARCH if _FAMILY in self.model else ''

    def devices(self) -> tuple[str, ...]:
        """The nodes of the BPU's driver that are there."""
        return tuple(name for name in DEVICES if (self._root / 'dev' / name).exists())

    def load(self) -> Reading:
        """Share of the time in which the BPU was busy of late, 0 to 1."""
        return self._read('BPU', 'sys/devices/system/bpu/bpu0/ratio', 0.01, 0.0, 1.0)

    def temperatures(self) -> tuple[Reading, ...]:
        """Degrees Celsius of the thermal zones by their type, and of the sensors of the SoC.

        The BPU's own sensor has power only while the BPU runs: it is often without a value.
        """
        return (*self._zones(), *self._sensors())

    def heaps(self) -> tuple[tuple[HeapUse, ...], str]:
        """The memory that the BPU allocates from, and why there is none; empty if there is."""
        folder = self._root / 'sys/kernel/debug/ion/heaps'
        found, reason = [], f'{folder} has none of {", ".join(_HEAPS)}'
        for name in _HEAPS:
            try:
                text = (folder / name).read_text(errors='replace')
            except FileNotFoundError:
                continue
            except OSError as error:
                return (), f'{folder}: {error.strerror}; debugfs is for root alone'
            use = _heap(name, text)
            if use is None:
                reason = f'{folder / name}: not in the form that this version knows'
            else:
                found.append(use)
        return tuple(found), '' if found else reason

    def hottest(self) -> float:
        """The hottest sensor, of any machine [degrees Celsius]; NaN where none says anything."""
        return max((reading.value for reading in self.temperatures()
                    if reading.value is not None), default=math.nan)

    def health(self) -> Health:
        """The hottest sensor and the load, for a breaker; NaN where the board does not say."""
        load = self.load().value
        return Health(self.hottest(), math.nan if load is None else load)

    def report(self) -> BoardReport:
        """Read everything."""
        heaps, reason = self.heaps()
        return BoardReport(self.model, self.march, self.load(), self.temperatures(), heaps, reason)

    def _zones(self) -> Iterator[Reading]:
        for zone in sorted((self._root / 'sys/class/thermal').glob('thermal_zone*')):
            try:
                name = (zone / 'type').read_text().strip()
            except OSError:
                name = zone.name
            yield self._celsius(name, zone / 'temp')

    def _sensors(self) -> Iterator[Reading]:
        for hub in sorted((self._root / 'sys/class/hwmon').glob('hwmon*')):
            try:
                driver = (hub / 'name').read_text().strip()
            except OSError:
                continue
            if driver == 'pvt':
                for channel, name in enumerate(_PVT_SENSORS, start=1):
                    yield self._celsius(name, hub / f'temp{channel}_input')

    def _celsius(self, name: str, path: Path) -> Reading:
        return self._read(name, str(path.relative_to(self._root)), 1e-3, -40.0, 150.0)

    def _read(self, name: str, path: str, scale: float, low: float, high: float) -> Reading:
        """Read one number; out of bounds it is none: a sensor without power says such things."""
        full = self._root / path
        try:
            text = full.read_text(errors='replace').strip()
        except OSError as error:
            return Reading(name, None, f'{full}: {error.strerror}')
        if not re.fullmatch(r'-?[0-9]{1,9}', text):
            return Reading(name, None, f'{full}: got {text[:40]!r}, expected a number')
        value = int(text) * scale
        if not low <= value <= high:
            return Reading(name, None, f'{full}: got {value:g}, expected {low:g} to {high:g}')
        return Reading(name, value)


def _heap(name: str, text: str) -> HeapUse | None:
    """Read what ion tells of one heap; None: in another form."""
    total = re.search(rf'^\s*{name}\s+heap total size\s+(\d+)\s*$', text, re.MULTILINE)
    used = re.search(r'^\s*total\s+(\d+)\s*$', text, re.MULTILINE)
    if total is None or used is None:
        return None
    # A line an allocation: name of the task, which may have blanks, pid, owner, bytes, mappings.
    owned = re.findall(r'^.*\s\d+\s+bpu\s+(\d+)\s+-?\d+(?: orphaned)?$', text, re.MULTILINE)
    return HeapUse(name, int(total[1]), int(used[1]), sum(map(int, owned)))
