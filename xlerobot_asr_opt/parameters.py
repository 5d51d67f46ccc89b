"""Every parameter of every node: name, default, unit, bounds and meaning, declared once.

A node's parameters are one frozen dataclass; its rooms are built from it. ros/parameters.py
declares the same fields on the ROS node, config/asr.yaml ships the defaults, docs/parameters.md is
generated from here, and tests hold all three equal.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from xlerobot_asr_opt.errors import ConfigurationError

__all__ = [
    'NODES',
    'CacheParameters',
    'InferenceParameters',
    'IngestParameters',
    'ManagerParameters',
    'Parameter',
    'SchedulerParameters',
    'from_mapping',
    'parameter',
    'table',
]

T = TypeVar('T')
Default = bool | int | float | str | tuple[str, ...]


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = '',
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare one parameter as a dataclass field.

    Args:
        default: bool, int, float, str or tuple of str; its type is the parameter's type.
        description: one sentence for docs/parameters.md and ``ros2 param describe``.
        unit: SI unit, or empty.
        low: lowest value allowed, or None.
        high: highest value allowed, or None.
        choices: the strings allowed; empty for any.
    """
    metadata = {
        'description': description, 'unit': unit, 'low': low, 'high': high, 'choices': choices,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Parameter:
    """One declared parameter, as table() lists it."""

    name: str
    default: Default
    description: str
    unit: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]

    @property
    def bounds(self) -> str:
        """The values allowed, in words; empty for any."""
        if self.choices:
            return ', '.join(choice or '(empty)' for choice in self.choices)
        if self.low is None and self.high is None:
            return ''
        low = '-inf' if self.low is None else f'{self.low:g}'
        high = 'inf' if self.high is None else f'{self.high:g}'
        return f'{low} to {high}'

    def check(self, value: Any) -> Any:
        """Return value in the declared type.

        Raises:
            ConfigurationError: another type, or out of bounds.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if kind is tuple and isinstance(value, (list, tuple)):
            value = tuple(value)
            if not all(isinstance(item, str) for item in value):
                raise ConfigurationError(f'{self.name}: got {value!r}, expected a list of strings')
        if type(value) is not kind:
            name = 'list of strings' if kind is tuple else kind.__name__
            raise ConfigurationError(
                f'{self.name}: got {value!r} ({type(value).__name__}), expected a {name}')
        inside = True
        if kind in (int, float):
            inside = (math.isfinite(value)
                      and (self.low is None or value >= self.low)
                      and (self.high is None or value <= self.high))
        elif self.choices:
            inside = all(item in self.choices
                         for item in (value if kind is tuple else (value,)))
        if not inside:
            unit = f' {self.unit}' if self.unit else ''
            raise ConfigurationError(f'{self.name}: got {value!r}, expected {self.bounds}{unit}')
        return value


@dataclass(frozen=True)
class IngestParameters:
    """Parameters of the node ingest."""

    source: str = parameter(
        'topic', 'Where audio comes from: topics, files, or the microphone.',
        choices=('topic', 'file', 'mic', 'none'))
    topics: tuple[str, ...] = parameter(
        ('audio',), 'Topics that are read when source is topic, each as TOPIC, TOPIC:PACKAGE/TYPE '
        'or TOPIC:PACKAGE/TYPE:ENCODING:RATE:CHANNELS; see docs/adapters.md for the types.')
    files: tuple[str, ...] = parameter(
        (), 'WAV, FLAC or OGG files that are read when source is file.')
    device: str = parameter('', 'Name of the microphone, or a part of it; empty: the default.')
    speed: float = parameter(
        1.0, 'Pace at which files are read; 0: as fast as the graph takes them.',
        unit='times real time', low=0.0, high=1000.0)
    language: str = parameter('', "Language that tickets ask for; empty: the worker's setting.")
    budget: float = parameter(
        0.0, 'Time from endpoint to transcript after which a segment expires; 0: no limit.',
        unit='s', low=0.0, high=3600.0)
    urgent_streams: tuple[str, ...] = parameter(
        (), 'Streams whose segments are recognised before those of all others, for example one '
        'on which a stop word is spoken.')
    speech_threshold: float = parameter(
        0.5, 'Speech probability at which speech begins; it ends 0.15 below.', low=0.05, high=0.95)
    gate: float = parameter(
        6.0, 'Windows that are less than this above the quietest of the last seconds are not '
        'judged, unless speech is near; 0: all are judged.', unit='dB', low=0.0, high=20.0)
    pre_roll: float = parameter(
        0.25, 'Audio kept before the first speech.', unit='s', low=0.0, high=2.0)
    hangover: float = parameter(
        0.5, 'Silence after which a segment ends.', unit='s', low=0.1, high=5.0)
    shortest: float = parameter(
        0.1, 'Speech shorter than this is a click and is dropped, and counted.',
        unit='s', low=0.0, high=2.0)
    longest: float = parameter(
        28.0, 'Longest segment; longer speech is split at its quietest point.',
        unit='s', low=2.0, high=30.0)
    store_size: int = parameter(
        64, 'Room for segments that are not acknowledged yet.', unit='MiB', low=4, high=4096)
    store_directory: str = parameter(
        '', 'Where the segment store lies; empty: the state directory of the user.')
    partials: float = parameter(
        0.0, 'Speech after which what was said so far is recognised and published as partial, '
        'and again after as much more, while a worker is idle; 0: never.',
        unit='s', low=0.0, high=30.0)
    streams: int = parameter(64, 'Most streams at a time.', low=1, high=10000)
    memory_share: float = parameter(
        0.9, "Share of the machine's memory, and of the limit of its control group, that may be "
        'used; a stream that would take it further is refused.', low=0.05, high=1.0)
    silence_warning: float = parameter(
        10.0, 'A microphone that is digitally silent for this long is reported.',
        unit='s', low=1.0, high=3600.0)
    robot_speaking: str = parameter(
        '', 'Topic of std_msgs/Bool that is true while the robot itself speaks; empty: none.')
    while_robot_speaks: str = parameter(
        'mute', 'What is done then with topics and microphones: mute, what they hear is dropped '
        'and counted; barge_in, it is heard, and who begins to speak is told on barge_in.',
        choices=('mute', 'barge_in'))
    robot_speaking_tail: float = parameter(
        0.3, 'Time after the robot has spoken for which what is heard is still dropped, as the '
        'room rings.', unit='s', low=0.0, high=10.0)
    robot_speaking_limit: float = parameter(
        60.0, 'Time for which a true is believed if nothing more is said.',
        unit='s', low=1.0, high=3600.0)
    barge_in_after: float = parameter(
        0.2, 'Speech that has to last this long before it is told on barge_in.',
        unit='s', low=0.0, high=5.0)


@dataclass(frozen=True)
class SchedulerParameters:
    """Parameters of the node scheduler."""

    attempts: int = parameter(
        3, 'Grants of one segment before it is rejected.', low=1, high=20)
    grant_timeout: float = parameter(
        10.0, 'Time after which a grant without an answer is granted again elsewhere.',
        unit='s', low=0.1, high=600.0)
    worker_timeout: float = parameter(
        2.0, 'A worker silent for this long gets no more grants, and its own are repeated.',
        unit='s', low=0.2, high=60.0)
    cache_timeout: float = parameter(
        0.05, 'A cache that does not answer within this time counts as a miss.',
        unit='s', low=0.001, high=10.0)
    waiting: int = parameter(
        10000, 'Most segments that wait for a worker; more are refused.', low=1, high=1000000)
    order_timeout: float = parameter(
        5.0, 'How long transcripts of a stream are held back for a segment that is not announced.',
        unit='s', low=0.1, high=600.0)
    use_cache: bool = parameter(True, 'Ask the cache before a worker is granted.')
    look_ahead: bool = parameter(
        True, 'Recognise speech as soon as its speaker pauses, before the endpoint, while a '
        'worker is idle; if he goes on, that work was vain.')
    longest_command: float = parameter(
        4.0, 'Longest utterance that is recognised while the graph is at the level commands, its '
        'pauses at either end included.', unit='s', low=0.5, high=30.0)


@dataclass(frozen=True)
class CacheParameters:
    """Parameters of the node cache."""

    l1_entries: int = parameter(100, 'Entries of the first level.', low=1, high=100000)
    l1_ttl: float = parameter(300.0, 'Age limit of the first level.', unit='s', low=1, high=1e6)
    l2_entries: int = parameter(1000, 'Entries of the second level.', low=1, high=1000000)
    l2_ttl: float = parameter(1800.0, 'Age limit of the second level.', unit='s', low=1, high=1e7)
    l3_entries: int = parameter(
        10000, 'Entries on disk; 0: nothing is written to disk.', low=0, high=10000000)
    directory: str = parameter(
        '', 'Where the third level lies; empty: the cache directory of the user.')


@dataclass(frozen=True)
class InferenceParameters:
    """Parameters of the node inference."""

    model: str = parameter('whisper-tiny.en', 'Name of a model, or the path of its directory.')
    backends: tuple[str, ...] = parameter(
        ('onnxruntime',), 'What runs the model, in order of preference: what one cannot do, the '
        'next one does. bpu needs a model that was compiled for it; bpu_exact gives its '
        'integers on x86, slowly, for tests and verification; scripted answers from a script, for '
        'tests of robots.',
        choices=('bpu', 'onnxruntime', 'bpu_exact', 'scripted'))
    script: str = parameter('', 'YAML file that the scripted backend answers from.')
    small_model: str = parameter(
        '', 'Name or directory of a smaller model: on the CPU, behind all backends, and before '
        'the others on the CPU while the graph is at the level cpu_small; empty: none.')
    timeout: float = parameter(
        5.0, 'Time in which a backend has to answer, if another could take over; the last one '
        'is waited for.', unit='s', low=0.01, high=600.0)
    backoff: float = parameter(
        1.0, 'Time for which a backend is left out after its first fault; doubled with each '
        'further one.', unit='s', low=0.01, high=3600.0)
    longest_backoff: float = parameter(
        60.0, 'Time at which that doubling ends.', unit='s', low=0.01, high=86400.0)
    route: str = parameter(
        'fixed', 'Whether backends are asked in the order given, or those that are accurate '
        'enough in the order of their speed, measured for each length when the node is '
        'configured, on a recording that models fetch brings.', choices=('fixed', 'fastest'))
    accuracy_loss: float = parameter(
        0.02, 'Share of the words by which a backend may be worse than the best one, and still '
        'go first for being faster.', low=0.0, high=1.0)
    good_probes: int = parameter(
        3, 'Good answers in a row after which a backend is trusted again.', low=1, high=1000)
    temperature_limit: float = parameter(
        95.0, 'Temperature of an accelerator above which the next backend is used; 0: none.',
        unit='degrees Celsius', low=0.0, high=150.0)
    load_limit: float = parameter(
        0.0, 'Share of the time for which an accelerator may be busy, before the next backend is '
        'used; 0: any.', low=0.0, high=1.0)
    bpu_priority: int = parameter(
        0, "Of speech on the BPU, beside other programs' models: a higher one goes first.",
        low=0, high=255)
    memory_share: float = parameter(
        0.9, "Share of the machine's memory, and of the limit of its control group, that may be "
        'used once the model is open; one that needs more is refused.', low=0.05, high=1.0)
    threads: int = parameter(
        1, 'Threads of the model; 0: one for each core.', low=0, high=64)
    capacity: int = parameter(
        2, 'Segments that the worker holds at once, the running ones included.', low=1, high=3)
    batch: int = parameter(
        1, 'Most segments that a backend gets at once, of those that the worker holds; only '
        'backends that gain by it take more than one at a time.', low=1, high=3)
    batch_delay: float = parameter(
        0.005, 'How long a segment may wait for others to fill its batch.',
        unit='s', low=0.0, high=1.0)
    language: str = parameter(
        '', 'Language of multilingual models, as in ISO 639-1, yue for Cantonese; empty: detected '
        'from the speech.')
    digits: bool = parameter(
        True, 'Write numbers in digits; false: spelled out. SenseVoice writes punctuation with '
        'digits alone.')
    beam: int = parameter(
        1, 'Texts that a CTC model follows side by side (beam search); 1: greedy search. At '
        'least 8 with hotwords, and 32 with a grammar.', low=1, high=64)
    hotwords: tuple[str, ...] = parameter(
        (), 'Phrases that a CTC model prefers, each as phrase or phrase:boost; the boost is what '
        'a phrase adds to the log-probability of a text, 5 unless said.')
    grammar: str = parameter(
        '', 'File of the only sentences that a CTC model may hear, one a line or as JSGF; empty: '
        'all.')
    most_tokens: int = parameter(
        224, 'Tokens after which decoding stops.', low=8, high=448)
    no_speech_threshold: float = parameter(
        0.6, 'No-speech probability above which an unsure text is dropped.', low=0.0, high=1.0)
    noise_threshold: float = parameter(
        0.8, 'No-speech probability above which a text is dropped unless the model is sure of it: '
        'what Whisper makes of noise and music. 1: never.', low=0.0, high=1.0)
    log_probability_threshold: float = parameter(
        -1.0, 'Mean log-probability below which a text counts as unsure.', low=-20.0, high=0.0)
    compression_threshold: float = parameter(
        2.4, 'Compression ratio above which a text counts as a loop of the decoder.',
        low=1.0, high=10.0)
    retry_confidence: float = parameter(
        0.85, "The model's own confidence, not calibrated, below which a text is decoded again in "
        'the longest window, which takes several times as long; the likelier text stays. '
        '0: never.', low=0.0, high=1.0)
    retry_shortest: float = parameter(
        3.0, 'Shortest segment whose text is decoded again for that: a second look puts longer '
        'sentences right, and short commands hardly ever.', unit='s', low=0.0, high=30.0)


@dataclass(frozen=True)
class ManagerParameters:
    """Parameters of the node manager."""

    nodes: tuple[str, ...] = parameter(
        ('cache', 'inference_0', 'scheduler', 'ingest'),
        'Managed nodes in the order in which they are brought up; down in reverse.')
    autostart: bool = parameter(True, 'Bring the nodes up at once.')
    transition_timeout: float = parameter(
        60.0, 'Longest time of one transition; loading a model is one.',
        unit='s', low=1.0, high=600.0)
    heartbeat_timeout: float = parameter(
        4.0, 'A node whose progress counter stands still for this long is hung.',
        unit='s', low=2.0, high=600.0)
    work_timeout: float = parameter(
        30.0, 'A piece of work that takes longer than this is hung.',
        unit='s', low=1.0, high=3600.0)
    restart_backoff: float = parameter(
        1.0, 'Wait before the second restart of a node; doubled with each further one.',
        unit='s', low=0.0, high=600.0)
    restarts: int = parameter(
        5, 'Restarts of one node within ten minutes before it is given up.', low=0, high=1000)
    memory_period: float = parameter(
        2.0, 'Time between two readings of the memory of the nodes; stretched where they would '
        'cost more than 1 % of a core. 0: memory is not watched.', unit='s', low=0.0, high=600.0)
    memory_window: float = parameter(
        300.0, 'Readings that the trend of a node is told from; half of it has to pass first.',
        unit='s', low=5.0, high=86400.0)
    memory_horizon: float = parameter(
        1800.0, 'How far memory is foretold. A leak that meets the limit within this time has '
        'memory released, in half of it work made smaller, in a quarter new streams refused, in '
        'an eighth the node restarted.', unit='s', low=1.0, high=604800.0)
    memory_limit: float = parameter(
        0.0, "Most memory of the graph's processes together (PSS); 0: what memory_share allows.",
        unit='MB', low=0.0, high=1e7)
    memory_share: float = parameter(
        0.9, "Share of the machine's memory, and of the limit of its control group, that may be "
        'used, by whomever.', low=0.05, high=1.0)
    leak_slope: float = parameter(
        1.0, 'A node leaks when the lower end of the interval of its slope is above this.',
        unit='MB/min', low=0.0, high=1e5)
    memory_release: float = parameter(
        0.75, 'Used share of the limit at which every node is asked to release memory.',
        low=0.0, high=1.0)
    memory_shrink: float = parameter(
        0.82, 'Used share of the limit at which workers hold one segment at a time.',
        low=0.0, high=1.0)
    memory_refuse: float = parameter(
        0.88, 'Used share of the limit at which new streams are refused.', low=0.0, high=1.0)
    memory_restart: float = parameter(
        0.94, 'Used share of the limit at which the node that leaks fastest is restarted.',
        low=0.0, high=1.0)
    memory_hysteresis: float = parameter(
        0.05, 'How far the used share has to fall below one of these four, before its measure is '
        'lifted.', low=0.0, high=0.5)
    memory_stalled: float = parameter(
        0.2, 'Share of the time in which tasks wait for memory, at which work is made smaller.',
        low=0.01, high=1.0)
    memory_settle: float = parameter(
        10.0, 'Time that a measure is given to show its effect, before the next one.',
        unit='s', low=0.1, high=600.0)
    memory_interval: float = parameter(
        300.0, 'Time after which memory is released again, or a node restarted again.',
        unit='s', low=0.1, high=86400.0)
    monitor_period: float = parameter(
        1.0, 'Time between two reports on /diagnostics; 0: nothing is monitored.',
        unit='s', low=0.0, high=60.0)
    monitor_port: int = parameter(
        0, 'TCP port at which Prometheus finds the metrics; 0: nowhere. Two graphs of one machine '
        'need two.', low=0, high=65535)
    monitor_address: str = parameter(
        '127.0.0.1', 'Address of that port. Any but this one shows names and figures to the '
        'network, to whomever asks.')
    monitor_streams: int = parameter(
        16, 'Streams with metrics of their own, the first that are heard; those of all others '
        'are summed up.', low=0, high=200)
    monitor_window: float = parameter(
        60.0, 'Time over which latency, losses and the hit rate are judged.',
        unit='s', low=2.0, high=3600.0)
    audio_warn: float = parameter(
        0.9, 'Audio that a stream brings, below which it is warned of.',
        unit='times real time', low=0.0, high=1.0)
    audio_error: float = parameter(
        0.5, 'Audio that a stream brings, below which it counts as an error.',
        unit='times real time', low=0.0, high=1.0)
    latency_warn: float = parameter(
        2.0, 'Latency that 95 % of the transcripts have to keep, else it is warned of.',
        unit='s', low=0.0, high=3600.0)
    latency_error: float = parameter(
        5.0, 'Latency that 95 % of the transcripts have to keep, else it counts as an error.',
        unit='s', low=0.0, high=3600.0)
    loss_warn: float = parameter(
        0.001, 'Share of the utterances, and of the chunks, that may be lost before it is warned '
        'of.', low=0.0, high=1.0)
    loss_error: float = parameter(
        0.05, 'Share of the utterances, and of the chunks, that may be lost before it counts as '
        'an error.', low=0.0, high=1.0)
    hit_rate_warn: float = parameter(
        0.0, 'Share of the lookups in the cache that have to find something, else it is warned '
        'of; 0: none has to, as live speech is hardly ever the same twice.', low=0.0, high=1.0)
    level_period: float = parameter(
        1.0, 'Time between two looks at the level of degradation; 0: none is decided, and '
        'nothing is degraded.', unit='s', low=0.0, high=2.0)
    level_enter: float = parameter(
        2.0, 'How long a worse level has to be called for before it is entered.',
        unit='s', low=0.1, high=600.0)
    level_leave: float = parameter(
        10.0, 'How long a level has to be uncalled for before it is left for a better one.',
        unit='s', low=0.1, high=3600.0)
    level_hysteresis: float = parameter(
        0.5, 'How far the pressure has to fall below that at which a level is entered, before it '
        'is left.', low=0.05, high=1.0)
    level_queue_begin: float = parameter(
        0.0, 'Segments that wait, for each worker, at which the pressure is 1; 0: not looked at, '
        'as files that are read at full speed fill the queue on purpose.', low=0.0, high=1e6)
    level_queue_end: float = parameter(
        0.0, 'The same at which the pressure is 4.', low=0.0, high=1e6)
    level_late_begin: float = parameter(
        0.1, 'Share of the utterances of 30 s that were too late for their budget, at which the '
        'pressure is 1; 0: not looked at.', low=0.0, high=1.0)
    level_late_end: float = parameter(
        0.7, 'The same at which the pressure is 4.', low=0.0, high=1.0)
    level_heat_begin: float = parameter(
        92.0, 'Temperature of the hottest sensor of this machine at which the pressure is 1; 0: '
        'not looked at.', unit='degrees Celsius', low=0.0, high=150.0)
    level_heat_end: float = parameter(
        104.0, 'The same at which the pressure is 4.', unit='degrees Celsius', low=0.0, high=150.0)
    level_memory_begin: float = parameter(
        0.94, 'Used share of the limit of memory at which the pressure is 1; 0: not looked at.',
        low=0.0, high=2.0)
    level_memory_end: float = parameter(
        1.06, 'The same at which the pressure is 4.', low=0.0, high=2.0)
    level_silence_begin: float = parameter(
        30.0, 'Time without any worker at which the pressure is 1; 0: not looked at.',
        unit='s', low=0.0, high=86400.0)
    level_silence_end: float = parameter(
        90.0, 'The same at which the pressure is 4.', unit='s', low=0.0, high=86400.0)


NODES: dict[str, type] = {
    'ingest': IngestParameters,
    'scheduler': SchedulerParameters,
    'cache': CacheParameters,
    'inference': InferenceParameters,
    'manager': ManagerParameters,
}
"""The parameter class of each node, by the name of its executable."""


def table(parameters: type) -> tuple[Parameter, ...]:
    """List the parameters of one class of NODES, in the order of their declaration."""
    return tuple(
        Parameter(name=item.name, default=cast('Default', item.default), **item.metadata)
        for item in dataclasses.fields(parameters))


def from_mapping(parameters: type[T], values: Mapping[str, Any], where: str = '') -> T:
    """Build the parameters of one node from plain values, for example of a YAML file.

    Args:
        parameters: a class of NODES.
        values: name to value; what is missing keeps its default.
        where: what the values come from, for the message of an error.

    Raises:
        ConfigurationError: an unknown name, another type or a value out of bounds.
    """
    known = {item.name: item for item in table(parameters)}
    prefix = f'{where}: ' if where else ''
    checked = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]}?' if near else f'known: {", ".join(known)}'
            raise ConfigurationError(f'{prefix}unknown parameter {name}; {hint}')
        try:
            checked[name] = known[name].check(value)
        except ConfigurationError as error:
            raise ConfigurationError(f'{prefix}{error}') from None
    return parameters(**checked)
