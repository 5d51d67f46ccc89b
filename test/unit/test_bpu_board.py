"""Both of the vendor's libraries behind one Runner, on stand-ins made from their documentation.

What this does not show: that a board does as its documentation says. docs/board.md has the rest.
"""

import sys
import threading
import types

import numpy as np
import pytest
from board_stand_ins import EASY_DNN, HBM, installed
from onnx import TensorProto, helper

from xlerobot_asr_opt.backends.bpu_board import BoardRunner, find_runtime
from xlerobot_asr_opt.errors import BackendError, ConfigurationError, ModelError, ShapeError

IN = {'mel': ((1, 3, 1, 5), np.float32), 'step': ((1, 1, 1, 1), np.float32)}
OUT = {'sum': ((1, 3, 1, 5), np.float32), 'twice': ((1, 3, 1, 5), np.float32)}
TYPES = {'float32': TensorProto.FLOAT, 'int8': TensorProto.INT8, 'float64': TensorProto.DOUBLE}


def graph(inputs, outputs, nodes):
    def values(ports):
        return [helper.make_tensor_value_info(name, TYPES[np.dtype(kind).name], shape)
                for name, (shape, kind) in ports.items()]
    model = helper.make_model(
        helper.make_graph(nodes, 'test', values(inputs), values(outputs)),
        opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(params=[HBM, EASY_DNN])
def library(request):
    with installed(request.param) as compiled_model:
        yield types.SimpleNamespace(name=request.param, write=compiled_model.write)


@pytest.fixture
def write(library, tmp_path):
    """Writes a .bin of the stand-ins' kind, and returns what Runner.load takes."""
    def write(name='encoder', inputs=IN, outputs=OUT, nodes=None, **other):
        nodes = nodes or [helper.make_node('Add', ['mel', 'step'], ['sum']),
                          helper.make_node('Add', ['sum', 'sum'], ['twice'])]
        path = library.write(tmp_path / f'{name}.bin', name, graph(inputs, outputs, nodes),
                             inputs, outputs, **other)
        return {name: path}
    return write


@pytest.fixture
def runner(write):
    runner = BoardRunner()
    runner.load(write())
    yield runner
    runner.close()


def feed(seed=0):
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=shape).astype(kind) for name, (shape, kind) in IN.items()}


def test_floats_go_over_whole_and_come_back(runner, library):
    inputs = feed()
    outputs = runner.run('encoder', inputs)
    assert runner.runtime == library.name
    assert list(outputs) == ['sum', 'twice']
    np.testing.assert_array_equal(outputs['sum'], inputs['mel'] + inputs['step'])
    np.testing.assert_array_equal(outputs['twice'], 2 * (inputs['mel'] + inputs['step']))
    assert all(array.dtype == np.float32 for array in outputs.values())


def test_inputs_are_known_by_name_and_not_by_order(runner):
    inputs = feed()
    turned = dict(reversed(inputs.items()))
    with_order = runner.run('encoder', inputs)['sum']
    np.testing.assert_array_equal(runner.run('encoder', turned)['sum'], with_order)


def test_inputs_that_are_not_contiguous_go_over_as_they_look(runner):
    inputs = feed()
    inputs['mel'] = np.asfortranarray(inputs['mel'])[:, ::-1]
    assert not inputs['mel'].flags.c_contiguous
    np.testing.assert_array_equal(
        runner.run('encoder', inputs)['sum'], inputs['mel'] + inputs['step'])


def test_inputs_may_be_read_only_and_are_not_changed(runner):
    inputs = feed()
    before = inputs['mel'].copy()
    inputs['mel'].flags.writeable = False
    runner.run('encoder', inputs)
    np.testing.assert_array_equal(inputs['mel'], before)


def test_outputs_are_the_callers_own(runner):
    first = runner.run('encoder', feed())
    kept = {name: array.copy() for name, array in first.items()}
    runner.run('encoder', feed(seed=1))
    for name, array in first.items():
        np.testing.assert_array_equal(array, kept[name])
        assert array.flags.c_contiguous


