"""Tokens and times that sherpa-onnx 1.13.8 gave for a recording, by `bench/ctc.py --pin`.

The models have random weights (generated_ctc.py), so that nothing of it is a lucky guess.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from generated_ctc import write_generic, write_sense_voice

from xlerobot_asr_opt.backends.ctc_graph import CtcGraph
from xlerobot_asr_opt.backends.ctc_greedy import greedy
from xlerobot_asr_opt.backends.kaldi_fbank import KaldiFbank
from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.models.layout import asset_path, open_model
from xlerobot_asr_opt.sources.file import AudioFile

PINNED = json.loads(Path(__file__).with_name('ctc_conformance.json').read_text(encoding='utf-8'))

MODELS = {
    'small-0': lambda directory: write_sense_voice(directory, seed=0),
    'small-1': lambda directory: write_sense_voice(directory, seed=1),
    'nemo': lambda directory: write_generic(directory, 'nemo_ctc', seed=4),
    'zipformer': lambda directory: write_generic(directory, 'zipformer_ctc', seed=5),
}


@pytest.fixture(scope='module')
def cuts():
    file = AudioFile(asset_path('two_cities'))
    resampler = Resampler(file.rate, file.channels)
    pieces = [resampler.push(chunk.samples).copy() for chunk in file.chunks('', 0)]
    whole = np.concatenate([*pieces, resampler.flush()])
    return [whole[begin:end] for begin, end in PINNED['cuts']]


@pytest.mark.parametrize('name', MODELS)
def test_tokens_and_times_are_those_of_sherpa_onnx(name, tmp_path, cuts):
    files = open_model(str(MODELS[name](tmp_path / name)))
    frontend, graph = KaldiFbank(files.frontend), CtcGraph(files, 1)
    begin = files.prompt.FRAMES if files.prompt else 0
    for style, heard in PINNED['heard'][name].items():
        for samples, wanted in zip(cuts, heard, strict=True):
            logits = graph(frontend(samples), '', normalised=style == 'itn')
            said = [one for one in greedy(logits, files.blank) if one.begin >= begin]
            assert [files.pieces[one.token].replace('▁', ' ', 1) for one in said] == (
                wanted['tokens'])
            np.testing.assert_allclose(
                [files.subsampling / 100 * (one.begin - begin) for one in said], wanted['times'],
                atol=0.006)
            assert len(set(wanted['tokens'])) > 5
