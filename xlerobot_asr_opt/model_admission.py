"""Lets a model be opened only where it fits into the memory that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.memory import PredictiveMemoryManager
from xlerobot_asr_opt.models.catalog import CATALOG
from xlerobot_asr_opt.models.footprint import footprint
from xlerobot_asr_opt.models.layout import is_fetched, open_model
from xlerobot_asr_opt.parameters import ManagerParameters

if TYPE_CHECKING:
    from xlerobot_asr_opt.models.ctc_files import CtcFiles
    from xlerobot_asr_opt.models.files import ModelFiles
    from xlerobot_asr_opt.process_memory import MemoryReader

__all__ = ['ModelAdmission']

MB = 1e6


class ModelAdmission:
    """Compares what a model will take with what the machine and the control group have left.

    Two processes that open their models at the same time do not know of each other: each of them
    sees what is used by then.

    Args:
        share: of the machine's memory, and of the limit of its control group, that may be used
            once the model is open.
        reader: of the kernel's figures; None: of this machine.
    """

    def __init__(self, share: float, reader: MemoryReader | None = None) -> None:
        self._memory = PredictiveMemoryManager(
            ManagerParameters(memory_share=share), processes=dict, reader=reader)

    def admit(self, files: ModelFiles | CtcFiles) -> None:
        """Let a model in.

        Raises:
            MemoryBudgetError: it does not fit; the message has the numbers, and the largest model
                that is fetched and would fit.
        """
        needed, room = footprint(files), self._memory.room().headroom
        cure = '' if needed <= room else _cure(min(room, needed - 1))
        self._memory.admit(files.name, needed, cure)


def _cure(room: int) -> str:
    """Say what to do where only so much is left [bytes]."""
    names = [asset.name for asset in CATALOG if asset.kind == 'asr' and is_fetched(asset.name)]
    sizes = {name: footprint(open_model(name)) for name in names}
    fitting = [name for name, size in sizes.items() if size <= room]
    if not fitting:
        return 'no model that is fetched would fit: free memory'
    best = max(fitting, key=lambda name: sizes[name])
    return f'{best} needs {sizes[best] / MB:.1f} MB and would fit; or free memory'
