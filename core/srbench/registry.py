"""The registries: what is installed, by name, in timm's manner.

Listing reads the entry points of installed distributions and imports nothing; an object is imported when it is first
used. The decorators register objects of notebooks and tests, and mark those of plugins.
"""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from srbench import plugins
from srbench.errors import ConfigError, DuplicateNameError, NameSyntaxError, PluginError, UnknownNameError, suggest
from srbench.naming import ModelName, parse

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from srbench.data.datasets import Dataset
    from srbench.methods.base import SharingMethod
    from srbench.metrics import Metric

__all__ = [
    "canonical_name",
    "get_backbone",
    "get_dataset",
    "get_method",
    "get_metric",
    "is_model",
    "list_backbones",
    "list_datasets",
    "list_methods",
    "list_metrics",
    "list_models",
    "list_suites",
    "matching",
    "register_backbone",
    "register_dataset",
    "register_method",
    "register_metric",
    "suite_file",
]

T = TypeVar("T", bound=Callable[..., Any])


class Registry:
    """Names of one kind: those of installed distributions and those registered by a decorator.

    Args:
        kind: The entry-point group is `srbench.<kind>`.
        noun: How a message calls one of them.
    """

    def __init__(self, kind: str, noun: str) -> None:
        self.kind = kind
        self.noun = noun
        self._local: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Return all names, sorted, without importing anything."""
        return sorted({*plugins.contributions()[self.kind], *self._local})

    def __contains__(self, name: object) -> bool:
        return name in self._local or name in plugins.contributions()[self.kind]

    def add(self, name: str, obj: Any) -> None:
        """Register an object under a name; a failing add leaves the registry as it was.

        Raises:
            DuplicateNameError: The name is taken by another object.
        """
        place = _place(obj)
        installed = plugins.contributions()[self.kind].get(name, ())
        if any(item.value == place for item in installed):
            return  # the decorator on a plugin's own object: the entry point already says so
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
        """Forget a name registered by a decorator (for tests and notebooks).

        Raises:
            UnknownNameError: No decorator registered it.
        """
        if name not in self._local:
            raise UnknownNameError(
                f"no {self.noun} '{name}' was registered by a decorator" + suggest(name, self._local)
            )
        del self._local[name]

    def get(self, name: str) -> Any:
        """Return the object of a name, importing its plugin when it is first used.

        Raises:
            UnknownNameError: Nothing is registered under the name; the message suggests the nearest, or the extra to
                install.
            DuplicateNameError: Two distributions claim the name.
            PluginError: The plugin cannot be used.
        """
        if name in self._local:
            return self._local[name]
        items = plugins.contributions()[self.kind].get(name, ())
        if len(items) > 1:
            owners = " and ".join(f"{item.distribution} ({item.value})" for item in items)
            raise DuplicateNameError(f"{self.noun} '{name}' is claimed by {owners}; uninstall one of them")
        if not items:
            raise self.unknown(name)
        return plugins.load(items[0])

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error for a name that nothing is registered under."""
        if extra := plugins.extra_for(self.kind, name):
            return UnknownNameError(
                f"{self.noun} '{name}' is not installed; it comes with an extra: pip install \"sr-bench[{extra}]\""
            )
        return UnknownNameError(f"unknown {self.noun} '{name}'" + suggest(name, self.names()))


def _place(obj: Any) -> str:
    return f"{getattr(obj, '__module__', '?')}:{getattr(obj, '__qualname__', repr(obj))}"


def _owner(obj: Any) -> str:
    from importlib.metadata import packages_distributions

    top = str(getattr(obj, "__module__", "")).split(".")[0]
    dists = packages_distributions().get(top)
    return dists[0] if dists else f"the module '{top}'"


BACKBONES = Registry("backbones", "backbone")
BASELINES = Registry("baselines", "baseline")
METHODS = Registry("methods", "method")
METRICS = Registry("metrics", "metric")
DATASETS = Registry("datasets", "data set")
SUITES = Registry("suites", "suite")
WEIGHTS = Registry("weights", "tagged model")


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


def matching(names: Iterable[str], pattern: str | Sequence[str]) -> list[str]:
    """Return the names that match a glob pattern, or one of several; all of them where there is none."""
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)
    return [name for name in names if not any(patterns) or any(fnmatch.fnmatchcase(name, p) for p in patterns)]


