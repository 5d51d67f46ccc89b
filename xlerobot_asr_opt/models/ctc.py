"""CTC models as people download them: one ONNX graph with tokens.txt beside it.

The layouts are those that sherpa-onnx loads, told apart by the graph's metadata: SenseVoice, in
its usual and its static form for accelerators, NeMo, Zipformer (icefall) and WeNet; and SenseVoice
as FunASR exports it, with am.mvn and tokens.json. docs/ctc.md lists them.
"""

from __future__ import annotations

from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.ctc_checks import check_features, integer_of, number
from xlerobot_asr_opt.models.ctc_files import CtcFamily, CtcFiles, Frontend, Inputs
from xlerobot_asr_opt.models.ctc_tokens import read_pieces, tokens_file
from xlerobot_asr_opt.models.manifest import digest_of, sha256_of
from xlerobot_asr_opt.models.onnx_signature import Signature, read_signature
from xlerobot_asr_opt.models.sense_voice import (
    is_sense_voice,
    sense_voice_frontend,
    sense_voice_inputs,
    sense_voice_prompt,
)

__all__ = ['holds_ctc', 'open_ctc']

_PREFERRED = ('model.int8.onnx', 'model.onnx', 'model_quant.onnx')
"""int8 first: a third of the time; take the file away to have the other one."""

_FAMILIES: dict[str, CtcFamily] = {
    'sense_voice_ctc': 'sense_voice',
    'EncDecCTCModel': 'nemo_ctc',
    'EncDecCTCModelBPE': 'nemo_ctc',
    'EncDecHybridRNNTCTCBPEModel': 'nemo_ctc',
    'zipformer2_ctc': 'zipformer_ctc',
    'wenet_ctc': 'wenet_ctc',
}
"""What model_type says in a graph's metadata."""

_BLANKS = ('<blk>', '<eps>', '<blank>')


def holds_ctc(directory: Path) -> bool:
    """Whether a directory looks like a CTC model: its tokens are there, or its graph by name."""
    return tokens_file(directory) is not None or any(
        (directory / name).is_file() for name in _PREFERRED)


def open_ctc(directory: Path) -> CtcFiles:
    """Check a directory of these layouts.

    Raises:
        ModelError: a file is missing, cut or foreign; the message names what is there.
    """
    graph = _graph(directory)
    tokens = tokens_file(directory)
    if tokens is None:
        raise ModelError(
            f'{directory}: has no tokens.txt; take it from where {graph.name} is from')
    signature = read_signature(graph)
    family = _family(graph, signature)
    pieces = read_pieces(tokens)
    if family == 'sense_voice':
        inputs = sense_voice_inputs(graph, signature)
        frontend = sense_voice_frontend(graph, signature, inputs)
        blank = number(graph, signature, 'blank_id', 0)
        subsampling, prompt = frontend.shift, sense_voice_prompt(graph, signature)
    else:
        inputs = _inputs(graph, signature, family)
        frontend = _frontend(graph, signature, family, inputs)
        blank = _blank(tokens, pieces)
        # icefall's metadata does not tell it: all of its Zipformers have 4.
        subsampling = 4 if family == 'zipformer_ctc' else number(
            graph, signature, 'subsampling_factor')
        prompt = None
    _check_vocabulary(graph, signature, inputs, family, len(pieces), tokens)
    return CtcFiles(
        name=directory.resolve().name, family=family, graph=graph, pieces=pieces, blank=blank,
        frontend=frontend, inputs=inputs, subsampling=subsampling, prompt=prompt,
        digest=digest_of({path.name: sha256_of(path) for path in _read(graph, tokens)}))


def _read(graph: Path, tokens: Path) -> list[Path]:
    """All files that make up the model: weights may lie in files of their own."""
    beside = [path for path in graph.parent.iterdir()
              if path.name == 'am.mvn' or path.suffix in ('.data', '.onnx_data', '.weights')]
    return [graph, tokens, *beside]


