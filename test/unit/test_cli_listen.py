"""The live view's parts."""

import math

import pytest
from rich.console import Console

from xlerobot_asr_opt.cli.listen import final_line, meter, partial_line, table
from xlerobot_asr_opt.records import (
    Fault,
    Latency,
    StreamState,
    StreamStatus,
    Transcript,
    TranscriptStatus,
)


@pytest.mark.parametrize(('level', 'lit', 'colour'), [
    (-math.inf, 0, 'green'), (math.nan, 0, 'green'), (-60, 0, 'green'), (-30, 10, 'green'),
    (-1, 20, 'red'), (3, 20, 'red'),
])
def test_meter(level, lit, colour):
    bar = meter(level)
    assert bar.plain == '█' * lit + '·' * (20 - lit)
    assert not lit or bar.spans[0].style == colour


def test_partial_line():
    speaking = StreamStatus('hall', StreamState.SPEECH, speaking_s=1.23)
    assert partial_line(speaking).plain == 'speaking 1.2 s'
    behind = StreamStatus('hall', StreamState.SILENCE, kept=2, missing=1)
    assert partial_line(behind).plain == 'silence, 2 waiting, 1 chunks lost'
    faulty = StreamStatus('hall', StreamState.SILENCE, faults=Fault.SILENT | Fault.OFFSET)
    assert partial_line(faulty).plain == 'silence, silent, offset'


def test_final_line():
    done = Transcript(0, 'hall', 0, TranscriptStatus.DONE, 0, 1, text='go [on]',
                      latency=Latency(total=230.4))
    assert final_line(done).plain.endswith('hall  go [on]  230 ms')
    refused = Transcript(0, 'hall', 0, TranscriptStatus.REJECTED, 0, 1, reason='no worker')
    assert final_line(refused).plain.endswith('hall  rejected: no worker')


def test_table_leaves_out_what_has_ended():
    console = Console(width=80, file=None, record=True, quiet=False)
    with console.capture() as captured:
        console.print(table([
            StreamStatus('b', StreamState.SILENCE), StreamStatus('a', StreamState.WAITING),
            StreamStatus('c', StreamState.ENDED)]))
    lines = captured.get().splitlines()
    assert [line.split()[0] for line in lines] == ['a', 'b']
