"""The registries: names of installed distributions, and those registered by a decorator."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from srbench.errors import DuplicateNameError, PluginError, SRBenchError, UnknownNameError, suggest
from srbench.registry import entry_points as plugins
from srbench.registry.extras import extra_for
from srbench.registry.registered_data import registered_names

if TYPE_CHECKING:
    from srbench.protocols import Protocol

__all__ = [
    "ARCHITECTURES",
    "BACKBONES",
    "BASELINES",
    "DATASETS",
    "EXECUTORS",
    "METHODS",
    "METRICS",
    "PATHS",
    "PROTOCOLS",
    "SUITES",
    "WEIGHTS",
    "register_backbone",
    "register_dataset",
    "register_method",
    "register_metric",
    "register_protocol",
]

T = TypeVar("T", bound=Callable[..., Any])


class Registry:
    """The registry of one kind: names of installed distributions and names registered by a decorator.

    Args:
        kind: The entry-point group is `srbench.<kind>`.
        noun: Word for one of them in messages.
    """

    def __init__(self, kind: str, noun: str) -> None:
        self.kind = kind
        self.noun = noun
        self._local: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Return all names, sorted, without importing anything."""
        return sorted({*plugins.contributions()[self.kind], *self._local})

    def __contains__(self, name: object) -> bool:
        return name in self._local or (isinstance(name, str) and bool(plugins.claims(self.kind, name)))

    def add(self, name: str, obj: Any) -> None:
        """Register an object under a name; a failure leaves the registry unchanged.

        Raises:
            DuplicateNameError: The name is taken by another object.
        """
        place = _place(obj)
        installed = plugins.claims(self.kind, name)
        if any(item.value == place for item in installed):
            return  # a decorator on a plugin's own object, which its entry point registers anyway
        for item in installed:
            raise DuplicateNameError(
                f"{self.noun} '{name}' is already contributed by {item.distribution} ({item.value}); "
                f"{_owner(obj)} ({place}) must choose another name"
            )
        if name in self._local and _place(self._local[name]) != place:
            other = self._local[name]
            raise DuplicateNameError(
                f"{self.noun} '{name}' is already registered by {_owner(other)} ({_place(other)}); "
                f"{_owner(obj)} ({place}) must choose another name"
            )
        self._local[name] = obj

    def remove(self, name: str) -> None:
        """Remove a name registered by a decorator (for tests and notebooks).

        Raises:
            UnknownNameError: It was not registered by a decorator.
        """
        if name not in self._local:
            raise UnknownNameError(
                f"no {self.noun} '{name}' was registered by a decorator" + suggest(name, self._local)
            )
        del self._local[name]

    def get(self, name: str) -> Any:
        """Return the object of a name; its plugin is imported on first use.

        Raises:
            UnknownNameError: The name is not registered; the message suggests the nearest, or the extra to install.
            DuplicateNameError: Two distributions claim the name.
            PluginError: The plugin cannot be used.
        """
        if name in self._local:
            return self._local[name]
        items = plugins.claims(self.kind, name)
        if len(items) > 1:
            owners = " and ".join(f"{item.distribution} ({item.value})" for item in items)
            raise DuplicateNameError(
                f"{self.noun} '{name}' is claimed by {owners}; write '{items[0].qualified}' for the first, or "
                "uninstall one of them"
            )
        if not items:
            raise self.unknown(name)
        return plugins.load(items[0])

    def make(self, name: str) -> Any:
        """Call the function or class of a name without arguments and return the result.

        Raises:
            UnknownNameError, DuplicateNameError, PluginError: As for `get`; the last also if the call fails.
        """
        factory = self.get(name)
        try:
            return factory()
        except SRBenchError:
            raise
        except (Exception, SystemExit) as error:  # a plugin may raise anything, which must not end the command line
            items = () if name in self._local else plugins.claims(self.kind, name)
            owner = f" of {items[0].distribution}" if items else ""
            raise PluginError(
                f"{self.noun} '{name}'{owner} cannot be made: {type(error).__name__}: {error}; "
                "`srbench plugins doctor` shows the traceback to report to its authors"
            ) from error

    def shortest(self, name: str) -> str:
        """Return the shortest unambiguous spelling of a name, with its distribution only if needed."""
        _, colon, bare = name.rpartition(":")
        if not colon or len(plugins.claims(self.kind, name)) != 1:
            return name
        same = bare not in self._local and plugins.claims(self.kind, bare) == plugins.claims(self.kind, name)
        return bare if same else plugins.claims(self.kind, name)[0].qualified

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error for a name that is not registered."""
        if item := plugins.left_out(self.kind, name):
            return UnknownNameError(
                f"{self.noun} '{name}' comes with {item.distribution}, which SRBENCH_PLUGINS leaves out; change or "
                "unset that variable"
            )
        if extra := extra_for(self.kind, name):
            return UnknownNameError(
                f"{self.noun} '{name}' is not installed; it comes with an extra: pip install \"sr-bench[{extra}]\""
            )
        return UnknownNameError(f"unknown {self.noun} '{name}'" + suggest(name, self.names()))


def _place(obj: Any) -> str:
    return f"{getattr(obj, '__module__', '?')}:{getattr(obj, '__qualname__', repr(obj))}"


def _owner(obj: Any) -> str:
    from importlib.metadata import packages_distributions

    if not hasattr(obj, "__qualname__"):  # an instance: use the module of its class
        return "this program"
    top = str(getattr(obj, "__module__", "")).split(".")[0]
    dists = packages_distributions().get(top)
    return dists[0] if dists else f"the module '{top}'"


BACKBONES = Registry("backbones", "backbone")


BASELINES = Registry("baselines", "baseline")


# Libraries whose architectures are backbones of the form LIBRARY/ARCHITECTURE(...).
ARCHITECTURES = Registry("architectures", "library of architectures")


METHODS = Registry("methods", "method")


METRICS = Registry("metrics", "metric")


class DatasetRegistry(Registry):
    """Data sets: installed ones, those registered by a decorator, and folders that the user registered."""

    def names(self) -> list[str]:
        """Return all names, sorted, without importing anything."""
        return sorted({*self.installed(), *registered_names()})

    def installed(self) -> list[str]:
        """Return the names of distributions and decorators, sorted; they go before those of folders."""
        return super().names()

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in registered_names()

    def get(self, name: str) -> Any:
        """Return the function that opens a data set; see `Registry.get`."""
        if super().__contains__(name) or name not in registered_names():
            return super().get(name)
        registration = importlib.import_module("srbench.data.registration")  # named, as entry points are
        return functools.partial(registration.open_registered, name)


DATASETS = DatasetRegistry("datasets", "data set")


PROTOCOLS = Registry("protocols", "protocol")


SUITES = Registry("suites", "suite")


WEIGHTS = Registry("weights", "tagged model")


EXECUTORS = Registry("executors", "executor")


# Inference paths of networks that have several: a function that returns a copy of a network on the path.
PATHS = Registry("paths", "inference path")


def _decorator(registry: Registry, obj: T | None, name: str | None) -> Any:
    def register(target: T) -> T:
        registry.add(name or target.__name__, target)
        return target

    return register if obj is None else register(obj)


@overload
def register_backbone(obj: T) -> T: ...


@overload
def register_backbone(*, name: str | None = None) -> Callable[[T], T]: ...


def register_backbone(obj: T | None = None, *, name: str | None = None) -> Any:
    """Register a function `(scales: tuple[int, ...]) -> Backbone` under its own name, or under `name`.

    Raises:
        DuplicateNameError: The name is taken; both distributions are named.
    """
    return _decorator(BACKBONES, obj, name)


@overload
def register_method(obj: T) -> T: ...


@overload
def register_method(*, name: str | None = None) -> Callable[[T], T]: ...


def register_method(obj: T | None = None, *, name: str | None = None) -> Any:
    """Register a `SharingMethod` class, under `name` or its own name in lower case.

    Raises:
        DuplicateNameError: The name is taken; both distributions are named.
    """
    if obj is not None and name is None:
        name = obj.__name__.lower()
    return _decorator(METHODS, obj, name)


@overload
def register_metric(obj: T) -> T: ...


@overload
def register_metric(*, name: str | None = None) -> Callable[[T], T]: ...


def register_metric(obj: T | None = None, *, name: str | None = None) -> Any:
    """Register a metric class under its attribute `name`, or under the argument `name`.

    Raises:
        DuplicateNameError: The name is taken; both distributions are named.
    """
    if obj is not None and name is None:
        name = getattr(obj, "name", None) or obj.__name__
    return _decorator(METRICS, obj, name)


@overload
def register_dataset(obj: T) -> T: ...


@overload
def register_dataset(*, name: str | None = None) -> Callable[[T], T]: ...


def register_dataset(obj: T | None = None, *, name: str | None = None) -> Any:
    """Register a function without arguments that returns a `Dataset`.

    Raises:
        DuplicateNameError: The name is taken; both distributions are named.
    """
    return _decorator(DATASETS, obj, name)


def register_protocol(protocol: Protocol) -> Protocol:
    """Register a `Protocol` under its name, and return it.

    Raises:
        DuplicateNameError: The name is taken by a protocol that differs.
    """
    PROTOCOLS.add(protocol.name, protocol)
    return protocol
