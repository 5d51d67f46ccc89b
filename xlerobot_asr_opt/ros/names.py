"""Every topic, every service and every QoS profile of the graph, once.

All names but /diagnostics are relative: the nodes share one namespace, /asr by default. A private
service of a node is found under the node's name, for example cache/lookup.
"""

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

__all__ = [
    'ACKNOWLEDGEMENTS', 'AUDIO', 'AUDIO_QOS', 'BACKENDS', 'BARGE_IN', 'CACHE_LOOKUP',
    'CACHE_PATTERNS', 'CACHE_STATISTICS', 'CACHE_STORE', 'CACHE_TRIM', 'CONTROL_QOS',
    'DIAGNOSTICS', 'DIAGNOSTICS_QOS', 'FORCE_BACKEND', 'FORCE_LEVEL', 'GRANTS', 'HEARTBEATS',
    'IS_ACTIVE', 'IS_SPEAKING', 'KEPT_TRANSCRIPT_QOS', 'LATCHED_QOS', 'LEVEL', 'LIVE_SPEECH',
    'MANAGE_NODES', 'MEMORY', 'OPEN_STREAM', 'PARTIAL', 'RECOGNITIONS', 'RELEASE_MEMORY',
    'SCHEDULER', 'SEGMENTS_QOS', 'STREAMS', 'STREAMS_QOS', 'TEXT', 'TICKETS', 'TRANSCRIBE',
    'TRANSCRIPT', 'TRANSCRIPT_QOS', 'VOICES_TRACKED', 'WORKERS', 'segments',
]

AUDIO = 'audio'
"""AudioChunk, from whoever records or replays."""
TICKETS = 'speech/tickets'
"""SpeechTicket, ingest to scheduler."""
GRANTS = 'speech/grants'
"""Grant, scheduler to ingest."""
ACKNOWLEDGEMENTS = 'speech/acknowledgements'
"""Acknowledgement, scheduler to ingest."""
RECOGNITIONS = 'speech/recognitions'
"""Recognition, workers to scheduler."""
WORKERS = 'workers'
"""WorkerStatus, workers to scheduler and ingest."""
BACKENDS = 'backends'
"""BackendStates, workers to people."""
SCHEDULER = 'scheduler/status'
"""SchedulerStatus, scheduler to ingest and to people."""
STREAMS = 'streams'
"""StreamStatus, ingest to people."""
HEARTBEATS = 'heartbeats'
"""Heartbeat, every managed node to the manager."""
MEMORY = 'memory'
"""MemoryReport, manager to workers, ingest and people."""
LEVEL = 'level'
"""DegradationLevel, manager to scheduler, ingest, workers and people."""
DIAGNOSTICS = '/diagnostics'
"""diagnostic_msgs/DiagnosticArray, manager to people; absolute, as every robot has it."""
TRANSCRIPT = 'transcript'
"""Transcript, scheduler to everybody."""
PARTIAL = 'partial'
"""Transcript, scheduler to everybody: what was said so far, while its speaker goes on."""
TEXT = 'text'
"""std_msgs/String, scheduler to everybody: the text alone."""
BARGE_IN = 'barge_in'
"""std_msgs/String, ingest to everybody: the stream of who cuts in while the robot speaks."""
LIVE_SPEECH = 'humans/voices/{}/speech'
"""hri_msgs/LiveSpeech by stream (REP-155), where that package is installed."""
IS_SPEAKING = 'humans/voices/{}/is_speaking'
"""std_msgs/Bool by stream (REP-155), where hri_msgs is installed."""
VOICES_TRACKED = 'humans/voices/tracked'
"""hri_msgs/IdsList (REP-155), where that package is installed."""

OPEN_STREAM = 'ingest/open_stream'
TRANSCRIBE = 'ingest/transcribe'
CACHE_LOOKUP = 'cache/lookup'
CACHE_STORE = 'cache/store'
CACHE_STATISTICS = 'cache/statistics'
CACHE_TRIM = 'cache/trim'
CACHE_PATTERNS = 'cache/patterns'
MANAGE_NODES = 'manager/manage_nodes'
IS_ACTIVE = 'manager/is_active'
FORCE_LEVEL = 'manager/force_level'
FORCE_BACKEND = '~/force_backend'
RELEASE_MEMORY = '~/release_memory'


def segments(worker: str) -> str:
    """Return the topic of the SpeechSegments for one worker."""
    return f'{worker}/segments'


def _reliable(depth: int, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    return QoSProfile(
        reliability=ReliabilityPolicy.RELIABLE, durability=durability,
        history=HistoryPolicy.KEEP_LAST, depth=depth)


AUDIO_QOS = _reliable(5000)
"""Half a second of a thousand streams: a stall of ingest loses nothing."""
CONTROL_QOS = _reliable(1000)
"""Tickets, grants, acknowledgements, recognitions, heartbeats: small, and none may be lost."""
TRANSCRIPT_QOS = _reliable(100)
"""What people subscribe to."""
KEPT_TRANSCRIPT_QOS = _reliable(1000, DurabilityPolicy.TRANSIENT_LOCAL)
"""As transcripts are published. A scheduler that was started again publishes before all who listen
have found it; who asks for this durability gets what it has missed, and also what was published
before it came itself."""
DIAGNOSTICS_QOS = _reliable(10)
"""As diagnostic_updater publishes them."""
LATCHED_QOS = _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
"""States: who comes late gets the newest one of every publisher."""
STREAMS_QOS = _reliable(256, DurabilityPolicy.TRANSIENT_LOCAL)
"""States of many streams on one topic: who comes late gets the newest ones."""
SEGMENTS_QOS = _reliable(4)
"""More than a worker's credit of at most three, so that a granted segment is never overwritten."""
