"""Every metric that the graph exports, once; docs/monitoring.md lists the same."""

from __future__ import annotations

from xlerobot_asr_opt.core.monitor.metrics import Kind, Metric

__all__ = ['METRICS', 'STAGES', 'STREAM_COUNTERS']

STREAM_COUNTERS = {
    'chunks': ('asr_stream_chunks_total', 'Chunks of audio received.'),
    'missing': ('asr_stream_chunks_missing_total', 'Chunks lost, by their sequence numbers.'),
    'duplicated': ('asr_stream_chunks_duplicated_total', 'Chunks received again, or late.'),
    'refused': ('asr_stream_chunks_refused_total', 'Chunks that were invalid.'),
    'clipped': ('asr_stream_samples_clipped_total', 'Samples at full scale.'),
    'clicks': ('asr_stream_clicks_total', 'Sounds too short to be speech.'),
    'dropped': ('asr_stream_utterances_dropped_total',
                'Utterances lost because the segment store was full.'),
    'segments': ('asr_stream_segments_total', 'Segments announced.'),
    'muted': ('asr_stream_chunks_muted_total',
              'Chunks not heard, since the robot itself spoke.'),
}
"""Fields of StreamStatus to the counters that follow them."""

STAGES = {
    'total': ('asr_request_duration_seconds', 'Last audio received to transcript published.',
              'nv_inference_request_duration_us'),
    'ingest': ('asr_ingest_duration_seconds', 'Last audio received to ticket published.', ''),
    'cache': ('asr_cache_lookup_duration_seconds', 'Cache lookup.',
              'nv_cache_hit_duration_per_model'),
    'queue': ('asr_queue_duration_seconds', 'Admitted to granted, without the cache lookup.',
              'nv_inference_queue_duration_us'),
    'transport': ('asr_transport_duration_seconds',
                  "Granted to recognition received, without the worker's own time.", ''),
    'wait': ('asr_worker_wait_duration_seconds', 'In the worker, before its turn.', ''),
    'features': ('asr_compute_input_duration_seconds', 'Samples to features.',
                 'nv_inference_compute_input_duration_us'),
    'encode': ('asr_compute_infer_duration_seconds', 'Features to encoder output.',
               'nv_inference_compute_infer_duration_us'),
    'decode': ('asr_compute_output_duration_seconds', 'Encoder output to text.',
               'nv_inference_compute_output_duration_us'),
}
"""Fields of Latency to the histograms that they go to."""


def _counter(name: str, text: str, labels: tuple[str, ...] = (), also: str = '') -> Metric:
    return Metric(name, Kind.COUNTER, text, labels, also)


def _gauge(name: str, text: str, labels: tuple[str, ...] = (), also: str = '') -> Metric:
    return Metric(name, Kind.GAUGE, text, labels, also)


