"""Stand-ins for what the vendor's tools import at top level and do not use in their default mode.

Copied into the vendor's environment as sitecustomize.py, and imported there when its Python
starts; it saves an installation of PyTorch, OpenCV and others. An attribute of a stand-in may be
used as a decorator, a base class or an annotation: all are classes that take any arguments, and
whose objects, when called, give themselves.
"""

from __future__ import annotations

import importlib.abc
import sys
import types
from collections.abc import MutableSequence, Sequence
from importlib.machinery import ModuleSpec

NAMES = ('torch', 'torchvision', 'cv2', 'skimage', 'scipy', 'PIL', 'matplotlib', 'paramiko')


def _unused(name: str) -> type:
    if name.startswith('__'):
        raise AttributeError(name)
    return _Kind(name, (_Unused,), {})


class _Kind(type):
    """Classes have any attribute that is asked of them: torch.nn.Module."""

    def __getattr__(cls, name: str) -> type:
        return _unused(name)


class _Unused(metaclass=_Kind):
    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __call__(self, *_args: object, **_kwargs: object) -> _Unused:
        return self


class _Module(types.ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: MutableSequence[str] = []

    def __getattr__(self, name: str) -> type:
        return _unused(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked last: what is really installed is found before."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None,
        _target: types.ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.partition('.')[0] in NAMES:
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to do: a stand-in makes its attributes when they are asked for."""


sys.meta_path.append(_Finder())
