"""The ONNX layout that people have from the Hugging Face hub.

A directory with tokenizer.json, config.json and generation_config.json if there, and in it or in
its folder onnx/ the graphs encoder_model.onnx and decoder_model_merged.onnx, or decoder_model.onnx
and if there decoder_with_past_model.onnx, as exported by Optimum. A decoder_model.onnx that was
exported without a past gives logits alone: config.json then says how many layers it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.files import Dims, ModelFiles
from xlerobot_asr_opt.models.manifest import digest_of, sha256_of
from xlerobot_asr_opt.models.onnx_signature import Signature, Value, read_signature
from xlerobot_asr_opt.models.tokens import read_json, read_special_tokens

__all__ = ['open_hub']

_ENCODER = 'encoder_model.onnx'
_MERGED = 'decoder_model_merged.onnx'
_PLAIN = 'decoder_model.onnx'
_WITH_PAST = 'decoder_with_past_model.onnx'
_AUDIO_POSITIONS = 1500
_TEXT_POSITIONS = 448
_MULTILINGUAL_VOCABULARY = 51865
_MAY_ASK_FOR = ('encoder_hidden_states', 'cache_position')
"""What some versions of Optimum let a decoder with a past ask for, too."""
_FLOAT32 = 1
_ELEMENTS = {'input_ids': 7, 'cache_position': 7, 'use_cache_branch': 9}
"""ONNX's numbers of the element types: 7 int64, 9 bool."""


def open_hub(directory: Path) -> ModelFiles:
    """Check a directory of that layout.

    Raises:
        ModelError: a file is missing, cut or foreign; the message names what is there.
    """
    graphs = _graphs(directory)
    encoder = graphs / _ENCODER
    merged = (graphs / _MERGED).is_file()
    decoder = graphs / (_MERGED if merged else _PLAIN)
    with_past = graphs / _WITH_PAST
    step = with_past if not merged and with_past.is_file() else None
    tokenizer = _tokenizer(directory)
    config = _optional(directory / 'config.json')
    generation = {**config, **_optional(directory / 'generation_config.json')}
    dims = _check(encoder, decoder, merged=merged, step=step, config=config)
    tokens = read_special_tokens(tokenizer)
    multilingual = bool(
        generation.get('is_multilingual', dims.vocabulary >= _MULTILINGUAL_VOCABULARY)
    )
    files = [
        encoder,
        decoder,
        tokenizer,
        *([step] if step else []),
        *graphs.glob('*.onnx_data*'),
        *graphs.glob('*.onnx.data'),
    ]
    return ModelFiles(
        name=directory.resolve().name,
        family='whisper',
        layout='hub',
        encoder=encoder,
        decoder=decoder,
        decoder_with_past=step,
        decoder_is_merged=merged,
        tokenizer=tokenizer,
        dims=dims,
        tokens=tokens,
        multilingual=multilingual,
        languages=tuple(code for code, _ in tokens.languages) if multilingual else ('en',),
        suppress=_ids(directory, generation, 'suppress_tokens', dims),
        suppress_at_begin=_ids(directory, generation, 'begin_suppress_tokens', dims),
        digest=digest_of({file.name: sha256_of(file) for file in files}),
    )


def _graphs(directory: Path) -> Path:
    for place in (directory, directory / 'onnx'):
        if (place / _ENCODER).is_file() and (
            (place / _MERGED).is_file() or (place / _PLAIN).is_file()
        ):
            return place
    found = sorted(
        path.name for place in (directory, directory / 'onnx') for path in place.glob('*.onnx')
    )
    raise ModelError(
        f'{directory}: expected {_ENCODER} and {_MERGED} or {_PLAIN} in it or in its folder onnx, '
        f'found {", ".join(found) or "no ONNX file"}'
    )


