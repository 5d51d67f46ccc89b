"""The BPU as one more type of quantising: compiled by models/bpu, told as the others are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from xlerobot_asr_opt.models.bpu.compile import Order, compile_bundle
from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment, vendor_directory
from xlerobot_asr_opt.models.bundle import Bundle
from xlerobot_asr_opt.models.ctranslate2 import read
from xlerobot_asr_opt.models.quantization import Change, GraphChange, QuantizationResult
from xlerobot_asr_opt.models.quantization_verdict import WORD_ERRORS_MORE
from xlerobot_asr_opt.models.speech import Utterance

__all__ = ['BUCKETS', 'compile_for_bpu']

BUCKETS = (4.0, 8.0, 12.0)
"""Lengths of the windows [s]; `models compile` takes others."""

_FLOAT32 = 4

_log = logging.getLogger(__name__)


def compile_for_bpu(
    model: Path, output: Path, recordings: Mapping[str, Sequence[Utterance]],
) -> QuantizationResult:
    """Compile a Whisper's encoder for the board's BPU, and compare it with the float encoder.

    Words wrong are those of the board's arithmetic on x86. Neither similarity nor latency is
    measured: outputs are judged by their words, and the vendor's estimate is no measurement.

    Args:
        model: the directory of a Whisper in CTranslate2's format.
        output: the directory of the bundle to write.
        recordings: name to utterances of people; they calibrate and verify.

    Raises:
        ConfigurationError: the order cannot be done.
        ModelError: the weights, the vendor's environment or the compiler failed.
        BackendError: the compiled model cannot be run.
        StoreError: the cache directory cannot be made.
    """
    encoder = sum(_FLOAT32 * tensor.size for name, tensor in
                  read(model / 'model.bin', 'WhisperSpec').items() if name.startswith('encoder/'))
    bundle = compile_bundle(
        Order(str(model), BUCKETS, output), recordings, VendorEnvironment(vendor_directory()),
        _log.info, lambda what, done, total: _log.debug('%s: %d of %d', what, done, total))
    graphs = tuple(
        GraphChange(bucket.binary, Change(encoder, bundle.files[bucket.binary].size), None, None)
        for bucket in bundle.buckets)
    rate = _word_error_rate(bundle)
    more = rate.after - rate.before
    estimates = ', '.join(f'{bucket.estimate.latency_us / 1e3:.1f} ms for {bucket.seconds:g} s'
                          for bucket in bundle.buckets)
    return QuantizationResult(
        model, output, 'bpu', Change(encoder, sum(graph.weights.after for graph in graphs)),
        graphs, rate, more <= WORD_ERRORS_MORE, (
            f'accuracy: word error rate {rate.before:.1f} to {rate.after:.1f} %, in the '
            'arithmetic of the board',
            f"speed: the encoder takes {estimates} by the vendor's estimate; no board has "
            'measured it'))


def _word_error_rate(bundle: Bundle) -> Change:
    """Words wrong over all buckets [%], of the float encoder and of the compiled one."""
    measured = [one for bucket in bundle.buckets for one in bucket.accuracy]
    words = sum(one.words for one in measured)
    return Change(100.0 * sum(one.wrong_float for one in measured) / words,
                  100.0 * sum(one.wrong for one in measured) / words)