METRICS = (
    _counter('asr_requests_admitted_total', 'Segments that the scheduler took.'),
    _counter('asr_requests_total',
             'Segments finished, by outcome: success, rejected, expired, cancelled.', ('outcome',),
             'nv_inference_request_success, nv_inference_request_failure'),
    _gauge('asr_requests_pending', 'Segments admitted and not finished.', (),
           'nv_inference_pending_request_count, num_alive_tasks'),
    _gauge('asr_queue_depth', 'Segments that wait for a worker.', (), 'global_queue_depth'),
    _counter('asr_grants_total', 'Grants sent to workers, by kind: first, repeated.', ('kind',),
             'nv_inference_exec_count'),
    _counter('asr_requests_shared_total', 'Segments that joined a job for equal samples.'),
    _counter('asr_ahead_total', 'Jobs begun before the endpoint, at a pause of the speaker.'),
    _counter('asr_ahead_used_total', 'Jobs begun before the endpoint whose answer was used.'),
    _counter('asr_requests_foretold_total',
             'Segments refused since their budget could not have sufficed.'),
    _counter('asr_steals_total', 'Jobs that a worker took from the deque of another.', (),
             'steal_count'),
    _counter('asr_partials_total', 'Partial transcripts published.'),
    _counter('asr_transcripts_total', 'Transcripts published, by status.', ('status',)),
    _counter('asr_speech_seconds_total', 'Speech in the transcripts that workers made.'),
    *(Metric(name, Kind.HISTOGRAM, text, (), also) for name, text, also in STAGES.values()),
    _gauge('asr_workers', 'Workers that take segments.', (), 'num_workers'),
    _gauge('asr_worker_capacity', 'Segments that the workers may hold at once.'),
    _gauge('asr_backend_state', 'Breaker of a backend: 0 closed, 1 open, 2 half open.',
           ('worker', 'backend')),
    _counter('asr_backend_answers_total', 'Answers of a backend, by result: good, failed.',
             ('worker', 'backend', 'result')),
    _counter('asr_backend_opened_total', 'Times that a breaker opened, or stayed open.',
             ('worker', 'backend')),
    _counter('asr_backend_abandoned_total', 'Calls given up since no answer came in time.',
             ('worker', 'backend')),
    _gauge('asr_streams', 'Streams, by state.', ('state',)),
    _gauge('asr_segments_kept', 'Segments in the store of ingest, not acknowledged yet.'),
    *(_counter(name, text, ('stream',)) for name, text in STREAM_COUNTERS.values()),
    _gauge('asr_stream_audio_rate', 'Audio taken, in times real time.', ('stream',)),
    _gauge('asr_stream_level_dbfs', 'Level of the newest audio.', ('stream',)),
    _gauge('asr_node_active', 'Whether a node is heard, and active.', ('node',)),
    _counter('asr_node_restarts_total', 'Times that a new process took the name of a node.',
             ('node',)),
    _gauge('asr_node_working_seconds', 'How long the running piece of work has taken so far.',
           ('node',)),
    _gauge('asr_memory_used_bytes', 'Used below the tightest limit.'),
    _gauge('asr_memory_limit_bytes', 'The tightest limit.'),
    _gauge('asr_memory_available_bytes', 'Available on the machine.'),
    _gauge('asr_memory_stalled_ratio', 'Share of the time in which tasks waited for memory.'),
    _gauge('asr_memory_rung', 'What is done about it: 0 nothing, 1 release, 2 shrink, 3 refuse, '
           '4 restart.'),
    _gauge('asr_process_memory_bytes', 'Memory of a process, by kind: uss, pss.',
           ('node', 'kind')),
    _gauge('asr_process_memory_slope_bytes_per_second', 'Trend of the unique set size.',
           ('node',)),
    _counter('asr_cache_hits_total', 'Lookups that found something, by level.', ('level',),
             'nv_cache_num_hits_per_model'),
    _counter('asr_cache_misses_total', 'Lookups that found nothing.', (),
             'nv_cache_num_misses_per_model'),
    _counter('asr_cache_stores_total', 'Values stored.'),
    _counter('asr_cache_evictions_total', 'Values dropped for size or age, by level.', ('level',)),
    _counter('asr_cache_write_failures_total', 'Values that could not be written to disk.'),
    _gauge('asr_cache_entries', 'Values held, by level.', ('level',)),
    _gauge('asr_cache_disk_bytes', 'Size of the level on disk.'),
    _gauge('asr_degradation_level', 'Level of degradation: 0 bpu, 1 cpu, 2 cpu_small, 3 finals, '
           '4 commands, 5 refuse.'),
    _gauge('asr_degradation_pressure', 'What load, heat, memory and missing workers call for: 1 '
           'for cpu_small, 4 for refuse.'),
    _gauge('asr_diagnostic_level', 'Judgement of /diagnostics: 0 OK, 1 WARN, 2 ERROR, 3 STALE.',
           ('name',)),
    _gauge('asr_monitor_values_refused', 'Values not taken, since a metric had its most series.'),
)
