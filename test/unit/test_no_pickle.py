"""Nothing that runs what it reads: no pickle and its like, no eval, no unsafe loader, anywhere."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ('xlerobot_asr_opt', 'bench', 'tools', 'launch', 'deploy', 'test')
MODULES = {'pickle', '_pickle', 'cPickle', 'marshal', 'shelve', 'dill', 'cloudpickle', 'joblib',
           'jsonpickle', 'dbm'}
CALLS = {'eval', 'exec', 'compile'}
SAFE_LOADERS = {'SafeLoader', '_Loader'}


def files():
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob('*.py'))]
    return [*found, ROOT / 'setup.py']


def faults(tree):
    """What a file does that it must not, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or '']
        else:
            names = []
        for name in names:
            if name.partition('.')[0] in MODULES:
                yield node.lineno, f'imports {name}'
        if isinstance(node, ast.Call):
            yield from ((node.lineno, fault) for fault in call_faults(node))


def call_faults(node):
    name = ast.unparse(node.func)
    keywords = {one.arg: ast.unparse(one.value) for one in node.keywords}
    if name in CALLS:
        yield f'calls {name}'
    if name == 'yaml.load' and not any(
            safe in ast.unparse(node) for safe in SAFE_LOADERS) and len(node.args) != 1:
        yield 'loads YAML with an unsafe loader'
    if name.startswith('yaml.') and name.rpartition('.')[2] in (
            'unsafe_load', 'full_load', 'unsafe_load_all', 'full_load_all', 'load_all'):
        yield f'calls {name}'
    if keywords.get('allow_pickle', 'False') != 'False':
        yield 'lets NumPy unpickle'
    if name == 'diskcache.Cache' and keywords.get('disk') != 'TextDisk':
        yield 'opens a diskcache that unpickles'
    if name in ('diskcache.FanoutCache', 'diskcache.Deque', 'diskcache.Index'):
        yield f'calls {name}, which unpickles'
    if name in ('torch.load', 'multiprocessing.Pipe', 'multiprocessing.Queue'):
        yield f'calls {name}, which unpickles'
    if keywords.get('shell') == 'True' or name in ('os.system', 'os.popen'):
        yield 'runs a shell'


@pytest.mark.parametrize('path', files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_here_runs_what_it_reads(path):
    if path == Path(__file__):
        pytest.skip('names what it looks for')
    assert list(faults(ast.parse(path.read_text('utf-8')))) == []


@pytest.mark.parametrize('code', [
    'import pickle', 'from marshal import loads', 'import dill.source', 'eval("1")',
    'np.load(path, allow_pickle=True)', 'yaml.load(text, yaml.Loader)', 'yaml.unsafe_load(text)',
    'diskcache.Cache(path)', 'diskcache.Cache(path, disk=diskcache.JSONDisk)',
    'subprocess.run(text, shell=True)'])
def test_what_would_be_wrong_is_found(code):
    assert list(faults(ast.parse(code)))


def test_a_file_of_arrays_that_were_pickled_is_refused(tmp_path):
    done = subprocess.run(
        ['python3', '-c', 'import numpy, sys; numpy.savez(sys.argv[1], a=numpy.array([{}]))',
         tmp_path / 'a.npz'], check=True)
    assert done.returncode == 0
    import numpy as np

    with np.load(tmp_path / 'a.npz') as archive, pytest.raises(ValueError, match='allow_pickle'):
        archive['a']
