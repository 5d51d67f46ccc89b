"""JSON and YAML that others wrote, read within bounds.

The libraries give data alone, never objects that run: json, and PyYAML's safe loader. What they
let through all the same is refused here, since it breaks whoever prints, sends or walks it:
nesting without an end, aliases (a few lines of YAML can stand for billions of values), keys given
twice, halves of surrogate pairs, NaN in JSON, integers of thousands of digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NoReturn

import yaml

__all__ = ['is_unicode', 'parse_json', 'parse_yaml', 'plain_name']

_SURROGATE = re.compile(r'\\(u|U0000)[dD][89a-fA-F]')
"""What stands for half a pair, or for a character in two halves."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON document.

    Raises:
        ValueError: not JSON, or JSON that no other program should have to cope with.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode('utf-8')
        content = json.loads(decoded, parse_constant=_refuse_constant)
        if _SURROGATE.search(decoded) or not (decoded.isascii() or is_unicode(decoded)):
            _require_unicode(content)
    except RecursionError:
        raise ValueError('nested too deeply') from None
    return content


def parse_yaml(text: str) -> Any:
    """The value of the one document of a YAML text.

    Raises:
        ValueError: not YAML, an alias, a key given twice, or a type beyond YAML's own.
    """
    try:
        loader = _Loader(text)
        try:
            content = loader.get_single_data()
        finally:
            loader.dispose()  # type: ignore[no-untyped-call]
        if _SURROGATE.search(text):
            _require_unicode(content)
    except yaml.YAMLError as error:
        raise ValueError(' '.join(str(error).split())) from None
    except RecursionError:
        raise ValueError('nested too deeply') from None
    return content


def is_unicode(text: str) -> bool:
    """Whether a text can be written down: none of it is half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_name(name: object) -> str:
    """The name of a file inside of a directory, as one that leads nowhere else.

    Raises:
        ValueError: no text, empty, with a folder, absolute, or ``..``.
    """
    if not isinstance(name, str) or name in ('', '.', '..') or '\0' in name or (
            Path(name).name != name) or not is_unicode(name):
        raise ValueError(f'the file name {name!r}, expected one without a folder')
    return name


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses what is walked without an end, or lost silently."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases, as ROS's own reader of parameter files does."""
        if self.check_event(yaml.AliasEvent):  # type: ignore[no-untyped-call]
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem='an alias (*name), expected the value itself', problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is given twice: YAML would drop the first value in silence."""
        seen = set()
        for key, _ in node.value:
            if key.tag == 'tag:yaml.org,2002:merge':
                raise yaml.MarkedYAMLError(
                    problem='a merge (<<), expected the keys themselves',
                    problem_mark=key.start_mark)
            name = self.construct_object(key, deep=True)  # type: ignore[no-untyped-call]
            if not isinstance(name, Hashable):
                raise yaml.MarkedYAMLError(
                    problem='a key that is a list or a mapping, expected text',
                    problem_mark=key.start_mark)
            if name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f'{name} is given twice', problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _require_unicode(value: object) -> None:
    if isinstance(value, str) and not is_unicode(value):
        raise ValueError('half a surrogate pair, expected Unicode text')
    if isinstance(value, dict):
        _require_unicode([*value, *value.values()])
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            _require_unicode(item)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name}, expected a number')
