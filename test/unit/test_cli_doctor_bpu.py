"""What doctor says of a BPU, on boards that are made up for it."""

import pytest
from board_stand_ins import EASY_DNN, HBM, installed

from xlerobot_asr_opt.backends.board_health import Board
from xlerobot_asr_opt.cli import checks_bpu
from xlerobot_asr_opt.models.bundle import Bucket, Bundle, Estimate
from xlerobot_asr_opt.models.manifest import FileRecord


@pytest.fixture
def board(tmp_path):
    root = tmp_path / 'root'
    for path, text in {
        'proc/device-tree/model': 'D-Robotics RDK X5 V1.0\0', 'dev/bpu': '', 'dev/bpu_core0': '',
        'sys/devices/system/bpu/bpu0/ratio': '37\n',
        'sys/class/thermal/thermal_zone0/type': 'thermal-cpu\n',
        'sys/class/thermal/thermal_zone0/temp': '58500\n',
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Board(root)


@pytest.fixture
def bundle(tmp_path):
    """Writes a bundle, and returns its directory."""
    def write(march='bayes-e'):
        directory = tmp_path / 'tiny-bpu'
        directory.mkdir()
        for name in ('4s.bin', '4s.onnx'):
            (directory / name).write_bytes(name.encode())
        Bundle(
            name='tiny', source='00', march=march, tools={},
            buckets=(Bucket(4.0, 400, 'encoder_4s', '4s.bin', '4s.onnx', (), (),
                            Estimate(4600.0, 217.0, 1, 1), 10),),
            files={name: FileRecord.of(directory / name) for name in ('4s.bin', '4s.onnx')},
        ).write(directory)
        return directory
    return write


def test_a_machine_without_a_bpu_is_well(tmp_path):
    board = Board(tmp_path)
    assert checks_bpu.device(board) == checks_bpu.state(board)
    assert checks_bpu.device(board).text == 'none on this machine: models run on the CPU'
    assert checks_bpu.models([], board) == ('OK', 'none compiled', '')


@pytest.mark.parametrize('library', [HBM, EASY_DNN])
def test_the_library_that_drives_it_is_named(board, library):
    with installed(library):
        assert checks_bpu.device(board) == (
            'OK', f'D-Robotics RDK X5 V1.0, /dev/bpu, /dev/bpu_core0, driven by {library}', '')


def test_without_a_library_it_says_what_to_install(board):
    with installed():
        finding = checks_bpu.device(board)
    assert finding.state == 'WARN'
    assert 'install hobot-spdev' in finding.advice


def test_a_board_without_its_driver_is_told(board, tmp_path):
    (tmp_path / 'root/dev/bpu').unlink()
    (tmp_path / 'root/dev/bpu_core0').unlink()
    finding = checks_bpu.device(board)
    assert (finding.state, finding.text) == ('WARN', 'D-Robotics RDK X5 V1.0, but no /dev/bpu')


def test_the_state_says_what_is_known_and_what_is_not(board, tmp_path):
    finding = checks_bpu.state(board)
    assert finding.state == 'OK'
    assert finding.text.startswith('load 37%, thermal-cpu 58 C, memory unknown (')
    (tmp_path / 'root/sys/devices/system/bpu/bpu0/ratio').unlink()
    assert 'load unknown (' in checks_bpu.state(board).text


@pytest.mark.parametrize(('temperature', 'advice'), [
    ('95000', 'slows down: cool it'), ('broken', 'cannot see that it is too hot')])
def test_a_hot_board_and_one_that_does_not_say_are_warned_of(board, tmp_path, temperature, advice):
    (tmp_path / 'root/sys/class/thermal/thermal_zone0/temp').write_text(temperature)
    finding = checks_bpu.state(board)
    assert finding.state == 'WARN'
    assert advice in finding.advice


def test_a_board_without_a_compiled_model_is_told_how_to_get_one(board):
    finding = checks_bpu.models([], board)
    assert (finding.state, finding.text) == ('WARN', 'none compiled')


def test_compiled_models_are_looked_for_in_the_cache(board, bundle, monkeypatch, tmp_path):
    directory = bundle()
    (tmp_path / 'bundles').mkdir()
    directory.rename(tmp_path / 'bundles' / 'tiny-bpu')
    monkeypatch.setenv('XLEROBOT_ASR_CACHE', str(tmp_path))
    assert checks_bpu.models(board=board) == (
        'OK', 'tiny-bpu for bayes-e, 4 s: hashes are right', '')


def test_a_model_of_another_march_is_told(board, bundle):
    finding = checks_bpu.models([bundle('bernoulli2')], board)
    assert finding.state == 'WARN'
    assert "for the BPU 'bernoulli2', expected 'bayes-e'" in finding.text


@pytest.mark.parametrize(('content', 'told'), [
    (b'4s', 'has 2 bytes, expected 6'), (b'4s.bix', 'SHA-256 is')])
def test_a_model_that_is_cut_or_changed_is_told(board, bundle, content, told):
    directory = bundle()
    (directory / '4s.bin').write_bytes(content)
    finding = checks_bpu.models([directory], board)
    assert finding.state == 'WARN'
    assert told in finding.text