def _graph(directory: Path) -> Path:
    found = sorted(path.name for path in directory.glob('*.onnx'))
    only = found[0] if len(found) == 1 else ''
    name = next((name for name in _PREFERRED if name in found), only)
    if not name:
        raise ModelError(
            f'{directory}: expected {" or ".join(_PREFERRED)} or one ONNX file of another name, '
            f'found {", ".join(found) or "no ONNX file"}')
    return directory / name


def _family(graph: Path, signature: Signature) -> CtcFamily:
    kind = signature.metadata.get('model_type', '')
    if kind in _FAMILIES:
        family = _FAMILIES[kind]
    elif not kind and is_sense_voice(signature):
        family = 'sense_voice'
    else:
        told = f'says model_type {kind!r}' if kind else 'has no model_type in its metadata'
        raise ModelError(
            f'{graph}: {told}, expected {", ".join(_FAMILIES)}; it has the inputs '
            f'{", ".join(signature.inputs)}')
    if 'Nano' in signature.metadata.get('comment', '') and family == 'sense_voice':
        raise ModelError(f'{graph}: is a FunASR Nano, expected a SenseVoice; it is fed otherwise')
    if signature.metadata.get('is_giga_am', '0') != '0':
        raise ModelError(f'{graph}: is a GigaAM, expected another NeMo; its features differ')
    return family


def _inputs(graph: Path, signature: Signature, family: CtcFamily) -> Inputs:
    """Names by their order, as in sherpa-onnx: exports differ in names."""
    if len(signature.inputs) != 2 or not signature.outputs:
        raise ModelError(
            f'{graph}: expected features and their length as inputs, got '
            f'{", ".join(signature.inputs) or "none"}')
    features, length = signature.inputs.values()
    outputs = list(signature.outputs)
    if family != 'nemo_ctc' and len(outputs) < 2:
        raise ModelError(
            f'{graph}: expected log-probabilities and their length as outputs, got {outputs[0]}')
    check_features(graph, features)
    return Inputs(
        features=features.name, length=length.name, logits=outputs[0],
        logits_length='' if family == 'nemo_ctc' else outputs[1],
        integer=integer_of(graph, length), transposed=family == 'nemo_ctc')


def _frontend(graph: Path, signature: Signature, family: CtcFamily, inputs: Inputs) -> Frontend:
    """Features as sherpa-onnx makes them for the family, but WeNet's without its dither of 1."""
    size = signature.inputs[inputs.features].shape[1 if inputs.transposed else 2]
    bins = size if isinstance(size, int) and size > 0 else 80
    if family == 'nemo_ctc':
        kind = signature.metadata.get('normalize_type', '')
        if kind not in ('', 'NA', 'per_feature'):
            raise ModelError(
                f'{graph}: says normalize_type {kind!r}, expected per_feature or nothing')
        return Frontend(
            scale=1.0, window='hann', low=0.0, high=0.0, snip_edges=False, remove_dc_offset=False,
            librosa=True, bins=bins, normalise=kind == 'per_feature')
    return Frontend(
        scale=32768.0 if family == 'wenet_ctc' else 1.0, window='povey', low=20.0, high=-400.0,
        snip_edges=False, remove_dc_offset=True, librosa=False, bins=bins)


def _blank(path: Path, pieces: tuple[str, ...]) -> int:
    for name in _BLANKS:
        if name in pieces:
            return pieces.index(name)
    raise ModelError(f'{path}: has no token {" or ".join(_BLANKS)}: it is not that of a CTC model')


def _check_vocabulary(
    graph: Path, signature: Signature, inputs: Inputs, family: CtcFamily, count: int, tokens: Path,
) -> None:
    """A file of tokens may name more than the graph has: icefall's has symbols for itself."""
    size = signature.outputs[inputs.logits].shape[-1:]
    if size and isinstance(size[0], int) and size[0] > 0:
        wanted = size[0]
    elif 'vocab_size' in signature.metadata:
        # NeMo does not count the blank.
        wanted = number(graph, signature, 'vocab_size') + (family == 'nemo_ctc')
    else:
        return
    if count < wanted or (family == 'sense_voice' and count != wanted):
        raise ModelError(
            f'{tokens}: got {count} tokens, expected {wanted} as {graph.name} has; it is cut, or '
            'of another model')
