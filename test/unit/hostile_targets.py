"""What reads bytes of others, as targets for a fuzzer: nothing but the errors of errors.py leaves.

bench/fuzz.py runs them with many inputs, test_hostile_inputs.py with few. A target gets bytes and
an empty directory; whatever it raises that is no AsrError is a finding.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hostile_disk import (
    AUDIO_SEEDS,
    BAG_SEEDS,
    CACHE_SEEDS,
    WIRE,
    read_audio,
    read_bag,
    read_cache,
    read_store,
    read_wire,
)
from hostile_messages import MESSAGE_TARGETS
from hostile_models import (
    a_graph,
    a_wheel,
    bundle,
    manifest,
    read_bundle,
    read_graphs,
    read_headers,
    read_manifest,
    read_tokens,
    read_wheel,
    small_weights,
)
from hostile_reading import each, written
from hostile_values import binary, documents
from hypothesis import strategies as st
from small_whisper import tokenizer

from xlerobot_asr_opt.backends.script import read_script
from xlerobot_asr_opt.cli.run_file import read_run
from xlerobot_asr_opt.cloud_configuration import as_parameter_file, translate
from xlerobot_asr_opt.configuration import parse_override, read_file, read_yaml
from xlerobot_asr_opt.core.contract import SECTIONS, added, broken, read_contract
from xlerobot_asr_opt.errors import AsrError

__all__ = ['TARGETS', 'Target', 'run']

ROOT = Path(__file__).resolve().parents[2]
NODES = {'/asr/ingest': 'ingest', '/asr/scheduler': 'scheduler', '/asr/cache': 'cache',
         '/asr/inference_0': 'inference', '/asr/manager': 'manager'}


@dataclass(frozen=True)
class Target:
    """One thing that reads what others wrote.

    Attributes:
        name: for --target.
        seeds: inputs that are good, as a fuzzer begins with them.
        inputs: strategy of inputs.
        read: the thing; may raise AsrError.
    """

    name: str
    seeds: tuple[bytes, ...]
    inputs: st.SearchStrategy[bytes]
    read: Callable[[bytes, Path], None]


def run(target: Target, data: bytes) -> bool:
    """Give a target one input; return whether it took it. Anything it should not raise leaves."""
    with tempfile.TemporaryDirectory(prefix='hostile-') as place:
        try:
            target.read(data, Path(place))
        except AsrError as error:
            str(error).encode()
            return False
    return True


def read_configuration(data: bytes, place: Path) -> None:
    path = written(place, 'asr.yaml', data)
    each(lambda: read_file(path, NODES),
         lambda: read_script(path),
         lambda: as_parameter_file(translate(read_yaml(path)), 'a.yaml'),
         lambda: parse_override(f'ingest.hangover={data.decode(errors="replace")}', NODES),
         lambda: parse_override(f'ingest.topics={data.decode(errors="replace")}', NODES),
         lambda: parse_override(data.decode(errors='replace'), NODES))


def read_contracts(data: bytes, place: Path) -> None:
    path = written(place, 'contract.json', data)
    ours = read_contract(ROOT / 'config' / 'contract.json')

    def compare() -> None:
        found = read_contract(path)
        assert all(isinstance(line, str) for line in (*broken(found, ours), *added(ours, found)))

    each(compare, lambda: read_run(path))


SHIPPED = (ROOT / 'config' / 'asr.yaml').read_bytes()
YAMLS = (
    SHIPPED[:3000],
    b'/**/ingest:\n  ros__parameters:\n    hangover: 0.3\n    topics: [audio, b]\n',
    b'answers: [{text: go, delay_s: 0.1, length_s: [0, 2]}, {nan: true}]\nfaults: {seed: 1, '
    b'share: 0.5, hang_s: 1}\n',
    b'asr: {appkey: x, sample_rate: 16000, max_sentence_silence: 800, enable_itn: true}\n')
HEADERS = (b'Content-Length: 12\r\nContent-Range: bytes 0-11/12\r\nETag: "a"\r\n'
           b'Retry-After: 3\r\n\r\n')
TOKENS = (b'<blk> 0\na 1\n 2\n', b'["a", "b"]', json.dumps(tokenizer()).encode(),
          b'<LearnRateCoef> 0 [ 1 2 ]\n<LearnRateCoef> 0 [ 3 4 ]\n',
          b'#JSGF V1.0;\ngrammar a;\npublic <a> = go [ home | <b> ];\n<b> = ( left | right );\n')
STORE = st.lists(st.tuples(st.integers(0, 65535), st.binary(min_size=1, max_size=8)), max_size=8)


def store_edits(mends: int, edits: list[tuple[int, bytes]]) -> bytes:
    return bytes([mends]) + b''.join(
        struct.pack('<HB', at, len(piece) - 1) + piece for at, piece in edits)


def target(name: str, read: Callable[[bytes, Path], None], *seeds: bytes,
           inputs: st.SearchStrategy[bytes] | None = None) -> Target:
    return Target(name, seeds, binary(*seeds) if inputs is None else inputs, read)


def json_target(name: str, read: Callable[[bytes, Path], None], *seeds: object) -> Target:
    texts = tuple(json.dumps(seed).encode() for seed in seeds)
    return Target(name, texts, documents(*seeds), read)


CONTRACT = {name: {'a': 'b', 'c': 'd'} for name in SECTIONS}
RUN = {'format': 'xlerobot-asr run 1', 'processors': 2, 'utterances': [], 'resources': []}

TARGETS = {one.name: one for one in (
    json_target('manifest', read_manifest, manifest()),
    json_target('bundle', read_bundle, bundle()),
    target('tokens', read_tokens, *TOKENS),
    target('onnx', read_graphs, a_graph(), small_weights()),
    target('wheel', read_wheel, a_wheel()),
    target('http', read_headers, HEADERS),
    target('yaml', read_configuration, *YAMLS),
    json_target('contract', read_contracts, CONTRACT, RUN),
    target('cache', read_cache, *CACHE_SEEDS),
    target('store', read_store, b'\1' + bytes(30),
           inputs=st.builds(store_edits, st.integers(0, 3), STORE)),
    target('bag', read_bag, *BAG_SEEDS),
    target('audio', read_audio, *AUDIO_SEEDS),
    target('wire', read_wire, WIRE),
    *(Target(name, seeds, inputs, read) for name, seeds, inputs, read in MESSAGE_TARGETS),
)}