def test_integers_go_over_as_they_are(write):
    inputs = {'q': ((1, 1, 2, 70), np.int8)}
    outputs = {'x': ((1, 1, 2, 70), np.float32)}
    runner = BoardRunner()
    runner.load(write(inputs=inputs, outputs=outputs, nodes=[
        helper.make_node('Cast', ['q'], ['x'], to=TensorProto.FLOAT)]))
    given = np.arange(-70, 70, dtype=np.int8).reshape(1, 1, 2, 70)
    np.testing.assert_array_equal(runner.run('encoder', {'q': given})['x'], given)


def test_padded_integers_come_back_whole_or_the_model_is_refused(write, library):
    ports = {'q': ((1, 1, 2, 70), np.int8)}
    out = {'r': ((1, 1, 2, 70), np.int8)}
    models = write(inputs=ports, outputs=out, nodes=[helper.make_node('Identity', ['q'], ['r'])])
    runner = BoardRunner()
    if library.name == EASY_DNN:
        with pytest.raises(ModelError, match='output r is int8, expected float32'):
            runner.load(models)
        return
    runner.load(models)
    given = np.arange(-70, 70, dtype=np.int8).reshape(1, 1, 2, 70)
    np.testing.assert_array_equal(runner.run('encoder', {'q': given})['r'], given)


def test_fewer_axes_than_four_come_back(write):
    ports, out = {'x': ((4, 6), np.float32)}, {'y': ((4, 6), np.float32)}
    runner = BoardRunner()
    runner.load(write(inputs=ports, outputs=out,
                      nodes=[helper.make_node('Neg', ['x'], ['y'])]))
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(runner.run('encoder', {'x': x})['y'], -x)


@pytest.mark.parametrize(('change', 'told'), [
    ({'mel': np.zeros((1, 3, 1, 6), np.float32)}, r'got mel float32\[1, 3, 1, 6\], step'),
    ({'mel': np.zeros((1, 3, 5), np.float32)}, r'got mel float32\[1, 3, 5\], step'),
    ({'mel': np.zeros((1, 3, 1, 5))}, r'got mel float64\[1, 3, 1, 5\], step'),
    ({'mel': np.zeros((1, 3, 1, 5), np.float16)}, r'got mel float16\[1, 3, 1, 5\], step'),
    ({'other': np.zeros(1, np.float32)}, r'step float32\[1, 1, 1, 1\], other float32\[1\], exp'),
])
def test_inputs_that_do_not_fit_are_refused_before_they_go_over(runner, change, told):
    with pytest.raises(ShapeError, match=f'inputs of encoder: .*{told}'):
        runner.run('encoder', feed() | change)
    assert runner.run('encoder', feed())


def test_an_input_that_is_missing_is_refused(runner):
    with pytest.raises(ShapeError, match=r'got mel float32\[1, 3, 1, 5\], expected mel .*, step'):
        runner.run('encoder', {'mel': feed()['mel']})


def test_outputs_that_do_not_fit_are_refused(runner, monkeypatch):
    opened = runner._models['encoder']
    monkeypatch.setattr(opened, 'run', lambda _: {'sum': np.zeros(3, np.float32)})
    with pytest.raises(ShapeError, match=r'outputs of encoder: got sum float32\[3\], expected'):
        runner.run('encoder', feed())


def test_an_error_of_the_library_is_a_backend_error_that_says_it(runner, library, monkeypatch):
    def fail(self, inputs):
        raise RuntimeError('hbDNNInfer failed')
    monkeypatch.setattr(sys.modules['compiled_model'].Compiled, 'compute', fail)
    with pytest.raises(BackendError, match=f'encoder failed in {library.name}: hbDNNInfer failed'):
        runner.run('encoder', feed())
    monkeypatch.undo()
    assert runner.run('encoder', feed())


def test_another_model_is_not_run(runner):
    with pytest.raises(BackendError, match="got model 'decoder', expected encoder"):
        runner.run('decoder', feed())


def test_nothing_runs_after_closing_until_it_is_loaded_again(runner, write):
    before = runner.run('encoder', feed())
    runner.close()
    runner.close()
    assert runner.runtime == ''
    with pytest.raises(BackendError, match='expected none: load first'):
        runner.run('encoder', feed())
    runner.load(write())
    np.testing.assert_array_equal(runner.run('encoder', feed())['sum'], before['sum'])


