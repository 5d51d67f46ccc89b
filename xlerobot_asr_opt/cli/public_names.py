"""The Python names that people import from the package, with what they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import xlerobot_asr_opt

__all__ = ['public_names']


def public_names() -> dict[str, str]:
    """Every public name, and every public method as Class.method, with what it takes."""
    names = {}
    for name in sorted(xlerobot_asr_opt.__all__):
        kind = getattr(xlerobot_asr_opt, name)
        names[name] = f'class{_parameters(kind)}'
        for method, value in vars(kind).items():
            if inspect.isfunction(value) and not method.startswith('_'):
                kept = 'async ' if inspect.iscoroutinefunction(value) else ''
                names[f'{name}.{method}'] = kept + _parameters(value)
            elif isinstance(value, property) and not method.startswith('_'):
                names[f'{name}.{method}'] = 'property'
    return names


def _parameters(thing: Callable[..., object]) -> str:
    """The names of the parameters; one that may be left out ends with =..."""
    signature = inspect.signature(thing)
    bare = [one.replace(annotation=one.empty,
                        default=one.default if one.default is one.empty else ...)
            for one in signature.parameters.values()]
    plain = signature.replace(parameters=bare, return_annotation=signature.empty)
    return str(plain).replace('Ellipsis', '...')
