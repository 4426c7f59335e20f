"""Packages that are imported as a whole only when that is needed."""

from __future__ import annotations

import importlib
import importlib.util
import types
from typing import Any

__all__ = ["LazyPackage"]


class LazyPackage(types.ModuleType):
    """A package whose `__init__` runs on first access to a name that is neither a submodule nor special."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        missing = AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        # `__all__` is what `from package import *` asks for; no other special name is worth the import.
        if spec is None or spec.loader is None or (name.startswith("__") and name not in ("__all__", "__version__")):
            raise missing
        if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            return importlib.import_module(f"{self.__name__}.{name}")
        # From here on a plain module, so that accesses by the package's own code do not run it again.
        self.__class__ = types.ModuleType  # type: ignore[assignment]
        try:
            spec.loader.exec_module(self)
        except BaseException:
            self.__class__ = LazyPackage
            raise
        if name not in vars(self):
            raise missing
        return vars(self)[name]
