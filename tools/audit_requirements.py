"""Tells which locked packages are known to be vulnerable, from a folder of advisories: no network.

    python tools/audit_requirements.py ADVISORIES [--accept ID...]

ADVISORIES is a checkout of a database in the OSV format, such as the Python Packaging Advisory
Database: YAML or JSON files, one an advisory. Ends with 1 where one that is not accepted affects a
version in requirements/locked/. A database is as good as its date, which is for you to look at.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from xlerobot_asr_opt.untrusted import parse_json, parse_yaml

LOCKED = Path(__file__).resolve().parent.parent / 'requirements' / 'locked'
_PIN = re.compile(r'^([a-z0-9-]+)==(\S+)', re.MULTILINE)


def locked() -> dict[str, set[str]]:
    """Versions by name of what requirements/locked/ pins."""
    found: dict[str, set[str]] = {}
    for path in sorted(LOCKED.glob('*.txt')):
        for name, version in _PIN.findall(path.read_text('utf-8')):
            found.setdefault(name, set()).add(version)
    return found


def advisories(folder: Path, names: set[str]) -> Iterator[dict[str, Any]]:
    """Advisories of PyPI packages of these names that were not withdrawn."""
    for path in sorted(folder.rglob('*.y*ml')) + sorted(folder.rglob('*.json')):
        text = path.read_text('utf-8')
        # As in the lock: names are spelled in many ways.
        plain = re.sub(r'[-_.]+', '-', text).lower()
        if not any(name in plain for name in names):
            continue
        content = parse_json(text) if path.suffix == '.json' else parse_yaml(text)
        if isinstance(content, dict) and 'affected' in content and not content.get('withdrawn'):
            yield content


def affects(affected: dict[str, Any], version: str) -> bool:
    """Whether one entry of an advisory's `affected` holds a version."""
    if version in affected.get('versions', ()):
        return True
    return any(within(one.get('events', ()), version)
               for one in affected.get('ranges', ()) if one.get('type') == 'ECOSYSTEM')


def within(events: list[dict[str, Any]], version: str) -> bool:
    """Whether a version lies in a range of OSV: introduced, then fixed or last_affected."""
    inside = False
    for event in events:
        for kind, text in event.items():
            try:
                bound = Version('0' if str(text) == '0' else str(text))
            except InvalidVersion:
                continue
            if kind == 'introduced' and Version(version) >= bound:
                inside = True
            elif (kind == 'fixed' and Version(version) >= bound) or (
                    kind == 'last_affected' and Version(version) > bound):
                inside = False
    return inside


def main() -> int:
    """Print what was found; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('advisories', type=Path)
    parser.add_argument('--accept', nargs='*', default=(), metavar='ID', help='known, and judged')
    args = parser.parse_args()
    pins = locked()
    looked, open_ones = 0, 0
    for advisory in advisories(args.advisories, set(pins)):
        for affected in advisory['affected']:
            package = affected.get('package', {})
            name = re.sub(r'[-_.]+', '-', str(package.get('name', ''))).lower()
            if package.get('ecosystem') != 'PyPI' or name not in pins:
                continue
            looked += 1
            for version in sorted(pins[name]):
                if affects(affected, version):
                    names = {advisory['id'], *advisory.get('aliases', ())}
                    accepted = bool(names & set(args.accept))
                    open_ones += not accepted
                    print(f'{name} {version}: {", ".join(sorted(names))}'
                          f'{" (accepted)" if accepted else ""}')
    print(f'{sum(map(len, pins.values()))} versions of {len(pins)} packages, {looked} advisories '
          f'of these packages, {open_ones} open')
    return int(bool(open_ones))


if __name__ == '__main__':
    sys.exit(main())