def list_backbones(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed backbones that match a glob pattern (or one of several)."""
    return matching(BACKBONES.names(), pattern)


def list_methods(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed sharing methods that match a glob pattern."""
    return matching(METHODS.names(), pattern)


def list_metrics(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed metrics that match a glob pattern."""
    return matching(METRICS.names(), pattern)


def list_datasets(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed data sets that match a glob pattern."""
    return matching(DATASETS.names(), pattern)


def list_suites(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed suites that match a glob pattern."""
    return matching(sorted({*_own_suites(), *SUITES.names()}), pattern)


def suite_file(name: str) -> Traversable:
    """Return the YAML file of a suite: one of sr-bench's own, or a plugin's.

    Raises:
        UnknownNameError: No suite has this name; the nearest is named.
        DuplicateNameError: Two distributions claim the name.
        PluginError: The plugin cannot be used, or the file that it names is not there.
    """
    own = _own_suites()
    if name in own:
        for item in plugins.contributions()["suites"].get(name, ()):
            raise DuplicateNameError(
                f"suite '{name}' is one of sr-bench's own and is claimed by {item.distribution} ({item.value}); "
                "the plugin must choose another name"
            )
        return own[name]
    if name not in SUITES:
        raise UnknownNameError(f"unknown suite '{name}'" + suggest(name, list_suites()))
    return SUITES.get(name)  # type: ignore[no-any-return]


def _own_suites() -> dict[str, Traversable]:
    from importlib import resources

    files = resources.files("srbench.suites").iterdir()
    return {file.name.removesuffix(".yaml"): file for file in files if file.name.endswith(".yaml")}


def list_models(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the model names that match a glob pattern, without importing anything.

    These are the baselines, each backbone alone and with each method (its default arguments), and the tagged models,
    whose weights exist. Whether a method finds sites on a backbone is known only when the model is created.

    Example:
        >>> "edsr_baseline+recursive" in list_models("edsr*")
        True
    """
    names = {*BASELINES.names(), *BACKBONES.names(), *WEIGHTS.names()}
    names.update(f"{backbone}+{method}" for backbone in BACKBONES.names() for method in METHODS.names())
    return matching(sorted(names), pattern)


def is_model(name: str) -> bool:
    """Say whether a name can be created: its backbone, method, arguments and tag are all known."""
    try:
        canonical_name(name)
    except (UnknownNameError, NameSyntaxError, ConfigError, PluginError, DuplicateNameError):
        return False
    return True


def get_backbone(name: str) -> Callable[..., Any]:
    """Return the function that builds a backbone or a baseline.

    Raises:
        UnknownNameError: Nothing is registered under the name.
        PluginError: Its plugin cannot be used.
    """
    if name in BASELINES:
        return BASELINES.get(name)  # type: ignore[no-any-return]
    if name not in BACKBONES:
        if plugins.extra_for("backbones", name):
            raise BACKBONES.unknown(name)
        raise UnknownNameError(f"unknown backbone '{name}'" + suggest(name, [*BACKBONES.names(), *BASELINES.names()]))
    return BACKBONES.get(name)  # type: ignore[no-any-return]


def get_method(name: str) -> type[SharingMethod]:
    """Return the class of a sharing method.

    Raises:
        UnknownNameError: Nothing is registered under the name.
        PluginError: Its plugin cannot be used.
    """
    return METHODS.get(name)  # type: ignore[no-any-return]


def get_metric(name: str) -> Metric:
    """Return an instance of a metric.

    Raises:
        UnknownNameError: Nothing is registered under the name.
        PluginError: Its plugin cannot be used.
    """
    return METRICS.get(name)()  # type: ignore[no-any-return]


def get_dataset(name: str) -> Dataset:
    """Return a registered data set.

    Raises:
        UnknownNameError: Nothing is registered under the name.
        PluginError: Its plugin cannot be used.
    """
    return DATASETS.get(name)()  # type: ignore[no-any-return]


def make_method(name: ModelName) -> SharingMethod | None:
    """Return the method of a model name with its arguments checked, or None for a published network.

    Raises:
        UnknownNameError: The method is not installed.
        ConfigError: An argument is unknown or has a wrong value.
    """
    if name.method is None:
        return None
    cls = get_method(name.method)
    known = list(inspect.signature(cls).parameters)
    for key, _ in name.args:
        if key not in known:
            raise ConfigError(f"method '{name.method}' has no argument '{key}'" + suggest(key, known, noun="arguments"))
    return cls(**dict(name.args))


def canonical_name(name: str | ModelName) -> ModelName:
    """Return the one spelling under which a model is hashed and shown: checked, defaults filled in, keys sorted.

    A tag fixes the method's arguments. Needs no torch.

    Raises:
        NameSyntaxError: The name does not follow the grammar.
        UnknownNameError: The backbone, method or tag is not installed.
        ConfigError: An argument is unknown, has a wrong value or contradicts the tag.
    """
    parsed = parse(name) if isinstance(name, str) else name
    if parsed.backbone not in BASELINES and parsed.backbone not in BACKBONES:
        get_backbone(parsed.backbone)  # raises with the nearest name
    if parsed.tag is not None:
        source = tagged_source(parsed)
        return parse(source.model) if parsed.tag == parse(source.model).tag else parsed
    method = make_method(parsed)
    if method is None:
        return parsed
    return ModelName(parsed.backbone, parsed.method, tuple(method.config().items()), None)


def tagged_source(name: ModelName) -> Any:
    """Return the `WeightSource` or `PerScaleWeights` of a tagged name.

    Raises:
        UnknownNameError: No weights are registered under the tag.
        ConfigError: The name's arguments contradict those that the weights were trained with.
    """
    bare = str(ModelName(name.backbone, name.method, (), name.tag))
    if bare not in WEIGHTS:
        arch = str(ModelName(name.backbone, name.method))
        tags = [known for known in WEIGHTS.names() if known.startswith(f"{arch}.")]
        raise UnknownNameError(
            f"no weights are known under the tag '{name.tag}' for '{arch}'" + suggest(bare, tags, noun="tagged models")
        )
    source = WEIGHTS.get(bare)
    if name.args:
        wanted = make_method(ModelName(name.backbone, name.method, name.args))
        fixed = make_method(parse(source.model))
        if wanted is not None and fixed is not None and wanted.config() != fixed.config():
            raise ConfigError(
                f"'{name}' contradicts its tag: the weights '{bare}' were trained as '{source.model}'; leave the "
                "arguments out"
            )
    return source