def test_it_holds_what_was_loaded_last(runner, write):
    runner.load(write('longer'))
    assert runner.run('longer', feed())
    with pytest.raises(BackendError, match='expected longer'):
        runner.run('encoder', feed())


def test_several_models_are_held_at_once(runner, write):
    runner.load(write() | write('longer'))
    assert runner.run('encoder', feed())
    assert runner.run('longer', feed())


def test_threads_take_turns(runner):
    """pyeasy_dnn must not be entered twice, and its outputs are overwritten by the next call."""
    wanted = [runner.run('encoder', feed(seed))['twice'] for seed in range(4)]
    wrong = []

    def work(seed):
        wrong.extend(seed for _ in range(60) if not np.array_equal(
            runner.run('encoder', feed(seed))['twice'], wanted[seed]))
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


BAD_FILES = {
    'another march': lambda write: write(march='bernoulli2'),
    'cut': lambda write: {
        name: path for name, path in write().items()
        if path.write_bytes(path.read_bytes()[:-9])},
    'empty': lambda write: {name: path for name, path in write().items()
                            if path.write_bytes(b'') == 0},
}


@pytest.mark.parametrize('make', BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_the_library_refuses_is_named(write, library, make):
    told = rf'encoder\.bin: {library.name} cannot open it \(hbDNNInitializeFromFiles failed\)'
    with pytest.raises(ModelError, match=told):
        BoardRunner().load(make(write))


def test_a_file_with_another_model_is_refused(write):
    (path,) = write('decoder').values()
    with pytest.raises(ModelError, match=r'decoder\.bin: holds decoder, expected encoder'):
        BoardRunner().load({'encoder': path})


def test_a_file_that_is_missing_is_told_as_that(library, tmp_path):
    with pytest.raises(ModelError, match=r'none\.bin: no such file'):
        BoardRunner().load({'encoder': tmp_path / 'none.bin'})


def test_a_load_that_failed_leaves_nothing_open(runner, write, tmp_path):
    with pytest.raises(ModelError):
        runner.load(write() | {'longer': tmp_path / 'none.bin'})
    with pytest.raises(BackendError, match='load first'):
        runner.run('encoder', feed())


@pytest.mark.parametrize('priority', [-1, 256])
def test_a_priority_out_of_bounds_is_refused(priority):
    with pytest.raises(ConfigurationError, match=f'priority {priority}, expected 0 to 255'):
        BoardRunner(priority)


def test_the_priority_reaches_the_library(write, library):
    runner = BoardRunner(priority=200)
    runner.load(write())
    runner.run('encoder', feed())
    opened = runner._models['encoder']
    if library.name == HBM:
        told = opened._runtime.sched_params['encoder']
        assert (told.priority, told.bpu_cores) == (200, [0])
    else:
        assert opened._model.calls == [(0, 200)]


def test_the_newer_library_is_preferred():
    with installed(HBM, EASY_DNN):
        assert find_runtime()[0] == HBM


def test_without_a_library_it_says_what_to_install():
    told = (r'no library for the BPU \(hbm_runtime: .*; hobot_dnn\.pyeasy_dnn: .*\), expected '
            'hbm_runtime or .*; install hobot-spdev .* with apt-get')
    with installed(), pytest.raises(BackendError, match=told):
        BoardRunner().load({})


@pytest.mark.parametrize(('broken', 'told'), [
    ('raise RuntimeError("Missing Horizon runtime libraries")', 'Missing Horizon'),
    ('VERSION = 1', 'has no HB_HBMRuntime: another package has its name'),
])
def test_a_library_that_cannot_be_used_is_passed_over(tmp_path, monkeypatch, broken, told):
    with installed(EASY_DNN):
        assert find_runtime()[0] == EASY_DNN
        del sys.modules[HBM]
        (tmp_path / 'hbm_runtime.py').write_text(broken)
        monkeypatch.syspath_prepend(tmp_path)
        assert find_runtime()[0] == EASY_DNN
        sys.modules[EASY_DNN] = None
        with pytest.raises(BackendError, match=told):
            find_runtime()
        sys.modules.pop(HBM, None)
