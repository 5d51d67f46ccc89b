"""Whether a quantised model is worth it: a verdict with its reasons in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from xlerobot_asr_opt.models.quantization import Change, GraphChange, QuantType

__all__ = ['judge']

WORD_ERRORS_MORE = 2.0
"""Points by which the word error rate may rise [%]."""
LOWEST_COSINE = 0.98
"""Where no words were counted: Whispers that read as well have 0.996 and more, those that do not
have 0.95 and less (docs/quantizer.md)."""
SLOWER = 1.05
"""A call that takes so many times as long is slower; less is within what a measurement moves."""
FASTER = 1.1
"""One graph at least must be so many times as fast."""
LEAST_SMALLER = 1.5
INT8_WEIGHTS = 3.9


def judge(
    quant_type: QuantType, size: Change, graphs: Sequence[GraphChange],
    word_error_rate: Change | None,
) -> tuple[bool | None, tuple[str, ...]]:
    """Say whether a type pays, and why.

    Returns:
        True, False, or None where neither accuracy nor speed were measured; and what speaks
        against it, or, if nothing does, what speaks for it.
    """
    against = (*_size(quant_type, size, graphs), *_accuracy(graphs, word_error_rate),
               *_speed(quant_type, graphs))
    if against:
        return False, against
    if word_error_rate is None and all(graph.similarity is None for graph in graphs):
        return None, ('neither accuracy nor speed were measured: real inputs are needed',)
    return True, _for(size, graphs, word_error_rate)


def _size(
    quant_type: QuantType, size: Change, graphs: Sequence[GraphChange],
) -> Iterator[str]:
    if size.ratio < LEAST_SMALLER:
        yield f'size: only {size.ratio:.2f} times smaller, most of the model stays as it is'
    for graph in graphs:
        if quant_type.startswith('int8') and graph.weights.ratio < INT8_WEIGHTS:
            yield (f'size: the weights of {graph.name} are {graph.weights.ratio:.2f} times '
                   f'smaller, expected {INT8_WEIGHTS}: they have few numbers for each scale')


def _accuracy(
    graphs: Sequence[GraphChange], word_error_rate: Change | None,
) -> Iterator[str]:
    for graph in graphs:
        if graph.similarity is not None and not math.isfinite(graph.similarity.cosine):
            yield f'accuracy: {graph.name} gives NaN'
        # Words decide where they were counted: outputs may differ without harm.
        elif (word_error_rate is None and graph.similarity is not None
                and graph.similarity.cosine < LOWEST_COSINE):
            yield (f'accuracy: outputs of {graph.name} have a cosine of only '
                   f'{graph.similarity.cosine:.3f} to float')
    if word_error_rate is not None:
        more = word_error_rate.after - word_error_rate.before
        if not more <= WORD_ERRORS_MORE:
            yield (f'accuracy: word error rate rises from {word_error_rate.before:.1f} to '
                   f'{word_error_rate.after:.1f} %')


def _speed(quant_type: QuantType, graphs: Sequence[GraphChange]) -> Iterator[str]:
    ratios = {graph.name: graph.latency.ratio for graph in graphs if graph.latency is not None}
    why = (': onnxruntime has no float16 arithmetic here, computes in float32 and converts'
           if quant_type == 'fp16' else '')
    slower = [f'{name} takes {1 / ratio:.2f} times as long'
              for name, ratio in ratios.items() if ratio * SLOWER < 1]
    if slower:
        yield f'speed: {", ".join(slower)}{why}'
    elif ratios and max(ratios.values()) < FASTER:
        yield f'speed: nothing is gained, {_times_as_fast(ratios)}{why}'


def _times_as_fast(ratios: Mapping[str, float]) -> str:
    return ', '.join(f'{name} is {ratio:.2f} times as fast' for name, ratio in ratios.items())


def _for(
    size: Change, graphs: Sequence[GraphChange], word_error_rate: Change | None,
) -> tuple[str, ...]:
    said = [f'size: {size.ratio:.2f} times smaller']
    if word_error_rate is not None:
        said.append(f'accuracy: word error rate {word_error_rate.before:.1f} to '
                    f'{word_error_rate.after:.1f} %')
    ratios = {graph.name: graph.latency.ratio for graph in graphs if graph.latency is not None}
    if ratios:
        said.append(f'speed: {_times_as_fast(ratios)}')
    return tuple(said)
