"""Look up installed objects by name, similar to timm: lists, objects, and canonical names of models."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from srbench.errors import ConfigError, DuplicateNameError, NameSyntaxError, PluginError, UnknownNameError, suggest
from srbench.registry import entry_points as plugins
from srbench.registry.extras import extra_for
from srbench.registry.names import ArchitectureName, ModelName, parse
from srbench.registry.plugin_filter import normalized

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from srbench.data.datasets import Dataset
    from srbench.metrics.base import Metric
    from srbench.models.methods.sharing_method import SharingMethod

from srbench.registry.registries import (
    ARCHITECTURES,
    BACKBONES,
    BASELINES,
    DATASETS,
    METHODS,
    METRICS,
    PROTOCOLS,
    SUITES,
    WEIGHTS,
)  # fmt: skip

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
    "list_protocols",
    "list_suites",
    "matching",
    "suite_file",
]


def matching(names: Iterable[str], pattern: str | Sequence[str]) -> list[str]:
    """Return the names that match a glob pattern, or one of several; all names if there is no pattern."""
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)
    for one in patterns:
        # `fnmatch` treats an unclosed bracket as a plain character, so that silently nothing matches.
        if one.count("[") > one.count("]"):
            raise ConfigError(f"'{one}' is not a glob pattern: a bracket is not closed; give e.g. 'edsr*'")
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


def list_protocols(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed protocols that match a glob pattern."""
    return matching(PROTOCOLS.names(), pattern)


