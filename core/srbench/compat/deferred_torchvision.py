"""Import torchvision's networks and operators only when they are used.

`import torchvision` imports all of its networks and operators, and one of these imports torch's compiler: together 1.5
of the 3.5 s in which a process imports torch and what trainings use of basicsr, which needs one module of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from srbench.compat.lazy_package import LazyPackage

__all__ = ["defer_torchvision"]

_DEFERRED = frozenset({"torchvision.models", "torchvision.ops"})


def defer_torchvision() -> None:
    """Import these packages on first access to one of their names, in this process.

    For processes of sr-bench itself: how another program imports torchvision is left as it is. Nothing happens if
    torchvision has been imported.
    """
    if "torchvision" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _DEFERRED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None or spec.submodule_search_locations is None:
            return None
        deferred = ModuleSpec(fullname, _Loader(spec), origin=spec.origin, is_package=True)
        deferred.submodule_search_locations = spec.submodule_search_locations
        return deferred


class _Loader(Loader):
    def __init__(self, spec: ModuleSpec) -> None:
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return LazyPackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__, module.__loader__, module.__file__ = self._spec, self._spec.loader, self._spec.origin
