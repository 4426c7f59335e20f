"""Type checks of the objects behind entry points, as far as possible without torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["EXPECTED", "described", "wrong_type"]


def _is_method(obj: Any) -> bool:
    return isinstance(obj, type) and callable(getattr(obj, "replace", None))


def _is_suite(obj: Any) -> bool:
    from importlib.resources.abc import Traversable

    return isinstance(obj, Traversable)


def _is_library(obj: Any) -> bool:
    return callable(getattr(obj, "backbone", None)) and callable(getattr(obj, "canonical", None))


def _is_protocol(obj: Any) -> bool:
    return not isinstance(obj, type) and hasattr(obj, "name") and hasattr(obj, "digest")


def _is_weights(obj: Any) -> bool:
    return not isinstance(obj, type) and hasattr(obj, "sources")


# kind -> description of the required type, and the test
EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "methods": ("a subclass of srbench.plugin.SharingMethod", _is_method),
    "backbones": ("a function of `scales` that returns a srbench.plugin.Backbone", callable),
    "baselines": ("a function of `scales` that returns a srbench.plugin.Backbone", callable),
    "architectures": ("a library with the functions `backbone` and `canonical`", _is_library),
    "metrics": ("a class whose objects are a srbench.plugin.Metric", callable),
    "protocols": ("a srbench.plugin.Protocol", _is_protocol),
    "datasets": ("a function without arguments that returns a srbench.plugin.Dataset", callable),
    "executors": ("a class whose objects do jobs with `run`", callable),
    "paths": ("a function of a network that returns a copy of it", callable),
    "suites": ("the pathlib.Path of a YAML file", _is_suite),
    "weights": ("a srbench.plugin.WeightSource", _is_weights),
}


def described(obj: Any) -> str:
    """Describe an object: `the class Odd`, `a function`, `a str`."""
    if isinstance(obj, type):
        return f"the class {obj.__name__}"
    name = type(obj).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def wrong_type(kind: str, obj: Any, value: str) -> str:
    """Return what is wrong with the object of an entry point; empty if its type is plausible.

    Args:
        kind: The entry point's group, without `srbench.`.
        obj: The imported object.
        value: `module:attribute`.
    """
    if kind not in EXPECTED:
        return ""  # commands and figures, which `srbench.cli` checks
    expected, is_right = EXPECTED[kind]
    if not is_right(obj):
        return f"'{value}' is {described(obj)}, not {expected}; report it to the plugin's authors"
    if kind == "suites" and not obj.is_file():
        return (
            f"'{value}' names the file '{obj}', which does not exist; reinstall the plugin, or report it to its authors"
        )
    return ""
