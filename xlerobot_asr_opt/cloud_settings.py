"""Settings of cloud recognisers that have no equivalent here, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ['LEFT_OUT']

_CREDENTIAL = 'credentials of the cloud are not needed: no audio leaves the robot'
_ADDRESS = 'there is no service to connect to: speech is recognised on the robot'
_FORMAT = 'chunks and files say their own format, and every rate from 4 to 192 kHz is resampled'
_PUNCTUATION = 'Whisper always writes punctuation, SenseVoice does with inference.digits'
_TRAINED = 'it names something that is kept in the cloud'
_ALWAYS = 'speech is always searched for by silero-vad'
_BY_SILENCE = 'an utterance ends by silence alone: see ingest.hangover'
_DETECTOR = 'its scale is that of another detector: see ingest.speech_threshold'
_NOT_HERE = 'texts are as the model gives them'

LEFT_OUT: Mapping[str, str] = {
    **dict.fromkeys((
        'appkey', 'app_key', 'app_id', 'appid', 'token', 'expire_time', 'access_key',
        'access_key_id', 'access_key_secret', 'ak_id', 'ak_secret', 'api_key', 'secret',
        'secret_key', 'sts_token', 'security_token', 'workspace'), _CREDENTIAL),
    **dict.fromkeys((
        'url', 'ws_url', 'host', 'port', 'endpoint', 'region', 'region_id', 'domain', 'proxy',
        'timeout', 'connect_timeout', 'heartbeat', 'reconnect', 'max_retries', 'retry_count',
        'provider', 'type', 'service', 'namespace'), _ADDRESS),
    **dict.fromkeys((
        'format', 'sample_rate', 'channels', 'chunk_size', 'frame_size', 'bits', 'encoding',
        'first_channel_only'), _FORMAT),
    **dict.fromkeys((
        'enable_punctuation_prediction', 'punctuation_prediction_enabled', 'enable_punctuation'),
        _PUNCTUATION),
    **dict.fromkeys(('customization_id', 'class_vocabulary_id'), _TRAINED),
    'vocabulary_id': f'{_TRAINED}: put its phrases into inference.hotwords',
    'model': 'the model of the cloud is not here: choose one with inference.model',
    **dict.fromkeys(('enable_voice_detection', 'enable_vad', 'vad'), _ALWAYS),
    'max_start_silence': 'ingest waits for speech without a limit',
    **dict.fromkeys(('speech_noise_threshold', 'vad_model'), _DETECTOR),
    **dict.fromkeys((
        'enable_semantic_sentence_detection', 'semantic_punctuation_enabled',
        'multi_threshold_mode_enabled', 'enable_ignore_sentence_timeout'), _BY_SILENCE),
    **dict.fromkeys((
        'disfluency', 'disfluency_removal_enabled', 'special_word_filter'), _NOT_HERE),
    **dict.fromkeys(('enable_words', 'enable_timestamp'),
                    'words have times wherever the model gives them'),
    'output_dir': 'recordings are made by xlerobot-asr record',
}
"""Why a setting was left out, by the protocol's name."""