def _tokenizer(directory: Path) -> Path:
    path = directory / 'tokenizer.json'
    if not path.is_file():
        raise ModelError(
            f'{directory}: has no tokenizer.json; take it from where the ONNX files are from'
        )
    return path


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _check(
    encoder: Path, decoder: Path, *, merged: bool, step: Path | None, config: dict[str, Any]
) -> Dims:
    front = read_signature(encoder)
    _expect(encoder, front, ['input_features'], ['last_hidden_state'])
    back = read_signature(decoder)
    cached = merged or step is not None
    # A decoder that is exported without a past gives nothing but logits.
    layers = sum(
        name.startswith('present.') and name.endswith('.decoder.key') for name in back.outputs
    ) or (1 if cached else _number(decoder, config, 'decoder_layers'))
    own, past = (
        [f'{layer}.{side}.{part}' for layer in range(layers)
         for side in sides for part in ('key', 'value')]
        for sides in (('decoder',), ('decoder', 'encoder'))
    )
    taken = [f'past_key_values.{name}' for name in past]
    _expect(
        decoder,
        back,
        ['input_ids', 'encoder_hidden_states', *(['use_cache_branch', *taken] if merged else [])],
        ['logits', *(f'present.{name}' for name in past if cached)],
    )
    _match(decoder, back, 'encoder_hidden_states', front.outputs['last_hidden_state'])
    if step is not None:
        after = read_signature(step)
        _expect(step, after, ['input_ids', *taken],
                ['logits', *(f'present.{name}' for name in own)])
        for name in past:
            _match(step, after, f'past_key_values.{name}', back.outputs[f'present.{name}'])
    return _dims(decoder, front, back, layers, config)


def _expect(
    path: Path, signature: Signature, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """Refuse a graph that lacks one of these, asks for more, or counts in other numbers."""
    missing = [f'input {name}' for name in inputs if name not in signature.inputs]
    missing += [f'output {name}' for name in outputs if name not in signature.outputs]
    if missing:
        raise ModelError(
            f'{path}: not this part of a Whisper: {", ".join(missing)} missing; it has the inputs '
            f'{", ".join(signature.inputs)} and the outputs {", ".join(signature.outputs)}'
        )
    unknown = [name for name in signature.inputs if name not in {*inputs, *_MAY_ASK_FOR}]
    if unknown:
        raise ModelError(
            f'{path}: asks for {", ".join(unknown)}, expected the inputs {", ".join(inputs)} '
            'alone; export it with Optimum'
        )
    for name, value in (signature.inputs | signature.outputs).items():
        wanted = _ELEMENTS.get(name, _FLOAT32)
        if value.element != wanted:
            raise ModelError(
                f'{path}: {name} has elements of ONNX type {value.element}, expected {wanted}; '
                'take the export in float32'
            )


def _match(path: Path, signature: Signature, name: str, given: Value) -> None:
    """Refuse a graph that is of another size than the one whose output it takes."""
    taken = signature.inputs[name].shape
    sizes = list(zip(taken, given.shape, strict=False))
    # Sizes that are free have names, which every export chooses for itself.
    if len(taken) != len(given.shape) or any(
        one != other for one, other in sizes if isinstance(one, int) and isinstance(other, int)
    ):
        raise ModelError(
            f'{path}: takes {name} of the shape {taken}, but the graph before it gives '
            f'{given.name} of {given.shape}; take all graphs from one export'
        )


def _dims(
    path: Path, front: Signature, back: Signature, layers: int, config: dict[str, Any]
) -> Dims:
    def size(found: tuple[int | str, ...], axis: int, key: str) -> int:
        value = found[axis] if axis < len(found) else ''
        return value if isinstance(value, int) and value > 0 else _number(path, config, key)

    features = front.inputs['input_features'].shape
    frames = features[2] if len(features) > 2 else ''
    if not isinstance(frames, int):
        frames = 2 * _number(path, config, 'max_source_positions', _AUDIO_POSITIONS)
    present = back.outputs.get('present.0.decoder.key')
    return Dims(
        mel_bins=size(features, 1, 'num_mel_bins'),
        width=size(front.outputs['last_hidden_state'].shape, 2, 'd_model'),
        heads=size(present.shape if present else (), 1, 'decoder_attention_heads'),
        decoder_layers=layers,
        vocabulary=size(back.outputs['logits'].shape, 2, 'vocab_size'),
        audio_positions=frames // 2,
        text_positions=_number(path, config, 'max_target_positions', _TEXT_POSITIONS),
    )


def _number(path: Path, config: dict[str, Any], key: str, default: int = 0) -> int:
    """A size out of config.json, above 0."""
    value = config.get(key) or default
    if not value:
        raise ModelError(
            f'{path}: neither its shapes nor config.json say {key}; put config.json beside it')
    if not isinstance(value, int) or value < 1:
        raise ModelError(f'{path}: config.json says {key} {value!r}, expected a number above 0')
    return value


def _ids(directory: Path, generation: dict[str, Any], key: str, dims: Dims) -> tuple[int, ...]:
    tokens = generation.get(key) or []
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise ModelError(
            f'{directory}: its configuration says {key} {tokens!r}, expected a list of tokens')
    return tuple(token for token in tokens if 0 <= token < dims.vocabulary)
