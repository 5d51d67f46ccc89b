"""Runs that were never recorded: utterances of which each stage is known."""

from xlerobot_asr_opt.core.performance_records import RecordedRun, ResourceSample, Utterance
from xlerobot_asr_opt.records import Latency, Transcript, TranscriptStatus

START_NS = 1_700_000_000_000_000_000
NS_PER_MS = 1_000_000
QUICK = {'ingest': 0.5, 'cache': 0.2, 'queue': 0.1, 'transport': 1.0, 'wait': 0.1,
         'features': 2.0, 'encode': 10.0, 'decode': 8.0}
"""Every stage below its target [ms]."""


def latency(*, ahead=0.0, other=0.0, **stages):
    """A latency whose total is exactly what its stages say."""
    given = {**QUICK, **stages}
    work = sum(given[name] for name in ('transport', 'wait', 'features', 'encode', 'decode'))
    total = (given['ingest'] + given['cache'] + given['queue'] + max(0.0, work - ahead) + other)
    return Latency(**given, ahead=ahead, total=total)


def transcript(number=0, status=TranscriptStatus.DONE, *, stages=None, **fields):
    """A transcript of one second of speech that began number seconds after the start."""
    begin_ns = START_NS + number * 1_000_000_000
    given = {'text': f'word {number}', 'worker': 'inference_0', 'backend': 'onnxruntime',
             'attempts': 1, 'latency': latency() if stages is None else stages, **fields}
    return Transcript(number, 'hall', number, status, begin_ns, begin_ns + 1_000_000_000, **given)


def run(transcripts, every_ms=1000.0, resources=(), processors=0):
    """A run whose endpoints come at a steady pace."""
    return RecordedRun(tuple(
        Utterance(one, START_NS + round((number * every_ms + one.latency.total) * NS_PER_MS))
        for number, one in enumerate(transcripts)), tuple(resources), processors)


def samples(count=4, **cores):
    """Samples of each node, half a second apart, of 100 MB each."""
    return [ResourceSample(START_NS + index * 500_000_000, node, share, 100.0)
            for index in range(count) for node, share in cores.items()]
