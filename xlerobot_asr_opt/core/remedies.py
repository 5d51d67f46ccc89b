"""What a person can change about each bottleneck: the parameters and arguments that do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    'ACCELERATOR', 'CACHE_OFF', 'LOOK_AHEAD', 'RETRIES', 'SECOND_GRAPH', 'STAGE_REMEDIES',
    'Remedy', 'one_more_worker',
]


@dataclass(frozen=True)
class Remedy:
    """One change to a graph.

    Attributes:
        advice: what to do, in words.
        parameters: as node.parameter=value.
        arguments: of the graph, by their names in GraphArguments.
    """

    advice: str
    parameters: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command line that starts the graph so."""
        words = [f'--{name.replace("_", "-")} {value}' for name, value in self.arguments.items()]
        if self.parameters:
            words.append(f'--parameters {" ".join(self.parameters)}')
        return ' '.join(['xlerobot-asr up', *words])


STAGE_REMEDIES: Mapping[str, tuple[Remedy, ...]] = {
    'ingest': (
        Remedy('let fewer streams into one graph', ('ingest.streams=16',)),),
    'cache': (
        Remedy('let a late answer of the cache count as a miss',
               ('scheduler.cache_timeout=0.001',)),
        Remedy('keep the cache in memory alone', ('cache.l3_entries=0',)),),
    'transport': (
        Remedy('hand segments over in shared memory', arguments={'zero_copy': 'data_sharing'}),),
    'features': (
        Remedy('cut long speech earlier', ('ingest.longest=10.0',)),),
    'encode': (
        Remedy('let the model use every core', ('inference.threads=0',)),
        Remedy('let an accelerator run the model, where there is one',
               ('inference.backends=bpu,onnxruntime',)),
        Remedy('ask the fastest backend that is accurate enough', ('inference.route=fastest',)),),
    'decode': (
        Remedy('decode nothing twice', ('inference.retry_confidence=0.0',)),
        Remedy('let the model use every core', ('inference.threads=0',)),
        Remedy('end loops of the decoder earlier', ('inference.most_tokens=64',)),),
    'other': (
        Remedy('hold a stream up for a shorter time', ('scheduler.order_timeout=1.0',)),),
}
"""By stage, what is most likely to help first; queue and wait are cured by another worker."""

LOOK_AHEAD = Remedy('recognise while the speaker pauses', ('scheduler.look_ahead=true',))
CACHE_OFF = Remedy('ask no cache, since it never has the answer', ('scheduler.use_cache=false',))
RETRIES = Remedy('grant elsewhere earlier', ('scheduler.grant_timeout=2.0',))
ACCELERATOR = Remedy(
    'take the model off the cores, where there is an accelerator',
    ('inference.backends=bpu,onnxruntime',))
SECOND_GRAPH = Remedy(
    'give half of the streams to a graph of their own', arguments={'namespace': 'asr_2'})


def one_more_worker(workers: int) -> Remedy:
    """Start one inference process more than there are."""
    return Remedy('start another inference process', arguments={'processes': str(workers + 1)})
