"""A model is opened where it fits into the memory that is left, and else refused with numbers."""

import re
import shutil

import pytest
from generated_ctc import write_sense_voice
from small_machine import GIB, MB, Machine
from small_vocabulary import build_small

from xlerobot_asr_opt import model_admission
from xlerobot_asr_opt.backends.ctc import CtcBackend
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.errors import BackendError, MemoryBudgetError
from xlerobot_asr_opt.model_admission import ModelAdmission
from xlerobot_asr_opt.models.catalog import DEFAULT_MODEL
from xlerobot_asr_opt.models.footprint import footprint, graph_bytes
from xlerobot_asr_opt.models.layout import is_fetched, open_model
from xlerobot_asr_opt.parameters import InferenceParameters


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    directory = tmp_path_factory.mktemp('models')
    return {'whisper': build_small(directory), 'ctc': write_sense_voice(directory / 'ctc')}


BACKENDS = {'whisper': WhisperBackend, 'ctc': CtcBackend}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def leave(machine, room):
    """Leave so many bytes below the ceiling of a control group."""
    machine.write('proc/self/cgroup', '0::/asr\n')
    machine.group(2, 'asr', GIB, round(0.9 * GIB) - room)


def backend(models, machine, kind):
    return BACKENDS[kind](
        InferenceParameters(model=str(models[kind])),
        admit=ModelAdmission(0.9, machine.reader).admit)


# How much a model takes

def test_the_files_of_a_model_are_its_graphs_and_what_continues_them(models):
    directory = models['whisper']
    expected = sum(path.stat().st_size for path in directory.glob('*coder.onnx*'))
    assert graph_bytes(open_model(str(directory))) == expected > 10_000
    graph = models['ctc'] / 'model.onnx'
    assert graph_bytes(open_model(str(models['ctc']))) == graph.stat().st_size


def test_a_footprint_grows_with_the_weights(models, tmp_path):
    larger = shutil.copytree(models['whisper'], tmp_path / 'larger')
    files = open_model(str(larger))
    before = footprint(files)
    with (larger / 'encoder.onnx').open('ab') as file:
        file.write(bytes(1000))
    assert footprint(files) == before + 3000


def test_the_scores_of_a_ctc_model_count(models):
    files = open_model(str(models['ctc']))
    scores = 4 * len(files.pieces) * (3000 // files.subsampling)
    assert footprint(files) == 2 * graph_bytes(files) + 3 * scores


# Whether it is opened

@pytest.mark.parametrize('kind', BACKENDS)
def test_a_model_that_just_fits_is_opened(models, machine, kind):
    leave(machine, footprint(open_model(str(models[kind]))) + 1)
    opened = backend(models, machine, kind)
    opened.load()
    opened.warm_up()
    opened.close()


@pytest.mark.parametrize('kind', BACKENDS)
def test_one_that_does_not_fit_is_refused_with_the_numbers_and_not_opened(models, machine, kind):
    needed = footprint(open_model(str(models[kind])))
    leave(machine, needed - 1000)
    refused = backend(models, machine, kind)
    with pytest.raises(MemoryBudgetError) as refusal:
        refused.load()
    assert re.match(
        rf'\w+ needs {needed / MB:.1f} MB, but {(needed - 1000) / MB:.1f} MB are left: '
        r'[\d.]+ of 966\.4 MB \(\d+ %\) of the control group are used; ', str(refusal.value))
    with pytest.raises(BackendError):
        refused.warm_up()
    # It may be tried again, once there is room.
    leave(machine, needed + 1000)
    refused = backend(models, machine, kind)
    refused.load()
    refused.close()


def test_the_machine_is_a_ceiling_as_well(models, machine):
    machine.write('proc/meminfo', 'MemTotal: 8388608 kB\nMemAvailable: 838860 kB\n')
    with pytest.raises(MemoryBudgetError, match='of the machine are used'):
        backend(models, machine, 'whisper').load()


# What is proposed instead

@pytest.fixture
def fetched(monkeypatch):
    """A catalog of three recognisers, two of them fetched: of 500 and of 100 MB."""
    sizes = {'large': 500 * MB, 'whisper-base': 200 * MB, 'whisper-tiny.en': 100 * MB}
    monkeypatch.setattr(model_admission, 'is_fetched', lambda name: name != 'sense-voice')
    monkeypatch.setattr(model_admission, 'open_model', lambda name: name)
    monkeypatch.setattr(
        model_admission, 'footprint', lambda one: sizes.get(getattr(one, 'name', one)))


class Large:
    name = 'large'


@pytest.mark.parametrize(('room', 'cure'), [
    (499 * MB, 'whisper-base needs 200.0 MB and would fit; or free memory'),
    (199 * MB, 'whisper-tiny.en needs 100.0 MB and would fit; or free memory'),
    (99 * MB, 'no model that is fetched would fit: free memory'),
])
def test_the_largest_model_that_would_fit_is_named(machine, fetched, room, cure):
    leave(machine, room)
    with pytest.raises(MemoryBudgetError) as refusal:
        ModelAdmission(0.9, machine.reader).admit(Large())
    assert str(refusal.value).endswith(f'are used; {cure}')


@pytest.mark.skipif(not is_fetched(DEFAULT_MODEL), reason='make models')
def test_the_default_model_takes_less_than_200_mb(machine):
    leave(machine, 200 * MB)
    ModelAdmission(0.9, machine.reader).admit(open_model(DEFAULT_MODEL))
    leave(machine, 170 * MB)
    with pytest.raises(MemoryBudgetError, match=f'{re.escape(DEFAULT_MODEL)} needs 188'):
        ModelAdmission(0.9, machine.reader).admit(open_model(DEFAULT_MODEL))
