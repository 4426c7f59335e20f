"""Register models in timm when timm is imported, before or after srbench, without importing timm itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["register_when_imported"]


def register_when_imported() -> None:
    """Register sr-bench's models in timm: now if timm has been imported, else as soon as it is."""
    if "timm" in sys.modules:
        _register()
    elif not any(isinstance(finder, _TimmFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TimmFinder())


def _register() -> None:
    from srbench.interop.timm import register_in_timm

    register_in_timm()


class _TimmFinder(MetaPathFinder):
    """An import hook that registers our models after timm's module has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "timm":
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _register_after(spec.loader)
                return spec
        return None


def _register_after(loader: Loader) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        _register()

    loader.exec_module = exec_module  # type: ignore[method-assign]