def list_datasets(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed data sets that match a glob pattern."""
    return matching(DATASETS.names(), pattern)


def list_suites(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the names of the installed suites that match a glob pattern."""
    return matching(sorted({*_own_suites(), *SUITES.names()}), pattern)


def suite_file(name: str) -> Traversable:
    """Return the YAML file of a suite of sr-bench or of a plugin.

    Raises:
        UnknownNameError: No suite has this name; the message suggests the nearest.
        DuplicateNameError: Two distributions claim the name.
        PluginError: The plugin cannot be used, or its file does not exist.
    """
    own = _own_suites()
    if name in own:
        return own[name]  # a plugin's suite of the same name is available as DIST:NAME
    if name not in SUITES:
        if plugins.left_out("suites", name):
            raise SUITES.unknown(name)
        raise UnknownNameError(f"unknown suite '{name}'" + suggest(name, list_suites()))
    return SUITES.get(name)  # type: ignore[no-any-return]


def _own_suites() -> dict[str, Traversable]:
    from importlib import resources

    files = resources.files("srbench.suites").iterdir()
    return {file.name.removesuffix(".yaml"): file for file in files if file.name.endswith(".yaml")}


def list_models(pattern: str | Sequence[str] = "") -> list[str]:
    """Return the model names that match a glob pattern, without importing anything.

    These are the baselines, each backbone alone and with each method (with default arguments), and the tagged models,
    which have weights. Whether a backbone has sites for a method is only known when the model is created.

    Example:
        >>> "edsr_baseline+recursive" in list_models("edsr*")
        True
    """
    names = {*BASELINES.names(), *BACKBONES.names(), *WEIGHTS.names()}
    names.update(f"{backbone}+{method}" for backbone in BACKBONES.names() for method in METHODS.names())
    return matching(sorted(names), pattern)


def is_model(name: str) -> bool:
    """Return whether a name is valid: its backbone, method, arguments and tag are all known."""
    try:
        canonical_name(name)
    except (UnknownNameError, NameSyntaxError, ConfigError, PluginError, DuplicateNameError):
        return False
    return True


def get_backbone(name: str) -> Callable[..., Any]:
    """Return the function that builds a backbone or a baseline, of sr-bench or of another library.

    Raises:
        UnknownNameError: The name is not registered.
        PluginError: Its plugin cannot be used.
    """
    if name in BASELINES:
        return BASELINES.get(name)  # type: ignore[no-any-return]
    if "/" in name:
        named = ArchitectureName.parse(name)
        library: Any = ARCHITECTURES.get(named.source)
        return library.backbone(named.architecture, dict(named.args))  # type: ignore[no-any-return]
    if name not in BACKBONES:
        if bare := _backbone_of_weights(name):
            return get_backbone(bare)
        if extra_for("backbones", name) or plugins.left_out("backbones", name):
            raise BACKBONES.unknown(name)
        raise UnknownNameError(f"unknown backbone '{name}'" + suggest(name, [*BACKBONES.names(), *BASELINES.names()]))
    return BACKBONES.get(name)  # type: ignore[no-any-return]


def get_method(name: str) -> type[SharingMethod]:
    """Return the class of a sharing method.

    Raises:
        UnknownNameError: The name is not registered.
        PluginError: Its plugin cannot be used.
    """
    return METHODS.get(name)  # type: ignore[no-any-return]


def get_metric(name: str) -> Metric:
    """Return an instance of a metric.

    Raises:
        UnknownNameError: The name is not registered.
        PluginError: Its plugin cannot be used.
    """
    return METRICS.make(name)  # type: ignore[no-any-return]


def get_dataset(name: str) -> Dataset:
    """Return a registered data set.

    Raises:
        UnknownNameError: The name is not registered.
        PluginError: Its plugin cannot be used.
    """
    return DATASETS.make(name)  # type: ignore[no-any-return]


def make_method(name: ModelName) -> SharingMethod | None:
    """Return the method of a model name with checked arguments, or None if the name has no method.

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
    """Return the canonical spelling of a model name: validated, with defaults filled in and sorted keys.

    A tag determines the method's arguments. Needs no torch, except for architectures of another library.

    Raises:
        NameSyntaxError: The name does not follow the grammar.
        UnknownNameError: The backbone, method or tag is not installed.
        ConfigError: An argument is unknown, has a wrong value or contradicts the tag.
    """
    parsed = parse(name) if isinstance(name, str) else name
    if "/" in parsed.backbone:
        parsed = replace(parsed, backbone=_canonical_architecture(parsed.backbone))
    elif not any((parsed.backbone in BASELINES, parsed.backbone in BACKBONES, _backbone_of_weights(parsed.backbone))):
        get_backbone(parsed.backbone)  # raises with the nearest name
    parsed = _unqualified(parsed)
    if parsed.tag is not None:
        trained = parse(tagged_source(parsed).model)
        if ":" in parsed.backbone:
            trained = replace(trained, backbone=parsed.backbone)
        return trained if parsed.tag == trained.tag else parsed
    method = make_method(parsed)
    if method is None:
        return parsed
    return ModelName(parsed.backbone, parsed.method, tuple(method.config().items()), None)


def _unqualified(name: ModelName) -> ModelName:
    """Remove distributions from a model name if it is unambiguous without them."""
    registry = BASELINES if name.backbone in BASELINES else BACKBONES
    method = None if name.method is None else METHODS.shortest(name.method)
    backbone = registry.shortest(name.backbone)
    if name.backbone not in registry:
        backbone = _backbone_of_weights(name.backbone) or backbone
    tagged = str(ModelName(name.backbone, method, (), name.tag))
    if name.tag is not None and ":" in name.backbone and tagged in WEIGHTS:
        dist, colon, _ = WEIGHTS.shortest(tagged).rpartition(":")  # several distributions may have weights of one tag
        backbone = f"{dist}{colon}{name.backbone.rpartition(':')[2]}" if colon else backbone
    return replace(name, backbone=backbone, method=method)


def _backbone_of_weights(name: str) -> str | None:
    """Return the backbone of a distribution's weights, given as `DIST:BACKBONE`; None if it has no weights for it."""
    dist, colon, bare = name.rpartition(":")
    if not colon:
        return None
    for tagged, items in plugins.contributions()["weights"].items():
        named = tagged.partition("+")[0].partition(".")[0]
        if named == bare and any(item.owner == normalized(dist) for item in items):
            return bare
    return None


def _canonical_architecture(name: str) -> str:
    """Return the canonical spelling of another library's architecture; this imports the library, and torch."""
    named = ArchitectureName.parse(name)
    args = ARCHITECTURES.get(named.source).canonical(named.architecture, dict(named.args))
    return str(replace(named, args=tuple(sorted(args.items()))))


def tagged_source(name: ModelName) -> Any:
    """Return the `WeightSource` or `PerScaleWeights` of a tagged name.

    Raises:
        UnknownNameError: No weights are registered under the tag.
        ConfigError: The name's arguments differ from those that the weights were trained with.
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
