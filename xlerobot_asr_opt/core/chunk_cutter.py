"""Cuts messages of any length into the chunks that ingest takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.chunk_rules import fault
from xlerobot_asr_opt.core.clocks import NS
from xlerobot_asr_opt.errors import AudioError
from xlerobot_asr_opt.records import CHUNK, CHUNK_CAPACITY, Chunk, Chunks

__all__ = ['ChunkCutter']

_LONGEST_S = 60
"""A longer message is a whole recording, and none of a live stream."""


class ChunkCutter:
    """Makes chunks, numbered without a hole, of the messages of one stream.

    Attributes:
        stream: name of the stream.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self._sequence = 0
        self._pieces = 1
        self._form = (0, 0)

    def cut(
        self, samples: npt.NDArray[np.int16], rate: int, channels: int, stamp_ns: int,
        lost: int = 0,
    ) -> Chunks:
        """Cut one message into pieces of nearly one length.

        Args:
            samples: int16[frames * channels], interleaved.
            rate: [Hz].
            channels: 1 or more.
            stamp_ns: ROS time of the first sample [ns].
            lost: messages that are missing in front of this one; as many numbers are left out as
                their chunks would have had, so that the loss is counted.

        Returns:
            CHUNK[n]. Another rate, or number of channels, begins again at sequence 0.

        Raises:
            AudioError: what no stream can hear.
        """
        wrong = fault(Chunk(self.stream, 0, stamp_ns, rate, channels, samples))
        if wrong:
            raise AudioError(f'message refused: {wrong}')
        frames = samples.size // channels
        if frames > _LONGEST_S * rate:
            raise AudioError(
                f'message refused: got {frames / rate:.0f} s of audio in one, expected at most '
                f'{_LONGEST_S}: whole recordings go to the service ingest/transcribe')
        if (rate, channels) != self._form:
            self._form, self._sequence, lost = (rate, channels), 0, 0
        most = CHUNK_CAPACITY // channels
        pieces = -(-frames // most)
        self._sequence += lost * self._pieces
        self._pieces = pieces
        ends = np.arange(pieces + 1) * frames // pieces
        rows = np.zeros(pieces, CHUNK)
        name = self.stream.encode()
        rows['stream'][:, :len(name)] = np.frombuffer(name, np.uint8)
        rows['sequence'] = self._sequence + np.arange(pieces)
        rows['stamp']['sec'], rows['stamp']['nanosec'] = np.divmod(
            stamp_ns + ends[:-1] * NS // rate if stamp_ns else np.zeros(pieces, np.int64), NS)
        rows['rate'], rows['channels'] = rate, channels
        rows['length'] = np.diff(ends) * channels
        for row, begin, end in zip(rows, ends[:-1], ends[1:], strict=True):
            row['samples'][:(end - begin) * channels] = samples[begin * channels:end * channels]
        self._sequence += pieces
        return rows
